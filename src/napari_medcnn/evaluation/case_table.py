"""Figures of every case in one table, the worst first, and what they come to with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_medcnn.core.atomic import write_json, write_text
from napari_medcnn.evaluation.confidence import Interval, bootstrap_interval
from napari_medcnn.evaluation.froc import Candidates, Froc, froc
from napari_medcnn.evaluation.lesion_wise import LesionWise
from napari_medcnn.evaluation.overlap import Overlap

OVERLAP_FIGURES = (
    "dice",
    "jaccard",
    "sensitivity",
    "precision",
    "hd95_mm",
    "nsd",
    "truth_ml",
    "predicted_ml",
    "volume_error_ml",
    "volume_error_percent",
)
"""Of :class:`~napari_medcnn.evaluation.overlap.Overlap`, in the table's order."""

LESION_FIGURES = (
    "lesion_truths",
    "lesion_predictions",
    "lesion_matched",
    "lesion_sensitivity",
    "lesion_precision",
    "lesion_f1",
    "lesion_false_positives",
)
"""Of :class:`~napari_medcnn.evaluation.lesion_wise.LesionWise`, in the table's order."""

MEAN = "mean of labels"
"""The name of the summary of each case's mean Dice over its labels."""


@dataclass(frozen=True)
class LabelFigures:
    """One label in one case; `lesions` and `candidates` only where they were asked for."""

    value: int
    name: str
    overlap: Overlap
    lesions: LesionWise | None = None
    candidates: Candidates | None = None

    def figures(self) -> dict[str, float | None]:
        """Every figure by its name in the table."""
        found: dict[str, float | None] = {n: getattr(self.overlap, n) for n in OVERLAP_FIGURES}
        if self.lesions is not None:
            for name in LESION_FIGURES:
                found[name] = getattr(self.lesions, name.removeprefix("lesion_"))
        return found


@dataclass(frozen=True)
class CaseFigures:
    """One case.

    Parameters
    ----------
    case, group : str
        Its id, and its patient.
    labels : tuple of LabelFigures
        Empty where it failed.
    seconds : float
        For reading, running and measuring it.
    error : str
        Why it failed; such a case has no figures and counts in no mean.
    """

    case: str
    group: str
    labels: tuple[LabelFigures, ...] = ()
    seconds: float = 0.0
    error: str = ""

    @property
    def dice(self) -> float | None:
        """Mean Dice of the labels that have one."""
        there = [label.overlap.dice for label in self.labels if label.overlap.dice is not None]
        return float(np.mean(there)) if there else None


@dataclass(frozen=True)
class LabelSummary:
    """One label over all cases: `figures` are means of the cases that have them."""

    name: str
    figures: dict[str, Interval]


@dataclass(frozen=True)
class CaseTable:
    """All cases; use :func:`worst_first` to make one."""

    cases: tuple[CaseFigures, ...]

    @property
    def failed(self) -> tuple[CaseFigures, ...]:
        """Cases without figures."""
        return tuple(case for case in self.cases if case.error)

    @property
    def measured(self) -> tuple[CaseFigures, ...]:
        """Cases with figures."""
        return tuple(case for case in self.cases if not case.error)

    def records(self) -> list[dict[str, Any]]:
        """Flat records: one a case and label, one a case that failed."""
        return [record for case in self.cases for record in _records(case)]

    def frame(self) -> Any:
        """The records as a :class:`pandas.DataFrame`."""
        import pandas as pd

        return pd.DataFrame(self.records(), columns=_columns(self.cases))


def worst_first(cases: Sequence[CaseFigures]) -> CaseTable:
    """A table: cases that failed, then by mean Dice; cases without one stand last."""

    def rank(case: CaseFigures) -> tuple[int, float, str]:
        if case.error:
            return 0, 0.0, case.case
        return (2, 0.0, case.case) if case.dice is None else (1, case.dice, case.case)

    return CaseTable(tuple(sorted(cases, key=rank)))


def summarise(table: CaseTable, *, seed: int = 0) -> tuple[LabelSummary, ...]:
    """Means over the cases with 95 % intervals, patients resampled: all labels, then each.

    Parameters
    ----------
    table : CaseTable
        Cases that failed have no part in it.
    seed : int
        Of the resampling.
    """
    cases = table.measured
    groups = [case.group for case in cases]
    names = list(dict.fromkeys(label.name for case in cases for label in case.labels))
    mean = bootstrap_interval([case.dice for case in cases], seed, groups=groups)
    return (
        LabelSummary(MEAN, {"dice": mean}),
        *(LabelSummary(name, _of_label(cases, name, seed)) for name in names),
    )


def froc_of(table: CaseTable, *, seed: int = 0) -> dict[str, Froc]:
    """FROC of each label whose lesions were scored, over the cases that were measured."""
    scored: dict[str, list[tuple[Candidates, str]]] = {}
    for case in table.measured:
        for label in case.labels:
            if label.candidates is not None:
                scored.setdefault(label.name, []).append((label.candidates, case.group))
    return {
        name: froc([c for c, _ in of], [g for _, g in of], seed=seed) for name, of in scored.items()
    }


def write_table(folder: Path, table: CaseTable, summary: Sequence[LabelSummary]) -> None:
    """Write ``cases.csv``, ``cases.json`` and ``summary.json`` into a folder, each atomically.

    Raises
    ------
    WriteError
        When the folder cannot be written to.
    """
    write_text(folder / "cases.csv", table.frame().to_csv(index=False, lineterminator="\n"))
    write_json(folder / "cases.json", table.records())
    write_json(folder / "summary.json", [asdict(one) for one in summary])


def _records(case: CaseFigures) -> list[dict[str, Any]]:
    start = {"case": case.case, "patient": case.group}
    end = {"seconds": round(case.seconds, 2)}
    if case.error:
        return [{**start, "label": None, **end, "note": case.error}]
    return [
        {
            **start,
            "label": label.name,
            **label.figures(),
            **end,
            "note": label.overlap.undefined,
        }
        for label in case.labels
    ]


def _columns(cases: Sequence[CaseFigures]) -> list[str]:
    with_lesions = any(label.lesions for case in cases for label in case.labels)
    lesions = LESION_FIGURES if with_lesions else ()
    return ["case", "patient", "label", *OVERLAP_FIGURES, *lesions, "seconds", "note"]


def _of_label(cases: Sequence[CaseFigures], name: str, seed: int) -> dict[str, Interval]:
    found = [(c.group, lb.figures()) for c in cases for lb in c.labels if lb.name == name]
    groups = [group for group, _ in found]
    figures = dict.fromkeys(figure for _, values in found for figure in values)

    def interval(figure: str) -> Interval:
        return bootstrap_interval([values.get(figure) for _, values in found], seed, groups=groups)

    return {figure: interval(figure) for figure in figures}
