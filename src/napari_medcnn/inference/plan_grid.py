"""The network's grid and its windows, from an image's facts and a model's steps alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

from napari_medcnn.core.geometry import AxisMap, Index
from napari_medcnn.inference import nnunet_grid, nnunet_windows
from napari_medcnn.models.spec import ModelSpec, Step, WindowLayout

Spacing: TypeAlias = tuple[float, float, float]


def network_grid(
    spec: ModelSpec, shape: Index, spacing: Spacing, axes: AxisMap
) -> tuple[Index, Spacing, Index]:
    """The network's grid of an image, its axes in reverse: z, y, x for RAS.

    Crops to what an image holds are left out, so that sizes are upper bounds.

    Parameters
    ----------
    shape, spacing : tuple
        ``(z, y, x)`` of the image's canonical array.
    axes : AxisMap
        From the file's own axis order to the canonical one.

    Returns
    -------
    tuple
        Shape, spacing in mm, and for each axis the canonical array's axis that it is.
    """
    order = _axis_order(spec, axes)
    sizes = [shape[axis] for axis in order]
    lengths = [spacing[axis] for axis in order]
    for step in spec.preprocessing:
        if step.target == "NnunetPreprocessd":
            turned = [step.arguments["transpose_forward"][axis] for axis in (2, 1, 0)]
            sizes, lengths = [sizes[axis] for axis in turned], [lengths[axis] for axis in turned]
            order = index(order[axis] for axis in turned)
        sizes, lengths = _after(step, sizes, lengths)
    z, y, x = lengths
    return index(sizes), (z, y, x), order


def window_starts(
    size: int, window: int, overlap: float, layout: WindowLayout = "monai"
) -> tuple[int, ...]:
    """First voxels of the windows along one axis, as MONAI's or nnU-Net's sliding window lays them.

    MONAI's neighbours start ``int(window × (1 − overlap))`` voxels apart; the last is moved back so
    that it ends with the axis. An axis shorter than the window is padded and holds one.
    """
    if layout == "nnunet":
        return nnunet_windows.window_starts(size, window, overlap)
    size = max(size, window)
    step = window if window == size else max(int(window * (1 - overlap)), 1)
    count = math.ceil((size - window) / step) + 1
    return tuple(min(number * step, size - window) for number in range(count))


def count_windows(
    shape: Index, roi_size: Index, overlap: float, layout: WindowLayout = "monai"
) -> int:
    """How many windows cover a grid."""
    axes = zip(shape, roi_size, strict=True)
    return math.prod(len(window_starts(n, r or n, overlap, layout)) for n, r in axes)


def windows_over(
    shape: Index,
    roi: Index,
    overlap: float,
    part: Sequence[tuple[float, float]],
    layout: WindowLayout = "monai",
) -> tuple[int, Index]:
    """How many windows touch a part of a grid, and how many voxels they reach along each axis.

    Parameters
    ----------
    part : sequence of (float, float)
        Where it begins and ends along each axis, as a share of its length.
    """
    count, reach = 1, []
    for n, r, (low, high) in zip(shape, roi, part, strict=True):
        before = max(r - n, 0) // 2
        start, stop = math.floor(low * n) + before, math.ceil(high * n) + before
        starts = window_starts(n, r, overlap, layout)
        touching = [s for s in starts if s < stop and s + r > start]
        count *= len(touching)
        reach.append(touching[-1] + r - touching[0] if touching else 0)
    return count, index(reach)


def cheapest_axis(size: Sequence[int], roi: Sequence[int]) -> int:
    """The axis along which sums one window deep take the least memory; of equals the last.

    Axes are ``(z, y, x)``: the last is the first of the network's tensor.
    """
    voxels = [math.prod(size) / max(n, 1) * min(r, n) for n, r in zip(size, roi, strict=True)]
    return len(voxels) - 1 - voxels[::-1].index(min(voxels))


def index(values: Any) -> Index:
    """Three integers."""
    z, y, x = (int(v) for v in values)
    return z, y, x


def _axis_order(spec: ModelSpec, axes: AxisMap) -> Index:
    """Which axis of the canonical array each axis of the network's reversed grid is."""
    if spec.axcodes:
        return index("SIPALR".find(code) // 2 for code in reversed(spec.axcodes))
    return axes.inverse().order


def _after(step: Step, shape: list[int], spacing: list[float]) -> tuple[list[int], list[float]]:
    """Shape and spacing after one step."""
    if step.target == "Spacingd":
        wanted = [float(p) or s for p, s in zip(_reversed(step, "pixdim"), spacing, strict=True)]
        wanted = [w if w > 0 else s for w, s in zip(wanted, spacing, strict=True)]
        # MONAI keeps the first and last voxel's centre: (n - 1) intervals, rounded.
        steps = zip(shape, spacing, wanted, strict=True)
        return [round((n - 1) * s / w) + 1 for n, s, w in steps], wanted
    if step.target == "NnunetPreprocessd":
        target = _reversed(step, "spacing")
        return [max(n, 1) for n in nnunet_grid.resampled_shape(shape, spacing, target)], target
    if step.target == "DivisiblePadd":
        blocks = zip(shape, _reversed(step, "k"), strict=True)
        return [math.ceil(n / max(k, 1)) * max(int(k), 1) for n, k in blocks], spacing
    if step.target in ("SpatialPadd", "ResizeWithPadOrCropd"):
        sizes = zip(shape, _reversed(step, "spatial_size"), strict=True)
        keep = step.target == "SpatialPadd"
        return [max(n, int(s)) if keep or s <= 0 else int(s) for n, s in sizes], spacing
    return shape, spacing


def _reversed(step: Step, name: str) -> list[float]:
    value: Any = step.arguments.get(name)
    values = list(value) if isinstance(value, list | tuple) else [value] * 3
    return [float(v or 0) for v in reversed(values)]
