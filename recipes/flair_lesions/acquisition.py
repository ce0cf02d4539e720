"""From tissue to a FLAIR image: contrast, normal bright places, artefacts, slices, noise, mask."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from recipes.flair_lesions.anatomy import Anatomy
from recipes.flair_lesions.fields import smooth_field
from recipes.flair_lesions.lesions import LesionLoad
from recipes.flair_lesions.template import BoolArray, FloatArray


def tissue_signal(
    anatomy: Anatomy,
    load: LesionLoad,
    rng: np.random.Generator,
    cortex_signal: float | None = None,
) -> FloatArray:
    """FLAIR signal before the scanner: normal white matter is 1, lesions and bright places added.

    The cortex has a random signal unless `cortex_signal` sets it.
    """
    shape = anatomy.shape
    wall_mm = anatomy.ventricle_sdf_mm
    wm = 1 + rng.uniform(0, 0.05) * smooth_field(rng, shape, 25)[0]
    wm += rng.uniform(0, 0.04) * smooth_field(rng, shape, 7)[0]
    wm += rng.normal(0.0, 0.5) * np.clip(anatomy.t1 - 0.82, -0.1, 0.15)
    wm += rng.uniform(0.0, 0.14) * np.exp(-np.clip(wall_mm, 0, None) / rng.uniform(3, 9))
    halo_mm = float(rng.uniform(2, 5))
    wm += rng.uniform(0.0, 0.5) * ndimage.gaussian_filter(load.signal, halo_mm)
    drawn = rng.uniform(1.03, 1.35)
    cortex = drawn if cortex_signal is None else cortex_signal
    gm = cortex + rng.uniform(0.02, 0.09) * smooth_field(rng, shape, 20)[0]
    gm += rng.uniform(0.0, 0.06) * smooth_field(rng, shape, 6)[0]
    gm += rng.uniform(0.0, 0.4) * anatomy.limbic * (1 + 0.4 * smooth_field(rng, shape, 10)[0])
    gm += (rng.uniform(0.92, 1.12) * cortex - cortex - 0.05) * anatomy.deep
    csf = rng.uniform(0.04, 0.4) + _flow_artefacts(anatomy, rng)
    signal = anatomy.wm * wm + anatomy.gm * gm + anatomy.csf * csf + load.signal
    return (signal + _ventricle_lining(anatomy, rng)).astype(np.float32)


def _ventricle_lining(anatomy: Anatomy, rng: np.random.Generator) -> FloatArray:
    """The thin bright ependymal rim and septum that are normal, and carry no label."""
    wall_mm = anatomy.ventricle_sdf_mm
    width_mm = rng.uniform(0.5, 1.0)
    rim = np.exp(-np.square((wall_mm - 0.4) / width_mm))
    presence = np.clip(0.6 + 0.7 * smooth_field(rng, anatomy.shape, 14)[0], 0, 1.5)
    septum = np.exp(-np.square(anatomy.midline_mm / 3)) * np.exp(-np.clip(wall_mm, 0, None) / 3)
    lining = rng.uniform(0, 0.35) * rim * presence + rng.uniform(0, 0.35) * septum
    return (lining * (1 - anatomy.csf)).astype(np.float32)


def _flow_artefacts(anatomy: Anatomy, rng: np.random.Generator) -> FloatArray:
    """Bright inflow and choroid plexus: a few soft spots within the CSF."""
    spots = np.zeros(anatomy.shape, np.float32)
    inside = np.flatnonzero((anatomy.csf > 0.6) & (anatomy.brain_sdf_mm > 12))
    if inside.size == 0:
        return spots
    for place in rng.choice(inside, int(rng.integers(0, 9))):
        x, y, z = (int(v) for v in np.unravel_index(place, anatomy.shape))
        reach = 12
        lows = [max(0, v - reach) for v in (x, y, z)]
        highs = [min(n, v + reach) for n, v in zip(anatomy.shape, (x, y, z), strict=True)]
        grid = np.ogrid[lows[0] : highs[0], lows[1] : highs[1], lows[2] : highs[2]]
        squared = (grid[0] - x) ** 2 + (grid[1] - y) ** 2 + (grid[2] - z) ** 2
        spot = rng.uniform(0.1, 1.1) * np.exp(-squared / (2 * rng.uniform(1.0, 4.5) ** 2))
        box = tuple(slice(a, b) for a, b in zip(lows, highs, strict=True))
        spots[box] += spot.astype(np.float32)
    return spots


def random_brain_mask(anatomy: Anatomy, rng: np.random.Generator) -> BoolArray:
    """A skull strip of random quality: somewhat too tight or too wide, unevenly so."""
    margin = rng.normal(0.3, 1.2) + rng.uniform(0, 1.2) * smooth_field(rng, anatomy.shape, 14)[0]
    mask = anatomy.brain_sdf_mm + margin > 0.5
    if rng.random() < 0.4:
        outer_csf = (anatomy.csf > 0.7) & (anatomy.ventricle_sdf_mm > 6)
        mask &= ~(outer_csf & (anatomy.brain_sdf_mm < rng.uniform(2, 10)))
    return mask


def residual_rim(anatomy: Anatomy, rng: np.random.Generator) -> FloatArray:
    """Meninges, vessels and fat that a wide mask leaves outside the brain."""
    patches = np.clip(smooth_field(rng, anatomy.shape, 9)[0] - rng.uniform(0, 1.5), 0, 1)
    rim = rng.uniform(0.1, 0.5) + rng.uniform(0.2, 1.8) * patches
    return np.where(anatomy.brain_sdf_mm < 0.5, rim, 0).astype(np.float32)


def random_slices(
    shape: tuple[int, int, int], rng: np.random.Generator
) -> tuple[int, float, float]:
    """Through-plane axis, slice thickness and in-plane blur (standard deviation), mm."""
    thick = rng.random() < 0.55
    axis = int(rng.choice([2, 2, 2, 0, 1]))
    thickness_mm = float(rng.uniform(1.5, 6.0)) if thick else 1.0
    return axis, thickness_mm, float(rng.uniform(0.3, 0.75))


def sample_slices(image: FloatArray, axis: int, thickness_mm: float, blur_mm: float) -> FloatArray:
    """The image as thick slices would show it, brought back to the 1 mm grid."""
    sigma = [blur_mm] * 3
    if thickness_mm > 1:
        sigma[axis] = 0.36 * thickness_mm
    blurred = ndimage.gaussian_filter(image, sigma)
    if thickness_mm <= 1.2:
        return blurred
    centres = np.arange(0, image.shape[axis] - 1, thickness_mm)
    position = np.clip(np.arange(image.shape[axis]) / thickness_mm, 0, centres.size - 1)
    below = np.minimum(position.astype(int), centres.size - 2)
    slices = np.take(blurred, np.round(centres).astype(int), axis=axis)
    part = (position - below).astype(np.float32)
    part = part.reshape([-1 if a == axis else 1 for a in range(3)])
    return (
        np.take(slices, below, axis=axis) * (1 - part)
        + np.take(slices, below + 1, axis=axis) * part
    )


def bias_and_noise(image: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Apply what is left of the coil's bias after N4, and Rician noise of random grain."""
    bias = np.exp(rng.uniform(0, 0.10) * smooth_field(rng, image.shape, 60)[0])
    level = rng.uniform(0.005, 0.06)
    grain = float(rng.choice([0.0, 0.5, 0.8]))
    real, imaginary = rng.standard_normal((2, *image.shape), dtype=np.float32)
    if grain > 0:
        gain = 1 / np.std(ndimage.gaussian_filter(real[:40, :40, :40], grain))
        real = ndimage.gaussian_filter(real, grain) * gain
        imaginary = ndimage.gaussian_filter(imaginary, grain) * gain
    return np.hypot(image * bias + level * real, level * imaginary).astype(np.float32)
