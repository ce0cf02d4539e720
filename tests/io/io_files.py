"""Small files of every kind that the tests of this room write and read."""

from __future__ import annotations

import gzip
from itertools import permutations, product
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from scipy.spatial.transform import Rotation

from napari_medcnn.core.geometry import AxisMap, Geometry

AXIS_MAPS = [
    AxisMap(order, flip)
    for order in permutations(range(3))
    for flip in product((False, True), repeat=3)
]
"""All 48 orders and directions of three axes."""


@st.composite
def oblique_grids(draw: st.DrawFn) -> Geometry:
    """Any rotation, spacing, origin and shape that a scanner may give."""
    rotation = Rotation.random(rng=draw(st.integers(0, 2**32 - 1))).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = rotation * draw(st.tuples(*[st.floats(0.2, 8)] * 3))
    affine[:3, 3] = draw(st.tuples(*[st.floats(-400, 400)] * 3))
    return Geometry(draw(st.tuples(*[st.integers(1, 7)] * 3)), affine)


def numbers(geometry: Geometry, seed: int = 0) -> np.ndarray:
    """Different int16 values on a grid."""
    size = int(np.prod(geometry.shape))
    values = np.random.default_rng(seed).permutation(size) - 1000
    return values.reshape(geometry.shape).astype(np.int16)


def oblique(shape: tuple[int, int, int] = (5, 6, 7), seed: int = 1) -> Geometry:
    """One oblique grid, near the canonical orientation."""
    rotation = Rotation.from_euler("xyz", (11, -7, 5 + seed), degrees=True).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = rotation[:, ::-1] * (3.0, 0.7, 0.5)
    affine[:3, 3] = (-90.5, 14.25, 33.0)
    return Geometry(shape, affine)


def save_nifti(path: Path, array: np.ndarray, geometry: Geometry, **fields: Any) -> Path:
    """Write a file-order array (t, z, y, x) by nibabel, with any header fields set last."""
    image = nibabel.Nifti1Image(array.T, None, dtype=array.dtype)
    affine = geometry.to_ras_affine()
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_zooms((*reversed(geometry.spacing), *([1.0] * (array.ndim - 3))))
    image.header.set_sform(affine, code=1)
    if not geometry.is_sheared:
        image.header.set_qform(affine, code=1)
    image.to_filename(path)
    if fields:
        patch_nifti(path, **fields)
    return path


def patch_nifti(path: Path, **fields: Any) -> None:
    """Set header fields in the bytes of a file: nibabel would mend what a test wants broken."""
    compressed = path.name.endswith(".gz")
    content = gzip.decompress(path.read_bytes()) if compressed else path.read_bytes()
    header = nibabel.Nifti1Header(content[:348], check=False)
    for name, value in fields.items():
        header[name] = value
    content = header.binaryblock + content[348:]
    path.write_bytes(gzip.compress(content) if compressed else content)


def save_dicom(
    folder: Path,
    array: np.ndarray,
    geometry: Geometry,
    *,
    slope: float = 1.0,
    intercept: float = 0.0,
    description: str = "Chest 3 mm",
    **tags: Any,
) -> list[Path]:
    """Write a CT series of stored values (z, y, x), one file a slice, in shuffled order."""
    folder.mkdir(parents=True, exist_ok=True)
    series_uid = generate_uid()
    order = np.random.default_rng(0).permutation(len(array))
    paths = []
    for number, k in enumerate(order):
        dataset = ct_slice(array[k], geometry, int(k), series_uid)
        dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept
        dataset.SeriesDescription, dataset.InstanceNumber = description, int(number)
        for name, value in tags.items():
            setattr(dataset, name, value)
        path = folder / f"IM{number:04d}"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def ct_slice(pixels: np.ndarray, geometry: Geometry, k: int, series_uid: str) -> Dataset:
    """Slice `k` of a series; row and column directions are those of the grid's last axes."""
    dataset = pydicom.Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.SeriesInstanceUID = series_uid
    dataset.PatientName, dataset.PatientID = "Secret^Person", "ID-4711"
    dataset.Modality, dataset.SeriesNumber = "CT", 3
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.ImagePositionPatient = rounded(geometry.index_to_lps((k, 0, 0)))
    direction = geometry.direction
    dataset.ImageOrientationPatient = rounded([*direction[:, 2], *direction[:, 1]])
    dataset.PixelSpacing = rounded(geometry.spacing[1:])
    dataset.SliceThickness = rounded([geometry.spacing[0]])[0]
    dataset.PixelData = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<")).tobytes()
    return dataset


def rounded(values: Any) -> list[str]:
    """Decimal strings of at most 16 characters, as DICOM demands."""
    return [f"{float(value):.10g}"[:16] for value in values]
