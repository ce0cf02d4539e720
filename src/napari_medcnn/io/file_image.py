"""An image as a file holds it, before it is reordered: what every format's reader returns."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import GeometryError
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.volume import (
    Finding,
    FrameAxis,
    Severity,
    Source,
    Volume,
    canonical_volume,
)
from napari_medcnn.imaging.resample import straight_grid, straighten
from napari_medcnn.io.limits import MAX_VOLUME_BYTES

MOST_GROWTH = 20
"""A straightened image so many times as large as the file's is no tilted scan's.

A gantry tilted by 45 degrees over 2 m of slices 256 mm wide grows less than nine times."""


@dataclass(frozen=True, eq=False)
class FileImage:
    """Voxels in a file's own axis order, with the file's own grid.

    Parameters
    ----------
    array : numpy.ndarray
        ``(z, y, x)`` or, with `frames`, ``(frame, z, y, x)``; the fastest axis of the file last.
    geometry : Geometry
        The grid of the last three axes; may be sheared.
    format : str
        As in :class:`Source`.
    name : str
        For people; no patient identity.
    header : dict
        As in :class:`Source`.
    """

    array: npt.NDArray[Any]
    geometry: Geometry
    format: str
    name: str
    frames: FrameAxis | None = None
    header: dict[str, Any] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    modality: str = ""
    unit: str = ""
    spacing_known: bool = True


def to_volume(
    image: FileImage, path: Path, series: str = "", *, straighten_shear: bool = True
) -> Volume:
    """The image as a volume: sheared grids straightened (and marked), axes made canonical.

    Without `straighten_shear` a sheared grid stays as the file has it.
    """
    resampled = image.geometry.is_sheared and straighten_shear
    if resampled:
        image = straightened(image)
    return canonical_volume(
        image.array,
        image.geometry,
        source=Source(path=path, series=series, format=image.format, header=image.header),
        name=image.name,
        modality=image.modality,
        unit=image.unit,
        frames=image.frames,
        findings=image.findings,
        resampled=resampled,
        spacing_known=image.spacing_known,
    )


def sheared_finding(geometry: Geometry, *, straightened: bool = True) -> Finding:
    """What is said of a sheared grid, whether it was straightened or stays."""
    direction = geometry.direction
    cosines = np.abs(direction.T @ direction - np.eye(3)).max()
    angle = float(np.degrees(np.arcsin(min(1.0, float(cosines)))))
    done = (
        "The image was interpolated onto a right-angled grid; results are written on that grid."
        if straightened
        else "It stays as stored: views show it upright, positions and volumes are right."
    )
    return Finding(
        "sheared-grid",
        Severity.WARNING,
        f"The file's grid is sheared by {angle:.1f} degrees, as by a tilted gantry. {done}",
    )


def straightened(image: FileImage) -> FileImage:
    """The image interpolated onto a right-angled grid, with a finding; the old grid is noted."""
    _check_growth(image)
    array, geometry = straighten(image.array, image.geometry)
    kept = {key: value for key, value in image.header.items() if key != "nifti"}
    kept["sheared_grid"] = {
        "shape": list(image.geometry.shape),
        "affine_lps": image.geometry.affine.tolist(),
    }
    finding = sheared_finding(image.geometry)
    told = any(known.code == finding.code for known in image.findings)
    return replace(
        image,
        array=array,
        geometry=geometry,
        header=kept,
        findings=image.findings if told else (*image.findings, finding),
    )


def _check_growth(image: FileImage) -> None:
    grown = math.prod(straight_grid(image.geometry).shape) / math.prod(image.geometry.shape)
    if grown > MOST_GROWTH:
        raise GeometryError(
            f"its grid is sheared so far that the straightened image would be {grown:.0f} times "
            "as large"
        )
    if grown * image.array.nbytes > MAX_VOLUME_BYTES:
        raise GeometryError("its straightened image would be larger than the limit")


ORIENTATION_UNKNOWN = Finding(
    "orientation-unknown",
    Severity.WARNING,
    "The file does not say how the image lies in the patient. Left and right, front and back may "
    "be exchanged; sizes are right, positions count from the first voxel.",
)
