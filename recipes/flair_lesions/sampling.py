"""Training windows: half of them at a lesion, with random orientation of contrast and noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recipes.flair_lesions.dataset import StoredExample
from recipes.flair_lesions.fields import smooth_field
from recipes.flair_lesions.template import FloatArray

WINDOW = 72
LESION_SHARE = 0.6


@dataclass(frozen=True)
class Source:
    """One volume to draw windows from, with the places to centre them on."""

    image: npt.NDArray[np.float16]
    lesions: npt.NDArray[np.uint8]
    lesion_voxels: npt.NDArray[np.int16]
    brain_voxels: npt.NDArray[np.int16]


def open_source(stored: StoredExample) -> Source:
    """Open a stored example and list the voxels that windows may be centred on."""
    image, lesions = stored.load()
    lesion_voxels = np.argwhere(np.asarray(lesions) > 0)
    brain_voxels = np.argwhere(np.asarray(image[::4, ::4, ::4]) > 0) * 4
    return Source(
        image, lesions, lesion_voxels[::7].astype(np.int16), brain_voxels.astype(np.int16)
    )


def random_window(
    sources: Sequence[Source], rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Draw one augmented window: image and mask, each (1, WINDOW, WINDOW, WINDOW)."""
    source = sources[int(rng.integers(len(sources)))]
    at_lesion = len(source.lesion_voxels) > 0 and rng.random() < LESION_SHARE
    places = source.lesion_voxels if at_lesion else source.brain_voxels
    centre = places[int(rng.integers(len(places)))] + rng.integers(-20, 21, 3)
    image = _window(source.image, centre).astype(np.float32)
    mask = _window(source.lesions, centre).astype(np.float32)
    if rng.random() < 0.5:
        image, mask = image[::-1], mask[::-1]
    return _augment(image, rng)[None], np.ascontiguousarray(mask)[None]


def _window(
    array: npt.NDArray[np.generic], centre: npt.NDArray[np.integer]
) -> npt.NDArray[np.generic]:
    starts = [int(c) - WINDOW // 2 for c in centre]
    box = tuple(
        slice(max(0, start), max(0, min(size, start + WINDOW)))
        for start, size in zip(starts, array.shape, strict=True)
    )
    part = np.asarray(array[box])
    before = [max(0, -start) for start in starts]
    pad = [(b, WINDOW - b - n) for b, n in zip(before, part.shape, strict=True)]
    return np.pad(part, pad)


def _augment(image: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Random gamma, scale, shading and noise within the brain; what is outside stays zero."""
    brain = image > 0
    image = np.power(np.maximum(image, 0), rng.uniform(0.75, 1.35)) * rng.uniform(0.92, 1.08)
    image = image * np.exp(rng.uniform(0, 0.06) * smooth_field(rng, image.shape, 50)[0])
    noise = rng.uniform(0, 0.04) * rng.standard_normal(image.shape, dtype=np.float32)
    return ((image + noise) * brain).astype(np.float32)
