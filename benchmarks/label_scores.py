"""Dice of label maps on cases with truth, whoever made them, with intervals by patient."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_medcnn.core.errors import GeometryError
from napari_medcnn.evaluation.confidence import Interval, bootstrap_interval
from napari_medcnn.evaluation.overlap import dice
from napari_medcnn.io.single_file import read_image
from napari_medcnn.training.manifest import Manifest

AGREE = 1e-6
"""Two Dice coefficients of the same voxels differ by less."""


@dataclass(frozen=True)
class Scores:
    """Dice by case and class.

    Parameters
    ----------
    classes : tuple of str
        Of the foreground.
    by_case : dict
        For each case the Dice of each of `classes`; None where truth and prediction have none.
    """

    classes: tuple[str, ...]
    by_case: dict[str, tuple[float | None, ...]]

    def means(self) -> dict[str, float | None]:
        """The mean over the classes of each case; None where it has no class."""
        return {case: _mean(values) for case, values in self.by_case.items()}

    def of_class(self, name: str) -> dict[str, float | None]:
        """One class, by case."""
        place = self.classes.index(name)
        return {case: values[place] for case, values in self.by_case.items()}


def score(manifest: Manifest, cases: Sequence[str], predictions: Path) -> Scores:
    """Judge the files ``CASE.nii.gz`` in a folder.

    Raises
    ------
    ReadError
        When one is missing or damaged.
    GeometryError
        When one has another shape than its truth.
    """
    by_case = {}
    for name in cases:
        label = manifest.case(name).label
        if label is None:
            raise SystemExit(f"{name} has no truth to be judged by")
        truth, said = read_image(label).array, read_image(predictions / f"{name}.nii.gz").array
        if truth.shape != said.shape:
            raise GeometryError(
                f"{said.shape} voxels do not fit a truth of {truth.shape}",
                source=predictions / f"{name}.nii.gz",
            )
        by_case[name] = tuple(
            dice(said == value, truth == value) for value in manifest.label_values
        )
    return Scores(manifest.classes, by_case)


def interval_of(values: dict[str, float | None], patients: dict[str, str]) -> Interval:
    """The mean over cases; patients are resampled."""
    return bootstrap_interval(list(values.values()), groups=[patients[case] for case in values])


def difference(
    ours: dict[str, float | None], theirs: dict[str, float | None]
) -> dict[str, float | None]:
    """Ours less theirs, case by case; None where either has none."""

    def of(case: str) -> float | None:
        one, other = ours[case], theirs[case]
        return None if one is None or other is None else one - other

    return {case: of(case) for case in ours}


def disagreements(scores: Scores, cases_json: Path) -> Iterator[str]:
    """Where the figures that ``medcnn train`` wrote are others than these, in words."""
    told = {
        (record["case"], record["label"]): record["dice"]
        for record in json.loads(cases_json.read_text())
        if record["label"] is not None
    }
    for case, values in scores.by_case.items():
        for name, value in zip(scores.classes, values, strict=True):
            if (case, name) not in told:
                yield f"{case}, {name}: medcnn train has no figure"
            elif not _same(value, told[case, name]):
                yield f"{case}, {name}: Dice {value} here, {told[case, name]} in medcnn train"


def text(interval: Interval, *, signed: bool = False) -> str:
    """``0.853 (0.841–0.864)``."""
    if interval.estimate is None:
        return "-"
    sign = "+" if signed else ""
    if interval.low is None or interval.high is None:
        return f"{interval.estimate:{sign}.3f} (no interval)"
    return f"{interval.estimate:{sign}.3f} ({interval.low:{sign}.3f} to {interval.high:{sign}.3f})"


def _same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) < AGREE


def _mean(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else None
