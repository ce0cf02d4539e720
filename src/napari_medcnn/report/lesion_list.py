"""The largest lesions as lines of text beside their pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from napari_medcnn.core.lesion import Lesion, LesionTable, Measurement
from napari_medcnn.core.segmentation import Colour

_LINES = 12
_COLUMNS = (
    ("id", 0.13, "right"),
    ("volume, mL", 0.56, "right"),
    ("long × short, mm", 0.98, "right"),
)


def draw_lesion_list(
    axes: Axes,
    table: LesionTable,
    largest: Sequence[Lesion],
    colours: Mapping[int, Colour],
    text: str,
    quiet_text: str,
) -> None:
    """Ids, volumes with their error, and axes of the largest lesions; how many are not listed."""
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(_LINES + 3, -0.5)
    for name, x, side in _COLUMNS:
        axes.text(x, 0, name, color=quiet_text, size=10, ha=side, va="center")
    for line, lesion in enumerate(largest[:_LINES], start=1):
        colour = colours.get(lesion.label, (1.0, 0.0, 0.0))
        axes.plot([0.03], [line], marker="s", markersize=6, color=colour, clip_on=False)
        cells = (str(lesion.id), _volume(lesion), _axes_text(lesion))
        for cell, (_, x, side) in zip(cells, _COLUMNS, strict=True):
            axes.text(x, line, cell, color=text, size=10.5, ha=side, va="center")
    notes = []
    if len(largest) > _LINES:
        notes.append(f"and {len(largest) - _LINES} smaller ones")
    if table.dropped_count:
        notes.append(f"{table.dropped_count} below {table.min_volume_mm3:g} mm³ left out")
    if not largest:
        notes.append("no lesions")
    for line, note in enumerate(notes, start=min(len(largest), _LINES) + 1):
        axes.text(0.98, line, note, color=quiet_text, size=10, ha="right", va="center")


def _volume(lesion: Lesion) -> str:
    volume = lesion.volume_ml
    if volume.value is None:
        return "–"
    digits = 1 if volume.value >= 10 else 2 if volume.value >= 0.1 else 3
    error = "" if volume.error is None else f" ± {volume.error:.{digits}f}"
    return f"{volume.value:.{digits}f}{error}"


def _axes_text(lesion: Lesion) -> str:
    return f"{_length(lesion.long_axis_mm)} × {_length(lesion.short_axis_mm)}"


def _length(measurement: Measurement) -> str:
    return "–" if measurement.value is None else f"{measurement.value:.1f}"
