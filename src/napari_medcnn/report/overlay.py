"""A contact sheet of what was found: a picture for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from napari_medcnn.core.atomic import replacing
from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.geometry import Index
from napari_medcnn.core.lesion import Lesion, LesionTable
from napari_medcnn.core.segmentation import Colour, Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.report.lesion_list import draw_lesion_list
from napari_medcnn.report.notice import RESEARCH_USE_NOTICE
from napari_medcnn.report.section import Plane, Section, Stack, body_box
from napari_medcnn.report.window import Window, choose_window

BACKGROUND = "black"
TEXT = "#f2f2f2"
QUIET_TEXT = "#a8a8a8"
DPI = 110
ROW_SLICES = 6

_SHEET_INCHES = (15, 9.6)
_GAP = 0.006
_BODY = 0.15  # the part of the window below which a voxel counts as background
_IDS_BY_SECTION = 8
_ID_SPACE = (0.09, 0.06)  # what the text of an id takes of a section's width and height
_BAR_LENGTHS_MM = (100, 50, 20, 10, 5, 2, 1)
_HALO = [withStroke(linewidth=2, foreground="black")]


def write_overlay(
    volume: Volume, segmentation: Segmentation, table: LesionTable, path: str | Path
) -> None:
    """Write a PNG: three planes through the largest lesion, a list, and a row of axial slices.

    Sections are in radiological convention with the right proportions; lesions are outlined in
    their label's colour. On an oblique grid the sections are those of the grid.

    Parameters
    ----------
    volume : Volume
        One frame.
    segmentation : Segmentation
        Of that volume.
    table : LesionTable
        Its lesions.
    path : str or Path
        The ``.png`` file.

    Raises
    ------
    InputMismatch
        When the volume has several frames.
    WriteError
        When `path` cannot be written.
    """
    if volume.frames is not None:
        raise InputMismatch("a picture shows one frame only", source=volume.name)
    figure = _sheet(volume, segmentation, table)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI, facecolor=BACKGROUND)


def _sheet(volume: Volume, segmentation: Segmentation, table: LesionTable) -> Figure:
    largest = tuple(sorted(table.lesions, key=lambda lesion: -lesion.voxel_count))
    window = choose_window(volume, largest)
    stack = _stack(volume, segmentation, table, window)
    colours = {label.value: label.colour for label in segmentation.labels}
    painter = _Painter(stack, window, colours, volume.spacing_known)
    focus = _focus(stack, largest)
    figure = Figure(figsize=_SHEET_INCHES, facecolor=BACKGROUND)
    FigureCanvasAgg(figure)
    _title(figure, volume, segmentation, table, window)
    list_axes = figure.add_axes((0.76, 0.38, 0.23, 0.55))
    draw_lesion_list(list_axes, table, largest, colours, TEXT, QUIET_TEXT)
    if volume.is_2d:
        section = stack.section(Plane.AXIAL, 0)
        painter.draw_row(figure, [section], (0.01, 0.06, 0.74, 0.87))
        return figure
    planes = [stack.section(plane, focus[plane.axis]) for plane in Plane]
    painter.draw_row(figure, planes, (0.01, 0.41, 0.74, 0.52), focus)
    slices = [stack.section(Plane.AXIAL, index) for index in _spread_slices(stack)]
    painter.draw_row(figure, slices, (0.01, 0.05, 0.98, 0.34))
    return figure


def _stack(volume: Volume, segmentation: Segmentation, table: LesionTable, window: Window) -> Stack:
    axes = volume.geometry.canonical_axes()
    image, ids = axes.apply(volume.array), axes.apply(table.id_map)
    spacing = volume.geometry.reordered(axes).spacing
    above = window.low + _BODY * (window.high - window.low)
    box = body_box(image, ids, spacing, above)
    return Stack(image, axes.apply(segmentation.array), ids, spacing, box)


def _focus(stack: Stack, largest: Sequence[Lesion]) -> Index:
    """The voxel in the middle of the largest lesion's largest axial slice; else the centre."""
    if not largest:
        z, y, x = (n // 2 for n in stack.image.shape)
        return z, y, x
    mask = stack.ids == largest[0].id
    z = int(mask.sum(axis=(1, 2)).argmax())
    voxels = np.argwhere(mask[z])
    y, x = voxels[((voxels - voxels.mean(axis=0)) ** 2).sum(axis=1).argmin()]
    return z, int(y), int(x)


def _spread_slices(stack: Stack) -> list[int]:
    """Axial slices with equal shares of the lesions between them, head first."""
    area = np.count_nonzero(stack.ids, axis=(1, 2)).astype(np.float64)
    if not area.any():
        area[:] = 1
    share = np.cumsum(area) / area.sum()
    wanted = (np.arange(ROW_SLICES) + 0.5) / ROW_SLICES
    return sorted({int(i) for i in np.searchsorted(share, wanted)}, reverse=True)


def _title(
    figure: Figure, volume: Volume, segmentation: Segmentation, table: LesionTable, window: Window
) -> None:
    count = len(table.lesions)
    found = f"{count} lesion{'' if count == 1 else 's'}" if count else "no lesions"
    figure.text(0.012, 0.965, volume.name, color=TEXT, size=17, weight="bold", va="center")
    model = segmentation.model
    parts = [
        volume.modality,
        window.name,
        found,
        "" if model is None else f"model {model.title or model.id} {model.version}",
        "oblique grid: sections follow the grid" if volume.geometry.is_oblique else "",
    ]
    line = "  ·  ".join(part for part in parts if part)
    figure.text(0.988, 0.965, line, color=QUIET_TEXT, size=12, va="center", ha="right")
    figure.text(0.5, 0.022, RESEARCH_USE_NOTICE, color="#ffc857", size=12, ha="center", va="center")


class _Painter:
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
            self._draw(axes, section, focus)
            at += wide / sheet_width + min(gap, 0.05)

    def _draw(self, axes: Axes, section: Section, focus: Index | None) -> None:
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
