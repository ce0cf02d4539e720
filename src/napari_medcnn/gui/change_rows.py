"""What became of lesions as rows of a table and as sentences, in the report's words and colours."""

from __future__ import annotations

from dataclasses import dataclass

from napari_medcnn.core.change import Change, ChangeClass, LesionChange
from napari_medcnn.core.followup import FollowUp
from napari_medcnn.core.lesion import Measurement
from napari_medcnn.gui.measurement_text import MISSING, full_text
from napari_medcnn.report.figure_text import counted

COLUMNS: tuple[tuple[str, str], ...] = (
    ("Change", "What became of the lesion; a reader's worries come first"),
    ("Lesion", "Its number at baseline → at follow-up, as in the Lesions panel"),
    ("Δ mL", "Volume after less volume before, with the 95 % error of both measurements"),
    ("%", "The same in percent of the volume before"),
    ("Before mL", "Volume at baseline, with the error to expect"),
    ("After mL", "Volume at follow-up, with the error to expect"),
    ("Sure", "How sure it is that these are one lesion, from 0 to 1; ✎: linked by you"),
)
"""Titles and what they mean."""

_LAST = float("inf")


@dataclass(frozen=True)
class Cell:
    """What a cell shows, and by what it is sorted."""

    text: str
    sort: float


@dataclass(frozen=True, eq=False)
class ChangeRow:
    """One row.

    Parameters
    ----------
    change : LesionChange
        What it is about.
    cells : tuple of Cell
        One for each of :data:`COLUMNS`.
    tip : str
        Why it was classed so, and its further figures.
    colour : str
        Of its class, as in the report: ``#rrggbb``.
    """

    change: LesionChange
    cells: tuple[Cell, ...]
    tip: str
    colour: str


# The report's modules load matplotlib: a worker waits for that, the opening of a dock does not.


def rows_of(change: Change) -> tuple[ChangeRow, ...]:
    """Every lesion, by class as the report lists them, and the largest change first."""
    from napari_medcnn.report.change_plots import COLOUR_OF
    from napari_medcnn.report.followup_content import ORDER

    def rank(lesion: LesionChange) -> tuple[int, float]:
        return ORDER.index(lesion.kind), -abs(lesion.difference_mm3.value or 0.0)

    ranked = sorted(change.lesions, key=rank)
    return tuple(
        ChangeRow(lesion, _cells(lesion, place), _tip(lesion), COLOUR_OF[lesion.kind])
        for place, lesion in enumerate(ranked)
    )


def summary_of(found: FollowUp) -> str:
    """Counts and totals in words."""
    from napari_medcnn.report.followup_content import ORDER, in_ml

    change, totals = found.change, found.change.totals
    if not change.lesions:
        return "No lesion in either study."
    classes = [f"{change.counts[kind]} {kind.value}" for kind in ORDER if change.counts[kind]]
    sides = (
        (change.before.name, totals.count_before, totals.volume_before_mm3),
        (change.after.name, totals.count_after, totals.volume_after_mm3),
    )
    lines = [
        f"New and enlarging: {change.new_and_enlarging}",
        f"{', '.join(classes)}.",
        *(f"{name}: {counted(count, 'lesion')}, {in_ml(ml)} mL" for name, count, ml in sides),
    ]
    difference = totals.difference_mm3
    if difference.value is None:
        lines.append(f"Difference: not available, {difference.reason}")
    else:
        lines.append(f"Difference: {in_ml(difference)} mL{_within(difference)}")
    return "\n".join(lines)


def colours() -> dict[ChangeClass, str]:
    """The colour of every class, as in the report: ``#rrggbb``."""
    from napari_medcnn.report.change_plots import COLOUR_OF

    return dict(COLOUR_OF)


def _cells(lesion: LesionChange, place: int) -> tuple[Cell, ...]:
    from napari_medcnn.report.followup_content import in_ml, lesion_name

    keys = lesion.link.before or lesion.link.after
    percent = lesion.percent.value
    confidence = lesion.link.confidence
    volumes = [
        Cell(MISSING, _LAST)
        if sizes is None
        else Cell(in_ml(sizes.volume_mm3), _sort(sizes.volume_mm3))
        for sizes in (lesion.before, lesion.after)
    ]
    return (
        Cell(lesion.kind.value, place),
        Cell(lesion_name(lesion), keys[0].lesion_id),
        Cell(in_ml(lesion.difference_mm3), _sort(lesion.difference_mm3)),
        Cell(MISSING if percent is None else f"{percent:+.0f}", _sort(lesion.percent)),
        *volumes,
        _confidence(lesion.link.by_user, confidence),
    )


def _confidence(by_user: bool, confidence: float | None) -> Cell:
    if by_user:
        return Cell("✎", 2.0)
    return Cell(MISSING, _LAST) if confidence is None else Cell(f"{confidence:.2f}", confidence)


def _tip(lesion: LesionChange) -> str:
    lines = [
        f"{lesion.kind.value.capitalize()}: {lesion.reason}",
        full_text("Long axis, difference", lesion.long_axis_difference_mm),
        full_text("Growth", lesion.growth.mm3_per_day),
        full_text("Doubling time", lesion.growth.doubling_time_days),
    ]
    if lesion.link.overlap is not None:
        lines.append(f"Overlap: {lesion.link.overlap:.0%}")
    if lesion.link.distance_mm is not None:
        lines.append(f"Gap: {lesion.link.distance_mm:.1f} mm")
    return "\n".join(lines)


def _sort(measurement: Measurement) -> float:
    return _LAST if measurement.value is None else measurement.value


def _within(difference: Measurement) -> str:
    value, error = difference.value, difference.error
    within = value is not None and error is not None and abs(value) <= error
    return ", within the measurement error" if within else ""
