"""A DICOM series of 300 slices of 512 x 512: this package beside SimpleITK's series reader.

    python -m benchmarks.dicom_load [FOLDER]

Each reader runs in processes of its own, from the start of Python to the array, with the files in
the disk's cache; the best of three runs is shown. FOLDER keeps the made series for the next time.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.measuring import Measured, measure

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

SLICES, ROWS = 300, 512
RUNS = 3
VOXELS_GB = SLICES * ROWS * ROWS * 2 / 1e9

OURS = """
from napari_medcnn.io.read import read
volume, = read(sys.argv[1])
assert volume.array.shape == (300, 512, 512) and volume.array.dtype == "int16"
"""

SIMPLE_ITK = """
import SimpleITK as sitk
reader = sitk.ImageSeriesReader()
reader.SetFileNames(reader.GetGDCMSeriesFileNames(sys.argv[1]))
array = sitk.GetArrayViewFromImage(reader.Execute())
assert array.shape == (300, 512, 512)
"""

IMPORTS = {OURS: "import napari_medcnn.io.read", SIMPLE_ITK: "import SimpleITK"}
"""What each reader has in memory before it reads."""


def main() -> None:
    """Make the series where they are missing, and print a line for each reader and encoding."""
    if len(sys.argv) > 1:
        run(Path(sys.argv[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder))


def run(folder: Path) -> None:
    """Measure both readers on both encodings."""
    baselines = {body: measure(imports).peak_gb for body, imports in IMPORTS.items()}
    print(f"{SLICES} slices of {ROWS} x {ROWS}, {VOXELS_GB:.3f} GB of voxels")
    for encoding in ("uncompressed", "jpeg2000"):
        series = folder / encoding
        if not series.exists():
            save_series(series, compressed=encoding == "jpeg2000")
        rows = {"napari-medcnn": OURS, "SimpleITK": SIMPLE_ITK}
        results = {name: best(body, series) for name, body in rows.items()}
        for name, result in results.items():
            above = result.peak_gb - baselines[rows[name]]
            print(
                f"{encoding:13} {name:14} {result.seconds:6.2f} s   "
                f"{above:5.2f} GB above imports, {above / VOXELS_GB:4.2f} of the voxels"
            )
        faster = results["SimpleITK"].seconds / results["napari-medcnn"].seconds
        print(f"{encoding:13} {faster:.2f} times as fast")


def best(body: str, series: Path) -> Measured:
    """The fastest of some runs, with the largest peak."""
    measured = [measure(body, str(series)) for _ in range(RUNS)]
    return Measured(
        min(result.seconds for result in measured), max(result.peak_gb for result in measured)
    )


def save_series(folder: Path, *, compressed: bool) -> None:
    """A noisy body-like ellipse in HU, one file a slice with a scanner's usual tags."""
    import imagecodecs
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, JPEG2000Lossless, generate_uid

    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    y, x = np.indices((ROWS, ROWS)) - ROWS / 2
    series, study, frame = generate_uid(), generate_uid(), generate_uid()
    for k in range(SLICES):
        inside = (x / 200) ** 2 + (y / (140 + k / 10)) ** 2 < 1
        stored = np.where(inside, 1060, 24) + rng.normal(0, 8, (ROWS, ROWS))
        pixels = np.clip(np.rint(stored), 0, 4095).astype(np.uint16)
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = (
            JPEG2000Lossless if compressed else ExplicitVRLittleEndian
        )
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
        dataset.FrameOfReferenceUID = frame
        dataset.Modality, dataset.SeriesNumber, dataset.InstanceNumber = "CT", 1, k + 1
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.ImagePositionPatient = ["-180", "-180", f"{1.25 * k:g}"]
        dataset.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
        dataset.PixelSpacing, dataset.SliceThickness = ["0.703125", "0.703125"], "1.25"
        dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = "1", "-1024", "HU"
        dataset.Rows = dataset.Columns = ROWS
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
        dataset.PixelRepresentation = 0
        add_usual_elements(dataset, k)
        if compressed:
            stream = imagecodecs.jpeg2k_encode(pixels, level=0, codecformat="j2k", bitspersample=12)
            dataset.PixelData = encapsulate([stream])
            dataset["PixelData"].is_undefined_length = True
        else:
            dataset.PixelData = pixels.tobytes()
        dataset.save_as(folder / f"IM{k:04d}.dcm", enforce_file_format=True)


def add_usual_elements(dataset: Dataset, k: int) -> None:
    """What else a scanner writes into a CT slice, so that headers have their usual 110 elements."""
    from pydicom.dataset import Dataset

    for name in (
        "PatientID", "AccessionNumber", "InstitutionName", "InstitutionAddress", "StationName",
        "StudyDescription", "SeriesDescription", "ManufacturerModelName", "DeviceSerialNumber",
        "ProtocolName", "SoftwareVersions", "StudyID", "PositionReferenceIndicator",
        "BodyPartExamined", "ConvolutionKernel", "FilterType", "ContrastBolusAgent",
        "ScanOptions", "PatientPosition", "RotationDirection", "ExposureModulationType",
        "RequestedProcedureDescription", "PerformedProcedureStepID", "Manufacturer",
        "PerformedProcedureStepDescription", "ContrastBolusRoute", "AdditionalPatientHistory",
    ):  # fmt: skip
        setattr(dataset, name, "AS WRITTEN")
    for name in (
        "KVP", "DataCollectionDiameter", "ReconstructionDiameter", "DistanceSourceToDetector",
        "DistanceSourceToPatient", "GantryDetectorTilt", "TableHeight", "ExposureTime",
        "XRayTubeCurrent", "Exposure", "GeneratorPower", "FocalSpots", "SliceLocation",
        "WindowCenter", "WindowWidth", "PatientWeight", "PatientSize", "ContrastBolusVolume",
        "ContrastFlowRate", "ContrastFlowDuration", "AcquisitionNumber", "SpacingBetweenSlices",
    ):  # fmt: skip
        setattr(dataset, name, str(k + 1))
    for name in (
        "TableSpeed", "TableFeedPerRotation", "SpiralPitchFactor", "SingleCollimationWidth",
        "TotalCollimationWidth", "RevolutionTime", "CTDIvol", "EstimatedDoseSaving",
    ):  # fmt: skip
        setattr(dataset, name, 0.6 + k)
    for stage in ("Study", "Series", "Acquisition", "Content", "InstanceCreation"):
        setattr(dataset, f"{stage}Date", "20200102")
        setattr(dataset, f"{stage}Time", f"1200{k % 60:02d}.125000")
    reference = Dataset()
    reference.ReferencedSOPClassUID = reference.ReferencedSOPInstanceUID = "1.2.840.10008.3.1.2.3.1"
    dataset.ReferencedStudySequence = [reference]
    dataset.RequestAttributesSequence = [reference]
    block = dataset.private_block(0x0043, "A VENDOR", create=True)
    for element in range(0x10, 0x30):
        block.add_new(element, "DS", ["0.125", "17", str(k)])


if __name__ == "__main__":
    main()
