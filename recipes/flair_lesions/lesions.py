"""Lesions planted in a random brain: punctate, ovoid, juxtacortical, periventricular, confluent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from recipes.flair_lesions.anatomy import Anatomy
from recipes.flair_lesions.fields import smooth_field
from recipes.flair_lesions.template import FloatArray


@dataclass(frozen=True)
class Blob:
    """One ellipsoidal lesion with an uneven border, before it is confined to tissue.

    `centre` is an index (x, y, z), `semi_axes_mm` along the columns of `rotation`; `contrast` is
    what a full voxel adds to the signal, in units of normal white matter.
    """

    centre: tuple[float, float, float]
    semi_axes_mm: tuple[float, float, float]
    rotation: tuple[tuple[float, ...], ...]
    contrast: float
    unevenness: float
    edge_mm: float


@dataclass(frozen=True)
class LesionLoad:
    """Fraction of each voxel that is lesion (0 to 1), and the signal that lesions add to it."""

    fraction: FloatArray
    signal: FloatArray


def no_lesions(anatomy: Anatomy) -> LesionLoad:
    """The empty load of a healthy brain."""
    return LesionLoad(np.zeros(anatomy.shape, np.float32), np.zeros(anatomy.shape, np.float32))


def random_lesions(anatomy: Anatomy, rng: np.random.Generator) -> LesionLoad:
    """Draw a load: none, a few punctate ones, or up to a hundred with confluent bands."""
    load = no_lesions(anatomy)
    severity = rng.random()
    if severity < 0.06:
        return load
    contrast = rng.uniform(0.22, 0.65)
    count = int(np.exp(rng.uniform(np.log(6), np.log(130))))
    growth = rng.uniform(0.7, 1.2) if severity < 0.6 else rng.uniform(1.0, 2.2)
    for blob in random_blobs(anatomy, count, contrast, growth, rng):
        load = add_blob(load, anatomy, blob, rng)
    if severity > 0.35:
        reach_mm = rng.uniform(0.5, 3.0) if severity < 0.6 else rng.uniform(2.0, 11.0)
        load = add_periventricular_band(load, anatomy, reach_mm, contrast, rng)
    return load


def random_blobs(
    anatomy: Anatomy, count: int, contrast: float, growth: float, rng: np.random.Generator
) -> list[Blob]:
    """Draw `count` blobs at places where white-matter lesions occur; `growth` scales their size."""
    weights = site_weights(anatomy, rng).ravel()
    cumulative = np.cumsum(weights, dtype=np.float64)
    places = np.searchsorted(cumulative, rng.random(count) * cumulative[-1])
    sites = zip(*np.unravel_index(places, anatomy.shape), strict=True)
    return [random_blob((int(i), int(j), int(k)), contrast, growth, rng) for i, j, k in sites]


def random_blob(
    centre: tuple[int, int, int], contrast: float, growth: float, rng: np.random.Generator
) -> Blob:
    """Draw one blob: mostly 2 to 5 mm across, seldom up to 2 cm."""
    radius = 1.0 + growth * rng.gamma(1.3, 1.2)
    axes = np.clip(radius * np.exp(rng.normal(0, 0.3, 3)), 0.9, 11)
    rotation = Rotation.random(random_state=rng).as_matrix()
    first, second, third = (float(axis) for axis in axes)
    return Blob(
        centre=(float(centre[0]), float(centre[1]), float(centre[2])),
        semi_axes_mm=(first, second, third),
        rotation=tuple(tuple(float(value) for value in row) for row in rotation),
        contrast=float(np.clip(contrast * np.exp(rng.normal(0, 0.3)), 0.13, 0.95)),
        unevenness=float(rng.uniform(0.0, 0.5)),
        edge_mm=float(rng.uniform(0.25, 0.8)),
    )


def site_weights(anatomy: Anatomy, rng: np.random.Generator) -> FloatArray:
    """How likely a lesion's centre is at each voxel: white matter, more so near the ventricles."""
    distance = np.clip(anatomy.ventricle_sdf_mm, 0, None)
    near = 4.0 * np.exp(-distance / 6) + 0.8 * np.exp(-distance / 18)
    juxtacortical = rng.uniform(0.2, 1.2) * 4 * anatomy.wm * anatomy.gm
    deep_grey = rng.uniform(0, 0.25) * anatomy.deep * anatomy.gm
    infratentorial = np.clip((-18 - anatomy.height_mm) / 6, 0, 1)
    supratentorial = 1 - rng.uniform(0.6, 1.0) * infratentorial
    inside = anatomy.brain_sdf_mm > 4
    weight = (anatomy.wm**2 * (0.35 + near) + juxtacortical + deep_grey) * supratentorial
    return (weight * inside * (anatomy.ventricle_sdf_mm > 0.5)).astype(np.float32)


def blob_fraction(
    shape: tuple[int, int, int], blob: Blob, rng: np.random.Generator
) -> tuple[tuple[slice, slice, slice], FloatArray]:
    """The box that a blob covers, and the fraction of each of its voxels that the blob fills."""
    reach = max(blob.semi_axes_mm) * (1 + blob.unevenness) + 4 * blob.edge_mm + 1
    starts = [max(0, int(c - reach)) for c in blob.centre]
    stops = [min(n, int(c + reach) + 2) for n, c in zip(shape, blob.centre, strict=True)]
    index = np.stack(
        np.meshgrid(
            *(np.arange(a, b, dtype=np.float32) for a, b in zip(starts, stops, strict=True)),
            indexing="ij",
        )
    )
    offset = index - np.array(blob.centre, np.float32)[:, None, None, None]
    along = np.tensordot(np.array(blob.rotation, np.float32).T, offset, axes=1)
    axes = np.array(blob.semi_axes_mm, np.float32)
    radius = np.sqrt(np.square(along / axes[:, None, None, None]).sum(0))
    if blob.unevenness > 0:
        scale_mm = max(2.0, float(axes.mean()) * 0.8)
        radius *= np.exp(0.5 * blob.unevenness * smooth_field(rng, radius.shape, scale_mm)[0])
    depth_mm = (1 - radius) * np.float32(axes.mean())
    fraction = 1 / (1 + np.exp(-np.clip(depth_mm / np.float32(blob.edge_mm * 0.6), -30, 30)))
    box = (slice(starts[0], stops[0]), slice(starts[1], stops[1]), slice(starts[2], stops[2]))
    return box, fraction.astype(np.float32)


def add_blob(
    load: LesionLoad, anatomy: Anatomy, blob: Blob, rng: np.random.Generator
) -> LesionLoad:
    """`load` with one more blob, confined to the tissue that may hold a lesion."""
    box, fraction = blob_fraction(anatomy.shape, blob, rng)
    held = fraction * anatomy.lesion_hold[box]
    load.fraction[box] = np.maximum(load.fraction[box], held)
    load.signal[box] = np.maximum(load.signal[box], held * np.float32(blob.contrast))
    return load


def add_periventricular_band(
    load: LesionLoad,
    anatomy: Anatomy,
    reach_mm: float,
    contrast: float,
    rng: np.random.Generator,
) -> LesionLoad:
    """`load` with caps and confluent bands along the ventricles, some `reach_mm` thick.

    The thickness varies along the wall, and is below zero on part of it, so that the band breaks
    up into caps and islands.
    """
    coarse, fine = smooth_field(rng, anatomy.shape, 16)[0], smooth_field(rng, anatomy.shape, 4)[0]
    presence = rng.uniform(-0.6, 0.9)
    thickness = reach_mm * (presence + 0.9 * coarse + 0.35 * fine) + 0.5
    depth_mm = np.minimum(thickness - anatomy.ventricle_sdf_mm, anatomy.ventricle_sdf_mm + 1.5)
    edge_mm = np.float32(rng.uniform(0.25, 0.7))
    fraction = 1 / (1 + np.exp(-np.clip(depth_mm / edge_mm, -30, 30)))
    fraction = fraction * anatomy.lesion_hold * (thickness > 1.2)
    mottled = contrast * np.exp(0.15 * smooth_field(rng, anatomy.shape, 6)[0])
    return LesionLoad(
        np.maximum(load.fraction, fraction).astype(np.float32),
        np.maximum(load.signal, fraction * mottled).astype(np.float32),
    )
