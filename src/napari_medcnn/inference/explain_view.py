"""What the network sees of an image when it is explained, and where the map of that lies.

A network of volumes sees one window. A network of pictures sees slices, each of which is explained
by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.inference.way_back import Span

if TYPE_CHECKING:
    import torch

    from napari_medcnn.models.spec import ModelSpec

Spans = tuple[Span, Span, Span]
Weights = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class View:
    """One image for the network.

    Parameters
    ----------
    image : torch.Tensor
        ``(1, channel, x, y[, z])``.
    weights : torch.Tensor, optional
        Of the answer's voxels ``(x, y[, z])``, summing to 1; None for a classifier.
    share : float
        How much it counts in the score of all views; these sum to 1.
    spans : tuple of (int, int)
        First and last + 1 voxel on the network's grid ``(x, y, z)``; may reach beyond it.
    hidden_axis : int, optional
        The axis of ``x, y, z`` that a picture has not.
    """

    image: torch.Tensor
    weights: torch.Tensor | None
    share: float
    spans: Spans
    hidden_axis: int | None = None

    def put(self, values: torch.Tensor, into: npt.NDArray[np.float32]) -> None:
        """Write a map ``(x, y[, z])`` of the view to its place on the network's grid."""
        thick = values.cpu().numpy().reshape([stop - start for start, stop in self.spans])
        inside = [
            (max(start, 0), min(stop, n))
            for (start, stop), n in zip(self.spans, into.shape, strict=True)
        ]
        source = tuple(
            slice(a - start, b - start)
            for (a, b), (start, _) in zip(inside, self.spans, strict=True)
        )
        into[tuple(slice(a, b) for a, b in inside)] = thick[source]


def window_of(
    shape: Sequence[int], spec: ModelSpec, weights: Weights | None
) -> tuple[Spans, float]:
    """The box that is explained, and the share of the region that lies in it.

    A classifier sees all of the image. Of a segmentation the box has the size of the model's own
    window: around the region, or around its largest part where the region is larger than that. It
    reaches beyond an image that is smaller than a window.

    Parameters
    ----------
    shape : sequence of int
        Of the network's grid ``(x, y, z)``.
    weights : numpy.ndarray, optional
        The region on that grid, 0..1; None for a classifier.

    Raises
    ------
    InputMismatch
        When the region has no voxel there.
    """
    whole = tuple((0, n) for n in shape)
    if weights is None:
        return (whole[0], whole[1], whole[2]), 1.0
    if not weights.any():
        raise InputMismatch(
            "the region to explain holds no voxel of what the network sees",
            hint="choose a larger region, or another class",
        )
    roi = [r or n for r, n in zip(reversed(spec.roi_size), shape, strict=True)]
    box = _box(weights > 0)
    if any(stop - start > r for (start, stop), r in zip(box, roi, strict=True) if r > 1):
        box = _box(_largest_part(weights > 0))
    spans = [
        _span(around, r, n) if r > 1 or n == 1 else (0, n)
        for around, r, n in zip(box, roi, shape, strict=True)
    ]
    inside = weights[tuple(slice(max(a, 0), b) for a, b in spans)]
    return (spans[0], spans[1], spans[2]), float(inside.sum() / weights.sum())


def views_of(
    tensor: torch.Tensor,
    spans: Spans,
    weights: Weights | None,
    *,
    slice_axis: int | None,
    padding: tuple[str, float],
) -> Iterator[View]:
    """The images that the network is to see, one after the other.

    Parameters
    ----------
    tensor : torch.Tensor
        ``(channel, x, y, z)`` on the network's grid.
    weights : numpy.ndarray, optional
        The region on that grid, 0..1.
    slice_axis : int, optional
        Axis of ``x, y, z`` that a network of pictures does not know; slices without a voxel of the
        region are left out.
    padding : (str, float)
        How and with which value an image is filled up to the window.
    """
    total = 1.0 if weights is None else float(_cut(weights, spans).sum())
    for part in _parts(spans, slice_axis):
        counted = None if weights is None else _cut(weights, part)
        if counted is not None and not counted.any():
            continue
        image = _padded(tensor, part, padding)
        if slice_axis is not None:
            image = image.squeeze(slice_axis + 1)
        yield View(
            image[None],
            None if counted is None else _normalised(counted, part, slice_axis).to(tensor.device),
            1 / _count(part, spans) if counted is None else float(counted.sum()) / total,
            part,
            slice_axis,
        )


def _parts(spans: Spans, slice_axis: int | None) -> Iterator[Spans]:
    if slice_axis is None:
        yield spans
        return
    for k in range(*spans[slice_axis]):
        x, y, z = ((k, k + 1) if a == slice_axis else span for a, span in enumerate(spans))
        yield x, y, z


def _count(part: Spans, spans: Spans) -> int:
    """How many parts there are."""
    whole = np.prod([stop - start for start, stop in spans])
    return int(whole // np.prod([stop - start for start, stop in part]))


def _cut(weights: Weights, spans: Spans) -> Weights:
    return weights[tuple(slice(max(start, 0), max(stop, 0)) for start, stop in spans)]


def _normalised(counted: Weights, spans: Spans, slice_axis: int | None) -> torch.Tensor:
    """Weights in a whole window, which may reach beyond the grid."""
    import torch

    missing = [
        (max(-start, 0), (stop - start) - max(-start, 0) - n)
        for (start, stop), n in zip(spans, counted.shape, strict=True)
    ]
    filled = torch.from_numpy(np.pad(counted / counted.sum(), missing).astype(np.float32))
    return filled if slice_axis is None else filled.squeeze(slice_axis)


def _padded(tensor: torch.Tensor, spans: Spans, padding: tuple[str, float]) -> torch.Tensor:
    from torch.nn.functional import pad

    sizes = tensor.shape[1:]
    inside = [slice(max(a, 0), min(b, n)) for (a, b), n in zip(spans, sizes, strict=True)]
    cut = tensor[(slice(None), *inside)]
    missing = [
        n
        for (start, stop), size in zip(reversed(spans), reversed(sizes), strict=True)
        for n in (max(-start, 0), max(stop - size, 0))
    ]
    if not any(missing):
        return cut
    mode, value = padding
    return pad(cut[None], missing, mode, value if mode == "constant" else None)[0]


def _span(around: Span, size: int, length: int) -> Span:
    """So many voxels with `around` in their middle, within the axis where it is long enough."""
    if length <= size:
        before = (size - length) // 2
        return -before, size - before
    start = (around[0] + around[1] - size) // 2
    start = min(max(start, 0), length - size)
    return start, start + size


def _box(mask: npt.NDArray[np.bool_]) -> tuple[Span, ...]:
    spans = []
    for axis in range(3):
        held = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        spans.append((int(held[0]), int(held[-1]) + 1))
    return tuple(spans)


def _largest_part(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    import cc3d

    part: npt.NDArray[np.bool_] = cc3d.largest_k(mask, k=1, connectivity=26) > 0
    return part
