from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest

from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.volume import Volume
from napari_medcnn.imaging.lesions import find_lesions
from napari_medcnn.io.read import read_segmentation
from napari_medcnn.io.write import write_segmentation
from napari_medcnn.report.tables import write_lesions_json
from tests.io.dicom_objects.dicom_cases import series, two_boxes

GRID = Geometry.from_spacing((6, 24, 20), (3.0, 0.7, 0.5), (-20.0, 15.0, 40.0))


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    return series(tmp_path_factory.mktemp("series"), GRID)


@pytest.mark.slow
def test_labels_become_every_object_and_come_back(medcnn, volume: Volume, tmp_path: Path) -> None:
    segmentation = two_boxes(volume)
    labels = write_segmentation(segmentation, volume, tmp_path / "labels.seg.nrrd")
    kinds = ("seg", "labelmap", "sr", "rtstruct")
    outcome = medcnn(
        "export", labels, "--source", volume.source.path, "--out", tmp_path / "out",
        *(part for kind in kinds for part in ("--as", kind)), "--json",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    written = {Path(path).name: Path(path) for path in json.loads(outcome.out)["written"]}
    assert set(written) == {
        "labels.seg.dcm", "labels.labelmap.dcm", "labels.rtstruct.dcm",
        "lesions.sr.dcm", "lesions.seg.dcm",
    }  # fmt: skip
    report = medcnn("inspect", written["lesions.sr.dcm"], "--json")
    assert report.code == 0, report.err
    assert [found["tracking_id"] for found in json.loads(report.out)["lesions"]] == [
        "white-matter lesion 1", "left kidney 2", "white-matter lesion 3",
    ]  # fmt: skip
    assert "Volume" in medcnn("inspect", written["lesions.sr.dcm"]).out
    for name in ("labels.seg.dcm", "labels.labelmap.dcm", "labels.rtstruct.dcm"):
        back = medcnn(
            "export", written[name], "--source", volume.source.path, "--out", tmp_path / name,
            "--as", "nifti", "--as", "slicer",
        )  # fmt: skip
        assert back.code == 0, back.err
        nifti = read_segmentation(tmp_path / name / "labels.nii.gz", volume)
        assert np.array_equal(nifti.array > 0, segmentation.array > 0)
    measured = medcnn("lesions", written["labels.rtstruct.dcm"], volume.source.path, "--json")
    table = find_lesions(segmentation, volume)
    records = json.loads(measured.out)["lesions"]
    assert [r["voxel_count"] for r in records] == [le.voxel_count for le in table.lesions]
    chosen = medcnn(
        "lesions", written["labels.seg.dcm"], volume.source.path, "--segment", "left kidney",
        "--json",
    )  # fmt: skip
    assert {r["label_name"] for r in json.loads(chosen.out)["lesions"]} == {"left kidney"}


def test_names_and_model_come_from_the_run_or_from_the_user(
    medcnn, volume: Volume, tmp_path: Path
) -> None:
    segmentation = two_boxes(volume)
    labels = write_segmentation(segmentation, volume, tmp_path / "labels.nii.gz")
    table = find_lesions(segmentation, volume)
    write_lesions_json(table, tmp_path / "lesions.json", volume=volume, segmentation=segmentation)
    arguments = ("export", labels, "--source", volume.source.path, "--out", tmp_path / "out")
    assert medcnn(*arguments, "--name", "5=spleen").code == 0
    first, second = pydicom.dcmread(tmp_path / "out" / "labels.seg.dcm").SegmentSequence
    assert (first.SegmentLabel, second.SegmentLabel) == ("white-matter lesion", "spleen")
    assert first.SegmentAlgorithmType == "AUTOMATIC"
    assert first.SegmentAlgorithmName == "flair_lesions"
    assert "not like" in medcnn(*arguments, "--name", "spleen").err
    (tmp_path / "lesions.json").write_text("[]")
    assert "no table of lesions" in medcnn(*arguments).err


def test_what_did_not_come_from_dicom_is_refused_in_one_line(
    medcnn, volume: Volume, tmp_path: Path
) -> None:
    image = write_segmentation(two_boxes(volume), volume, tmp_path / "image.nii.gz")
    outcome = medcnn("export", image, "--source", image, "--out", tmp_path / "out")
    assert outcome.code == 1
    assert "did not come from DICOM" in outcome.err
    assert "Traceback" not in outcome.err
    assert not (tmp_path / "out").exists()


def test_a_report_holds_the_lesions_that_the_run_listed(
    medcnn, volume: Volume, tmp_path: Path
) -> None:
    segmentation = two_boxes(volume)
    labels = write_segmentation(segmentation, volume, tmp_path / "labels.nii.gz")
    everything = find_lesions(segmentation, volume)
    largest = max(lesion.volume_mm3.value for lesion in everything.lesions)
    table = find_lesions(segmentation, volume, min_volume_mm3=largest)
    assert 0 < len(table.lesions) < len(everything.lesions)
    write_lesions_json(table, tmp_path / "lesions.json", volume=volume, segmentation=segmentation)
    arguments = ("export", labels, "--source", volume.source.path, "--as", "sr")
    assert medcnn(*arguments, "--out", tmp_path / "as_run").code == 0
    assert medcnn(*arguments, "--out", tmp_path / "all", "--min-volume", "0").code == 0
    assert reported_lesions(tmp_path / "as_run") == len(table.lesions)
    assert reported_lesions(tmp_path / "all") == len(everything.lesions)


def reported_lesions(folder: Path) -> int:
    """How many lesions the segmentation holds that the report refers to."""
    return len(pydicom.dcmread(folder / "lesions.seg.dcm").SegmentSequence)
