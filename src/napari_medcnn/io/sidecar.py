"""What a converted volume's image file cannot hold: findings and how it was made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_medcnn.core.atomic import write_json
from napari_medcnn.core.volume import Volume


def sidecar_path(image: Path) -> Path:
    """``NAME.json`` beside ``NAME.nii.gz``."""
    name = image.name.removesuffix(".gz")
    return image.with_name(Path(name).stem + ".json")


def sidecar_record(volume: Volume) -> dict[str, Any]:
    """The JSON-able description of a volume; no patient identity, no UIDs and no paths."""
    record: dict[str, Any] = {
        "name": volume.name,
        "series_description": volume.source.header.get("series_description", ""),
        "series_number": volume.source.header.get("series_number"),
        "modality": volume.modality,
        "unit": volume.unit,
        "source_format": volume.source.format,
        "shape_zyx": list(volume.geometry.shape),
        "spacing_zyx_mm": list(volume.geometry.spacing) if volume.spacing_known else None,
        "resampled": volume.resampled,
        "findings": [finding.to_json() for finding in volume.findings],
    }
    if volume.frames is not None:
        record["frames"] = {
            "name": volume.frames.name,
            "count": volume.frame_count,
            "values": list(volume.frames.values),
            "unit": volume.frames.unit,
        }
    return record


def write_sidecar(volume: Volume, image: Path) -> Path:
    """Write the record beside the image file, atomically, and return its path."""
    path = sidecar_path(image)
    write_json(path, sidecar_record(volume))
    return path
