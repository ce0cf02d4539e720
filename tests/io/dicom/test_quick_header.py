"""The quick header reader gives what pydicom gives, or leaves the file to it."""

from __future__ import annotations

import random
from dataclasses import fields
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian

from napari_medcnn.core.errors import ReadError
from napari_medcnn.io.dicom import scan as scan_module
from napari_medcnn.io.dicom.header import FrameHeader
from napari_medcnn.io.dicom.quick_header import quick_header
from tests.io.io_files import numbers, oblique, save_dicom


def both(path: Path) -> tuple[list[FrameHeader], list[FrameHeader] | None]:
    """Frames by the quick reader (empty where it leaves the file), and by pydicom."""
    try:
        general = scan_module._general_header(path)
    except ReadError:
        general = None
    return scan_module._plain_header(path), general


def disagreements(path: Path) -> list[str]:
    quick, general = both(path)
    if not quick:
        return []
    assert general is not None, f"{path} is refused by pydicom alone"
    assert len(quick) == len(general)
    return [
        f"{path}: {field.name} {getattr(one, field.name)} {getattr(two, field.name)}"
        for one, two in zip(quick, general, strict=True)
        for field in fields(FrameHeader)
        if getattr(one, field.name) != getattr(two, field.name)
    ]


@pytest.mark.parametrize("folder", ["dicom", "chest_ct", "ct/dicom_j2k", "sarcoma/dicom"])
def test_real_headers_are_read_as_by_pydicom(folder: str, shared_data: Path) -> None:
    files = [path for path in sorted((shared_data / folder).rglob("*")) if path.is_file()]
    headers = [path for path in files if scan_module.looks_like_dicom(path)][::5]
    assert sum(bool(scan_module._plain_header(path)) for path in headers) > 3
    found = [line for path in headers for line in disagreements(path)]
    assert not found, "\n".join(found[:20])


def one_slice(folder: Path) -> tuple[Path, Dataset]:
    (path,) = save_dicom(folder, numbers(oblique((1, 5, 6))), oblique((1, 5, 6)))
    return path, pydicom.dcmread(path)


def quick(path: Path) -> bool:
    with path.open("rb") as stream:
        return quick_header(stream) is not None


def test_sequences_of_undefined_length_are_passed_over(tmp_path: Path) -> None:
    path, dataset = one_slice(tmp_path)
    inner, outer = Dataset(), Dataset()
    inner.ImagePositionPatient = [1, 2, 3]
    outer.ReferencedImageSequence = [inner, inner]
    dataset.ReferencedImageSequence = [outer]
    for nested in (dataset, outer):
        nested["ReferencedImageSequence"].is_undefined_length = True
    inner.is_undefined_length_sequence_item = True
    dataset.save_as(path)
    assert quick(path)
    assert not disagreements(path)


def test_implicit_value_representations_agree(tmp_path: Path) -> None:
    path, dataset = one_slice(tmp_path)
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    dataset.save_as(path, implicit_vr=True)
    assert quick(path)
    assert not disagreements(path)


def test_other_character_sets_and_values_of_doubt_are_left_to_pydicom(tmp_path: Path) -> None:
    path, dataset = one_slice(tmp_path)
    dataset.SpecificCharacterSet, dataset.SeriesDescription = "ISO_IR 192", "Schädel"
    dataset.save_as(path)
    assert not quick(path)
    (general,) = scan_module._read_header(path)
    assert general.series_description == "Schädel"
    dataset.SeriesDescription = "head"
    dataset.DiffusionBValue = 500.0
    dataset.save_as(path)
    assert not quick(path)


def test_a_header_longer_than_the_first_bytes_is_read(tmp_path: Path) -> None:
    path, dataset = one_slice(tmp_path)
    dataset.private_block(0x0029, "SOMEONE", create=True).add_new(0x10, "OB", bytes(200_000))
    dataset.save_as(path)
    assert quick(path)
    assert not disagreements(path)


def test_mutated_headers_never_disagree_with_pydicom(tmp_path: Path) -> None:
    path, _ = one_slice(tmp_path)
    content = path.read_bytes()
    chance = random.Random(0)
    read = 0
    for _ in range(300):
        mutated = bytearray(content)
        for _ in range(chance.randint(1, 3)):
            mutated[chance.randrange(132, len(content) - 80)] = chance.randrange(256)
        path.write_bytes(mutated)
        plain, general = both(path)
        if plain and general is not None:
            read += 1
            for one, two in zip(plain, general, strict=True):
                assert one.position == two.position
                assert one.encoding == two.encoding
                assert (one.slope, one.intercept, one.shape) == (
                    two.slope, two.intercept, two.shape)  # fmt: skip
    assert read > 50
