"""Every attribute of PS3.15 Table E.1-1, planted at every depth: none of it is left in the file."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from napari_medcnn.io.deidentify.instance import cleaned
from napari_medcnn.io.deidentify.options import Dates, Options
from napari_medcnn.io.deidentify.profile import profile_for
from napari_medcnn.io.deidentify.pseudonyms import Pseudonyms
from napari_medcnn.io.read import read
from tests.io.deidentify.planted import Marks, fill, plant, planted_ct, save, table_tags

KEY = b"the same key in every test......"
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
BIG_ENDIAN, DEFLATED = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")


def content_of(path: Path, options: Options) -> bytes:
    return cleaned(path, profile_for(options), Pseudonyms(KEY)).content


@pytest.mark.parametrize(
    ("syntax", "dates"),
    [
        (EXPLICIT, Dates.SHIFT),
        (EXPLICIT, Dates.REMOVE),
        (IMPLICIT, Dates.SHIFT),
        (BIG_ENDIAN, Dates.SHIFT),
        (DEFLATED, Dates.SHIFT),
    ],
)
def test_no_mark_is_left_at_the_top_in_sequences_and_in_private_places(
    syntax: str, dates: Dates, tmp_path: Path
) -> None:
    marks = Marks()
    dataset = planted_ct(marks)
    path = save(dataset, tmp_path / "in.dcm", syntax)
    if syntax != DEFLATED:
        with path.open("ab") as stream:
            stream.write(b"MKTRAILER" * 10)
        marks.values["trailer"] = [b"MKTRAILER"]
        planted = path.read_bytes()
        present = sum(mark in planted for found in marks.values.values() for mark in found)
        assert present > 9000
    content = content_of(path, Options(dates=dates))
    if syntax == DEFLATED:
        # What is compressed cannot be searched: the same data set, written plainly.
        (tmp_path / "out.dcm").write_bytes(content)
        plain = pydicom.dcmread(tmp_path / "out.dcm")
        plain.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        plain.save_as(tmp_path / "out.dcm")
        content = (tmp_path / "out.dcm").read_bytes()
    assert marks.left_in(content) == {}


def test_the_table_is_the_newest_and_whole() -> None:
    tags = list(table_tags())
    assert len(tags) == len(set(tags)) == 655
    assert set(profile_for(Options()).actions) | {0x50000010, 0x60003000, 0x60004000} == set(tags)


@pytest.mark.parametrize("private", [False, True])
def test_marks_inside_sequences_that_are_kept_are_found_at_any_depth(
    private: bool, tmp_path: Path
) -> None:
    marks = Marks()
    dataset = planted_ct(Marks(), private=False)
    inner = dataset
    for depth in range(12):
        item = Dataset()
        fill(item, marks, f"depth {depth}", private=private and depth > 9)
        inner.DerivationImageSequence = Sequence([item])
        inner = item
    path = save(dataset, tmp_path / "in.dcm", EXPLICIT)
    assert marks.left_in(content_of(path, Options())) == {}


def test_options_keep_what_they_name_and_nothing_else(tmp_path: Path) -> None:
    names = {"PatientAge": "045Y", "PatientSex": "F", "PatientWeight": "71", "PatientSize": "1.7"}
    device = {"DeviceSerialNumber": "SN-17", "StationName": "CT-3"}
    dataset = planted_ct(Marks(), private=False)
    for keyword, value in {**names, **device}.items():
        setattr(dataset, keyword, value)
    path = save(dataset, tmp_path / "in.dcm", EXPLICIT)
    for options, kept in (
        (Options(keep_patient_characteristics=True), names),
        (Options(keep_device_identity=True), device),
        (Options(), {}),
    ):
        out = tmp_path / "out.dcm"
        out.write_bytes(content_of(path, options))
        found = pydicom.dcmread(out)
        for keyword, value in {**names, **device}.items():
            assert (str(found.get(keyword, "")) == value) == (keyword in kept), keyword
        codes = [item.CodeValue for item in found.DeidentificationMethodCodeSequence]
        assert codes == [code for code, _ in options.method_codes]
        assert found.PatientIdentityRemoved == "YES"
        assert found.LongitudinalTemporalInformationModified == "MODIFIED"


def test_the_result_still_loads_with_the_same_voxels_and_places(tmp_path: Path) -> None:
    path = save(planted_ct(Marks()), tmp_path / "in.dcm", EXPLICIT)
    out = tmp_path / "out.dcm"
    out.write_bytes(content_of(path, Options()))
    before, after = (pydicom.dcmread(p) for p in (path, out))
    assert before.PixelData == after.PixelData
    assert out.read_bytes()[:128] == bytes(128)
    (volume,), (cleaned_volume,) = read(path), read(out)
    assert (volume.array == cleaned_volume.array).all()
    assert volume.geometry.is_close(cleaned_volume.geometry)


def test_a_value_of_another_type_than_the_standards_is_not_trusted(tmp_path: Path) -> None:
    marks = Marks()
    dataset = planted_ct(Marks(), private=False)
    for tag, vr in ((0x00080020, "LO"), (0x0020000D, "LO"), (0x00081140, "UT"), (0x00100020, "UN")):
        del dataset[tag]
        plant(dataset, tag, vr, marks, f"{tag:08x} as {vr}")
    dataset.SliceThickness = "2.25"
    path = save(dataset, tmp_path / "in.dcm", EXPLICIT)
    # Text where a number belongs, which pydicom would refuse to write.
    raw = path.read_bytes()
    thickness = raw.index(b"\x18\x00\x50\x00DS\x04\x00")
    broken = raw[: thickness + 8] + b"DOE!" + raw[thickness + 12 :]
    path.write_bytes(broken)
    content = content_of(path, Options())
    assert marks.left_in(content) == {}
    assert b"DOE!" not in content
