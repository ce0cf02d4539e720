"""A small picture of a series: its middle slice, as PNG."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.app.contrast import CT_SOFT_TISSUE_HU, percentile_range
from napari_medcnn.core.errors import ReadError
from napari_medcnn.io.dicom.decode import decode
from napari_medcnn.io.dicom.scan import scan
from napari_medcnn.io.read import read

LONGEST_SIDE = 96
"""Pixels: twice what is shown, for screens of high density."""

MOST_BYTES = 512 * 1024**2
"""Of a file that is read for its picture alone."""


def dicom_thumbnail(path: Path) -> bytes:
    """PNG of the middle image of a DICOM file.

    Raises
    ------
    ReadError
        When it holds no image or cannot be decoded.
    """
    _refuse_huge(path)
    found = scan([path])
    if not found.frames:
        raise ReadError("holds no image", source=path)
    frame = found.frames[len(found.frames) // 2]
    array, _ = decode([[frame]])
    picture = array[0, 0]
    hounsfield = frame.modality == "CT" and frame.has_rescale
    limits = CT_SOFT_TISSUE_HU if hounsfield else percentile_range(picture)
    if frame.photometric == "MONOCHROME1":
        limits = (limits[1], limits[0])
    return _png(picture, limits, frame.pixel_spacing or (1.0, 1.0))


def volume_thumbnail(path: Path) -> bytes:
    """PNG of the middle axial slice of a file that holds a volume.

    Raises
    ------
    ReadError
        When it cannot be read or is very large.
    """
    _refuse_huge(path)
    volume = read(path)[0]
    array = volume.array if volume.frames is None else volume.array[0]
    picture = array[len(array) // 2]
    _, y, x = volume.geometry.spacing
    return _png(picture, percentile_range(picture), (y, x))


def _refuse_huge(path: Path) -> None:
    if path.stat().st_size > MOST_BYTES:
        raise ReadError("is too large for a picture", source=path)


def _png(
    picture: npt.NDArray[Any], limits: tuple[float, float], spacing: tuple[float, float]
) -> bytes:
    from PIL import Image

    low, high = limits
    with np.errstate(invalid="ignore"):
        grey = np.clip((picture.astype(np.float32) - low) / (high - low), 0, 1) * 255
    height, width = (n * step for n, step in zip(picture.shape, spacing, strict=True))
    scale = LONGEST_SIDE / max(height, width)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    image = Image.fromarray(np.nan_to_num(grey).astype(np.uint8)).resize(size, Image.Resampling.BOX)
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return stream.getvalue()
