"""Which format a file has, by its name or its first bytes."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from napari_medcnn.io.dicom.scan import looks_like_dicom


class Format(StrEnum):
    """What can be read; the values are those of :class:`Source`."""

    NIFTI = "nifti"
    NRRD = "nrrd"
    METAIMAGE = "metaimage"
    PICTURE = "picture"
    DICOM = "dicom"


READ_SUFFIXES = {
    ".nii": Format.NIFTI,
    ".nii.gz": Format.NIFTI,
    ".nrrd": Format.NRRD,
    ".nhdr": Format.NRRD,
    ".mha": Format.METAIMAGE,
    ".mhd": Format.METAIMAGE,
    ".png": Format.PICTURE,
    ".jpg": Format.PICTURE,
    ".jpeg": Format.PICTURE,
}
"""Suffixes in lower case; DICOM files may have any or none and are known by their content."""

WRITE_SUFFIXES = (".nii.gz", ".nii", ".seg.nrrd", ".nrrd", ".mha")
"""What can be written, longer before shorter."""

READABLE = "NIfTI (.nii, .nii.gz), NRRD, MetaImage (.mha, .mhd), PNG, JPEG and DICOM are read"
"""For messages."""


def format_of(path: Path) -> Format | None:
    """The format of a file, or None when it is none that can be read."""
    name = path.name.lower()
    for suffix, found in READ_SUFFIXES.items():
        if name.endswith(suffix):
            return found
    return Format.DICOM if looks_like_dicom(path) else None


def write_suffix(path: Path) -> str:
    """The suffix by which a writer is chosen; an empty text when there is none."""
    name = path.name.lower()
    return next((suffix for suffix in WRITE_SUFFIXES if name.endswith(suffix)), "")
