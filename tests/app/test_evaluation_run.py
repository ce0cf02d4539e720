"""A model measured on a data set: figures, files, comparison; bad cases told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from napari_medcnn.app.evaluation_data import CaseChoice
from napari_medcnn.app.evaluation_files import write_evaluation
from napari_medcnn.app.evaluation_run import compare_runs, evaluate_model
from napari_medcnn.core.errors import Cancelled, InputMismatch, MedcnnError, WriteError
from napari_medcnn.core.events import CaseUpdate, Event, JobControl, run_to_end
from napari_medcnn.evaluation.cases import STAGE
from napari_medcnn.evaluation.run import ClassificationResult, EvaluationRun, SegmentationResult
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.models.spec import ModelSpec
from napari_medcnn.training.manifest import Manifest, Split
from tests.app.evaluation_sets import cubes, step_model
from tests.classification_factory import picture_classifier
from tests.training.made_run import picture_job

CPU = RunOptions(device="cpu", backend="torch", threads=1, keep_probability=False)
ALL = CaseChoice()


@pytest.fixture
def steps(tmp_path: Path) -> ModelSpec:
    return read_bundle(step_model(tmp_path))


@pytest.fixture
def data(tmp_path: Path) -> Manifest:
    return cubes(tmp_path / "cubes")


def measured(spec: ModelSpec, data: Manifest, choice: CaseChoice = ALL) -> EvaluationRun:
    return run_to_end(evaluate_model(spec, data, choice, options=CPU, resamples=100), EvaluationRun)


def test_a_segmentation_has_figures_lesions_and_files(
    steps: ModelSpec, data: Manifest, tmp_path: Path
) -> None:
    run = measured(steps, data)
    assert isinstance(run.result, SegmentationResult)
    assert (run.cases, run.patients, run.resampled, run.part) == (8, 8, "patients", "all")
    case = run.result.table.cases[0]
    assert case.dice is not None and case.dice < 1
    lesions = case.labels[0].lesions
    assert lesions is not None and (lesions.matched, lesions.false_positives) == (1, 1)
    names = {path.name for path in write_evaluation(tmp_path / "out" / "deep", run)}
    assert names == {"cases.csv", "figures.json", "froc.csv"}
    figures = json.loads((tmp_path / "out/deep/figures.json").read_text())
    assert figures["model"]["weights_sha256"] and figures["licence"] == "CC0"
    assert figures["segmentation"][1]["figures"]["jaccard"]["low"] is not None
    froc = run.result.froc["bright"]
    assert (froc.lesions, froc.sensitivity[-1], froc.false_positives[-1]) == (8, 1, 1)
    # The model is equally sure of all that it marks: one step, and a straight line before it.
    assert froc.at_rates == (0.125, 0.25, 0.5, 1, 1, 1, 1)
    cpm = figures["froc"]["bright"]["cpm"]["estimate"]
    assert cpm == pytest.approx(sum(froc.at_rates) / 7)
    table = pd.read_csv(tmp_path / "out/deep/cases.csv")
    assert list(table["dice"]) == sorted(table["dice"]), "the worst case stands first"


def test_a_part_is_the_makers_or_the_splits(steps: ModelSpec, data: Manifest) -> None:
    run = measured(steps, data, CaseChoice("test"))
    assert isinstance(run.result, SegmentationResult)
    ids = {case.case for case in run.result.table.cases}
    assert ids == {f"case_{n}" for n in (1, 3, 5, 7)}
    split = Split(
        ("case_1",), ("case_2",), ("case_0", "case_4"), groups={"case_0": "g", "case_4": "g"}
    )
    run = measured(steps, data, CaseChoice("test", split))
    assert (run.cases, run.patients, run.part) == (2, 1, "test")
    unnamed = replace(data, cases=tuple(replace(case, patient=None) for case in data.cases))
    assert measured(steps, unnamed, CaseChoice("test", split)).resampled == "groups"
    assert measured(steps, unnamed, CaseChoice("test")).resampled == "cases"
    with pytest.raises(InputMismatch, match="no labelled case of the part validation"):
        measured(steps, data, CaseChoice("validation"))


def test_values_of_the_data_set_are_found_by_the_classes_names(tmp_path: Path) -> None:
    from tests.bundle_factory import make_bundle

    spec = read_bundle(
        make_bundle(
            tmp_path / "two",
            classes=("grey", "white"),
            thresholds=(0.5, 0.9),
            activation="softmax",
            spacing=None,
            modality="",
        )
    )
    data = cubes(tmp_path / "cubes", 2)
    only = replace(data, classes=("White",))
    run = measured(spec, only)
    assert isinstance(run.result, SegmentationResult)
    white = next(lb for lb in run.result.table.cases[0].labels if lb.name == "white")
    assert white.overlap.sensitivity is not None and 0 < white.overlap.sensitivity < 1
    with pytest.raises(InputMismatch, match="does not know the class 'bright'"):
        measured(spec, data)


def test_bad_cases_are_told_and_do_not_stop_the_others(steps: ModelSpec, data: Manifest) -> None:
    data.cases[2].images[0].unlink()
    events: list[Event] = []
    job = evaluate_model(steps, data, options=CPU)
    run = run_to_end(job, EvaluationRun, events.append)
    assert (run.cases, [case for case, _ in run.failed]) == (7, ["case_2"])
    failed = [e for e in events if isinstance(e, CaseUpdate) and e.state == "failed"]
    assert [e.case for e in failed] == ["case_2"]
    for case in data.cases:
        case.images[0].unlink(missing_ok=True)
    with pytest.raises(MedcnnError, match="none of the cases could be measured"):
        measured(steps, data)


def test_an_evaluation_can_be_cancelled(steps: ModelSpec, data: Manifest) -> None:
    control, seen = JobControl(), []

    def stop(event: Event) -> None:
        if isinstance(event, CaseUpdate) and event.state == "done":
            seen.append(event.case)
            control.cancel()

    with pytest.raises(Cancelled):
        run_to_end(evaluate_model(steps, data, options=CPU, control=control), EvaluationRun, stop)
    assert len(seen) == 1


def test_two_models_are_compared_on_the_same_cases(
    steps: ModelSpec, data: Manifest, tmp_path: Path
) -> None:
    better = read_bundle(step_model(tmp_path, "better", 0.69))
    runs = [measured(spec, data) for spec in (steps, better)]
    found = compare_runs(*runs)
    dice = found.differences[0]
    assert dice.second == 1 and dice.difference.low is not None and dice.difference.low > 0
    assert dice.wilcoxon_p == pytest.approx(2 / 2**8)
    written = write_evaluation(tmp_path / "out", runs[0], (runs[1], found))
    assert {path.name for path in written} == {
        "cases.csv",
        "comparison.csv",
        "figures.json",
        "froc.csv",
    }
    table = pd.read_csv(tmp_path / "out" / "comparison.csv")
    assert table["second"][0] == 1
    with pytest.raises(InputMismatch, match="only the first model has"):
        compare_runs(runs[0], measured(better, data, CaseChoice("test")))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelSpec, Manifest]:
    folder = tmp_path_factory.mktemp("pictures")
    spec = read_bundle(picture_classifier(folder / "model"))
    manifest = picture_job(folder / "data").manifest
    # The data set may name its classes in another order than the model.
    return spec, replace(manifest, classes=("middle", "bright", "dark"))


def test_a_classification_has_curves_calibration_and_files(
    pictures: tuple[ModelSpec, Manifest], tmp_path: Path
) -> None:
    run = measured(*pictures)
    assert isinstance(run.result, ClassificationResult)
    answers = run.result.cases.answers
    assert answers is not None and answers.classes == ("bright", "dark", "middle")
    said = [answers.classes[n] for n in answers.probabilities.argmax(1)]
    true = [str(pictures[1].case(name).target) for name in answers.cases]
    assert run.result.figures.accuracy.estimate == pytest.approx(metrics.accuracy_score(true, said))
    written = {path.name for path in write_evaluation(tmp_path, run)}
    assert written == {
        "cases.csv",
        "curves.csv",
        "bands.csv",
        "calibration.csv",
        "confusion.csv",
        "figures.json",
    }
    confusion = pd.read_csv(tmp_path / "confusion.csv", index_col=0)
    theirs = metrics.confusion_matrix(true, said, labels=list(answers.classes))
    np.testing.assert_array_equal(confusion.to_numpy(), theirs)
    calibration = pd.read_csv(tmp_path / "calibration.csv")
    assert set(calibration["binning"]) == {"equal width", "adaptive"}
    comparison = compare_runs(run, run)
    assert comparison.mcnemar is not None and comparison.mcnemar.p_value == 1


def test_a_bad_picture_is_told_with_the_others_measured(
    pictures: tuple[ModelSpec, Manifest], tmp_path: Path
) -> None:
    spec, manifest = pictures
    broken = replace(manifest.cases[0], images=(tmp_path / "missing.png",))
    run = measured(spec, replace(manifest, cases=(broken, *manifest.cases[1:])))
    assert run.cases == 11 and run.failed[0][0] == broken.id
    write_evaluation(tmp_path / "out", run)
    assert pd.read_csv(tmp_path / "out" / "cases.csv", dtype={"case": str})["case"][0] == broken.id


def test_other_tasks_are_refused(
    steps: ModelSpec, pictures: tuple[ModelSpec, Manifest], data: Manifest
) -> None:
    with pytest.raises(InputMismatch, match="a model of segmentation"):
        measured(steps, pictures[1])
    with pytest.raises(InputMismatch, match="nothing to compare"):
        compare_runs(measured(steps, data), measured(*pictures))


def test_a_folder_that_cannot_be_made_is_told(
    steps: ModelSpec, data: Manifest, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="cannot be made"):
        write_evaluation(tmp_path / "file" / "out", measured(steps, data, CaseChoice("test")))


def test_progress_goes_to_the_end(steps: ModelSpec, data: Manifest) -> None:
    job = evaluate_model(steps, data, CaseChoice("test"), options=CPU)
    done = [e.done for e in job if getattr(e, "stage", "") == STAGE]
    assert done == [0, 1, 2, 3, 4]
