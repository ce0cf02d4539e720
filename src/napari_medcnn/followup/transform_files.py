"""Transforms in ITK's own text files (``.tfm``), which other programs of the field read too."""

from __future__ import annotations

from pathlib import Path

import SimpleITK as sitk

from napari_medcnn.core.atomic import replacing
from napari_medcnn.core.errors import GeometryError, ReadError, WriteError
from napari_medcnn.core.registration import SpatialTransform
from napari_medcnn.followup.spatial_transform import from_sitk, to_sitk

SUFFIXES = (".tfm", ".txt")
"""Names of ITK's text files; the program that wrote one may have chosen either."""

MAX_BYTES = 256 * 2**20
"""A lattice of a million points takes some 60 MB as text; a larger file is no transform."""

_FIRST_LINE = b"#Insight Transform File V1.0"


def write_transform(path: Path, transform: SpatialTransform) -> None:
    """Write a transform as an ITK text file, atomically.

    As everywhere, it maps points of the fixed image (the baseline) to points of the moving one, LPS
    mm: what ITK needs to resample the follow-up onto the baseline, without inverting it.

    Raises
    ------
    WriteError
        When the name does not end in ``.tfm`` or ``.txt``, or the file cannot be written.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise WriteError("a transform's file ends in .tfm or .txt", source=path)
    with replacing(path) as temporary:
        try:
            sitk.WriteTransform(to_sitk(transform), str(temporary))
        except RuntimeError as error:
            raise WriteError("the transform cannot be written", source=path) from error


def read_transform(path: Path) -> SpatialTransform:
    """Read an ITK text file of a rigid, affine or B-spline transform.

    Raises
    ------
    ReadError
        When the file is no transform, or not of a kind that is understood here.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            first = stream.read(len(_FIRST_LINE))
    except OSError as error:
        raise ReadError(f"cannot be read: {error.strerror or error}", source=path) from error
    if first != _FIRST_LINE or size > MAX_BYTES or path.suffix.lower() not in SUFFIXES:
        raise ReadError(
            "this is no transform", source=path, hint="an ITK text file ends in .tfm or .txt"
        )
    try:
        return from_sitk(sitk.ReadTransform(str(path)))
    except RuntimeError as error:
        raise ReadError("the transform's file is damaged", source=path) from error
    except GeometryError as error:
        raise ReadError(error.what, source=path, hint=error.hint) from error
