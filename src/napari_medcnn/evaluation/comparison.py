"""Two models on the same cases: differences with intervals by patient, and paired tests."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.evaluation.answers import Answers
from napari_medcnn.evaluation.case_table import MEAN, CaseFigures, CaseTable
from napari_medcnn.evaluation.classification import RESAMPLES, Judged
from napari_medcnn.evaluation.confidence import Weights
from napari_medcnn.evaluation.one_vs_rest import FIGURES
from napari_medcnn.evaluation.paired import Difference, paired_figures, paired_values

COMPARED = ("dice", "jaccard", "nsd", "hd95_mm", "volume_error_percent")
"""Of segmentations, for each label."""

CLASSIFIED = ("accuracy", "balanced accuracy", *(f"macro {name}" for name in FIGURES))
"""Of classifications."""

_SHOWN = 5


@dataclass(frozen=True)
class McNemar:
    """Cases that both, one or none of two models got right, and McNemar's exact test.

    Parameters
    ----------
    both, only_first, only_second, neither : int
        Numbers of cases.
    p_value : float
        Two-sided, of the binomial distribution; 1 where the models never differ.
    note : str
        What a reader must know of it.
    """

    both: int
    only_first: int
    only_second: int
    neither: int
    p_value: float
    note: str = ""


@dataclass(frozen=True)
class Comparison:
    """Two models on the same cases.

    Parameters
    ----------
    cases, patients : int
        How many were compared.
    differences : tuple of Difference
        One a figure.
    mcnemar : McNemar, optional
        Of classifications.
    left_out : tuple of str
        Cases that failed with one of the models.
    """

    cases: int
    patients: int
    differences: tuple[Difference, ...]
    mcnemar: McNemar | None = None
    left_out: tuple[str, ...] = ()


def compare_answers(
    first: Answers, second: Answers, *, seed: int = 0, resamples: int = RESAMPLES
) -> Comparison:
    """Compare two classifiers.

    Parameters
    ----------
    first, second : Answers
        Of the same cases, in any order.
    seed, resamples : int
        Of the bootstrap.

    Raises
    ------
    InputMismatch
        When cases, their truth or the classes differ; names the cases.
    """
    require_same_cases(first.cases, second.cases)
    if (first.classes, first.multi_label) != (second.classes, second.multi_label):
        raise InputMismatch(
            f"one model tells apart {', '.join(first.classes)}, the other "
            f"{', '.join(second.classes)}"
        )
    order = [second.cases.index(case) for case in first.cases]
    if not np.array_equal(first.truth, second.truth[order]):
        raise InputMismatch("the truth of the two models' cases differs")
    judged = [
        Judged(a.questions().taken(rows), a.multi_label)
        for a, rows in ((first, np.arange(len(order))), (second, np.array(order)))
    ]
    count = len(CLASSIFIED)
    one, other = (j.estimates()[:count] for j in judged)
    right, also_right = (j.right > 0 for j in judged)
    figures = [j.resampled() for j in judged]

    def differences(weights: Weights) -> npt.NDArray[np.float64]:
        return figures[1](weights)[:count] - figures[0](weights)[:count]

    return Comparison(
        len(order),
        len(set(first.groups)),
        paired_figures(CLASSIFIED, one, other, differences, first.groups, seed, resamples),
        _mcnemar(right, also_right, patients=len(set(first.groups))),
    )


def compare_tables(first: CaseTable, second: CaseTable, *, seed: int = 0) -> Comparison:
    """Compare two segmentation models, label by label, on the cases that have a figure in both.

    Parameters
    ----------
    first, second : CaseTable
        Of the same cases; those that failed with either model are left out, which is told.
    seed : int
        Of the bootstrap.

    Raises
    ------
    InputMismatch
        When the cases differ; names them.
    """
    pairs = _same_cases(first, second)
    whole = [pair for pair in pairs if not (pair[0].error or pair[1].error)]
    groups = [one.group for one, _ in whole]
    names = dict.fromkeys(label.name for pair in whole for case in pair for label in case.labels)

    def paired(title: str, of: Callable[[CaseFigures], float | None]) -> Difference:
        return paired_values(title, [(of(a), of(b)) for a, b in whole], groups, seed)

    found = [paired(f"dice, {MEAN}", lambda case: case.dice)]
    found += [
        paired(f"{figure}, {name}", functools.partial(_figure, name, figure))
        for name in names
        for figure in COMPARED
    ]
    left_out = tuple(a.case for a, b in pairs if a.error or b.error)
    return Comparison(len(whole), len(set(groups)), tuple(found), left_out=left_out)


def require_same_cases(first: Sequence[str], second: Sequence[str]) -> None:
    """Refuse to compare models on different cases.

    Raises
    ------
    InputMismatch
        Names the cases that only one of the models has.
    """
    told = [
        f"only the {which} model has {_named(own - other)}"
        for which, own, other in (
            ("first", set(first), set(second)),
            ("second", set(second), set(first)),
        )
        if own - other
    ]
    if told:
        raise InputMismatch(
            "the models were not run on the same cases: " + "; ".join(told),
            hint="evaluate both on the same part of the same data set",
        )


def comparison_records(found: Comparison) -> list[dict[str, Any]]:
    """A record a figure, to be written as a table."""
    return [
        {
            "figure": one.figure,
            "first": one.first,
            "second": one.second,
            "difference": one.difference.estimate,
            "low": one.difference.low,
            "high": one.difference.high,
            "cases": one.difference.cases,
            "p_value": one.p_value,
            "wilcoxon_p": one.wilcoxon_p,
            "note": "; ".join(text for text in (one.note, one.difference.note) if text),
        }
        for one in found.differences
    ]


def _mcnemar(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_], patients: int) -> McNemar:
    """McNemar's exact test of which cases are right."""
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    differing = only_first + only_second
    p_value = float(stats.binomtest(only_first, differing).pvalue) if differing else 1.0
    note = ""
    if patients < len(first):
        note = "takes the cases of one patient for independent, which makes it too sure"
    both, neither = int((first & second).sum()), int((~first & ~second).sum())
    return McNemar(both, only_first, only_second, neither, p_value, note)


def _same_cases(first: CaseTable, second: CaseTable) -> list[tuple[CaseFigures, CaseFigures]]:
    other = {case.case: case for case in second.cases}
    require_same_cases([case.case for case in first.cases], list(other))
    return [(case, other[case.case]) for case in first.cases]


def _figure(label: str, figure: str, case: CaseFigures) -> float | None:
    for one in case.labels:
        if one.name == label:
            return one.figures().get(figure)
    return None


def _named(cases: set[str]) -> str:
    names = sorted(cases)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
