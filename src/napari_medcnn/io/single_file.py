"""One file that holds one image: the reader of its format."""

from __future__ import annotations

from pathlib import Path

from napari_medcnn.core.errors import ReadError
from napari_medcnn.io.file_image import FileImage
from napari_medcnn.io.formats import READABLE, Format, format_of
from napari_medcnn.io.itk import read_metaimage, read_nrrd
from napari_medcnn.io.nifti import read_nifti
from napari_medcnn.io.pictures import read_picture

_READERS = {
    Format.NIFTI: read_nifti,
    Format.NRRD: read_nrrd,
    Format.METAIMAGE: read_metaimage,
    Format.PICTURE: read_picture,
}


def read_image(path: Path) -> FileImage:
    """A single NIfTI, NRRD, MetaImage or picture file on its own grid, sheared or not.

    Raises
    ------
    ReadError
        When it is no such file or cannot be read.
    """
    reader = _READERS.get(format_of(path) or Format.DICOM)
    if reader is None:
        raise ReadError("is not an image of a known format", source=path, hint=READABLE)
    try:
        return reader(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ReadError(f"cannot be opened: {reason}", source=path) from error
