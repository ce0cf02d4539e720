"""The columns of the lesion table: what each shows, sorts by and explains."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from napari_medcnn.core.lesion import Lesion, Measurement, Origin, Verdict
from napari_medcnn.gui.measurement_text import (
    MISSING,
    axes_text,
    full_text,
    interval_text,
    value_text,
)

SortKey = float | str
VERDICT_MARKS = {Verdict.UNREVIEWED: "", Verdict.ACCEPTED: "✓", Verdict.REJECTED: "✗"}
SCORE_KEY = "score"
SCORE_MARKS = {True: "●", False: "○"}
"""Of lesions whose score reaches the operating point, and of the others."""

_VERDICT_ORDER = (Verdict.UNREVIEWED, Verdict.ACCEPTED, Verdict.REJECTED)
_LAST = float("inf")
_ORIGINS = {
    Origin.PREDICTED: "As it came from the model",
    Origin.EDITED: "Predicted by the model, changed by you",
    Origin.ADDED: "Drawn by a person or read from a file, not predicted",
}


@dataclass(frozen=True)
class Column:
    """One column: `text`, `sort` and `tip` of a lesion."""

    key: str
    title: str
    explanation: str
    text: Callable[[Lesion], str]
    sort: Callable[[Lesion], SortKey]
    tip: Callable[[Lesion], str]
    numeric: bool = True


def score_column(
    name: str, scores: Mapping[int, float], passed: Collection[int], doubt: str
) -> Column:
    """The column of what a classifier says of each lesion.

    Parameters
    ----------
    name : str
        The class whose probability it is.
    scores : mapping
        By the lesion's id; a lesion without one was not classified.
    passed : collection of int
        Ids of those at the operating point or above, which are marked.
    doubt : str
        What to know of all scores; empty for nothing.
    """

    def text(lesion: Lesion) -> str:
        if lesion.id not in scores:
            return MISSING
        return f"{SCORE_MARKS[lesion.id in passed]} {scores[lesion.id]:.3f}"

    def tip(lesion: Lesion) -> str:
        if lesion.id not in scores:
            return "Not classified: classify the lesions again in the Classify panel"
        where = "At the operating point or above" if lesion.id in passed else "Below"
        lines = (f"Probability of {name}: {scores[lesion.id]:.3f}", where, doubt)
        return "\n".join(line for line in lines if line)

    return Column(
        SCORE_KEY,
        f"p({name})",
        f"Probability of {name} that a classifier gave; {SCORE_MARKS[True]}: at the operating "
        "point or above",
        text,
        lambda lesion: scores.get(lesion.id, -1.0),
        tip,
    )


def _measured(
    key: str,
    title: str,
    explanation: str,
    name: str,
    of: Callable[[Lesion], Measurement],
    as_text: Callable[[Measurement], str] = interval_text,
) -> Column:
    return Column(
        key,
        title,
        explanation,
        lambda lesion: as_text(of(lesion)),
        lambda lesion: _sort_value(of(lesion)),
        lambda lesion: full_text(name, of(lesion)),
    )


def _words(key: str, title: str, explanation: str, of: Callable[[Lesion], str]) -> Column:
    return Column(
        key, title, explanation, of, lambda lesion: of(lesion).casefold(), of, numeric=False
    )


def _sort_value(measurement: Measurement) -> float:
    return _LAST if measurement.value is None else measurement.value


def _axes_tip(lesion: Lesion) -> str:
    return "\n".join(
        (full_text("Long axis", lesion.long_axis_mm), full_text("Short axis", lesion.short_axis_mm))
    )


def _border_tip(lesion: Lesion) -> str:
    if lesion.touches_border:
        return "Touches the edge of the image: its size is a lower bound"
    return "Lies wholly within the image"


def _whole_tip(lesion: Lesion) -> str:
    """Everything about one lesion, for the tooltip of its number."""
    where = MISSING
    if lesion.centroid_lps_mm is not None:
        where = ", ".join(f"{v:.1f}" for v in lesion.centroid_lps_mm) + " mm (LPS)"
    return "\n".join(
        (
            f"Lesion {lesion.id}, {lesion.label_name}, {lesion.voxel_count} voxels",
            f"Centroid: {where}",
            full_text("Volume", lesion.volume_ml),
            full_text("Volume", lesion.volume_mm3),
            full_text("Long axis", lesion.long_axis_mm),
            full_text("Short axis", lesion.short_axis_mm),
            full_text("Maximum 3D diameter", lesion.max_diameter_3d_mm),
            full_text("Mean intensity", lesion.mean),
            full_text("Standard deviation", lesion.sd),
            full_text("Mean probability", lesion.mean_probability),
        )
    )


COLUMNS: tuple[Column, ...] = (
    Column(
        "verdict",
        "✓",
        "Your decision: ✓ accepted, ✗ rejected",
        lambda lesion: VERDICT_MARKS[lesion.review.verdict],
        lambda lesion: float(_VERDICT_ORDER.index(lesion.review.verdict)),
        lambda lesion: lesion.review.verdict.value.capitalize(),
        numeric=False,
    ),
    Column(
        "id",
        "#",
        "Number of the lesion; it stays while you edit",
        lambda lesion: str(lesion.id),
        lambda lesion: float(lesion.id),
        _whole_tip,
    ),
    _measured(
        "volume",
        "mL",
        "Volume: voxels times voxel volume, with the error to expect",
        "Volume",
        lambda lesion: lesion.volume_ml,
    ),
    _measured(
        "probability",
        "Prob.",
        "Mean probability that the model gave",
        "Mean probability",
        lambda lesion: lesion.mean_probability,
        value_text,
    ),
    _words("label", "Label", "What it is called", lambda lesion: lesion.label_name),
    Column(
        "axes",
        "Axes mm",
        "Longest axial diameter × its perpendicular (RECIST)",
        axes_text,
        lambda lesion: _sort_value(lesion.long_axis_mm),
        _axes_tip,
    ),
    _measured(
        "max_diameter",
        "3D mm",
        "Largest distance of two points in any direction",
        "Maximum 3D diameter",
        lambda lesion: lesion.max_diameter_3d_mm,
    ),
    _measured(
        "mean",
        "Mean",
        "Mean intensity of the image in the lesion",
        "Mean intensity",
        lambda lesion: lesion.mean,
        value_text,
    ),
    Column(
        "origin",
        "Origin",
        "Predicted by the model, edited, or drawn",
        lambda lesion: lesion.origin.value,
        lambda lesion: lesion.origin.value,
        lambda lesion: _ORIGINS[lesion.origin],
        numeric=False,
    ),
    Column(
        "border",
        "Cut",
        "⚠: touches the edge of the image; its size is a lower bound",
        lambda lesion: "⚠" if lesion.touches_border else "",
        lambda lesion: float(lesion.touches_border),
        _border_tip,
        numeric=False,
    ),
    _words("note", "Note", "Your note", lambda lesion: lesion.review.note.replace("\n", " ")),
)
