"""The sliding window along one axis: each slab of logits is handed over once it is complete.

The same windows, weights and sums as MONAI's ``sliding_window_inference``; but sums are only kept
for one window's depth, and the job can be cancelled between any two batches of windows.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from napari_medcnn.core.errors import ModelError
from napari_medcnn.core.events import Event, JobControl, Progress
from napari_medcnn.inference.backends.base import Backend
from napari_medcnn.inference.nnunet_windows import gaussian
from napari_medcnn.inference.tiling import Place, Row, Tiling, tile
from napari_medcnn.inference.way_back import Span
from napari_medcnn.models.spec import ModelSpec

if TYPE_CHECKING:
    import torch

STAGE = "network"
"""The stage's name in :class:`~napari_medcnn.core.events.Progress`."""

REUSED_BYTES = 256e6
"""Logits of an empty window larger than this are not kept: they cost more than they save."""


class Sink(Protocol):
    """Takes the network's logits, slab by slab in ascending order."""

    def take(self, first: int, logits: torch.Tensor) -> Iterator[None]:
        """Work on slices ``first, first + 1, …`` of the streamed axis; yields between small steps.

        Parameters
        ----------
        first : int
            Of the network's grid.
        logits : torch.Tensor
            ``(class, x, y, z)``, a slab of it; may be overwritten, and is not valid afterwards.
        """
        ...


@dataclass(frozen=True)
class Counts:
    """How many windows there were, and how many of them the network need not see again."""

    windows: int
    reused: int


def stream(
    backend: Backend,
    image: torch.Tensor,
    spec: ModelSpec,
    control: JobControl,
    sink: Sink,
    *,
    axis: int = 0,
    box: Sequence[Span] | None = None,
    batch: int = 1,
    reuse_empty: bool = True,
    sums_on: str = "cpu",
) -> Generator[Event, None, Counts]:
    """Run a network over `image` and hand its logits to `sink`; a generator of `Progress`.

    Parameters
    ----------
    backend : Backend
        The network.
    image : torch.Tensor
        ``(channel, x, y, z)`` float32 in main memory.
    spec : ModelSpec
        Its window, overlap, blending and padding.
    control : JobControl
        Looked at before every batch of windows, and between the sink's steps.
    sink : Sink
        Takes the slabs.
    axis : int
        Of ``x, y, z``, along which the windows advance.
    box : sequence of (int, int), optional
        The part of the grid that is wanted: slabs hold it alone, and windows aside of it are not
        run. The whole grid by default.
    batch : int
        Windows at once.
    reuse_empty : bool
        Whether windows of one same value throughout are run once.
    sums_on : str
        The device that keeps the sums.

    Raises
    ------
    ModelError, OutOfMemory
        As the backend does.
    Cancelled
        When the job was cancelled.
    """
    import torch

    tiling = tile(image.shape[1:], spec, axis)
    padded = _padded(image, tiling, spec)
    wanted = [
        (start + before, stop + before)
        for (start, stop), (before, _) in zip(
            box or [(0, n) for n in image.shape[1:]], tiling.padding, strict=True
        )
    ]
    rows = list(tiling.rows(wanted))
    sums = _Sums(tiling, spec, rows, wanted, torch.device(sums_on))
    network = _Reusing(backend, reuse_empty)
    total = sum(len(places) for _, places in rows)
    done, begin = 0, time.perf_counter()
    yield Progress(STAGE, 0, total)
    for number, (start, places) in enumerate(rows):
        for some in _batches(places, batch):
            control.checkpoint()
            cut = [padded[(slice(None), *_slices(place, tiling.roi))] for place in some]
            for place, logits in zip(some, network.logits(cut), strict=True):
                sums.add(place, logits)
            done += len(some)
            eta = (time.perf_counter() - begin) / done * (total - done)
            yield Progress(STAGE, done, total, eta)
        stop = rows[number + 1][0] if number + 1 < len(rows) else start + tiling.roi[axis]
        for first, slab in sums.finished(start, stop):
            for _ in sink.take(first - tiling.padding[axis][0], slab):
                control.checkpoint()
    return Counts(total, network.reused)


class _Reusing:
    """A backend that answers windows of one value from memory."""

    def __init__(self, backend: Backend, reuse: bool) -> None:
        self._backend = backend
        self._reuse = reuse
        self._known: tuple[tuple[float, ...], torch.Tensor] | None = None
        self.reused = 0

    def logits(self, windows: Sequence[torch.Tensor]) -> Iterator[torch.Tensor]:
        """The logits ``(class, x, y, z)`` of each window ``(channel, x, y, z)``."""
        import torch

        values = [_only_value(window) if self._reuse else None for window in windows]
        value_before, logits_before = self._known or (None, None)
        known = [value is not None and value == value_before for value in values]
        news = [window for window, old in zip(windows, known, strict=True) if not old]
        answers = iter(self._backend.logits(torch.stack(news)) if news else ())
        for value, old in zip(values, known, strict=True):
            if old and logits_before is not None:
                self.reused += 1
                yield logits_before
                continue
            answer = next(answers)
            if value is not None and answer.numel() * answer.element_size() <= REUSED_BYTES:
                self._known = (value, answer.clone())
            yield answer


def _only_value(window: torch.Tensor) -> tuple[float, ...] | None:
    """The value of each channel where a window holds no other; None for any other window."""
    flat = window.flatten(1) if window.is_contiguous() else window
    first = window[:, 0, 0, 0]
    middle = window[:, window.shape[1] // 2, window.shape[2] // 2, window.shape[3] // 2]
    if not (first == middle).all():  # nearly every window: no need to look at all of it
        return None
    dims = tuple(range(1, flat.ndim))
    low, high = flat.amin(dims), flat.amax(dims)
    return tuple(low.tolist()) if (low == high).all() else None


class _Sums:
    """Weighted sums of logits for one row of windows, as deep as a window.

    Across the row they reach as far as its windows do.
    """

    def __init__(
        self,
        tiling: Tiling,
        spec: ModelSpec,
        rows: Sequence[Row],
        wanted: Sequence[Span],
        device: torch.device,
    ) -> None:
        self._axis, self._roi, self._wanted, self._device = tiling.axis, tiling.roi, wanted, device
        places = [place for _, places in rows for place in places]
        self._low = [min(p[a] for p in places) if places else 0 for a in range(3)]
        high = [max(p[a] for p in places) if places else 0 for a in range(3)]
        self._size = [h + r - low for h, r, low in zip(high, tiling.roi, self._low, strict=True)]
        self._size[tiling.axis] = tiling.roi[tiling.axis]
        self._weight = _weight(tiling.roi, spec).to(device)
        self._total: torch.Tensor | None = None
        self._count: torch.Tensor | None = None

    def add(self, place: Sequence[int], logits: torch.Tensor) -> None:
        """Add a window's logits ``(class, x, y, z)``."""
        import torch

        if self._total is None or self._count is None:
            self._total = torch.zeros((logits.shape[0], *self._size), device=self._device)
            self._count = torch.zeros(self._size, device=self._device)
        local = [p - low for p, low in zip(place, self._low, strict=True)]
        local[self._axis] = 0
        where = _slices(local, self._roi)
        self._total[(slice(None), *where)].addcmul_(logits.to(self._device), self._weight)
        self._count[where] += self._weight

    def finished(self, start: int, stop: int) -> Iterator[tuple[int, torch.Tensor]]:
        """The slab from `start` to `stop`, cut to what is wanted; then room for the next row."""
        if self._total is None or self._count is None:
            raise ModelError("there was no window to run")
        low, high = self._wanted[self._axis]
        first, last = max(start, low), min(stop, high)
        if first < last:
            cut = [slice(a - b, z - b) for (a, z), b in zip(self._wanted, self._low, strict=True)]
            cut[self._axis] = slice(first - start, last - start)
            slab = self._total[(slice(None), *cut)]
            slab /= self._count[tuple(cut)]
            yield first, slab
        _advance(self._total, self._axis + 1, stop - start)
        _advance(self._count, self._axis, stop - start)


def _weight(roi: Sequence[int], spec: ModelSpec) -> torch.Tensor:
    """How much each voxel of a window counts where windows overlap."""
    import torch
    from monai.data import compute_importance_map

    if spec.window_layout == "nnunet" and spec.blend == "gaussian":
        return torch.from_numpy(gaussian(roi))
    weight: torch.Tensor = compute_importance_map(
        tuple(roi), mode=spec.blend, sigma_scale=spec.blend_sigma
    )
    return weight


def _advance(sums: torch.Tensor, axis: int, steps: int) -> None:
    """Move sums towards the start of an axis and clear what becomes free, in place."""
    depth = sums.shape[axis]
    for first in range(0, depth - steps, steps):  # in blocks that do not overlap their source
        length = min(steps, depth - steps - first)
        sums.narrow(axis, first, length).copy_(sums.narrow(axis, first + steps, length))
    sums.narrow(axis, max(depth - steps, 0), min(steps, depth)).zero_()


def _padded(image: torch.Tensor, tiling: Tiling, spec: ModelSpec) -> torch.Tensor:
    """The image filled up to the window's size."""
    from torch.nn import functional

    if not any(side for sides in tiling.padding for side in sides):
        return image
    sides = [side for pair in reversed(tiling.padding) for side in pair]
    value = spec.padding_value if spec.padding == "constant" else None
    return functional.pad(image[None], sides, mode=spec.padding, value=value)[0]


def _batches(places: Sequence[Place], size: int) -> Iterator[Sequence[Place]]:
    return (places[first : first + size] for first in range(0, len(places), size))


def _slices(start: Sequence[int], roi: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(s, s + r) for s, r in zip(start, roi, strict=True))
