"""Series with a study around them, label maps on them, and the validator that judges results."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import generate_uid

from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.segmentation import Label, ModelReference, Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.io.read import read
from tests.io.io_files import numbers, save_dicom

MODEL = ModelReference("flair_lesions", "1.2", "ab" * 32, "White-matter lesions")
LESION = Label(1, "white-matter lesion", (0.95, 0.3, 0.15))
KIDNEY = Label(5, "left kidney", (0.1, 0.6, 0.2))
ODD = Label(9, "blue thing", (0.0, 0.2, 0.9))


def series(folder: Path, geometry: Geometry, **tags: object) -> Volume:
    """A CT series with a study and a frame of reference, as a volume."""
    study = {
        "StudyInstanceUID": generate_uid(),
        "FrameOfReferenceUID": generate_uid(),
        "PatientBirthDate": "19440101",
        "PatientSex": "F",
        "StudyDate": "20200102",
        "StudyTime": "030405",
        "StudyID": "7",
        "AccessionNumber": "A1",
        "ReferringPhysicianName": "Doctor^Some",
    }
    save_dicom(folder, numbers(geometry), geometry, **{**study, **tags})
    (volume,) = read(folder)
    return volume


def marked(volume: Volume, labels: tuple[Label, ...] = (LESION, KIDNEY, ODD)) -> Segmentation:
    """Speckles of each label in every slice, so that any exchange of axes would show."""
    values = np.array([0, 0, *(label.value for label in labels)], dtype=np.uint8)
    speckles = np.random.default_rng(3).integers(0, len(values), volume.geometry.shape)
    return Segmentation(values[speckles], volume.geometry, labels, volume.id, model=MODEL)


def two_boxes(volume: Volume) -> Segmentation:
    """Two lesions, the first with a hole through it, and a kidney."""
    array = np.zeros(volume.geometry.shape, np.uint8)
    z, y, x = (n // 2 for n in array.shape)
    array[1:z, 2 : y + 3, 2:x] = LESION.value
    array[1:z, 4:6, 4:6] = 0
    array[z + 1 :, 1:4, 1:5] = LESION.value
    array[:, y + 5 : y + 9, x + 1 : x + 6] = KIDNEY.value
    return Segmentation(array, volume.geometry, (LESION, KIDNEY), volume.id, model=MODEL)


def assert_valid(path: Path) -> None:
    """dciodvfy finds no error; skips where dicom3tools is not installed."""
    tool = shutil.which("dciodvfy")
    if tool is None:
        pytest.skip("dciodvfy (Debian: dicom3tools) is not installed")
    said = subprocess.run(
        [tool, "-new", str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    errors = [line for line in said.stderr.splitlines() if line.startswith("Error")]
    assert not errors, "\n".join(errors)
