"""A model measured on labelled cases: exact where it is exact, the worst first, bad cases told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from napari_medcnn.core.errors import Cancelled, ModelError, ReadError
from napari_medcnn.core.events import CaseUpdate, JobControl, Progress, run_to_end
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.volume import Volume
from napari_medcnn.evaluation.case_table import CaseTable, summarise, worst_first, write_table
from napari_medcnn.evaluation.cases import STAGE, LabelledCase, Rules, evaluate_cases, measure_case
from napari_medcnn.evaluation.overlap import measure_overlap
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.models.spec import ModelSpec
from tests.bundle_factory import make_bundle

SHAPE = (10, 18, 16)
GRID = Geometry.from_spacing(SHAPE, (2.0, 1.0, 1.0), (5.0, -3.0, 20.0))
Labels = npt.NDArray[np.uint8]
USUAL = Rules()


@pytest.fixture
def spec(tmp_path: Path) -> ModelSpec:
    """A model that marks what is brighter than 0.5 and what is brighter than 1.5, exactly."""
    folder = make_bundle(
        tmp_path / "two_steps",
        classes=("grey", "white"),
        thresholds=(0.5, 1.5),
        activation="softmax",
        spacing=None,
        modality="",
    )
    return read_bundle(folder)


def truth_map() -> Labels:
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:5, 3:9, 3:9] = 1
    labels[6:9, 8:14, 6:12] = 2
    return labels


def case(
    name: str, patient: str, change: Callable[[Labels], Any] = lambda labels: labels
) -> LabelledCase:
    """The image shows the truth; the truth that the model is held to may be changed."""
    volume = Volume(truth_map().astype(np.float32), GRID, name=name)
    return LabelledCase(name, patient, lambda: ((volume,), change(truth_map())))


def evaluated(spec: ModelSpec, *cases: LabelledCase, rules: Rules = USUAL) -> CaseTable:
    return run_to_end(evaluate_cases(spec, cases, rules=rules), CaseTable)


def unreadable(labels: Labels) -> Labels:
    raise ReadError("is no image", source="scan.nii.gz")


def test_a_model_that_is_right_gets_full_marks(spec: ModelSpec) -> None:
    table = evaluated(spec, case("a", "p"), rules=Rules(lesion_wise=True))
    (found,) = table.cases
    assert found.dice == 1
    for label in found.labels:
        assert (label.overlap.dice, label.overlap.hd95_mm, label.overlap.nsd) == (1, 0, 1)
        assert label.lesions is not None and label.lesions.f1 == 1
    assert [label.name for label in found.labels] == ["grey", "white"]
    assert found.labels[0].overlap.truth_ml == pytest.approx(3 * 6 * 6 * 2 / 1000)


def test_mirrored_and_shifted_truth_lowers_every_figure_and_stands_first(spec: ModelSpec) -> None:
    table = evaluated(
        spec,
        case("right", "a"),
        case("mirrored", "b", lambda labels: labels[:, :, ::-1]),
        case("shifted", "c", lambda labels: np.roll(labels, 1, 1)),
    )
    assert [found.case for found in table.cases] == ["mirrored", "shifted", "right"]
    mirrored, shifted, right = (found.labels[1].overlap for found in table.cases)
    for name in ("dice", "jaccard", "sensitivity", "precision", "nsd"):
        assert getattr(mirrored, name) <= getattr(shifted, name) <= getattr(right, name)
        assert getattr(mirrored, name) < getattr(right, name)
    assert mirrored.hd95_mm is not None and mirrored.hd95_mm > 1
    assert shifted.hd95_mm == pytest.approx(1.0)


def test_a_bad_case_is_told_and_the_others_are_measured(spec: ModelSpec) -> None:
    cases = [case("a", "p"), case("bad", "q", unreadable), case("c", "r")]
    events = list(evaluate_cases(spec, cases))
    table = events[-1].result  # type: ignore[union-attr]
    assert [found.case for found in table.failed] == ["bad"]
    assert "scan.nii.gz: is no image" in table.failed[0].error
    assert [found.dice for found in table.measured] == [1, 1]
    assert table.cases[0].case == "bad"
    updates = [(e.case, e.state) for e in events if isinstance(e, CaseUpdate)]
    assert updates == [
        ("a", "computing"), ("a", "done"), ("bad", "computing"), ("bad", "failed"),
        ("c", "computing"), ("c", "done"),
    ]  # fmt: skip
    steps = [e.done for e in events if isinstance(e, Progress) and e.stage == STAGE]
    assert steps == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda labels: labels * 2, "none of the labels"),
        (lambda labels: labels[1:], "does not fit a grid"),
    ],
)
def test_a_truth_that_does_not_fit_fails_its_case(
    spec: ModelSpec, change: Callable[[Labels], Labels], words: str
) -> None:
    (found,) = evaluated(spec, case("a", "p", change)).failed
    assert words in found.error


def test_a_model_that_cannot_be_run_ends_the_job(spec: ModelSpec) -> None:
    spec.weights.write_bytes(b"no weights")
    with pytest.raises(ModelError):
        evaluated(spec, case("a", "p"))


def test_cancelling_ends_the_job(spec: ModelSpec) -> None:
    control = JobControl()
    job = evaluate_cases(spec, [case("a", "p"), case("b", "q")], control)
    next(job)
    control.cancel()
    with pytest.raises(Cancelled):
        list(job)


def test_the_model_is_loaded_once(spec: ModelSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_medcnn.inference.backends import open as opening

    opened = []
    real = opening.open_backend

    def counted(*args: Any, **kwargs: Any) -> Any:
        opened.append(args)
        return real(*args, **kwargs)

    monkeypatch.setattr(opening, "open_backend", counted)
    evaluated(spec, *(case(str(n), str(n)) for n in range(4)))
    assert len(opened) == 1


def test_a_label_that_nobody_has_is_in_no_mean(spec: ModelSpec) -> None:
    volume = Volume(np.zeros(SHAPE, np.float32), GRID)
    empty = LabelledCase("empty", "p", lambda: ((volume,), np.zeros(SHAPE, np.uint8)))
    table = evaluated(spec, empty, case("a", "q"))
    assert [found.case for found in table.cases] == ["a", "empty"]
    assert table.cases[1].dice is None
    mean, grey, _ = summarise(table)
    assert (mean.figures["dice"].estimate, mean.figures["dice"].cases) == (1, 1)
    assert grey.figures["truth_ml"].cases == 2


def test_the_table_is_read_back_as_csv_and_json(spec: ModelSpec, tmp_path: Path) -> None:
    table = evaluated(
        spec,
        case("a", "p"),
        case("b", "q", lambda labels: np.roll(labels, 1, 2)),
        case("bad", "r", unreadable),
    )
    write_table(tmp_path / "evaluation", table, summarise(table))
    frame = pd.read_csv(tmp_path / "evaluation" / "cases.csv")
    assert list(frame["case"]) == ["bad", "b", "b", "a", "a"]
    by_hand = measure_overlap(truth_map() == 2, np.roll(truth_map(), 1, 2) == 2, GRID)
    row = frame[(frame.case == "b") & (frame.label == "white")].iloc[0]
    assert row.dice == pytest.approx(by_hand.dice)
    assert row.hd95_mm == pytest.approx(by_hand.hd95_mm)
    assert "is no image" in frame.note[0]
    records = json.loads((tmp_path / "evaluation" / "cases.json").read_text())
    assert [record["case"] for record in records] == list(frame["case"])
    summary = json.loads((tmp_path / "evaluation" / "summary.json").read_text())
    assert summary[0]["figures"]["dice"]["groups"] == 2
    expected = frame.groupby("case").dice.mean().dropna().mean()
    assert summary[0]["figures"]["dice"]["estimate"] == pytest.approx(expected)


def test_measuring_follows_the_models_least_lesion() -> None:
    speck = truth_map()
    speck[0, 0, 0] = 1
    volume = Volume(truth_map().astype(np.float32), GRID)
    labels = read_labels()
    rules = Rules(lesion_wise=True)
    all_of_them = measure_case(speck, truth_map(), volume, labels, rules)
    large_ones = measure_case(speck, truth_map(), volume, labels, rules, 10.0)
    counts = [of[0].lesions.false_positives for of in (all_of_them, large_ones) if of[0].lesions]
    assert counts == [1, 0]


def read_labels() -> tuple[Any, ...]:
    from napari_medcnn.core.segmentation import Label

    return Label(1, "grey"), Label(2, "white")


def test_an_empty_table_is_a_table() -> None:
    table = worst_first([])
    assert table.records() == []
    assert list(table.frame().columns)[:3] == ["case", "patient", "label"]
    assert summarise(table)[0].figures["dice"].estimate is None
