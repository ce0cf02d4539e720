"""Two models on the same cases: tests agree with other libraries, other cases are refused."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics
from statsmodels.stats.contingency_tables import mcnemar

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.evaluation.answers import Answers
from napari_medcnn.evaluation.case_table import CaseFigures, CaseTable, LabelFigures, worst_first
from napari_medcnn.evaluation.comparison import (
    compare_answers,
    compare_tables,
    comparison_records,
)
from napari_medcnn.evaluation.overlap import measure_overlap
from napari_medcnn.evaluation.paired import paired_values


def answers(seed: int, help_: float, count: int = 60) -> Answers:
    truth = np.random.default_rng(0).integers(0, 3, count)
    logits = np.random.default_rng(seed).normal(size=(count, 3))
    logits[np.arange(count), truth] += help_
    given = np.exp(logits)
    names = tuple(f"case {n}" for n in range(count))
    groups = tuple(f"patient {n // 2}" for n in range(count))
    return Answers(names, groups, ("a", "b", "c"), truth, given / given.sum(1, keepdims=True))


def shuffled(said: Answers) -> Answers:
    order = np.random.default_rng(9).permutation(len(said.cases))
    return Answers(
        tuple(said.cases[n] for n in order),
        tuple(said.groups[n] for n in order),
        said.classes,
        said.truth[order],
        said.probabilities[order],
    )


@pytest.mark.parametrize("seed", range(3))
def test_mcnemar_is_statsmodels(seed: int) -> None:
    one, other = answers(seed, 0.5), answers(seed + 10, 1.0)
    found = compare_answers(one, shuffled(other), resamples=30).mcnemar
    assert found is not None
    table = [[found.both, found.only_first], [found.only_second, found.neither]]
    assert found.p_value == pytest.approx(mcnemar(table, exact=True).pvalue, abs=1e-9)
    right = [said.probabilities.argmax(1) == said.truth for said in (one, other)]
    assert found.only_first == int((right[0] & ~right[1]).sum())
    assert np.sum(table) == 60
    assert "independent" in found.note


def test_differences_are_the_figures_own_and_a_better_model_is_seen() -> None:
    one, other = answers(1, 0.2, 200), answers(2, 2.5, 200)
    found = {d.figure: d for d in compare_answers(one, other, resamples=300).differences}
    areas = [
        metrics.roc_auc_score(s.truth, s.probabilities, multi_class="ovr") for s in (one, other)
    ]
    area = found["macro auc"]
    assert (area.first, area.second) == pytest.approx(areas, abs=1e-9)
    assert area.difference.estimate == pytest.approx(areas[1] - areas[0], abs=1e-9)
    assert area.difference.low is not None and area.difference.low > 0
    assert area.p_value == pytest.approx(2 / 301)
    same = compare_answers(one, one, resamples=100)
    assert same.mcnemar is not None and same.mcnemar.p_value == 1
    for difference in same.differences:
        assert (difference.difference.estimate, difference.p_value) == (0, 1)


def test_patients_are_drawn_for_both_models_at_once() -> None:
    one, other = answers(1, 0.6), answers(2, 0.9)
    found = compare_answers(one, other, seed=5, resamples=200)
    right = [(s.probabilities.argmax(1) == s.truth).astype(float) for s in (one, other)]
    members = [
        [n for n, g in enumerate(one.groups) if g == name] for name in sorted(set(one.groups))
    ]
    rng = np.random.default_rng(5)
    drawn = []
    for _ in range(200):
        cases = list(itertools.chain(*(members[g] for g in rng.integers(0, 30, 30))))
        drawn.append(right[1][cases].mean() - right[0][cases].mean())
    interval = found.differences[0].difference
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.03)
    assert (found.cases, found.patients, interval.groups) == (60, 30, 30)


def test_other_cases_truth_or_classes_are_refused_by_name() -> None:
    one, other = answers(1, 0.5), answers(2, 0.5)
    fewer = Answers(
        ("new", *other.cases[2:]),
        other.groups[1:],
        other.classes,
        other.truth[1:],
        other.probabilities[1:],
    )
    with pytest.raises(
        InputMismatch, match=r"first model has case 0, case 1; only the second.*new"
    ):
        compare_answers(one, fewer)
    with pytest.raises(InputMismatch, match="truth"):
        compare_answers(one, replace(other, truth=(other.truth + 1) % 3))
    with pytest.raises(InputMismatch, match="tells apart a, b, c, the other x, b, c"):
        compare_answers(one, replace(other, classes=("x", "b", "c")))


GRID = Geometry.from_spacing((4, 8, 8), (2.0, 1.0, 1.0), (0.0, 0.0, 0.0))


def table(seed: int, wrong: float, patients: int = 12, scans: int = 1) -> CaseTable:
    rng = np.random.default_rng(seed)
    cases = []
    for number in range(patients * scans):
        truth = np.random.default_rng(number).random(GRID.shape) < 0.3
        found = truth ^ (rng.random(GRID.shape) < wrong)
        label = LabelFigures(1, "lesion", measure_overlap(found, truth, GRID))
        cases.append(CaseFigures(f"case {number}", f"p{number // scans}", (label,)))
    return worst_first(cases)


def exact_wilcoxon(changes: np.ndarray) -> float:
    """The two-sided p-value by trying all signs."""
    ranks = np.argsort(np.argsort(np.abs(changes))) + 1
    signs = np.array(list(itertools.product([0, 1], repeat=len(ranks))))
    sums, own = signs @ ranks, ranks[changes > 0].sum()
    return float(min(1, 2 * min((sums <= own).mean(), (sums >= own).mean())))


def test_dice_is_compared_by_signed_ranks_and_resamples() -> None:
    one, other = table(1, 0.3), table(2, 0.26)
    found = compare_tables(one, other)
    dice = found.differences[0]
    scores = {c.case: c.dice for c in one.cases}
    changes = np.array([(c.dice or 0) - (scores[c.case] or 0) for c in other.cases])
    assert dice.difference.estimate == pytest.approx(changes.mean(), abs=1e-12)
    assert dice.wilcoxon_p == pytest.approx(exact_wilcoxon(changes), abs=1e-9)
    assert (found.cases, found.patients) == (12, 12)
    assert {d.figure for d in found.differences} >= {"dice, lesion", "hd95_mm, lesion"}
    rows = comparison_records(found)
    assert rows[0]["p_value"] == dice.p_value and rows[0]["cases"] == 12


def test_scans_of_one_patient_are_one_sign() -> None:
    one, other = table(1, 0.3, 8, 3), table(2, 0.26, 8, 3)
    dice = compare_tables(one, other).differences[0]
    scores = {c.case: c.dice for c in one.cases}
    by_patient: dict[str, list[float]] = {}
    for case in other.cases:
        by_patient.setdefault(case.group, []).append((case.dice or 0) - (scores[case.case] or 0))
    means = np.array([np.mean(values) for values in by_patient.values()])
    assert dice.wilcoxon_p == pytest.approx(exact_wilcoxon(means), abs=1e-9)
    assert "patients" in dice.note


def test_failed_cases_are_left_out_and_told_and_other_cases_refused() -> None:
    one, other = table(1, 0.3), table(2, 0.2)
    broken = replace(other.cases[0], labels=(), error="cannot be read")
    found = compare_tables(one, CaseTable((broken, *other.cases[1:])))
    assert (found.cases, found.left_out) == (11, (broken.case,))
    with pytest.raises(InputMismatch, match="only the first model has case"):
        compare_tables(one, CaseTable(other.cases[1:]))


def test_what_cannot_be_tested_says_why() -> None:
    groups = [str(n) for n in range(6)]
    same = paired_values("dice", [(0.5, 0.5)] * 6, groups)
    assert (same.wilcoxon_p, same.note) == (None, "the models do not differ in any case")
    few = paired_values("dice", [(0.5, 0.6)] * 3, groups[:3])
    assert (few.p_value, few.wilcoxon_p, few.difference.low) == (None, None, None)
    assert "too few" in few.note
    none = paired_values("hd95", [(None, 1.0), (1.0, None)], groups[:2])
    assert none.difference.estimate is None and "no case" in none.note
    some = paired_values("hd95", [(None, 1.0), *[(1.0, 2.0)] * 5], groups)
    assert (some.difference.cases, some.difference.estimate) == (5, 1)
