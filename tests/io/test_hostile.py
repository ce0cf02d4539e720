"""Files that were made to harm: bombs, false claims, ways out of the folder, endless nesting."""

from __future__ import annotations

import gzip
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from PIL import Image
from pydicom.data import get_testdata_file

from napari_medcnn.core.errors import MedcnnError, ReadError
from napari_medcnn.io.dicom import guarded
from napari_medcnn.io.dicom.codestream import codestream_size
from napari_medcnn.io.folder import files_in
from napari_medcnn.io.read import is_readable, read
from tests.io.io_files import numbers, oblique, save_dicom, save_nifti

GIB = 2**30


def peak_of_reading(path: Path) -> tuple[str, int]:
    """What reading says, and by how much the address space grew at most, in a fresh process."""
    code = """
import sys, resource
from pathlib import Path
from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.io.read import read
import pydicom, nibabel, SimpleITK, PIL.Image, imagecodecs, openjpeg
def memory(field):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
before = max(memory("VmPeak"), memory("VmSize"))
resource.setrlimit(resource.RLIMIT_AS, (before + 12 * 2**30,) * 2)
try:
    read(sys.argv[1])
    said = "read"
except MedcnnError as error:
    said = error.what
print(memory("VmPeak") - before, said.replace("\\n", " "))
"""
    outcome = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(path)],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    grown, _, said = outcome.stdout.strip().partition(" ")
    return said, int(grown)


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="memory is watched in /proc (Linux)"
)


def deflate_bomb(path: Path) -> None:
    source = save_dicom(path.parent / "plain", numbers(oblique())[:1], oblique())[0]
    content = source.read_bytes()
    meta = pydicom.filereader.read_file_meta_info(str(source))
    body = content[132 + 12 + meta.FileMetaInformationGroupLength :]
    meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    with path.open("wb") as stream:
        stream.write(bytes(128) + b"DICM")
        # Behind a long element, where a quick look at the first bytes does not see the syntax.
        meta.PrivateInformationCreatorUID = "1.2.3"
        pydicom.filewriter.write_file_meta_info(stream, meta)
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        stream.write(packer.compress(body))
        for _ in range(1200):
            stream.write(packer.compress(bytes(2**20)))
        stream.write(packer.flush())


def huge_matrix(path: Path) -> None:
    source = save_dicom(path.parent / "plain", numbers(oblique())[:1], oblique())[0]
    dataset = pydicom.dcmread(source)
    dataset.Rows = dataset.Columns = 65535
    dataset.save_as(path)


def many_frames(path: Path) -> None:
    source = save_dicom(path.parent / "plain", numbers(oblique())[:1], oblique())[0]
    dataset = pydicom.dcmread(source)
    dataset.NumberOfFrames = 2_000_000_000
    dataset.save_as(path)


def long_element(path: Path) -> None:
    source = save_dicom(path.parent / "plain", numbers(oblique())[:1], oblique())[0]
    content = source.read_bytes()
    place = content.index(b"\x18\x00\x50\x00DS")
    path.write_bytes(content[:place] + b"\x18\x00\x51\x10UT\0\0\xf0\xff\xff\xff" + content[place:])


def false_codestream(path: Path) -> None:
    """64 x 64 pixels by DICOM's header, 60000 x 60000 by the JPEG 2000 stream's."""
    source = get_testdata_file("MR_small_jp2klossless.dcm", download=False)
    content = bytearray(Path(str(source)).read_bytes())
    place = content.index(b"\xff\x4f\xff\x51")
    struct.pack_into(">2L", content, place + 8, 60000, 60000)
    struct.pack_into(">2L", content, place + 24, 60000, 60000)
    path.write_bytes(content)


def gzip_bomb(path: Path) -> None:
    save_nifti(
        path.with_name("a.nii"),
        numbers(oblique()),
        oblique(),
        dim=[3, 2000, 2000, 2000, 1, 1, 1, 1],
    )
    start = path.with_name("a.nii").read_bytes()
    path.write_bytes(gzip.compress(start + bytes(2**20), 9))


def nrrd_bomb(path: Path) -> None:
    sitk.WriteImage(sitk.Image(64, 64, 4, sitk.sitkInt16), str(path), True)
    path.write_bytes(path.read_bytes().replace(b"64 64 4", b"9999 9999 99"))


def picture_bomb(path: Path) -> None:
    Image.new("1", (40000, 40000)).save(path)


@needs_proc
@pytest.mark.parametrize(
    ("make", "name"),
    [
        pytest.param(deflate_bomb, "a.dcm", marks=pytest.mark.slow),
        pytest.param(picture_bomb, "a.png", marks=pytest.mark.slow),
        (huge_matrix, "a.dcm"), (many_frames, "a.dcm"), (long_element, "a.dcm"),
        (false_codestream, "a.dcm"), (gzip_bomb, "a.nii.gz"), (nrrd_bomb, "a.nrrd"),
    ],
)  # fmt: skip
def test_what_claims_gigabytes_is_refused_without_taking_them(
    make: Callable[[Path], None], name: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    make(path)
    assert path.stat().st_size < 4 * 2**20
    said, grown = peak_of_reading(path)
    assert said != "read"
    assert grown < GIB // 2


@pytest.mark.slow
def test_a_deflated_file_is_measured_where_pydicom_inflates_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarded, "MAX_INFLATED_BYTES", 2**20)
    deflate_bomb(tmp_path / "a.dcm")
    content = bytearray((tmp_path / "a.dcm").read_bytes())
    # A group length that points at other bytes deceives nobody.
    struct.pack_into("<L", content, 132 + 8, 40)
    (tmp_path / "a.dcm").write_bytes(content)
    with (tmp_path / "a.dcm").open("rb") as stream, pytest.raises(ReadError, match="inflates"):
        guarded.check_inflation(stream)


@pytest.mark.parametrize("depth", [50, 500, 50_000])
def test_sequences_nested_without_end_are_an_error_and_spare_the_neighbours(
    depth: int, tmp_path: Path
) -> None:
    paths = save_dicom(tmp_path, numbers(oblique()), oblique())
    content = paths[0].read_bytes()
    place = content.index(b"\x28\x00\x02\x00US")
    opened = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * depth
    (tmp_path / "nested.dcm").write_bytes(content[:place] + opened)
    (volume,) = read(tmp_path)
    assert np.isin(numbers(oblique()), volume.array).all()
    with pytest.raises(MedcnnError):
        read(tmp_path / "nested.dcm")


def test_links_out_of_the_folder_are_told_and_not_followed(tmp_path: Path) -> None:
    folder, other = tmp_path / "in", tmp_path / "other"
    for place in (folder, other):
        place.mkdir()
        save_nifti(place / f"{place.name}.nii", numbers(oblique()), oblique())
    (folder / "out.nii").symlink_to(other / "other.nii")
    (folder / "up.nii").symlink_to("../other/other.nii")
    (folder / "same.nii").symlink_to("in.nii")
    (folder / "deep").symlink_to(other, target_is_directory=True)
    (folder / "loop.nii").symlink_to("loop.nii")
    volumes = read(folder)
    assert sorted(volume.name for volume in volumes) == ["in", "same"]
    assert all([f.code for f in v.findings] == ["links-not-followed"] for v in volumes)
    assert "2 links" in volumes[0].findings[0].text
    # Named by the user, a link is followed.
    assert read(folder / "out.nii")[0].name == "out"


def test_a_folder_of_links_that_lead_out_is_told(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    save_nifti(tmp_path / "a.nii", numbers(oblique()), oblique())
    (tmp_path / "in" / "a.nii").symlink_to(tmp_path / "a.nii")
    assert not is_readable(tmp_path / "in")
    with pytest.raises(ReadError, match="only links that lead out"):
        read(tmp_path / "in")


def test_too_many_files_are_not_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_medcnn.io.folder.MAX_FILES", 5)
    for number in range(6):
        (tmp_path / f"{number}.txt").touch()
    with pytest.raises(ReadError, match="more than 5 files"):
        files_in(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
def test_a_pipe_in_the_folder_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.dcm")
    save_nifti(tmp_path / "b.nii", numbers(oblique()), oblique())
    assert [volume.name for volume in read(tmp_path)] == ["b"]


HIDDEN = ("\x0c\x0c", "\x0b\n", "\x1c\n", "\x85\n", "\r", "\u2028")


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("name", ["a.nrrd", "a.mha"])
def test_a_data_file_cannot_be_hidden_behind_odd_characters(
    name: str, hidden: str, tmp_path: Path
) -> None:
    (tmp_path / "secret.raw").write_bytes(b"secret" * 1000)
    folder = tmp_path / "in"
    folder.mkdir()
    path = folder / name
    sitk.WriteImage(sitk.GetImageFromArray(numbers(oblique())), str(path), False)
    content = path.read_bytes()
    if name == "a.nrrd":
        line, place = f"content: x{hidden}\ndata file: ../secret.raw\n", content.index(b"type:")
    else:
        line, place = f"Comment = x{hidden}\nElementDataFile = ../secret.raw\n", 0
    path.write_bytes(content[:place] + line.encode() + content[place:])
    with pytest.raises(ReadError):
        read(path)


@pytest.mark.parametrize(
    "header",
    [
        "ElementDataFile : ../secret.raw", "elementdatafile = x\nElementDataFile: ../secret.raw",
        "ElementDataFile\t= ../secret.raw", " ElementDataFile = ../secret.raw",
    ],
)  # fmt: skip
def test_metaimage_names_in_other_forms_are_refused(header: str, tmp_path: Path) -> None:
    (tmp_path / "secret.raw").write_bytes(bytes(8))
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "a.mha"
    start = "ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\n"
    path.write_text(f"{start}{header}\nElementDataFile = LOCAL\n")
    with pytest.raises(ReadError):
        read(path)


def test_a_link_beside_the_header_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    sitk.WriteImage(sitk.GetImageFromArray(numbers(oblique())), str(folder / "a.mhd"), False)
    (folder / "a.raw").rename(tmp_path / "a.raw")
    (folder / "a.raw").symlink_to(tmp_path / "a.raw")
    with pytest.raises(ReadError, match="outside its own folder"):
        read(folder / "a.mhd")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("NDims", "4294967296"), ("NDims", "0"), ("DimSize", "4294967297 6 5"),
        ("DimSize", "7 6"), ("ElementSpacing", "1 nan 1"), ("HeaderSize", "-7"),
        ("ElementNumberOfChannels", "99999999"), ("ElementType", "MET_STRING"),
        ("TransformMatrix", "1 0 0"), ("Comment", "x" * 5000),
    ],
)  # fmt: skip
def test_a_metaimage_header_that_metaio_would_trust_is_refused(
    field: str, value: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.mha"
    sitk.WriteImage(sitk.GetImageFromArray(numbers(oblique())), str(path), False)
    lines = path.read_bytes().split(b"\n")
    lines = [line for line in lines if not line.startswith(f"{field} =".encode())]
    place = 1 if field == "NDims" else 2
    lines.insert(place, f"{field} = {value}".encode())
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(ReadError, match=r"broken|no image"):
        read(path)


def test_codestreams_tell_their_own_size() -> None:
    import imagecodecs

    picture = np.arange(30 * 20, dtype=np.uint8).reshape(30, 20)
    for encode in (imagecodecs.jpeg2k_encode, imagecodecs.jpegls_encode, imagecodecs.jpeg8_encode,
                   imagecodecs.ljpeg_encode):  # fmt: skip
        assert codestream_size(bytes(encode(picture))) == (30, 20)
    assert (
        codestream_size(b"\xff\xd8\xff") is codestream_size(b"") is codestream_size(b"abc") is None
    )
