"""How long large DICOM segmentations take to write and to read back onto their image.

    python benchmarks/dicom_objects.py [--slices 200] [--segments 100]

A CT series of 512 x 512 slices is made in a temporary folder, with boxes side by side as labels;
then a LABELMAP and a BINARY segmentation of it are written and read, each in turn, and every read
is compared voxel for voxel. Wall and CPU time of one process; the
files are in the page cache.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from napari_medcnn.core.segmentation import Label, Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.io.dicom_objects.export import DicomResult, write_dicom
from napari_medcnn.io.read import read, read_segmentation

SIZE = 512
DEPTH = 60


def main() -> None:
    """Make the series, then time each kind."""
    options = argparse.ArgumentParser()
    options.add_argument("--slices", type=int, default=200)
    options.add_argument("--segments", type=int, default=100)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        volume = series(Path(folder) / "ct", chosen.slices)
        segmentation = boxes(volume, chosen.segments)
        import_writers()
        for kind in ("labelmap", "seg"):
            measure(segmentation, volume, Path(folder) / f"a.{kind}.dcm")


def measure(segmentation: Segmentation, volume: Volume, path: Path) -> None:
    """Write and read one file, and compare."""
    begin, cpu_begin = time.perf_counter(), time.process_time()
    write_dicom(DicomResult(segmentation, volume), path)
    written, cpu_written = time.perf_counter(), time.process_time()
    back = read_segmentation(path, volume)
    done, cpu_done = time.perf_counter(), time.process_time()
    assert np.array_equal(back.array, segmentation.array)
    frames = pydicom.dcmread(path, specific_tags=["NumberOfFrames"]).NumberOfFrames
    print(
        f"{path.suffixes[0][1:]:9} {frames:6} frames {path.stat().st_size / 1e6:7.1f} MB   "
        f"write {written - begin:5.2f} s (CPU {cpu_written - cpu_begin:5.2f})   "
        f"read {done - written:5.2f} s (CPU {cpu_done - cpu_written:5.2f})"
    )


def series(folder: Path, slices: int) -> Volume:
    """A CT series of `slices` files with empty pixels."""
    folder.mkdir()
    study, uid, frame = generate_uid(), generate_uid(), generate_uid()
    pixels = np.zeros((SIZE, SIZE), np.int16).tobytes()
    for k in range(slices):
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
        instance = generate_uid()
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = instance
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, uid
        dataset.FrameOfReferenceUID = frame
        dataset.Modality, dataset.InstanceNumber, dataset.SeriesNumber = "CT", k + 1, 1
        dataset.Rows = dataset.Columns = SIZE
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit, dataset.PixelRepresentation = 15, 1
        dataset.ImagePositionPatient = [-180.0, -180.0, 1.5 * k]
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.PixelSpacing, dataset.SliceThickness = [0.7, 0.7], 1.5
        dataset.PixelData = pixels
        dataset.save_as(folder / f"{k:04d}.dcm", enforce_file_format=True)
    (volume,) = read(folder)
    return volume


def boxes(volume: Volume, count: int) -> Segmentation:
    """Boxes of `count` labels side by side, each in sixty slices: together some 6,000 frames."""
    array = np.zeros(volume.geometry.shape, np.uint8)
    rng = np.random.default_rng(0)
    side = int(np.ceil(np.sqrt(count)))
    cell = SIZE // side
    depth = min(DEPTH, len(array))
    for number in range(count):
        z = int(rng.integers(0, len(array) - depth + 1))
        y, x = (cell * part for part in divmod(number, side))
        array[z : z + depth, y : y + cell - 1, x : x + cell - 1] = number + 1
    labels = tuple(Label(n, f"organ {n}", (0.8, 0.2, 0.1)) for n in range(1, count + 1))
    return Segmentation(array, volume.geometry, labels, volume.id)


def import_writers() -> None:
    """Import highdicom before the clock starts: a program pays for it once."""
    import highdicom  # noqa: F401


if __name__ == "__main__":
    main()
