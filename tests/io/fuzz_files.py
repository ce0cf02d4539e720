"""Broken files by the seed of a random generator: small good ones, and ways to break them."""

from __future__ import annotations

import gzip
import io
import random
import struct
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.data import get_testdata_file
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import (
    AllTransferSyntaxes,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from napari_medcnn.core.geometry import Geometry
from tests.io.io_files import ct_slice, numbers, oblique, save_nifti

FORMATS = ("dicom", "nifti", "nrrd", "metaimage")
_EXTREMES = (0, 1, 2, 3, 7, 255, 256, 32767, 32768, 65535)
_LENGTHS = (0, 1, 2, 7, 0x7FFF, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)
_TEXTS = ("0", "-1", "1e308", "nan", "inf", "-1e-320", "", "abc", "99999999999", "1\\2\\3",
          "0.0000001", "1e9", "\\\\\\", "65536")  # fmt: skip
_PYDICOM_SEEDS = ("MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_RLE.dcm",
                  "JPEG2000.dcm", "SC_rgb_jpeg.dcm", "JPEG-lossy.dcm", "image_dfl.dcm",
                  "rtplan.dcm", "MR_small_bigendian.dcm")  # fmt: skip
_DICOM_NUMBERS = ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "SamplesPerPixel",
                  "PixelRepresentation", "PlanarConfiguration")  # fmt: skip
_DICOM_TEXTS = ("NumberOfFrames", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
                "RescaleSlope", "RescaleIntercept", "SliceThickness", "InstanceNumber",
                "SpacingBetweenSlices", "SeriesNumber", "EchoTime", "SeriesInstanceUID",
                "PhotometricInterpretation", "ImageType", "AcquisitionTime",
                "Modality")  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A broken file: its name and content, and good files that lie beside it.

    Of a `whole` series any file may be broken.
    """

    name: str
    content: bytes
    beside: tuple[tuple[str, bytes], ...] = ()
    whole: bool = False


def broken_file(format_name: str, seed: int) -> Case:
    """The broken file of a format that belongs to a seed; the same in every run."""
    rng = random.Random(f"{format_name} {seed}")
    makers: dict[str, Callable[[random.Random], Case]] = {
        "dicom": _broken_dicom,
        "nifti": _broken_nifti,
        "nrrd": _broken_nrrd,
        "metaimage": _broken_metaimage,
    }
    return makers[format_name](rng)


def _spoiled(content: bytes, rng: random.Random) -> bytes:
    """Bytes flipped, cut, overwritten, inserted, repeated or removed."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 5))):
        if not data:
            break
        place = (
            rng.randrange(len(data)) if rng.random() < 0.5 else rng.randrange(min(1500, len(data)))
        )
        size = rng.choice((1, 2, 4, 16, 200))
        way = rng.randrange(7)
        if way == 0:
            for _ in range(rng.choice((1, 3, 20))):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        elif way == 1:
            del data[place:]
        elif way == 2:
            data[place : place + size] = rng.randbytes(size)
        elif way == 3:
            data[place:place] = rng.randbytes(size)
        elif way == 4:
            data[place:place] = data[place : place + size] * rng.choice((1, 50))
        elif way == 5:
            del data[place : place + size]
        else:
            data[place : place + 4] = struct.pack(rng.choice("<>") + "L", rng.choice(_LENGTHS))
    return bytes(data)


@cache
def _dicom_seeds() -> tuple[bytes, ...]:
    geometry = Geometry.from_spacing((3, 12, 10), (2.0, 1.0, 1.0))
    pixels = numbers(geometry)
    found = []
    for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian):
        dataset = ct_slice(pixels[0], geometry, 0, "1.2.3.4")
        dataset.file_meta.TransferSyntaxUID = syntax
        found.append(_bytes_of(dataset))
    dataset = ct_slice(pixels[0], geometry, 0, "1.2.3.4")
    dataset.compress(RLELossless)
    found.append(_bytes_of(dataset))
    found.append(_bytes_of(_multi_frame(pixels, geometry)))
    for name in _PYDICOM_SEEDS:
        path = get_testdata_file(name, download=False)
        if path is not None:
            found.append(Path(str(path)).read_bytes())
    return tuple(found)


def _multi_frame(pixels: np.ndarray, geometry: Geometry) -> pydicom.Dataset:
    """An object with functional groups, as enhanced MR has."""
    dataset = ct_slice(pixels[0], geometry, 0, "1.2.3.5")
    dataset.NumberOfFrames, dataset.PixelData = len(pixels), pixels.tobytes()
    groups = []
    for k in range(len(pixels)):
        item, place, plane = (pydicom.Dataset() for _ in range(3))
        place.ImagePositionPatient = [0, 0, 2.0 * k]
        plane.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        item.PlanePositionSequence, item.PlaneOrientationSequence = [place], [plane]
        groups.append(item)
    dataset.PerFrameFunctionalGroupsSequence = groups
    return dataset


def _bytes_of(dataset: pydicom.Dataset) -> bytes:
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


@cache
def _good_slices() -> tuple[tuple[str, bytes], ...]:
    geometry = Geometry.from_spacing((4, 12, 10), (2.0, 1.0, 1.0))
    return tuple(
        (f"good{k}.dcm", _bytes_of(ct_slice(numbers(geometry)[k], geometry, k, "1.2.3.9")))
        for k in (1, 2, 3)
    )


def _broken_dicom(rng: random.Random) -> Case:
    if rng.random() < 0.15:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _broken_series(rng)
    content = rng.choice(_dicom_seeds())
    ways = (_spoiled, _edited_value, _edited_length, _other_syntax, _nested)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(rng.choice((1, 1, 2))):
            try:
                content = rng.choice(ways)(content, rng)
            except Exception:  # noqa: BLE001  an earlier step broke it beyond pydicom
                content = _spoiled(content, rng)
    return Case("a.dcm", content, _good_slices() if rng.random() < 0.3 else ())


_SERIES_TEXTS = (*_TEXTS, "0\\0\\1000", "1\\0\\0\\0\\1\\0", "1\\0\\0\\0\\0\\1",
                 "0\\0\\0", "1e-9\\1e-9", "500\\0.001")  # fmt: skip


def _broken_series(rng: random.Random) -> Case:
    """A series in which some slices lie elsewhere, or say other things than their neighbours."""
    geometry = Geometry.from_spacing((6, 12, 10), (2.0, 1.0, 1.0))
    pixels = numbers(geometry)
    slices = [ct_slice(pixels[k], geometry, k, "1.2.3.4") for k in range(len(pixels))]
    way = rng.randrange(3)
    lateral = rng.choice((0.5, 4.0, 40.0, 1e3, 1e6))
    for k, dataset in enumerate(slices):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.4.{k}"
        if way == 0:
            # Slices evenly shifted, as by a gantry tilted further than any.
            place = [float(v) for v in dataset.ImagePositionPatient]
            place[rng.choice((0, 1))] += lateral * k
            dataset.ImagePositionPatient = [f"{v:.8g}" for v in place]
        elif way == 1 and rng.random() < 0.4:
            place = [float(v) + rng.gauss(0, 1) * lateral for v in dataset.ImagePositionPatient]
            dataset.ImagePositionPatient = [f"{v:.8g}" for v in place]
        elif way == 2 and rng.random() < 0.4:
            name = rng.choice(_DICOM_TEXTS)
            dataset[name] = pydicom.DataElement(name, "LO", rng.choice(_SERIES_TEXTS))
    files = [(f"{k}.dcm", _bytes_of(dataset)) for k, dataset in enumerate(slices)]
    return Case(*files[0], beside=tuple(files[1:]), whole=True)


def _edited_value(content: bytes, rng: random.Random) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(content), force=True)
    for _ in range(rng.choice((1, 2, 4))):
        if rng.random() < 0.6:
            name = rng.choice(_DICOM_NUMBERS)
            dataset[name] = pydicom.DataElement(name, "US", rng.choice(_EXTREMES))
        else:
            name, text = rng.choice(_DICOM_TEXTS), rng.choice(_TEXTS)
            # A type that takes any text: the file may say anything.
            dataset[name] = pydicom.DataElement(name, "LO", text)
            dataset[name].VR = "UT" if rng.random() < 0.3 else "LO"
    return _bytes_of(dataset)


def _edited_length(content: bytes, rng: random.Random) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(content), force=True)
    raw = [dataset.get_item(tag) for tag in list(dataset.keys())]
    places = [e.value_tell for e in raw if getattr(e, "value_tell", 0)]
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 3))):
        place, long = rng.choice(places), rng.random() < 0.5
        width = 4 if long else 2
        if width <= place <= len(data):
            value = rng.choice(_LENGTHS) & (0xFFFFFFFF if long else 0xFFFF)
            data[place - width : place] = value.to_bytes(width, "little")
    return bytes(data)


def _other_syntax(content: bytes, rng: random.Random) -> bytes:
    """The same bytes under another transfer syntax."""
    dataset = pydicom.dcmread(io.BytesIO(content), force=True)
    stream = io.BytesIO(content)
    stream.seek(132)
    meta_length = dataset.file_meta.FileMetaInformationGroupLength
    body = content[132 + 12 + meta_length :]
    dataset.file_meta.TransferSyntaxUID = rng.choice(AllTransferSyntaxes)
    out = io.BytesIO()
    out.write(bytes(128) + b"DICM")
    write_file_meta_info(out, dataset.file_meta, enforce_standard=False)
    return out.getvalue() + body


def _nested(content: bytes, rng: random.Random) -> bytes:
    """Thousands of sequences in each other, before the pixels."""
    depth = rng.choice((20, 200, 2000, 20000))
    open_item = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    close_item = b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
    nested = open_item * depth + (close_item * depth if rng.random() < 0.5 else b"")
    place = content.find(b"\x28\x00\x02\x00US")
    place = place if place > 0 else content.find(b"\xe0\x7f\x10\x00")
    return content[:place] + nested + content[max(place, 0) :]


@cache
def _nifti_seeds() -> tuple[bytes, ...]:
    found = []
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "a.nii")
        found += [
            save_nifti(path, array, oblique()).read_bytes()
            for array in (numbers(oblique()), np.stack([numbers(oblique())] * 2))
        ]
        image = nibabel.Nifti2Image(numbers(oblique()).T.astype(np.float32), np.eye(4))
        image.to_filename(path)
        found.append(path.read_bytes())
    return tuple(found)


def _broken_nifti(rng: random.Random) -> Case:
    content = rng.choice(_nifti_seeds())
    content = (_edited_nifti if rng.random() < 0.6 else _spoiled)(content, rng)
    if rng.random() < 0.5:
        return Case("a.nii", content)
    content = gzip.compress(content, mtime=0)
    return Case("a.nii.gz", _spoiled(content, rng) if rng.random() < 0.4 else content)


def _edited_nifti(content: bytes, rng: random.Random) -> bytes:
    second = content[:4] == struct.pack("<i", 540)
    kind = nibabel.Nifti2Header if second else nibabel.Nifti1Header
    size = kind.template_dtype.itemsize
    header = kind(content[:size], check=False)
    for _ in range(rng.choice((1, 2, 3))):
        name = rng.choice(("dim", "dim", "datatype", "bitpix", "vox_offset", "scl_slope",
                           "scl_inter", "pixdim", "sform_code", "qform_code", "srow_x", "srow_z",
                           "quatern_b", "xyzt_units", "magic", "sizeof_hdr"))  # fmt: skip
        value = np.array(header[name])
        if value.dtype.kind == "S":
            header[name] = rng.randbytes(4)
            continue
        flat = np.atleast_1d(value.copy())
        place = rng.randrange(flat.size)
        if value.dtype.kind == "f":
            flat[place] = rng.choice((0, -1, 1e30, -1e30, np.nan, np.inf, 1e-30, 1000, 352.5))
        else:
            limits = np.iinfo(value.dtype)
            choice = rng.choice((*_EXTREMES, -1, limits.max, limits.min, 4, 8, 16, 64, 128, 2048))
            flat[place] = min(max(choice, limits.min), limits.max)
        header[name] = flat.reshape(value.shape)
    return bytes(header.binaryblock) + content[size:]


@cache
def _itk_seeds(suffix: str) -> tuple[bytes, ...]:
    found = []
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, f"a{suffix}")
        for array, vector in ((numbers(oblique()), False), (np.zeros((4, 5, 6, 3), np.uint8), True),
                              (np.zeros((2, 4, 5, 6), np.float32), False)):  # fmt: skip
            for compressed in (False, True):
                image = sitk.GetImageFromArray(array, isVector=vector)
                sitk.WriteImage(image, str(path), useCompression=compressed)
                found.append(path.read_bytes())
    return tuple(found)


_NUMBERS = ("0", "-1", "1", "3", "5", "65535", "2147483647", "4294967296", "9223372036854775807",
            "99999999999999999999", "1e308", "nan", "inf", "x", "")  # fmt: skip


def _edited_header(content: bytes, end: bytes, names: tuple[str, ...], rng: random.Random) -> bytes:
    """Some values of a text header replaced; lines may be repeated or removed."""
    head, separator, body = content.partition(end)
    lines = head.decode("latin-1").split("\n")
    for _ in range(rng.choice((1, 2, 3))):
        place = rng.randrange(len(lines))
        line = lines[place]
        way = rng.randrange(6)
        if way == 0:
            del lines[place]
        elif way == 1:
            lines.insert(place, line)
        elif way == 2:
            words = line.split(" ")
            words[rng.randrange(len(words))] = rng.choice(_NUMBERS)
            lines[place] = " ".join(words)
        elif way == 3:
            lines.insert(place, rng.choice(names))
        else:
            parts = [part for part in line.replace("(", " ").replace(",", " ").split(" ") if part]
            if len(parts) > 1:
                wanted = rng.choice(parts[1:])
                lines[place] = line.replace(wanted, rng.choice(_NUMBERS))
        if not lines:
            break
    return "\n".join(lines).encode("latin-1") + separator + body


def _broken_nrrd(rng: random.Random) -> Case:
    content = rng.choice(_itk_seeds(".nrrd"))
    names = ("encoding: gzip", "encoding: bzip2", "encoding: ascii", "encoding: hex",
             "encoding: raw", "type: double", "type: block", "block size: 2000000000",
             "dimension: 16", "endian: big", "line skip: 99999999", "byte skip: -1",
             "byte skip: 99999999999", "data file: /etc/passwd", "data file: ../x.raw",
             "data file: LIST", "data file: a%03d.raw 1 99999999 1", "datafile: a.nrrd",
             "sizes: 60000 60000 60000", "space: scanner-xyz", "kinds: RGB-color domain domain",
             "spacings: 0 0 0", "space dimension: 9")  # fmt: skip
    if rng.random() < 0.75:
        content = _edited_header(content, b"\n\n", names, rng)
    if rng.random() < 0.4:
        content = _spoiled(content, rng)
    return Case("a.nrrd" if rng.random() < 0.9 else "a.nhdr", content)


def _broken_metaimage(rng: random.Random) -> Case:
    content = rng.choice(_itk_seeds(".mha"))
    names = ("CompressedData = True", "CompressedDataSize = 99999999999", "HeaderSize = -1",
             "HeaderSize = 99999999999", "BinaryData = False", "ElementByteOrderMSB = True",
             "ElementNumberOfChannels = 1000000", "NDims = 10", "NDims = 0", "NDims = 1000000",
             "ElementType = MET_DOUBLE", "ElementType = MET_NONE", "ElementType = MET_STRING",
             "DimSize = 60000 60000 60000", "ElementSpacing = 0 0 0", "TransformMatrix = 1 2",
             "ObjectType = Tube", "ElementDataFile = /etc/passwd", "ElementDataFile = ../x.raw",
             "ElementDataFile = LIST", "ElementDataFile = a%03d.raw 1 99999999 1")  # fmt: skip
    if rng.random() < 0.75:
        content = _edited_header(content, b"ElementDataFile", names, rng)
    if rng.random() < 0.4:
        content = _spoiled(content, rng)
    return Case("a.mha" if rng.random() < 0.9 else "a.mhd", content)
