"""Reports come back with what was written, and others with a reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pydicom
import pytest

from napari_medcnn.core.errors import ReadError
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.lesion import Review, Verdict
from napari_medcnn.core.volume import Volume
from napari_medcnn.imaging.lesions import find_lesions
from napari_medcnn.io.dicom_objects.export import DicomResult, write_dicom
from napari_medcnn.io.dicom_objects.sr_read import is_report, read_report
from napari_medcnn.io.dicom_objects.tracking import tracking_uid
from tests.io.dicom_objects.dicom_cases import series, two_boxes

GRID = Geometry.from_spacing((6, 24, 20), (3.0, 0.7, 0.5), (-20.0, 15.0, 40.0))


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    return series(tmp_path_factory.mktemp("series"), GRID)


def test_our_own_report_comes_back(volume: Volume, tmp_path: Path) -> None:
    table = find_lesions(two_boxes(volume), volume)
    first, *others = table.lesions
    table = replace(table, lesions=(replace(first, review=Review(Verdict.REJECTED)), *others))
    result = DicomResult(two_boxes(volume), volume, table, identity="r1")
    path, segments = write_dicom(result, tmp_path / "a.sr.dcm")
    assert is_report(path) and not is_report(segments)
    found = read_report(path)
    assert [lesion.tracking_uid for lesion in found] == [
        tracking_uid("r1", lesion.id) for lesion in table.lesions
    ]
    assert [lesion.verdict for lesion in found] == ["rejected", *[""] * len(others)]
    for reported, lesion in zip(found, table.lesions, strict=True):
        assert reported.tracking_id == f"{lesion.label_name} {lesion.id}"
        figures = {(one.name, one.derivation): one for one in reported.figures}
        for key, wanted, unit in (
            (("Volume", ""), lesion.volume_mm3, "mm3"),
            (("Long axis", ""), lesion.long_axis_mm, "mm"),
            (("Attenuation Coefficient", "Standard Deviation"), lesion.sd, "[hnsf'U]"),
        ):
            assert figures[key].value == pytest.approx(wanted.value, rel=1e-5)
            assert figures[key].unit == unit
            assert (figures[key].error is None) == (wanted.error is None)
            assert figures[key].error == (wanted.error and pytest.approx(wanted.error, rel=1e-5))
        assert not reported.not_measured


def test_what_was_not_measured_comes_back_as_such(volume: Volume, tmp_path: Path) -> None:
    unknown = replace(volume, spacing_known=False)
    table = find_lesions(two_boxes(volume), unknown)
    path, _ = write_dicom(DicomResult(two_boxes(volume), unknown, table), tmp_path / "a.sr.dcm")
    for lesion in read_report(path):
        assert lesion.not_measured == ("Volume", "Long axis", "Short axis", "Diameter")
        assert {figure.name for figure in lesion.figures} == {"Attenuation Coefficient"}


@pytest.mark.parametrize("damage", ["cut", "template", "content", "image"])
def test_what_is_no_such_report_is_told(volume: Volume, tmp_path: Path, damage: str) -> None:
    table = find_lesions(two_boxes(volume), volume)
    path, segments = write_dicom(
        DicomResult(two_boxes(volume), volume, table), tmp_path / "a.sr.dcm"
    )
    if damage == "image":
        path = segments
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:3000])
    else:
        dataset = pydicom.dcmread(path)
        if damage == "content":
            del dataset.ContentSequence
        else:
            dataset.ContentTemplateSequence[0].TemplateIdentifier = "2000"
            dataset.ConceptNameCodeSequence[0].CodeValue = "126000x"
        dataset.save_as(path)
    with pytest.raises(ReadError):
        read_report(path)
