from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import highdicom as hd
import pydicom
import pytest

from napari_medcnn.core.errors import WriteError
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.lesion import Lesion, LesionTable, Review, Verdict
from napari_medcnn.core.volume import Volume
from napari_medcnn.imaging.lesions import find_lesions
from napari_medcnn.io.dicom_objects.export import DicomResult, write_dicom
from napari_medcnn.io.dicom_objects.tracking import tracking_uid
from tests.io.dicom_objects.dicom_cases import assert_valid, series, two_boxes

GRID = Geometry.from_spacing((6, 24, 20), (3.0, 0.7, 0.5), (-20.0, 15.0, 40.0))


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    return series(tmp_path_factory.mktemp("series"), GRID)


@pytest.fixture
def table(volume: Volume) -> LesionTable:
    return find_lesions(two_boxes(volume), volume)


def groups(path: Path) -> list[hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations]:
    """The measurement groups as highdicom reads them."""
    report = hd.sr.srread(path)
    return report.content.get_volumetric_roi_measurement_groups()


def figures(group: hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations) -> dict:
    found = {}
    for measurement in group.get_measurements():
        derivation = measurement.derivation
        key = (measurement.name.meaning, derivation.meaning if derivation else "")
        found[key] = (float(measurement.value), measurement.unit.value)
    return found


def evaluations(group: hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations) -> dict[str, str]:
    """What is said beside the figures, without the finding's category, which is coded alike."""
    told = group.get_qualitative_evaluations()
    return {e.name.meaning: e.value.meaning for e in told if e.name.meaning != "Finding category"}


def reviewed(lesion: Lesion, review: Review) -> Lesion:
    return replace(lesion, review=review)


def test_each_lesion_has_a_group_with_its_figures_units_site_and_segment(
    volume: Volume, table: LesionTable, tmp_path: Path
) -> None:
    result = DicomResult(two_boxes(volume), volume, table, identity="r1")
    report, segments = write_dicom(result, tmp_path / "a.sr.dcm")
    assert segments.name == "a.lesions.seg.dcm"
    segmentation = pydicom.dcmread(segments)
    found = groups(report)
    assert len(found) == len(table.lesions)
    for number, (group, lesion) in enumerate(zip(found, table.lesions, strict=True), 1):
        assert group.tracking_uid == tracking_uid("r1", lesion.id)
        assert group.tracking_identifier == f"{lesion.label_name} {lesion.id}"
        reference = group.referenced_segment
        assert reference.referenced_sop_instance_uid == segmentation.SOPInstanceUID
        assert reference.referenced_segment_numbers == [number] or (
            reference.referenced_segment_numbers == number
        )
        item = segmentation.SegmentSequence[number - 1]
        assert item.TrackingUID == group.tracking_uid
        assert group.finding_sites
        assert_figures(figures(group), lesion)


def assert_figures(found: dict, lesion: Lesion) -> None:
    expected = {
        ("Volume", ""): (lesion.volume_mm3.value, "mm3"),
        ("Long axis", ""): (lesion.long_axis_mm.value, "mm"),
        ("Short axis", ""): (lesion.short_axis_mm.value, "mm"),
        ("Diameter", "Maximum"): (lesion.max_diameter_3d_mm.value, "mm"),
        ("Attenuation Coefficient", "Mean"): (lesion.mean.value, "[hnsf'U]"),
    }
    for key, (value, unit) in expected.items():
        assert found[key][0] == pytest.approx(value, rel=1e-5)
        assert found[key][1] == unit


def test_the_report_is_valid(volume: Volume, table: LesionTable, tmp_path: Path) -> None:
    result = DicomResult(two_boxes(volume), volume, table)
    for path in write_dicom(result, tmp_path / "a.sr.dcm"):
        assert_valid(path)


def test_tracking_uids_are_the_same_in_every_export_of_the_same_labels(
    volume: Volume, table: LesionTable, tmp_path: Path
) -> None:
    first, *_ = write_dicom(DicomResult(two_boxes(volume), volume, table), tmp_path / "a.sr.dcm")
    again, *_ = write_dicom(DicomResult(two_boxes(volume), volume, table), tmp_path / "b.sr.dcm")
    uids = [[group.tracking_uid for group in groups(path)] for path in (first, again)]
    assert uids[0] == uids[1]
    changed = two_boxes(volume)
    changed.array[0, 0, 0] = 1
    other, *_ = write_dicom(DicomResult(changed, volume, table), tmp_path / "c.sr.dcm")
    assert not {group.tracking_uid for group in groups(other)} & set(uids[0])


def test_what_was_not_measured_is_told_as_such_and_never_zero(
    volume: Volume, tmp_path: Path
) -> None:
    unknown = replace(volume, spacing_known=False)
    table = find_lesions(two_boxes(volume), unknown)
    assert table.lesions[0].volume_mm3.value is None
    result = DicomResult(two_boxes(volume), unknown, table)
    report, _ = write_dicom(result, tmp_path / "a.sr.dcm")
    assert_valid(report)
    for group in groups(report):
        found = figures(group)
        assert not [key for key in found if key[0] in ("Volume", "Long axis")]
        assert ("Attenuation Coefficient", "Mean") in found
        assert evaluations(group) == dict.fromkeys(
            ("Volume", "Long axis", "Short axis", "Diameter"), "Measurement not attempted"
        )


def test_what_the_reader_decided_is_in_the_report_and_no_note(
    volume: Volume, table: LesionTable, tmp_path: Path
) -> None:
    reviews = (Review(Verdict.ACCEPTED, "Jane Doe"), Review(Verdict.REJECTED), Review())
    lesions = tuple(map(reviewed, table.lesions, reviews))
    assert len(lesions) == len(table.lesions) == 3
    result = DicomResult(two_boxes(volume), volume, replace(table, lesions=lesions))
    report, _ = write_dicom(result, tmp_path / "a.sr.dcm")
    assert_valid(report)
    told = [evaluations(group).get("Reader's verdict") for group in groups(report)]
    assert told == ["Accepted by reader", "Rejected by reader", None]
    assert b"Jane" not in report.read_bytes()


def test_a_report_of_no_lesions_is_refused(volume: Volume, tmp_path: Path) -> None:
    nothing = two_boxes(volume)
    nothing.array[...] = 0
    result = DicomResult(nothing, volume, find_lesions(nothing, volume))
    with pytest.raises(WriteError, match="no lesion"):
        write_dicom(result, tmp_path / "a.sr.dcm")
    assert not list(tmp_path.iterdir())


def test_errors_are_written_as_uncertainties(
    volume: Volume, table: LesionTable, tmp_path: Path
) -> None:
    report, _ = write_dicom(DicomResult(two_boxes(volume), volume, table), tmp_path / "a.sr.dcm")
    for group, lesion in zip(groups(report), table.lesions, strict=True):
        volume_mm3, long_axis, *_ = group.get_measurements()
        for measurement, wanted in (
            (volume_mm3, lesion.volume_mm3),
            (long_axis, lesion.long_axis_mm),
        ):
            properties = measurement[0].ContentSequence
            errors = [item for item in properties if "uncertainty" in item.name.meaning]
            assert len(errors) == 2
            assert {item.unit.value for item in errors} == {measurement.unit.value}
            assert errors[0].value == pytest.approx(wanted.error, rel=1e-5)
