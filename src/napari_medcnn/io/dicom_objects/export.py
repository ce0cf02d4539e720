"""Results as DICOM objects beside the images that they belong to; the name tells the kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from napari_medcnn.core.errors import GeometryError, WriteError
from napari_medcnn.core.lesion import LesionTable
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.io.dicom_objects.rtstruct_write import write_rtstruct
from napari_medcnn.io.dicom_objects.seg_write import write_seg
from napari_medcnn.io.dicom_objects.segments import (
    SegmentPlan,
    segments_by_label,
    segments_by_lesion,
)
from napari_medcnn.io.dicom_objects.source import SourceImages, source_images
from napari_medcnn.io.dicom_objects.sr_write import write_sr
from napari_medcnn.io.dicom_objects.tracking import content_identity

SUFFIXES = {
    "seg": ".seg.dcm",
    "labelmap": ".labelmap.dcm",
    "sr": ".sr.dcm",
    "rtstruct": ".rtstruct.dcm",
}
"""What can be written, and how its file's name ends."""


@dataclass(frozen=True, eq=False)
class DicomResult:
    """What is written as DICOM.

    Parameters
    ----------
    segmentation : Segmentation
        On the grid of `volume`.
    volume : Volume
        One frame of a volume that came from DICOM files.
    table : LesionTable, optional
        The lesions; needed for a report, or for one segment a lesion.
    identity : str
        Keeps tracking UIDs stable: the id of a session's result. By default it is made of the
        label map itself.
    uids : mapping of int to str
        Tracking UIDs that lesions have from earlier studies, by their ids.
    """

    segmentation: Segmentation
    volume: Volume
    table: LesionTable | None = None
    identity: str = ""
    uids: Mapping[int, str] = field(default_factory=dict)


def kind_of(path: Path) -> str:
    """Which kind of object a file's name asks for; empty when it is none."""
    name = path.name.lower()
    return next((kind for kind, suffix in SUFFIXES.items() if name.endswith(suffix)), "")


def write_dicom(result: DicomResult, path: str | Path, *, per_lesion: bool = False) -> list[Path]:
    """Write a result as the DICOM object that the name of `path` asks for, atomically.

    A report (``.sr.dcm``) refers to one segment a lesion: a BINARY segmentation of them is
    written beside it as ``NAME.lesions.seg.dcm`` (``lesions.seg.dcm`` beside ``lesions.sr.dcm``).

    Parameters
    ----------
    result : DicomResult
        What to write.
    path : str or Path
        Ending in ``.seg.dcm`` (BINARY), ``.labelmap.dcm``, ``.sr.dcm`` or ``.rtstruct.dcm``.
    per_lesion : bool
        One segment or region for each lesion instead of for each label; what belongs to no lesion
        of the table is then left out.

    Returns
    -------
    list of Path
        The files that were written.

    Raises
    ------
    WriteError
        When the volume did not come from DICOM, its files are gone, the table is missing or
        empty, or a file cannot be written.
    GeometryError
        When the label map is not on the volume's grid.
    """
    path = Path(path)
    kind = kind_of(path)
    if not kind:
        endings = ", ".join(SUFFIXES.values())
        raise WriteError("its name tells no kind of DICOM object", source=path, hint=endings)
    if not result.segmentation.geometry.is_close(result.volume.geometry):
        raise GeometryError(
            "the label map is not on the grid of the volume", source=result.volume.name
        )
    source = source_images(result.volume)
    if kind == "sr":
        return _write_report(result, source, path)
    plan = (
        _lesion_plan(result)
        if per_lesion
        else segments_by_label(result.segmentation, keep_values=kind == "labelmap")
    )
    model = result.segmentation.model
    if kind == "rtstruct":
        write_rtstruct(plan, result.volume, source, path, model=model)
    else:
        write_seg(plan, result.volume, source, path, labelmap=kind == "labelmap", model=model)
    return [path]


def _write_report(result: DicomResult, source: SourceImages, path: Path) -> list[Path]:
    plan = _lesion_plan(result)
    assert result.table is not None
    model = result.segmentation.model
    stem = path.name[: -len(SUFFIXES["sr"])]
    stem = stem if stem.endswith("lesions") else f"{stem}.lesions"
    segments_path = path.with_name(stem + SUFFIXES["seg"])
    dataset = write_seg(plan, result.volume, source, segments_path, model=model)
    write_sr(result.table, plan, dataset, result.volume, source, path, model=model)
    return [path, segments_path]


def _lesion_plan(result: DicomResult) -> SegmentPlan:
    if result.table is None:
        raise WriteError("needs the lesions", hint="measure the label map first")
    identity = result.identity or content_identity(result.segmentation, result.volume)
    return segments_by_lesion(result.segmentation, result.table, identity, result.uids)
