"""Files and folders of any kind: read what is there, refuse the rest clearly."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from napari_medcnn.core.errors import MedcnnError, ReadError
from napari_medcnn.core.volume import Volume
from napari_medcnn.io.itk import write_itk
from napari_medcnn.io.read import is_readable, read
from tests.io.io_files import numbers, oblique, save_dicom, save_nifti


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="does not exist"):
        read(tmp_path / "nothing.nii.gz")
    assert not is_readable(tmp_path / "nothing.nii.gz")


def test_what_is_no_image_is_told_with_what_would_be(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not an image")
    with pytest.raises(ReadError, match=r"not an image of a known format.*NIfTI.*DICOM"):
        read(tmp_path / "notes.txt")
    (tmp_path / "nothing").touch()
    with pytest.raises(ReadError, match="is empty"):
        read(tmp_path / "nothing")
    assert not is_readable(tmp_path / "notes.txt")


def test_an_empty_folder_and_one_without_images_are_told(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="the folder is empty"):
        read(tmp_path)
    (tmp_path / "notes.txt").write_text("not an image")
    with pytest.raises(ReadError, match="no image among its 1 files"):
        read(tmp_path)
    assert not is_readable(tmp_path)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.nrrd", "a.nhdr", "a.mha", "a.mhd",
                                  "a.png", "a.jpg", "a.dcm", "IM0001"])  # fmt: skip
@given(content=st.binary(max_size=2000))
@settings(
    deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_random_bytes_under_any_name_raise_our_own_error(
    name: str, content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / name
    starts = {"a.nrrd": b"NRRD0004\n", "a.nhdr": b"NRRD0004\n", "a.png": b"\x89PNG\r\n\x1a\n",
              "a.mha": b"ObjectType = Image\n", "IM0001": bytes(128) + b"DICM"}  # fmt: skip
    for start in (b"", starts.get(name, b"")):
        path.write_bytes(start + content)
        is_readable(path)
        with pytest.raises(MedcnnError):
            read(path)


def test_a_gzip_file_that_holds_no_nifti_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(b"no image at all" * 100))
    with pytest.raises(ReadError, match="cannot be read as NIfTI"):
        read(tmp_path / "a.nii.gz")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_opened_is_told(tmp_path: Path) -> None:
    path = save_nifti(tmp_path / "a.nii", numbers(oblique()), oblique())
    path.chmod(0)
    with pytest.raises(ReadError):
        read(path)


def test_a_folder_of_nifti_files_gives_all_of_them(tmp_path: Path) -> None:
    for name in ("b.nii.gz", "a.nii"):
        save_nifti(tmp_path / name, numbers(oblique()), oblique())
    write_itk(tmp_path / "c.nrrd", numbers(oblique()), oblique())
    (tmp_path / "readme.txt").write_text("notes")
    assert is_readable(tmp_path)
    assert sorted(volume.name for volume in read(tmp_path)) == ["a", "b", "c"]
    (chosen,) = read(tmp_path, series="b")
    assert chosen.name == "b"
    assert read(tmp_path, series=chosen.source.series)[0].name == "b"
    with pytest.raises(ReadError, match=r"no series 'd'.*a, b, c"):
        read(tmp_path, series="d")


def test_a_broken_file_in_a_folder_does_not_stop_the_others(tmp_path: Path) -> None:
    save_nifti(tmp_path / "a.nii", numbers(oblique()), oblique())
    (tmp_path / "b.nii.gz").write_bytes(b"broken")
    (volume,) = read(tmp_path)
    (finding,) = volume.findings
    assert finding.code == "files-refused"
    assert "b.nii.gz" in finding.text


def test_dicom_and_nifti_in_one_folder_are_both_read(tmp_path: Path) -> None:
    save_nifti(tmp_path / "a.nii", numbers(oblique()), oblique())
    save_dicom(tmp_path / "deep" / "er", numbers(oblique()), oblique())
    assert {volume.source.format for volume in read(tmp_path)} == {"nifti", "dicom"}
    (chosen,) = read(tmp_path, series="3")
    assert chosen.name == "Chest 3 mm (3)"


@pytest.mark.parametrize("header", ["a.mhd", "a.nhdr"])
def test_detached_data_is_read_from_the_same_folder_only(header: str, tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "here", tmp_path / "secret.raw"
    folder.mkdir()
    image = sitk.GetImageFromArray(numbers(oblique()))
    sitk.WriteImage(image, folder / header, useCompression=False)
    (volume,) = read(folder / header)
    assert np.array_equal(volume.array, numbers(oblique()))
    (folder / "a.raw").rename(elsewhere)
    text = (folder / header).read_text()
    for named in ("../secret.raw", str(elsewhere), "x/../../secret.raw"):
        (folder / header).write_text(text.replace("a.raw", named))
        with pytest.raises(ReadError, match="outside its own folder"):
            read(folder / header)
    (folder / "a.raw").symlink_to(elsewhere)
    (folder / header).write_text(text)
    with pytest.raises(ReadError, match="outside its own folder"):
        read(folder / header)
    for named in ("LIST", "a%03d.raw 1 5 1"):
        (folder / header).write_text(text.replace("a.raw", named))
        with pytest.raises(ReadError, match="several files"):
            read(folder / header)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
@pytest.mark.parametrize("compressed", [False, True])
def test_truncated_itk_files_are_refused(suffix: str, compressed: bool, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(numbers(oblique((9, 30, 40)))), path, compressed)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ReadError):
        read(path)


@pytest.mark.parametrize(("suffix", "old"), [(".nrrd", b"sizes: 7 6 5"), (".mha", b"= 7 6 5")])
def test_absurd_sizes_of_itk_files_are_refused(suffix: str, old: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(numbers(oblique())), path, useCompression=False)
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, old.replace(b"7 6 5", b"70000 60000 50000")))
    with pytest.raises(ReadError, match="claims"):
        read(path)


def test_a_nrrd_without_a_space_has_an_unknown_orientation(tmp_path: Path) -> None:
    header = "NRRD0004\ntype: short\ndimension: 3\nsizes: 4 3 2\nendian: little\nencoding: raw\n"
    header += "spacings: 0.5 0.6 3\n\n"
    (tmp_path / "a.nrrd").write_bytes(header.encode() + np.arange(24, dtype="<i2").tobytes())
    (volume,) = read(tmp_path / "a.nrrd")
    assert [finding.code for finding in volume.findings] == ["orientation-unknown"]
    assert volume.geometry.spacing == pytest.approx((3.0, 0.6, 0.5))


@pytest.mark.parametrize("space", ["right-anterior-superior", "left-anterior-superior"])
def test_other_nrrd_spaces_are_converted_to_lps(space: str, tmp_path: Path) -> None:
    header = f"NRRD0004\ntype: short\ndimension: 3\nspace: {space}\nsizes: 4 3 2\n"
    header += "space directions: (0.5,0,0) (0,0.6,0) (0,0,3)\nkinds: domain domain domain\n"
    header += "endian: little\nencoding: raw\nspace origin: (10,20,30)\n\n"
    (tmp_path / "a.nrrd").write_bytes(header.encode() + np.arange(24, dtype="<i2").tobytes())
    (volume,) = read(tmp_path / "a.nrrd")
    left = -1 if space.startswith("right") else 1
    at = {int(v): volume.geometry.index_to_lps(np.argwhere(volume.array == v)[0]) for v in (0, 23)}
    np.testing.assert_allclose(at[0], (left * 10, -20, 30), atol=1e-6)
    np.testing.assert_allclose(at[23], (left * 11.5, -21.2, 33), atol=1e-6)


def test_a_nrrd_in_other_units_is_refused(tmp_path: Path) -> None:
    write_itk(tmp_path / "a.nrrd", numbers(oblique()), oblique())
    content = (tmp_path / "a.nrrd").read_bytes()
    units = b'space units: "m" "m" "m"\nspace origin'
    (tmp_path / "a.nrrd").write_bytes(content.replace(b"space origin", units, 1))
    with pytest.raises(ReadError, match="not in mm"):
        read(tmp_path / "a.nrrd")


def test_sheared_nrrd_and_metaimage_are_straightened(tmp_path: Path) -> None:
    direction = np.eye(3)
    direction[:, 2] = (0, np.sin(0.2), np.cos(0.2))
    image = sitk.GetImageFromArray(numbers(oblique()))
    image.SetDirection(direction.ravel().tolist())
    for name in ("a.nrrd", "a.mha"):
        sitk.WriteImage(image, tmp_path / name)
        (volume,) = read(tmp_path / name)
        assert volume.resampled
        assert [finding.code for finding in volume.findings] == ["sheared-grid"]


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_vector_pixels_are_frames_and_colour_becomes_grey(suffix: str, tmp_path: Path) -> None:
    vectors = np.arange(2 * 3 * 4 * 3, dtype=np.float32).reshape(2, 3, 4, 3)
    sitk.WriteImage(sitk.GetImageFromArray(vectors, isVector=True), tmp_path / f"v{suffix}")
    (volume,) = read(tmp_path / f"v{suffix}")
    assert np.array_equal(volume.array, np.moveaxis(vectors, -1, 0))
    (grey,) = read_colour(tmp_path / f"c{suffix}")
    assert grey.array.shape == (2, 3, 4)


def read_colour(path: Path) -> list[Volume]:
    colours = np.full((2, 3, 4, 3), 10, np.uint8)
    image = sitk.GetImageFromArray(colours, isVector=True)
    sitk.WriteImage(image, path)
    if path.suffix == ".nrrd":
        content = path.read_bytes().replace(b"kinds: vector", b"kinds: RGB-color")
        path.write_bytes(content)
    return read(path)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_pictures_are_grey_without_a_scale(suffix: str, tmp_path: Path) -> None:
    pixels = np.linspace(0, 255, 35 * 47).reshape(35, 47).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / f"a{suffix}")
    (volume,) = read(tmp_path / f"a{suffix}")
    assert volume.array.shape == (1, 35, 47)
    assert not volume.spacing_known
    assert [finding.code for finding in volume.findings] == ["spacing-unknown"]
    assert np.abs(volume.array[0] - pixels.astype(int)).max() <= (0 if suffix == ".png" else 8)


def test_pictures_of_every_mode(tmp_path: Path) -> None:
    deep = np.array([[0, 1000], [40000, 65535]], np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert np.array_equal(read(tmp_path / "deep.png")[0].array[0], deep)
    same = np.repeat(np.arange(6, dtype=np.uint8).reshape(2, 3)[..., None], 3, -1)
    Image.fromarray(same).save(tmp_path / "same.png")
    (volume,) = read(tmp_path / "same.png")
    assert np.array_equal(volume.array[0], same[..., 0])
    assert [f.code for f in volume.findings] == ["spacing-unknown"]
    Image.new("RGB", (5, 4), (200, 10, 10)).save(tmp_path / "red.png")
    (volume,) = read(tmp_path / "red.png")
    assert [f.code for f in volume.findings] == ["spacing-unknown", "colour-to-grey"]
    Image.new("1", (5, 4), 1).save(tmp_path / "bits.png")
    assert read(tmp_path / "bits.png")[0].array.max() == 1


def test_a_truncated_picture_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    for suffix in (".png", ".jpg"):
        path = tmp_path / f"a{suffix}"
        Image.fromarray(noise).save(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(ReadError, match="picture"):
            read(path)


def test_pictures_in_a_folder_are_read_only_without_anything_else(tmp_path: Path) -> None:
    Image.new("L", (5, 4)).save(tmp_path / "a.png")
    assert [volume.name for volume in read(tmp_path)] == ["a"]
    save_nifti(tmp_path / "b.nii", numbers(oblique()), oblique())
    assert [volume.name for volume in read(tmp_path)] == ["b"]


@pytest.mark.parametrize("nonsense", [None, 7, "\0", b"\xff", "/", "", "/dev/tty"])
def test_is_readable_never_raises(nonsense: object) -> None:
    assert isinstance(is_readable(nonsense), bool)  # type: ignore[arg-type]


def test_pipes_and_devices_are_never_opened(tmp_path: Path) -> None:
    for name in ("a", "b.nii"):
        os.mkfifo(tmp_path / name)
        assert not is_readable(tmp_path / name)
        with pytest.raises(ReadError, match="no regular file"):
            read(tmp_path / name)
    with pytest.raises(ReadError):
        read(tmp_path)


def test_importing_the_room_loads_no_heavy_library() -> None:
    code = (
        "import sys, napari_medcnn.io.read, napari_medcnn.io.write, napari_medcnn.io.convert;"
        "print([m for m in ('torch','monai','pydicom','SimpleITK','nibabel','PIL','scipy','napari')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
