"""Segments that may overlap, as few label maps as hold them without losing a voxel."""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import ReadError
from napari_medcnn.core.geometry import AxisMap, Geometry
from napari_medcnn.core.segmentation import Label

Box: TypeAlias = tuple[int | slice, slice, slice]
Mask: TypeAlias = npt.NDArray[np.bool_]

_GOLDEN_RATIO = 0.618033988749895


@dataclass(frozen=True)
class SegmentMasks:
    """One segment: its label, and where it is.

    `parts` gives, as often as it is called, boxes of an array in the file's axis order, each with
    a mask of the box's shape.
    """

    label: Label
    parts: Callable[[], Iterator[tuple[Box, Mask]]]


@dataclass(frozen=True, eq=False)
class LabelLayer:
    """A label map ``(z, y, x)`` on the grid of a volume, and the labels in it."""

    array: npt.NDArray[Any]
    labels: tuple[Label, ...]


@dataclass(frozen=True, eq=False)
class LabelLayers:
    """What a file of segments holds, on the grid of one volume.

    Parameters
    ----------
    layers : tuple of LabelLayer
        One where no segments overlap; else each segment lies in the first layer where it fits.
    notes : tuple of str
        What a careful reader would want to know: thresholds, moved slices, what was left out.
    overlaps : tuple of str
        Names of the segments that did not fit the first layer.
    """

    layers: tuple[LabelLayer, ...]
    notes: tuple[str, ...] = ()
    overlaps: tuple[str, ...] = ()


def chosen(labels: Iterable[Label], names: Sequence[str] | None, path: Path) -> list[Label]:
    """The labels of these names or values, in their own order; all for None.

    Raises
    ------
    ReadError
        When one of them is not there; the hint lists what is.
    """
    labels = list(labels)
    if names is None:
        return labels
    for name in names:
        if not any(name in (label.name, str(label.value)) for label in labels):
            there = ", ".join(f"{label.value} {label.name!r}" for label in labels)
            raise ReadError(f"has no segment {name!r}", source=path, hint=f"there are {there}")
    return [lb for lb in labels if lb.name in names or str(lb.value) in names]


def layered(
    segments: Sequence[SegmentMasks], grid: Geometry, axes: AxisMap, notes: Iterable[str] = ()
) -> LabelLayers:
    """Lay segments into as few label maps as their overlaps allow, first fit in their order.

    Parameters
    ----------
    segments : sequence of SegmentMasks
        With different label values.
    grid : Geometry
        Of the label maps ``(z, y, x)``.
    axes : AxisMap
        ``axes.apply(label map)`` has the axis order of the segments' boxes.
    notes : iterable of str
        Passed on.
    """
    dtype = np.min_scalar_type(max((s.label.value for s in segments), default=0))
    layers: list[tuple[npt.NDArray[Any], list[Label]]] = []
    overlaps = []
    for segment in segments:
        number = _first_free(segment, layers, axes)
        if number == len(layers):
            layers.append((np.zeros(grid.shape, dtype=dtype), []))
        array, labels = layers[number]
        labels.append(segment.label)
        view = axes.apply(array)
        for box, mask in segment.parts():
            view[box][mask] = segment.label.value
        if number:
            overlaps.append(segment.label.name)
    if not layers:
        layers.append((np.zeros(grid.shape, dtype=dtype), []))
    return LabelLayers(
        tuple(LabelLayer(array, tuple(labels)) for array, labels in layers),
        tuple(notes),
        tuple(overlaps),
    )


def _first_free(
    segment: SegmentMasks, layers: list[tuple[npt.NDArray[Any], list[Label]]], axes: AxisMap
) -> int:
    for number, (array, _) in enumerate(layers):
        view = axes.apply(array)
        if not any(view[box][mask].any() for box, mask in segment.parts()):
            return number
    return len(layers)


def numbered_label(value: int) -> Label:
    """A label without a name of its own, in a colour that differs from its neighbours'."""
    colour = colorsys.hsv_to_rgb((value - 1) * _GOLDEN_RATIO % 1, 0.75, 0.95)
    return Label(value, f"label {value}", colour)
