"""A contact sheet of boxes: axial slices through those with the highest scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from matplotlib.patheffects import withStroke

from napari_medcnn.core.atomic import replacing
from napari_medcnn.core.detection import Detection, Detections
from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.volume import Volume
from napari_medcnn.imaging.box_sections import section_of, slices_of
from napari_medcnn.report.notice import RESEARCH_USE_NOTICE
from napari_medcnn.report.overlay import DPI
from napari_medcnn.report.section import Plane, Section, Stack, body_box
from napari_medcnn.report.section_painter import BACKGROUND, QUIET_TEXT, TEXT
from napari_medcnn.report.window import Window, window_at

PICTURES = 8
"""How many boxes get a slice of their own."""

_COLUMNS = 4
_SHEET_INCHES = (15, 8.6)
_BODY = 0.15  # the part of the window below which a voxel counts as background
_OTHERS = 0.55  # how strongly boxes are drawn that another slice is about
_HALO = [withStroke(linewidth=2, foreground="black")]


def write_box_overlay(volume: Volume, detections: Detections, path: str | Path) -> None:
    """Write a PNG: the slice through the middle of each of the best boxes, with all its boxes.

    Slices are in radiological convention with the right proportions; on an oblique grid they are
    those of the grid.

    Raises
    ------
    InputMismatch
        When the volume has several frames.
    WriteError
        When `path` cannot be written.
    """
    if volume.frames is not None:
        raise InputMismatch("a picture shows one frame only", source=volume.name)
    figure = _sheet(volume, detections)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI, facecolor=BACKGROUND)


def _sheet(volume: Volume, detections: Detections) -> Figure:
    axes = volume.geometry.canonical_axes()
    grid = volume.geometry.reordered(axes)
    image = axes.apply(volume.array)
    best = detections.boxes[:PICTURES]
    window = _window(volume, detections)
    nothing = np.broadcast_to(np.uint32(0), image.shape)
    above = window.low + _BODY * (window.high - window.low)
    stack = Stack(
        image, nothing, nothing, grid.spacing, body_box(image, nothing, grid.spacing, above)
    )
    figure = Figure(figsize=_SHEET_INCHES, facecolor=BACKGROUND)
    FigureCanvasAgg(figure)
    _title(figure, volume, detections, window)
    slices = [box.anchor_on(grid)[0] for box in best] or [image.shape[0] // 2]
    rows = 1 if len(slices) <= _COLUMNS else 2
    for number, index in enumerate(slices):
        place = figure.add_subplot(rows, _COLUMNS, number + 1)
        section = stack.section(Plane.AXIAL, index)
        own = best[number] if best else None
        _draw(place, section, window, grid, detections, own)
    figure.subplots_adjust(0.01, 0.06, 0.99, 0.9, 0.03, 0.12)
    return figure


def _window(volume: Volume, detections: Detections) -> Window:
    if not detections.boxes:
        return window_at(volume, None)
    z, y, x = detections.boxes[0].anchor_on(volume.geometry)
    return window_at(volume, ((z, y, x), (z + 1, y + 1, x + 1)))


def _title(figure: Figure, volume: Volume, detections: Detections, window: Window) -> None:
    count = len(detections.boxes)
    found = f"{count} box{'' if count == 1 else 'es'}" if count else "no boxes"
    shown = f"the {PICTURES} with the highest scores" if count > PICTURES else ""
    model = detections.model
    figure.text(0.012, 0.955, volume.name, color=TEXT, size=17, weight="bold", va="center")
    parts = [
        volume.modality,
        window.name,
        found,
        shown,
        f"model {model.title or model.id} {model.version}".strip(),
        "oblique grid: slices follow the grid" if volume.geometry.is_oblique else "",
    ]
    line = "  ·  ".join(part for part in parts if part)
    figure.text(0.988, 0.955, line, color=QUIET_TEXT, size=12, va="center", ha="right")
    figure.text(0.5, 0.022, RESEARCH_USE_NOTICE, color="#ffc857", size=12, ha="center", va="center")


def _draw(
    axes: Axes,
    section: Section,
    window: Window,
    grid: Geometry,
    detections: Detections,
    own: Detection | None,
) -> None:
    down, right = (n * s for n, s in zip(section.image.shape, section.spacing, strict=True))
    axes.imshow(
        section.image, cmap="gray", vmin=window.low, vmax=window.high,
        extent=(0, right, down, 0), interpolation="bilinear", aspect="equal",
    )  # fmt: skip
    axes.set_axis_off()
    for box in _touching(detections.boxes, grid, section.index):
        outline = section_of(box.corners_on(grid), 0, section.index)
        if outline is None:
            continue
        points = np.column_stack([section.right(outline[:, 1]), section.down(outline[:, 0])])
        strong = box is own
        colour = detections.label_of(box.label).colour
        axes.add_patch(
            Polygon(points, fill=False, edgecolor=colour, linewidth=1.6 if strong else 0.9,
                    alpha=1.0 if strong else _OTHERS)
        )  # fmt: skip
    axes.set_xlim(
        *(edge * section.spacing[1] for edge in (section.columns.start, section.columns.stop))
    )
    axes.set_ylim(*(edge * section.spacing[0] for edge in (section.rows.stop, section.rows.start)))
    if own is not None:
        z, y, x = own.size_mm
        axes.set_title(
            f"{own.id}   score {own.score:.2f}   {x:.0f} × {y:.0f} × {z:.0f} mm",
            color=TEXT, size=10, pad=4,
        )  # fmt: skip
    for letter, (at_x, at_y), side in (("R", (0.012, 0.5), "left"), ("L", (0.988, 0.5), "right")):
        axes.text(
            at_x, at_y, letter, transform=axes.transAxes, color="#7fd4ff", size=11, weight="bold",
            ha=side, va="center", path_effects=_HALO,
        )  # fmt: skip


def _touching(boxes: Sequence[Detection], grid: Geometry, index: int) -> list[Detection]:
    return [b for b in boxes if index in slices_of(b.corners_on(grid), 0, grid.shape[0])]
