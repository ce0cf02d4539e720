"""nnU-Net's prediction written out plainly, with SciPy and scikit-image alone, for tests.

Whole volumes in double precision, one step after the other, as nnU-Net's documentation and plans
describe them. Our engine computes the same in another order, in parts, in single precision.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.ndimage import binary_fill_holes, gaussian_filter, map_coordinates
from skimage.transform import resize

Array = npt.NDArray[Any]


def logits_on_image(
    networks: Sequence[torch.nn.Module],
    plans: dict[str, Any],
    channels: Array,
    spacing: Sequence[float],
    mirror_axes: Sequence[int],
) -> tuple[Array, Array]:
    """Logits ``(class, z, y, x)`` of an image, and where they are known.

    Parameters
    ----------
    channels : numpy.ndarray
        ``(channel, z, y, x)`` in the file's own order.
    spacing : sequence of float
        Of z, y, x.
    """
    (configuration,) = plans["configurations"].values()
    forward = plans["transpose_forward"]
    image = channels.transpose(0, *(a + 1 for a in forward)).astype(np.float32)
    spacing = [spacing[a] for a in forward]
    nonzero = (image != 0).any(axis=0)
    box = tuple(slice(n.min(), n.max() + 1) for n in np.nonzero(nonzero))
    inside = binary_fill_holes(nonzero[box])
    image = np.stack(
        [
            _normalised(channel[box], inside, configuration, plans, number)
            for number, channel in enumerate(image)
        ]
    )
    target = configuration["spacing"]
    shape = [round(o / t * n) for n, o, t in zip(image.shape[1:], spacing, target, strict=True)]
    prepared = np.stack([_resized(c, shape, 3, _thick(spacing, target)) for c in image])
    windowed = _windowed(networks, prepared, configuration["patch_size"], mirror_axes)
    back = _thick(target, spacing)
    logits = np.stack([_resized(c, image.shape[1:], 1, back) for c in windowed])
    whole = np.zeros((len(logits), *nonzero.shape))
    known = np.zeros(nonzero.shape, dtype=bool)
    whole[(slice(None), *box)], known[box] = logits, True
    backward = np.argsort(forward)
    return whole.transpose(0, *(a + 1 for a in backward)), known.transpose(*backward)


def _normalised(
    values: Array, inside: Array, configuration: dict[str, Any], plans: dict[str, Any], number: int
) -> Array:
    scheme = configuration["normalization_schemes"][number]
    if scheme == "CTNormalization":
        known = plans["foreground_intensity_properties_per_channel"][str(number)]
        clipped = np.clip(values, known["percentile_00_5"], known["percentile_99_5"])
        return (clipped - known["mean"]) / known["std"]
    if scheme == "RescaleTo01Normalization":
        return (values - values.min()) / (values.max() - values.min())
    chosen = inside if configuration["use_mask_for_norm"][number] else np.ones_like(inside)
    normalised = values.astype(np.float64)
    normalised[chosen] = (values[chosen] - values[chosen].mean()) / values[chosen].std()
    return normalised


def _thick(first: Sequence[float], second: Sequence[float]) -> int | None:
    """The axis of thick slices of the first anisotropic spacing."""
    for spacing in (first, second):
        if max(spacing) / min(spacing) > 3:
            thick = [a for a, s in enumerate(spacing) if s == max(spacing)]
            return thick[0] if len(thick) == 1 else None
    return None


def _resized(volume: Array, shape: Sequence[int], order: int, slices: int | None) -> Array:
    volume = volume.astype(np.float64)
    if volume.shape == tuple(shape):
        return volume
    if slices is None:
        return np.asarray(resize(volume, shape, order, mode="edge", anti_aliasing=False))
    within = [n for a, n in enumerate(shape) if a != slices]
    planes = [
        resize(plane, within, order, mode="edge", anti_aliasing=False)
        for plane in np.moveaxis(volume, slices, 0)
    ]
    stack = np.stack(planes, slices)
    grid = np.mgrid[tuple(slice(n) for n in shape)].astype(np.float64)
    for a in range(3):
        grid[a] = stack.shape[a] / shape[a] * (grid[a] + 0.5) - 0.5
    return np.asarray(map_coordinates(stack, grid, order=0, mode="nearest"))


def _windowed(
    networks: Sequence[torch.nn.Module],
    image: Array,
    patch: Sequence[int],
    mirror_axes: Sequence[int],
) -> Array:
    missing = [max(p - n, 0) for p, n in zip(patch, image.shape[1:], strict=True)]
    sides = [(m // 2, m - m // 2) for m in missing]
    padded = np.pad(image, [(0, 0), *sides])
    peak = np.zeros(patch)
    peak[tuple(p // 2 for p in patch)] = 1
    weight = gaussian_filter(peak, [p / 8 for p in patch], mode="constant")
    weight = np.maximum(weight * (10 / weight.max()), 6e-8)
    starts = []
    for n, p in zip(padded.shape[1:], patch, strict=True):
        count = math.ceil((n - p) / (p / 2)) + 1
        starts.append([round((n - p) / max(count - 1, 1) * i) for i in range(count)])
    total, count_map = None, np.zeros(padded.shape[1:])
    for place in itertools.product(*starts):
        where = tuple(slice(s, s + p) for s, p in zip(place, patch, strict=True))
        window = torch.from_numpy(padded[(slice(None), *where)][None].astype(np.float32))
        answers = []
        for network in networks:
            for size in range(len(mirror_axes) + 1):
                for axes in itertools.combinations([a + 2 for a in mirror_axes], size):
                    with torch.inference_mode():
                        answers.append(network(window.flip(axes)).flip(axes)[0].double().numpy())
        mean = np.mean(answers, axis=0)
        total = np.zeros((len(mean), *padded.shape[1:])) if total is None else total
        total[(slice(None), *where)] += mean * weight
        count_map[where] += weight
    assert total is not None
    inner = tuple(slice(b, b + n) for (b, _), n in zip(sides, image.shape[1:], strict=True))
    return np.asarray((total / count_map)[(slice(None), *inner)])
