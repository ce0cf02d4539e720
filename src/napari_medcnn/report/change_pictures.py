"""A lesion at baseline and at follow-up, side by side: the same section of both images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from napari_medcnn.core.change import LesionChange, LesionKey
from napari_medcnn.core.followup import FollowUp
from napari_medcnn.core.segmentation import Colour
from napari_medcnn.core.volume import Volume
from napari_medcnn.report.plot_style import new_figure, styled
from napari_medcnn.report.section import Plane, Section, Stack
from napari_medcnn.report.section_painter import SectionPainter
from napari_medcnn.report.window import Window, window_at

AROUND_MM = 22.0
"""What is shown on each side of a lesion."""

LEAST_WIDTH_MM = 60.0
"""So that one sees where a small lesion lies."""

THIS, OTHER = 1, 2
COLOURS: dict[int, Colour] = {THIS: (1.0, 0.75, 0.1), OTHER: (0.45, 0.75, 1.0)}
"""Outlines of the lesion that a picture is about, and of others."""

Mask = npt.NDArray[np.bool_]
Ids = npt.NDArray[np.uint32]


def can_be_shown(found: FollowUp, change: LesionChange) -> bool:
    """Whether any of it lies on the baseline's grid."""
    return bool(_both(found, change).any())


@styled()
def figure_of_change(found: FollowUp, change: LesionChange) -> Figure:
    """The axial section in which a lesion is largest, at baseline and at follow-up.

    Both lie on the baseline's grid and show the same part of it, in radiological convention; each
    image has its own window. The lesion is outlined in yellow, others in blue.

    Parameters
    ----------
    found : FollowUp
        Both studies.
    change : LesionChange
        One of its lesions, for which :func:`can_be_shown` holds.
    """
    both = _both(found, change)
    axes = found.before.volume.geometry.canonical_axes()
    union = axes.apply(both)
    index = int(union.sum(axis=(1, 2)).argmax())
    figure = new_figure(4.4, 2.5)
    left, right = figure.subplots(1, 2)
    before, after, link = found.before, found.after, change.link
    # The resampled image has an edge of its lowest value, which would darken its window.
    windows = [window_at(study.volume, None) for study in (before, after)]
    _draw(left, before.volume, windows[0], before.table.id_map, link.before, index, union)
    _draw(right, found.after_image, windows[1], found.after_ids, link.after, index, union)
    left.set_title(before.point.name)
    right.set_title(after.point.name)
    return figure


def _both(found: FollowUp, change: LesionChange) -> Mask:
    """Where the lesion lies in either study, on the baseline's grid."""
    before = _mask(found.before.table.id_map, change.link.before)
    return before | _mask(found.after_ids, change.link.after)


def _mask(ids: Ids, keys: tuple[LesionKey, ...]) -> Mask:
    mask: Mask = np.isin(ids, [key.lesion_id for key in keys])
    return mask


def _draw(
    axes: Axes,
    volume: Volume,
    window: Window,
    ids: Ids,
    keys: tuple[LesionKey, ...],
    index: int,
    union: Mask,
) -> None:
    order = volume.geometry.canonical_axes()
    image, own = order.apply(volume.array), order.apply(_mask(ids, keys))
    labels = np.where(own, THIS, np.where(order.apply(ids) > 0, OTHER, 0))
    whole = (slice(0, image.shape[0]), slice(0, image.shape[1]), slice(0, image.shape[2]))
    # Numbers of lesions differ from one study to the next: they would only mislead here.
    none = np.broadcast_to(np.uint32(0), image.shape)
    stack = Stack(image, labels, none, volume.geometry.reordered(order).spacing, whole)
    section = _around(stack.section(Plane.AXIAL, index), union[index])
    painter = SectionPainter(stack, window, COLOURS, volume.spacing_known)
    painter.draw(axes, section)


def _around(section: Section, mask: Mask) -> Section:
    """The part of a section around a mask ``(row, column)``, square and within the image."""
    where = np.argwhere(mask)
    spacing = np.array(section.spacing)
    low, high = where.min(axis=0), where.max(axis=0) + 1
    half = max(float(((high - low) * spacing).max()) / 2 + AROUND_MM, LEAST_WIDTH_MM / 2)
    middle = (low + high) / 2
    starts = np.floor(middle - half / spacing).astype(int)
    stops = np.ceil(middle + half / spacing).astype(int)
    rows, columns = (
        slice(max(0, int(start)), min(size, int(stop)))
        for start, stop, size in zip(starts, stops, mask.shape, strict=True)
    )
    return replace(section, rows=rows, columns=columns)
