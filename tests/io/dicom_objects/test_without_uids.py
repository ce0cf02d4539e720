"""Images without UIDs: results refer to them where that is possible, and no path is ever told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from napari_medcnn.core.errors import WriteError
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.volume import Volume
from napari_medcnn.imaging.lesions import find_lesions
from napari_medcnn.io.dicom_objects.export import SUFFIXES, DicomResult, write_dicom
from napari_medcnn.io.read import read, read_segmentation
from napari_medcnn.io.sidecar import sidecar_record
from tests.io.dicom_objects.dicom_cases import series, two_boxes

FOLDER = "JaneDoe19600615"
GRID = Geometry.from_spacing((6, 24, 20), (3.0, 0.7, 0.5), (-20.0, 15.0, 40.0))


def without(folder: Path, forget: Callable[[Dataset], None]) -> Volume:
    """A series in a folder that is named after the patient, whose files lost something."""
    series(folder, GRID)
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        forget(dataset)
        dataset.save_as(path, enforce_file_format=False)
    (volume,) = read(folder)
    return volume


def no_instance_uid(dataset: Dataset) -> None:
    del dataset.SOPInstanceUID


def no_uid_at_all(dataset: Dataset) -> None:
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
        delattr(dataset, keyword)
    del dataset.file_meta.MediaStorageSOPInstanceUID


@pytest.mark.parametrize("forget", [no_instance_uid, no_uid_at_all])
def test_a_volume_of_files_without_uids_holds_no_path_but_its_own(
    forget: Callable[[Dataset], None], tmp_path: Path
) -> None:
    volume = without(tmp_path / FOLDER, forget)
    assert len(volume.array) == 6 and not volume.findings
    told = json.dumps([volume.source.header, volume.name, volume.source.series])
    assert FOLDER not in told + json.dumps(sidecar_record(volume))
    assert len({uid for uid, _ in volume.source.header["instances"][0]}) == 6


@pytest.mark.parametrize("kind", SUFFIXES)
def test_results_refer_to_the_uids_of_the_files_meta_group(kind: str, tmp_path: Path) -> None:
    volume = without(tmp_path / FOLDER, no_instance_uid)
    result = two_boxes(volume)
    path = tmp_path / f"a{SUFFIXES[kind]}"
    files = write_dicom(DicomResult(result, volume, find_lesions(result, volume)), path)
    assert not [file for file in files if FOLDER.encode() in file.read_bytes()]
    if kind != "sr":
        read_back = read_segmentation(path, volume)
        assert np.array_equal(read_back.array != 0, result.array != 0)


@pytest.mark.parametrize("kind", SUFFIXES)
def test_without_any_uid_nothing_is_written_and_no_folder_named(kind: str, tmp_path: Path) -> None:
    volume = without(tmp_path / FOLDER, no_uid_at_all)
    result = two_boxes(volume)
    path = tmp_path / f"a{SUFFIXES[kind]}"
    with pytest.raises(WriteError, match="nothing can refer to them") as caught:
        write_dicom(DicomResult(result, volume, find_lesions(result, volume)), path)
    assert FOLDER not in str(caught.value)
    assert not list(tmp_path.glob("a*"))
