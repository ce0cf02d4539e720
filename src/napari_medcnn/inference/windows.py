"""The sliding window: a network over an image that is larger than it can take at once.

The same windows, weights and order of sums as MONAI's ``sliding_window_inference``, as a generator
that reports every window and ends within one when cancelled.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any

from napari_medcnn.core.errors import ModelError
from napari_medcnn.core.events import Event, JobControl, Progress
from napari_medcnn.inference.plan import Precision, window_starts
from napari_medcnn.models.spec import ModelSpec

if TYPE_CHECKING:
    import torch

STAGE = "network"
"""The stage's name in :class:`~napari_medcnn.core.events.Progress`."""


def slide(
    network: Callable[[torch.Tensor], Any],
    image: torch.Tensor,
    spec: ModelSpec,
    control: JobControl,
    *,
    device: str = "cpu",
    precision: Precision = "float32",
    batch: int = 1,
) -> Generator[Event, None, torch.Tensor]:
    """Run `network` over `image`; a generator of `Progress` that returns the logits.

    Parameters
    ----------
    network : callable
        Maps ``(batch, channel, x, y, z)`` to logits of the same spatial size.
    image : torch.Tensor
        ``(channel, x, y, z)`` float32 in main memory.
    spec : ModelSpec
        Its window, overlap, blending and padding.
    control : JobControl
        Looked at before every batch of windows.
    device, precision, batch
        Where and how the network runs, and how many windows at once.

    Returns
    -------
    torch.Tensor
        ``(class, x, y, z)`` float32 in main memory.

    Raises
    ------
    ModelError
        When the network's output has another size than its input, or holds values that are no
        finite numbers: by comparison alone such a voxel would count as foreground.
    Cancelled
        When the job was cancelled.
    """
    import torch
    from monai.data import compute_importance_map

    size = image.shape[1:]
    roi = [r or n for r, n in zip(reversed(spec.roi_size), size, strict=True)]
    padded, inner = _padded(image, roi, spec)
    starts = list(
        itertools.product(
            *(window_starts(n, r, spec.overlap) for n, r in zip(padded.shape[1:], roi, strict=True))
        )
    )
    weight = compute_importance_map(tuple(roi), mode=spec.blend, sigma_scale=spec.blend_sigma)
    # Sums stay in main memory: a grid of many classes would not fit beside a network on a GPU.
    total: torch.Tensor | None = None
    count = torch.zeros(padded.shape[1:])
    begin = time.perf_counter()
    yield Progress(STAGE, 0, len(starts))
    for first in range(0, len(starts), batch):
        control.checkpoint()
        places = [_slices(start, roi) for start in starts[first : first + batch]]
        windows = torch.stack([padded[(slice(None), *place)] for place in places])
        logits = _logits(network, windows, device, precision)
        with torch.inference_mode():
            if total is None:
                total = torch.zeros((logits.shape[1], *padded.shape[1:]))
            for place, values in zip(places, logits, strict=True):
                total[(slice(None), *place)] += values.mul_(weight)
                count[place] += weight
        done = first + len(places)
        eta = (time.perf_counter() - begin) / done * (len(starts) - done)
        yield Progress(STAGE, done, len(starts), eta)
    if total is None:
        raise ModelError("there was no window to run")
    with torch.inference_mode():
        total /= count
    return total[(slice(None), *inner)]


def _logits(
    network: Callable[[torch.Tensor], Any], windows: torch.Tensor, device: str, precision: Precision
) -> torch.Tensor:
    """The network's first output for `windows`, float32 in main memory.

    torch's gradient mode belongs to the thread, so it is entered here and never across a yield.
    """
    import torch

    kind = device.partition(":")[0]
    with (
        torch.inference_mode(),
        torch.autocast(kind, dtype=torch.float16, enabled=precision == "float16"),
    ):
        output = network(windows.to(device))
        if isinstance(output, list | tuple):  # deep supervision: full resolution comes first
            output = output[0]
        if output.shape[2:] != windows.shape[2:]:
            raise ModelError(
                f"the network makes {tuple(output.shape[2:])} of a window of "
                f"{tuple(windows.shape[2:])}; both must be alike"
            )
        logits: torch.Tensor = output.to("cpu", torch.float32)
    if not torch.isfinite(logits).all():
        half = precision == "float16"
        raise ModelError(
            "the network gives values that are no finite numbers, so there is no result",
            hint="choose the device cpu, which computes in full precision"
            if half
            else "its weights may be damaged, or the image is none that it was made for",
        )
    return logits


def _padded(
    image: torch.Tensor, roi: Sequence[int], spec: ModelSpec
) -> tuple[torch.Tensor, tuple[slice, ...]]:
    """The image filled up to the window's size, and where the image lies in it."""
    from torch.nn import functional

    missing = [max(r - n, 0) for r, n in zip(roi, image.shape[1:], strict=True)]
    inner = tuple(slice(m // 2, m // 2 + n) for m, n in zip(missing, image.shape[1:], strict=True))
    if not any(missing):
        return image, inner
    sides = [side for m in reversed(missing) for side in (m // 2, m - m // 2)]
    value = spec.padding_value if spec.padding == "constant" else None
    return functional.pad(image[None], sides, mode=spec.padding, value=value)[0], inner


def _slices(start: Sequence[int], roi: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(s, s + r) for s, r in zip(start, roi, strict=True))
