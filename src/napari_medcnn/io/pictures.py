"""PNG and JPEG pictures, by Pillow: grey values without a scale."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from napari_medcnn.core.errors import ReadError
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.volume import Finding, Severity
from napari_medcnn.io.file_image import FileImage
from napari_medcnn.io.limits import MAX_FRAME_PIXELS
from napari_medcnn.io.voxels import grey, narrowed

_GREY_MODES = ("1", "L", "I", "I;16", "I;16B", "F")

NO_SCALE = Finding(
    "spacing-unknown",
    Severity.WARNING,
    "A picture says nothing of its pixels' size in mm; lengths and areas are in pixels.",
)


def read_picture(path: Path) -> FileImage:
    """Read a PNG or JPEG as one slice ``(1, y, x)`` with 1 mm spacing that is not to be trusted.

    Colour becomes grey with a finding; the orientation that a camera noted is applied.

    Raises
    ------
    ReadError
        When the file is no such picture, is truncated or is too large.
    """
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            # The limit here is our own; Pillow's warning for large pictures would be a second.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=("PNG", "JPEG")) as picture:
                if picture.width * picture.height > MAX_FRAME_PIXELS:
                    raise ReadError("is too large a picture", source=path)
                upright = ImageOps.exif_transpose(picture)
                findings: tuple[Finding, ...] = ()
                if upright.mode in _GREY_MODES:
                    pixels = narrowed(np.asarray(upright))
                else:
                    pixels, findings = grey(np.asarray(upright.convert("RGB")))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ReadError(
            f"cannot be read as a picture: {error}",
            source=path,
            hint="PNG and JPEG are read; the file may be truncated",
        ) from error
    array = np.ascontiguousarray(pixels[np.newaxis])
    geometry = Geometry.from_spacing((1, array.shape[1], array.shape[2]), (1.0, 1.0, 1.0))
    return FileImage(
        array=array,
        geometry=geometry,
        format="picture",
        name=path.stem,
        findings=(NO_SCALE, *findings),
        spacing_known=False,
    )
