"""Draw sections of a volume with outlines, ids, sides of the patient and a scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from napari_medcnn.core.geometry import Index
from napari_medcnn.core.segmentation import Colour
from napari_medcnn.report.section import Section, Stack
from napari_medcnn.report.window import Window

BACKGROUND = "black"
TEXT = "#f2f2f2"
QUIET_TEXT = "#a8a8a8"

_GAP = 0.006
_IDS_BY_SECTION = 8
_ID_SPACE = (0.09, 0.06)  # what the text of an id takes of a section's width and height
_BAR_LENGTHS_MM = (100, 50, 20, 10, 5, 2, 1)
_HALO = [withStroke(linewidth=2, foreground="black")]


class SectionPainter:
    """Draws sections of one stack alike."""

    def __init__(
        self, stack: Stack, window: Window, colours: Mapping[int, Colour], spacing_known: bool
    ) -> None:
        self.stack = stack
        self.window = window
        self.colours = colours
        self.spacing_known = spacing_known

    def draw_row(
        self,
        figure: Figure,
        sections: Sequence[Section],
        place: tuple[float, float, float, float],
        focus: Index | None = None,
    ) -> None:
        """Sections side by side at one scale in the part (left, bottom, width, height)."""
        left, bottom, width, height = place
        sheet_width, sheet_height = figure.get_size_inches()
        widths = [section.size[1] for section in sections]
        tallest = max(section.size[0] for section in sections)
        room = width - _GAP * (len(sections) - 1)
        scale = min(room * sheet_width / sum(widths), height * sheet_height / tallest)
        gap = (width - sum(widths) * scale / sheet_width) / max(1, len(sections) - 1)
        at = left
        for section in sections:
            high, wide = (length * scale for length in section.size)
            base = bottom + (height - high / sheet_height) / 2
            axes = figure.add_axes((at, base, wide / sheet_width, high / sheet_height))
            self.draw(axes, section, focus)
            at += wide / sheet_width + min(gap, 0.05)

    def draw(self, axes: Axes, section: Section, focus: Index | None = None) -> None:
        """One section; with `focus`, short lines show where the other planes cut it."""
        rows, columns = section.image.shape
        (right, down) = (columns * section.spacing[1], rows * section.spacing[0])
        axes.imshow(
            section.image, cmap="gray", vmin=self.window.low, vmax=self.window.high,
            extent=(0, right, down, 0), interpolation="bilinear", aspect="equal",
        )  # fmt: skip
        axes.set_axis_off()
        self._outline(axes, section)
        _ids(axes, section)
        axes.set_xlim(
            section.columns.start * section.spacing[1], section.columns.stop * section.spacing[1]
        )
        axes.set_ylim(
            section.rows.stop * section.spacing[0], section.rows.start * section.spacing[0]
        )
        if focus is not None:
            _cut_marks(axes, self.stack.on_section(section, focus))
        _letters(axes, section)
        if self.spacing_known:
            _scale_bar(axes, section.size[1])

    def _outline(self, axes: Axes, section: Section) -> None:
        for value in np.unique(section.labels[section.labels > 0]):
            # One empty row and column around: an outline closes at the edge of the image too.
            mask = np.pad(section.labels == value, 1)
            rows, columns = (np.arange(-1, n - 1, dtype=np.float64) for n in mask.shape)
            right, down = section.right(columns), section.down(rows)
            colour = self.colours.get(int(value), (1.0, 0.0, 0.0))
            axes.contour(right, down, mask, levels=[0.5], colors=[colour], linewidths=1.1)


def _cut_marks(axes: Axes, at: tuple[float, float]) -> None:
    style: dict[str, Any] = {"color": "#7fd4ff", "linewidth": 0.9, "alpha": 0.8}
    for begin, end in ((0.0, 0.04), (0.96, 1.0)):
        axes.axhline(at[1], begin, end, **style)
        axes.axvline(at[0], begin, end, **style)


def _ids(axes: Axes, section: Section) -> None:
    """Ids of the largest lesions at their right edge, as far as they do not cover each other."""
    height, width = section.size
    ids, counts = np.unique(section.ids[section.ids > 0], return_counts=True)
    placed: list[tuple[float, float]] = []
    for lesion_id in ids[np.argsort(-counts, kind="stable")]:
        rows, columns = np.nonzero(section.ids == lesion_id)
        rightmost = int(columns.argmax())
        right = section.right(float(columns[rightmost]))
        down = section.down(float(rows[rightmost]))
        if len(placed) == _IDS_BY_SECTION:
            break
        if any(
            abs(right - x) < _ID_SPACE[0] * width and abs(down - y) < _ID_SPACE[1] * height
            for x, y in placed
        ):
            continue
        placed.append((right, down))
        axes.annotate(
            str(lesion_id), (right, down), xytext=(4, 3), textcoords="offset points",
            color="white", size=9, weight="bold", path_effects=_HALO, annotation_clip=True,
        )  # fmt: skip


def _letters(axes: Axes, section: Section) -> None:
    places = ((0.012, 0.5), (0.988, 0.5), (0.5, 0.985), (0.5, 0.015))
    sides = (("left", "center"), ("right", "center"), ("center", "top"), ("center", "bottom"))
    for letter, (x, y), (ha, va) in zip(section.plane.letters, places, sides, strict=True):
        axes.text(
            x, y, letter, transform=axes.transAxes, color="#7fd4ff", size=11, weight="bold",
            ha=ha, va=va, path_effects=_HALO,
        )  # fmt: skip
    axes.text(
        0.015, 0.985, f"{section.plane.title} {section.index}", transform=axes.transAxes,
        color=TEXT, size=9, ha="left", va="top", path_effects=_HALO,
    )  # fmt: skip


def _scale_bar(axes: Axes, width: float) -> None:
    length = next((mm for mm in _BAR_LENGTHS_MM if mm <= width / 3), None)
    if length is None:
        return
    begin, end = 0.03, 0.03 + length / width
    axes.plot(
        [begin, end], [0.03, 0.03], transform=axes.transAxes, color="white", linewidth=2.2,
        solid_capstyle="butt", path_effects=_HALO,
    )  # fmt: skip
    axes.annotate(
        f"{length} mm", (begin, 0.03), xycoords="axes fraction", xytext=(0, 4),
        textcoords="offset points", color="white", size=8.5, path_effects=_HALO,
    )  # fmt: skip
