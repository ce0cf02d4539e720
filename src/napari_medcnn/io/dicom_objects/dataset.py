"""Open one DICOM object, or say why it cannot be opened; know what it is without reading it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from napari_medcnn.core.errors import ReadError
from napari_medcnn.io.dicom.guarded import DEFLATED, dicom_failures, read_dataset
from napari_medcnn.io.dicom.scan import looks_like_dicom

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


class ObjectKind(StrEnum):
    """DICOM objects that mark something in images."""

    SEG = "segmentation"
    RTSTRUCT = "structure set"


_KINDS = {
    "1.2.840.10008.5.1.4.1.1.66.4": ObjectKind.SEG,
    "1.2.840.10008.5.1.4.1.1.66.7": ObjectKind.SEG,
    "1.2.840.10008.5.1.4.1.1.481.3": ObjectKind.RTSTRUCT,
}


def object_kind(path: Path) -> ObjectKind | None:
    """What a file marks, by its SOP class; None for images and files that are no DICOM."""
    if not looks_like_dicom(path):
        return None
    import pydicom

    try:
        with damage_told(path):
            # Stops before the data set where the file's meta group names the class.
            meta = pydicom.filereader.read_file_meta_info(path)
            uid = meta.get("MediaStorageSOPClassUID")
            if uid is None and meta.get("TransferSyntaxUID") != DEFLATED:
                head = read_dataset(path, specific_tags=["SOPClassUID"], stop_before_pixels=True)
                uid = head.get("SOPClassUID")
    except ReadError:
        return None
    return _KINDS.get(str(uid))


def read_object(path: Path, only: Sequence[str] | None = None) -> Dataset:
    """The whole data set of a DICOM object.

    Parameters
    ----------
    path : Path
        The file.
    only : sequence of str, optional
        Keywords of the attributes to read; then pixels are not read either.

    Raises
    ------
    ReadError
        When it cannot be read, or is deflated: such a file may inflate to any size.
    """
    import pydicom

    with damage_told(path):
        meta = pydicom.filereader.read_file_meta_info(path)
        if meta.get("TransferSyntaxUID") == DEFLATED:
            raise ReadError(
                "is deflated, which is not read",
                source=path,
                hint="convert it to Explicit VR Little Endian",
            )
        if only is None:
            return read_dataset(path)
        return read_dataset(path, specific_tags=list(only), stop_before_pixels=True)


@contextmanager
def damage_told(path: Path) -> Iterator[None]:
    """Whatever pydicom raises on a damaged file, also long after opening it, as a ReadError.

    It warns of every irregular value too; what matters is checked here by its meaning.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except dicom_failures() as error:
        raise ReadError(
            f"cannot be read as DICOM ({type(error).__name__})",
            source=path,
            hint="the file may be truncated or damaged",
        ) from error
