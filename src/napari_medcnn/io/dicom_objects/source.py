"""The source images of a volume that came from DICOM: what results written beside them refer to."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from napari_medcnn.core.errors import ReadError, WriteError
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.volume import Volume
from napari_medcnn.io.dicom.guarded import DEFLATED, read_dataset
from napari_medcnn.io.dicom.header import name_without_uid
from napari_medcnn.io.dicom.scan import looks_like_dicom
from napari_medcnn.io.dicom_objects.dataset import damage_told
from napari_medcnn.io.dicom_objects.tracking import derived_uid
from napari_medcnn.io.folder import walk
from napari_medcnn.io.limits import MAX_FILES

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_NEEDED = ("SOPInstanceUID", "SOPClassUID", "SeriesInstanceUID", "StudyInstanceUID")

NOT_FROM_DICOM = "The image did not come from DICOM files: there is no study to write into."
_OPEN_FOLDER = "open the image from the folder of its DICOM files"


@dataclass(frozen=True, eq=False)
class SourceImages:
    """The DICOM images that a volume was made of.

    Parameters
    ----------
    datasets : dict
        Header of each file by the name that the volume has for it, nearly always its SOP Instance
        UID, in the order of the slices.
    slices : tuple
        For each slice of `geometry` its file's name and frame number; empty where the volume
        was resampled, because its slices are then none of the files'.
    geometry : Geometry
        The grid to write on, in the files' own axis order.
    """

    datasets: dict[str, Dataset]
    slices: tuple[tuple[str, int], ...]
    geometry: Geometry

    @property
    def first(self) -> Dataset:
        """The header that stands for all in what they have in common: patient, study, series."""
        return next(iter(self.datasets.values()))

    @property
    def in_space(self) -> bool:
        """Whether the images say where they lie in the patient; projections do not."""
        first = self.first
        groups = [*(first.get("PerFrameFunctionalGroupsSequence") or [])[:1],
                  *(first.get("SharedFunctionalGroupsSequence") or [])]  # fmt: skip
        return bool(first.get("ImagePositionPatient")) or any(
            group.get("PlanePositionSequence") for group in groups
        )

    @property
    def frame_of_reference_uid(self) -> str:
        """The frame of reference; for old images without one, always the same of their series."""
        known = self.first.get("FrameOfReferenceUID")
        return str(known or derived_uid(f"frame of reference of {self.first.SeriesInstanceUID}"))

    def is_single_frame(self, name: str) -> bool:
        """Whether a file holds one frame only."""
        return int(self.datasets[name].get("NumberOfFrames") or 1) == 1

    def has_plane(self, name: str) -> bool:
        """Whether a file is one plane of the grid and says where it lies."""
        has_position = bool(self.datasets[name].get("ImagePositionPatient"))
        return self.is_plane(name) and self.is_single_frame(name) and has_position

    def is_plane(self, name: str) -> bool:
        """Whether a file's pixels are those of the grid's planes, and no tiles of a mosaic."""
        dataset = self.datasets[name]
        return (dataset.get("Rows"), dataset.get("Columns")) == self.geometry.shape[1:]


def why_no_dicom(volume: Volume) -> str:
    """Why no DICOM object can be written for a volume; empty if it can."""
    source = volume.source
    if source.format != "dicom" or source.path is None or not source.header.get("instances"):
        return NOT_FROM_DICOM
    return ""


def source_images(volume: Volume) -> SourceImages:
    """Find and read the headers of the files that a volume came from.

    Parameters
    ----------
    volume : Volume
        One frame; ``volume.source.path`` is searched for the instances that it names.

    Raises
    ------
    WriteError
        When the volume did not come from DICOM, or its files are no longer there.
    """
    reason = why_no_dicom(volume)
    if reason or volume.source.path is None:
        raise WriteError(reason.rstrip("."), source=volume.name, hint=_OPEN_FOLDER)
    slices = _slices(volume)
    wanted = dict.fromkeys(uid for uid, _ in slices)
    found = _headers(volume.source.path, wanted)
    lost = [uid for uid in wanted if uid not in found]
    if lost:
        raise WriteError(
            f"{len(lost)} of its {len(wanted)} DICOM files are no longer there",
            source=volume.source.path,
            hint=_OPEN_FOLDER,
        )
    geometry = volume.source.geometry or volume.geometry
    regular = not volume.resampled and len(slices) == geometry.shape[0]
    return SourceImages(
        {uid: found[uid] for uid in wanted}, tuple(slices) if regular else (), geometry
    )


def _slices(volume: Volume) -> list[tuple[str, int]]:
    instances: Sequence[Sequence[Sequence[object]]] = volume.source.header["instances"]
    if volume.frames is not None:
        raise WriteError(
            "a segmentation belongs to one frame of a series in time, not to all",
            source=volume.name,
            hint="choose a frame",
        )
    # A frame of a series in time keeps the whole series' header and tells which one it is.
    index = int(volume.source.header.get("frame", 0))
    return [(str(uid), int(str(number))) for uid, number in instances[index]]


def _headers(path: Path, wanted: Iterable[str]) -> dict[str, Dataset]:
    """Headers by the names under which the volume knows its files."""
    missing = set(wanted)
    found: dict[str, Dataset] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for file in islice(_files(path), MAX_FILES):
            if not missing:
                break
            names = missing & {name_without_uid(file)} or missing & {_sop_uid(file, missing)}
            for name in names:
                found[name] = _header(file)
            missing -= names
    return found


def _header(file: Path) -> Dataset:
    dataset = read_dataset(file, stop_before_pixels=True)
    if not dataset.get("SOPInstanceUID"):
        dataset.SOPInstanceUID = dataset.file_meta.get("MediaStorageSOPInstanceUID", "")
        dataset.SOPClassUID = dataset.file_meta.get("MediaStorageSOPClassUID", "")
    absent = [keyword for keyword in _NEEDED if not dataset.get(keyword)]
    if absent:
        raise WriteError(
            f"its headers lack {', '.join(absent)}: nothing can refer to them",
            source=file.name,
            hint="write .seg.nrrd or .nii.gz instead",
        )
    return dataset


def _sop_uid(file: Path, wanted: set[str]) -> str:
    """The SOP Instance UID of a file, read as cheaply as it allows; empty if there is none."""
    import pydicom

    try:
        with damage_told(file):
            meta = pydicom.filereader.read_file_meta_info(file)
            uid = str(meta.get("MediaStorageSOPInstanceUID") or "")
            # The meta group may lie, and what is deflated may inflate to any size.
            if uid in wanted or meta.get("TransferSyntaxUID") == DEFLATED:
                return uid
            head = read_dataset(file, specific_tags=["SOPInstanceUID"], stop_before_pixels=True)
            return str(head.get("SOPInstanceUID") or "")
    except ReadError:
        return ""


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    for file, escapes in walk(path):
        if not escapes and looks_like_dicom(file):
            yield file
