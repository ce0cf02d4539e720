"""The header of any file that the index knows: DICOM, NIfTI, NRRD, MetaImage."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_medcnn.app.studies.dicom_header import read_dicom_header
from napari_medcnn.app.studies.image_header import ImageHeader
from napari_medcnn.core.errors import ReadError
from napari_medcnn.io.detached import metaimage_header, nrrd_header
from napari_medcnn.io.formats import Format, format_of

_SEGMENTATION = ".seg.nrrd"


class NoImage(ReadError):
    """A file is none of those that the index is about."""


def read_file_header(path: Path, relative: Path, secret: bytes) -> ImageHeader:
    """What the index keeps of a file.

    Parameters
    ----------
    path : Path
        The file.
    relative : Path
        Its path below the folder indexed; by this a file that is a volume of its own is known.
    secret : bytes
        The key of :func:`~napari_medcnn.app.studies.patient_key.patient_key`.

    Raises
    ------
    NoImage
        When it is none.
    ReadError
        When it belongs to no series. A broken file may raise anything else.
    """
    kind = format_of(path)
    if kind is Format.DICOM:
        if path.name.upper() == "DICOMDIR":
            raise NoImage("a directory record")
        return read_dicom_header(path, secret, relative.parent.as_posix())
    if kind is Format.NIFTI:
        return _volume(relative, kind, *_nifti_grid(path))
    if kind is Format.NRRD:
        return _volume(relative, kind, *_nrrd_grid(path))
    if kind is Format.METAIMAGE:
        return _volume(relative, kind, *_metaimage_grid(path))
    raise NoImage("no medical image")


def _volume(relative: Path, kind: Format, sizes: list[int], steps: list[float]) -> ImageHeader:
    """A header from sizes and steps along x, y, z and further axes."""
    if len(sizes) < 2 or min(sizes) < 1:
        raise ReadError("its header says no size")
    sizes = [*sizes, 1] if len(sizes) == 2 else sizes
    known = len(steps) >= 2 and all(np.isfinite(step) and step > 0 for step in steps[:2])
    deep = len(steps) >= 3 and np.isfinite(steps[2]) and steps[2] > 0
    return ImageHeader(
        kind=kind.value,
        series_uid=relative.as_posix(),
        study_uid=relative.parent.as_posix(),
        study_description="" if relative.parent == Path() else relative.parent.as_posix(),
        series_description=relative.name,
        modality="SEG" if relative.name.lower().endswith(_SEGMENTATION) else "",
        columns=sizes[0],
        rows=sizes[1],
        slices=sizes[2],
        frames=int(np.prod(sizes[3:], dtype=object)),
        spacing=(float(steps[1]), float(steps[0])) if known else None,
        slice_step=float(steps[2]) if deep else None,
    )


def _nifti_grid(path: Path) -> tuple[list[int], list[float]]:
    import nibabel

    header = nibabel.load(path).header
    shape = [int(n) for n in header.get_data_shape()]
    return shape, [abs(float(step)) for step in header.get_zooms()]


def _nrrd_grid(path: Path) -> tuple[list[int], list[float]]:
    header = nrrd_header(path)
    sizes = [int(n) for n in header.get("sizes", "").split()]
    directions = header.get("space directions", "").replace(" ", "").replace(")(", ")|(")
    vectors = [v.strip("()") for v in directions.replace("none", "|none|").split("|") if v]
    steps = [
        0.0 if vector == "none" else float(np.linalg.norm([float(n) for n in vector.split(",")]))
        for vector in vectors
    ] or [float(n) for n in header.get("spacings", "").split()]
    space = [axis for axis, step in enumerate(steps) if np.isfinite(step) and step > 0]
    if len(steps) != len(sizes) or len(space) == len(sizes):
        return sizes, steps
    rest = [axis for axis in range(len(sizes)) if axis not in space]
    return [sizes[axis] for axis in (*space, *rest)], [steps[axis] for axis in space]


def _metaimage_grid(path: Path) -> tuple[list[int], list[float]]:
    header = metaimage_header(path)
    steps = header.get("ElementSpacing", header.get("ElementSize", ""))
    return [int(n) for n in header.get("DimSize", "").split()], [float(n) for n in steps.split()]
