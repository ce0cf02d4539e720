"""A contact sheet of what was found: a picture for people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from napari_medcnn.core.atomic import replacing
from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.geometry import Index
from napari_medcnn.core.lesion import Lesion, LesionTable
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.report.lesion_list import draw_lesion_list
from napari_medcnn.report.notice import RESEARCH_USE_NOTICE
from napari_medcnn.report.section import Plane, Stack, body_box
from napari_medcnn.report.section_painter import BACKGROUND, QUIET_TEXT, TEXT, SectionPainter
from napari_medcnn.report.window import Window, choose_window

DPI = 110
ROW_SLICES = 6

_SHEET_INCHES = (15, 9.6)
_BODY = 0.15  # the part of the window below which a voxel counts as background


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
    painter = SectionPainter(stack, window, colours, volume.spacing_known)
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
