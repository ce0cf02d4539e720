"""A result's label map and lesions as DICOM objects in one folder, under fixed names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path

from napari_medcnn.core.lesion import LesionTable
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.core.volume import Volume


class DicomKind(StrEnum):
    """What can be written; the values are those of the command."""

    SEG = "seg"
    LABELMAP = "labelmap"
    SR = "sr"
    RTSTRUCT = "rtstruct"


FILE_NAMES = {
    DicomKind.SEG: "labels.seg.dcm",
    DicomKind.LABELMAP: "labels.labelmap.dcm",
    DicomKind.SR: "lesions.sr.dcm",
    DicomKind.RTSTRUCT: "labels.rtstruct.dcm",
}


def write_objects(
    kinds: Sequence[str],
    segmentation: Segmentation,
    volume: Volume,
    table: LesionTable,
    folder: Path,
    *,
    identity: str = "",
    uids: Mapping[int, str] | None = None,
    per_lesion: bool = False,
) -> list[Path]:
    """Write DICOM objects of one result into a folder.

    Parameters
    ----------
    kinds : sequence of str
        ``"seg"``, ``"labelmap"``, ``"sr"`` (with the segmentation that it refers to),
        ``"rtstruct"``.
    segmentation : Segmentation
        On the grid of `volume`.
    volume : Volume
        One frame of a volume that came from DICOM files.
    table : LesionTable
        The lesions.
    folder : Path
        Where to; made if needed.
    identity : str
        Keeps tracking UIDs stable, see :class:`~napari_medcnn.io.dicom_objects.export.DicomResult`.
    uids : mapping of int to str, optional
        Tracking UIDs that lesions have from earlier studies, by their ids.
    per_lesion : bool
        One segment or region for each lesion instead of for each label.

    Raises
    ------
    WriteError
        When the volume did not come from DICOM, or a file cannot be written.
    """
    from napari_medcnn.io.dicom_objects.export import DicomResult, write_dicom

    result = DicomResult(segmentation, volume, table, identity, uids or {})
    written: list[Path] = []
    for kind in dict.fromkeys(DicomKind(kind) for kind in kinds):
        written += write_dicom(result, folder / FILE_NAMES[kind], per_lesion=per_lesion)
    return written
