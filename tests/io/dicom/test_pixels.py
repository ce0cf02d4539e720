"""The quick ways to pixels give what pydicom gives, and leave every doubt to it."""

from __future__ import annotations

import random
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from napari_medcnn.core.errors import ReadError
from napari_medcnn.io.dicom import pixels as pixels_module
from napari_medcnn.io.dicom.pixels import file_pixels
from napari_medcnn.io.dicom.scan import scan
from napari_medcnn.io.read import read
from tests.io.dicom.series_factory import holds_source_pixels, places_along, save_slices
from tests.io.io_files import numbers, oblique, save_dicom


def compress(dataset: Dataset, syntax: str) -> None:
    """Compress one slice losslessly."""
    if syntax == RLELossless:
        dataset.compress(RLELossless, generate_instance_uid=False)
        return
    pixels = dataset.pixel_array
    if syntax == JPEGLSLossless:
        stream = imagecodecs.jpegls_encode(pixels.view(np.uint16))
    else:
        stream = imagecodecs.jpeg2k_encode(
            pixels, level=0, codecformat="j2k", bitspersample=dataset.BitsStored
        )
    dataset.PixelData = encapsulate([stream])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax


def agree(paths: list[Path]) -> int:
    """How many files decode alike with and without the quick ways."""
    seen = {frame.path: frame for frame in scan(paths).frames}
    for frame in seen.values():
        found = file_pixels(frame)
        wanted = pixels_module._by_pydicom(frame)
        assert found.dtype == wanted.dtype.newbyteorder("="), frame.path.name
        assert np.array_equal(found, wanted), frame.path.name
    return len(seen)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless, RLELossless])
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("bits", [16, 12])
def test_compressed_slices_are_what_pydicom_decodes(
    syntax: str, signed: bool, bits: int, tmp_path: Path
) -> None:
    geometry = oblique((2, 64, 64))
    low = -(1 << (bits - 1)) if signed else 0
    array = np.random.default_rng(0).integers(low, low + (1 << bits), geometry.shape)
    for path in save_dicom(tmp_path, array.astype(np.int16 if signed else np.uint16), geometry):
        dataset = pydicom.dcmread(path)
        dataset.BitsStored, dataset.HighBit = bits, bits - 1
        compress(dataset, syntax)
        dataset.save_as(path)
    assert agree(sorted(tmp_path.iterdir())) == 2


def test_values_beyond_the_stored_bits_are_left_to_pydicom(tmp_path: Path) -> None:
    (path,) = save_dicom(tmp_path, np.full((1, 4, 5), 0x1FFF, np.uint16), oblique((1, 4, 5)))
    dataset = pydicom.dcmread(path)
    dataset.BitsStored, dataset.HighBit = 12, 11
    dataset.save_as(path)
    assert agree([path]) == 1


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless])
def test_streams_cut_short_are_refused(syntax: str, tmp_path: Path) -> None:
    geometry = oblique((1, 64, 64))
    (path,) = save_dicom(tmp_path, numbers(geometry), geometry)
    dataset = pydicom.dcmread(path)
    compress(dataset, syntax)
    dataset.save_as(path)
    content = path.read_bytes()
    chance = random.Random(0)
    start = len(content) // 2
    # Where JPEG-LS is cut short, all of the plugins are tried in turn, which is slow.
    for _ in range(20 if syntax == JPEG2000Lossless else 3):
        path.write_bytes(content[: chance.randrange(start, len(content) - 200)])
        with pytest.raises(ReadError, match=path.name):
            read(path)


def test_mixed_signs_and_syntaxes_are_one_volume(tmp_path: Path) -> None:
    geometry = oblique((4, 64, 64))
    array = np.abs(numbers(geometry))
    paths = save_slices(tmp_path, places_along(geometry, [0, 3, 6, 9]), geometry, array)
    for path, kind in zip(paths[1:], ("unsigned", "rle", "j2k"), strict=True):
        dataset = pydicom.dcmread(path)
        if kind == "unsigned":
            dataset.PixelRepresentation = 0
        else:
            compress(dataset, RLELossless if kind == "rle" else JPEG2000Lossless)
        dataset.save_as(path)
    (volume,) = read(tmp_path)
    assert volume.array.dtype == np.int16
    assert holds_source_pixels(volume, paths)


@pytest.mark.parametrize("inverted", [False, True])
def test_monochrome1_keeps_its_stored_values(inverted: bool, tmp_path: Path) -> None:
    kind = "MONOCHROME1" if inverted else "MONOCHROME2"
    geometry = oblique()
    save_dicom(tmp_path, numbers(geometry), geometry, PhotometricInterpretation=kind)
    assert np.array_equal(read(tmp_path)[0].array, numbers(geometry))


def test_palette_colours_become_grey_by_their_luminance(tmp_path: Path) -> None:
    geometry = oblique((1, 4, 5))
    (path,) = save_dicom(tmp_path, np.zeros((1, 4, 5), np.uint16), geometry)
    dataset = pydicom.dcmread(path)
    dataset.PhotometricInterpretation = "PALETTE COLOR"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelData = bytes(range(20))
    for colour, top in (("Red", 1), ("Green", 2), ("Blue", 0)):
        entries = (np.arange(256) * top).astype("<u2")
        name = f"{colour}PaletteColorLookupTable"
        dataset.add_new(tag_for_keyword(f"{name}Descriptor"), "US", [256, 0, 16])
        dataset.add_new(tag_for_keyword(f"{name}Data"), "OW", entries.tobytes())
    dataset.save_as(path)
    (volume,) = read(path)
    wanted = np.arange(20).reshape(1, 4, 5) * (0.299 + 2 * 0.587)
    assert np.allclose(volume.array, wanted, atol=1e-3)
    assert "colour-to-grey" in [f.code for f in volume.findings]


CASES = ("ctimage_explicit", "ctimage_implicit", "ctimage_j2k_lossless", "ctimage_jpegll_sv1",
         "ctimage_jpegls", "ctimage_rle", "frag_j2k", "ico_compressed", "ico_compressed_j2k",
         "nema_ct1_rle", "pydicom_enh_ct", "pydicom_enh_mr_j2k", "philips_classic_slopes",
         "syn_mixed_pixel_representation", "fmap_phase", "decubitus_HFS")  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_real_files_decode_as_by_pydicom(name: str, shared_data: Path) -> None:
    files = [path for path in (shared_data / "dicom" / name / "in").rglob("*") if path.is_file()]
    assert agree(files[:6])
