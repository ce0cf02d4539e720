"""A case through a classifier: its files, whose they are, and what is left when it ends early."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from napari_medcnn.app.case import case_of
from napari_medcnn.app.case_options import CaseOptions
from napari_medcnn.app.classification_case import (
    CLASSIFICATION_FILES,
    ClassifiedCase,
    Parts,
    classify_case,
)
from napari_medcnn.core.errors import Cancelled, InputMismatch, ReadError, WriteError
from napari_medcnn.core.events import Event, JobControl, Progress, run_to_end
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.models.spec import ModelSpec
from tests.classification_factory import picture_classifier

CPU = CaseOptions(run=RunOptions(device="cpu", threads=1, batch=2))
SLICES = Parts("slice")


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    return read_bundle(picture_classifier(tmp_path_factory.mktemp("model")))


def scan(file: Path, seed: int = 0) -> Path:
    values = np.random.default_rng(seed).uniform(0, 255, (6, 15, 14)).astype(np.float32)
    sitk.WriteImage(sitk.GetImageFromArray(values), str(file))
    return file


def test_a_case_ends_in_its_files_and_the_events_of_every_stage(
    tmp_path: Path, spec: ModelSpec
) -> None:
    events: list[Event] = []
    job = classify_case(case_of(scan(tmp_path / "a.nii.gz")), spec, tmp_path / "out", SLICES, CPU)
    result = run_to_end(job, ClassifiedCase, events.append)
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(CLASSIFICATION_FILES)
    stages = list(dict.fromkeys(e.stage for e in events if isinstance(e, Progress)))
    assert stages == ["reading image", "reading model", "classifying", "writing"]
    assert len(result.to_json()["classes"]) == 6
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["model"]["weights_sha256"] == result.classification.model.weights_sha256


def test_a_cancelled_case_leaves_no_record(tmp_path: Path, spec: ModelSpec) -> None:
    control = JobControl()
    case, out = case_of(scan(tmp_path / "a.nii.gz")), tmp_path / "out"
    with pytest.raises(Cancelled):
        for event in classify_case(case, spec, out, SLICES, CPU, control=control):
            if isinstance(event, Progress) and event.stage == "classifying" and event.done:
                control.cancel()
    assert not out.exists()


def test_results_of_another_image_are_not_replaced_unasked(tmp_path: Path, spec: ModelSpec) -> None:
    out = tmp_path / "out"
    first = case_of(scan(tmp_path / "a.nii.gz"))
    other = case_of(scan(tmp_path / "b.nii.gz", seed=1))
    for _ in range(2):  # its own results are
        run_to_end(classify_case(first, spec, out, SLICES, CPU), ClassifiedCase)
    before = (out / "classes.csv").read_bytes()
    with pytest.raises(WriteError, match="another case or model"):
        run_to_end(classify_case(other, spec, out, SLICES, CPU), ClassifiedCase)
    assert (out / "classes.csv").read_bytes() == before
    options = replace(CPU, overwrite=True)
    run_to_end(classify_case(other, spec, out, SLICES, options), ClassifiedCase)
    assert (out / "classes.csv").read_bytes() != before


def test_a_file_that_is_no_label_map_is_told_before_anything_is_written(
    tmp_path: Path, spec: ModelSpec
) -> None:
    labels = tmp_path / "labels.nii.gz"
    labels.write_bytes(b"nothing")
    case = case_of(scan(tmp_path / "a.nii.gz"))
    with pytest.raises(ReadError, match=r"labels\.nii\.gz"):
        run_to_end(
            classify_case(case, spec, tmp_path / "out", Parts("lesion", labels=labels), CPU),
            ClassifiedCase,
        )
    assert not (tmp_path / "out").exists()


def test_lesions_have_one_source_and_nothing_else_has_any(spec: ModelSpec) -> None:
    with pytest.raises(InputMismatch, match="one of them"):
        Parts("lesion")
    with pytest.raises(InputMismatch, match="one of them"):
        Parts("lesion", labels=Path("a.nii.gz"), finder=spec)
    with pytest.raises(InputMismatch, match="mean nothing for a slice"):
        Parts("slice", labels=Path("a.nii.gz"))
