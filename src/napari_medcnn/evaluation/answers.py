"""What a classifier said of labelled cases: the input of every figure, curve and comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.evaluation.classification import questions_of
from napari_medcnn.evaluation.one_vs_rest import Questions


@dataclass(frozen=True, eq=False)
class Answers:
    """Labelled cases with a model's probabilities; checked when made.

    Parameters
    ----------
    cases, groups : tuple of str
        The cases' names, and their patients.
    classes : tuple of str
        In the order of the model's outputs.
    truth : numpy.ndarray
        ``(case,)`` numbers of classes; multi-label: ``(case, class)`` of 0 and 1.
    probabilities : numpy.ndarray
        ``(case, class)``.
    multi_label : bool
        Whether several classes may be true of a case.

    Raises
    ------
    InputMismatch
        When the parts do not fit each other, or rows are no probabilities.
    """

    cases: tuple[str, ...]
    groups: tuple[str, ...]
    classes: tuple[str, ...]
    truth: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]
    multi_label: bool = False

    def __post_init__(self) -> None:
        if not len(self.cases) == len(self.groups) == len(self.truth):
            raise InputMismatch(
                f"{len(self.cases)} cases, {len(self.groups)} patients and {len(self.truth)} "
                "true classes do not belong together"
            )
        self.questions()

    def questions(self) -> Questions:
        """Truth and answers of each class against all others."""
        return questions_of(
            self.truth, self.probabilities, len(self.classes), multi_label=self.multi_label
        )

    def names(self, of: npt.NDArray[np.bool_]) -> str:
        """The names of the classes that are set in a row of :class:`Questions`."""
        return ", ".join(name for name, is_it in zip(self.classes, of, strict=True) if is_it)


def answer_records(
    answers: Answers, seconds: Sequence[float], failed: Sequence[tuple[str, str, str]] = ()
) -> list[dict[str, Any]]:
    """A record a case, the worst first, to be written as a table.

    Cases that failed come first; then those whose true class got the smallest probability
    (multi-label: with the largest error of any class).

    Parameters
    ----------
    answers : Answers
        What the model said.
    seconds : sequence of float
        How long each case took.
    failed : sequence of (case, patient, reason)
        Cases without an answer.
    """
    asked = answers.questions()
    trust = np.where(asked.true, asked.given, 1 - asked.given)
    score = trust.min(1) if answers.multi_label else asked.given[asked.true]
    order = sorted(range(len(score)), key=lambda n: (score[n], answers.cases[n]))
    empty = dict.fromkeys(["truth", "said", "right", *(f"p {n}" for n in answers.classes)])
    records: list[dict[str, Any]] = [
        {"case": case, "patient": patient, **empty, "seconds": None, "note": why}
        for case, patient, why in failed
    ]
    for n in order:
        chances = {f"p {c}": float(p) for c, p in zip(answers.classes, asked.given[n], strict=True)}
        records.append(
            {
                "case": answers.cases[n],
                "patient": answers.groups[n],
                "truth": answers.names(asked.true[n]),
                "said": answers.names(asked.said[n]),
                "right": bool((asked.true[n] == asked.said[n]).all()),
                **chances,
                "seconds": round(seconds[n], 3),
                "note": "",
            }
        )
    return records
