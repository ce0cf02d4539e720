"""The samples that ship as DICOM studies of two invented patients, for the browser's picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from napari_medcnn.app.samples import sample_path
from napari_medcnn.core.volume import Volume
from napari_medcnn.io.read import read

_MR, _CT = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.2"
_STEP = 3
"""Every third slice is enough for a picture."""


def write_sample_studies(folder: Path) -> None:
    """Write a brain with its follow-up and a phantom; one slice of the phantom is missing."""
    brain = {"PatientID": "sample-1", "PatientSex": "F", "PatientAge": "047Y"}
    phantom = {"PatientID": "sample-2"}
    for key, patient, date, study, series, missing in (
        ("flair_baseline", brain, "20230412", "Brain", "FLAIR", None),
        ("flair_followup", brain, "20240506", "Brain, one year later", "FLAIR", None),
        ("ct_nodules", phantom, "20240115", "Quality control", "Phantom with nodules", 9),
    ):
        (volume, *_) = read(sample_path(key))
        described = {"StudyDate": date, "StudyDescription": study, "SeriesDescription": series}
        _write(folder / key, volume, patient | described, missing)


def _write(folder: Path, volume: Volume, values: dict[str, str], missing: int | None) -> None:
    folder.mkdir(parents=True)
    study, series = generate_uid(), generate_uid()
    low, high = float(volume.array.min()), float(volume.array.max())
    is_ct = low < 0  # the brain's values have no unit
    slope = 1.0 if is_ct else (high - low) / 4095
    dz, dy, dx = volume.geometry.spacing
    for number, k in enumerate(range(0, len(volume.array), _STEP)):
        if number == missing:
            continue
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID = _CT if is_ct else _MR
        dataset.SOPInstanceUID = generate_uid()
        stored = np.round(volume.array[k] / slope if is_ct else (volume.array[k] - low) / slope)
        rows, columns = stored.shape
        attributes = {
            **values, "StudyInstanceUID": study, "SeriesInstanceUID": series, "SeriesNumber": 1,
            "Modality": "CT" if is_ct else "MR", "InstanceNumber": number + 1,
            "ImageType": ["DERIVED", "SECONDARY"], "Rows": rows, "Columns": columns,
            "PixelSpacing": [dy, dx], "SliceThickness": dz * _STEP,
            "ImagePositionPatient": [0, 0, number * dz * _STEP],
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "BitsAllocated": 16, "BitsStored": 16,
            "HighBit": 15, "PixelRepresentation": 1, "SamplesPerPixel": 1,
            "PhotometricInterpretation": "MONOCHROME2", "RescaleSlope": 1,
            "RescaleIntercept": 0, "PatientName": "Sample^Invented",
        }  # fmt: skip
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)
        dataset.PixelData = stored.astype(np.int16).tobytes()
        dataset.save_as(folder / f"IM{number:04}", enforce_file_format=True)
