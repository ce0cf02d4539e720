"""A random brain: the template's maps, deformed, with random sulci and ventricles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial.transform import Rotation

from recipes.flair_lesions.fields import smooth_field, warp
from recipes.flair_lesions.template import FloatArray, Template

VENTRICLE_CENTRES_MM = (
    (-14.0, 0.0, 14.0),
    (14.0, 0.0, 14.0),
    (-22.0, -38.0, 8.0),
    (22.0, -38.0, 8.0),
)

LIMBIC_SPOTS_MM: tuple[tuple[tuple[float, float, float], float], ...] = (
    ((-38.0, 4.0, 0.0), 12.0),
    ((38.0, 4.0, 0.0), 12.0),
    ((-26.0, -18.0, -16.0), 10.0),
    ((26.0, -18.0, -16.0), 10.0),
    ((-24.0, -2.0, -20.0), 9.0),
    ((24.0, -2.0, -20.0), 9.0),
    ((0.0, 30.0, 20.0), 12.0),
    ((0.0, -5.0, 38.0), 13.0),
    ((0.0, -40.0, 30.0), 12.0),
    ((0.0, 20.0, -16.0), 12.0),
)
"""Insula, hippocampus, amygdala, cingulate, subgenual cortex, normally bright: RAS mm, radius."""


@dataclass(frozen=True)
class Anatomy:
    """Tissue fractions of one random brain on a 1 mm grid (x, y, z) in RAS order.

    `wm`, `gm` and `csf` add up to one inside the brain; `deep` weighs the deep grey matter,
    `limbic` the normally bright limbic cortex; distances as in `Template`.
    """

    wm: FloatArray
    gm: FloatArray
    csf: FloatArray
    t1: FloatArray
    limbic: FloatArray
    deep: FloatArray
    midline_mm: FloatArray
    height_mm: FloatArray
    brain_sdf_mm: FloatArray
    ventricle_sdf_mm: FloatArray

    @property
    def shape(self) -> tuple[int, int, int]:
        """Size of the grid (x, y, z)."""
        x, y, z = self.wm.shape
        return x, y, z

    @cached_property
    def lesion_hold(self) -> FloatArray:
        """How much of a voxel a lesion may take: white matter all, cortex little, CSF nothing."""
        return np.clip(self.wm + (0.2 + 0.6 * self.deep) * self.gm, 0, 1)


def random_anatomy(template: Template, rng: np.random.Generator) -> Anatomy:
    """Deform the template and redraw its sulci.

    Parameters
    ----------
    template : Template
        From `load_template`.
    rng : numpy.random.Generator
        The only source of randomness.
    """
    source = _source_index(template, rng)
    spots = _limbic_weight(template)
    x, _, z = np.broadcast_arrays(*template.mm())
    maps = np.stack(
        [
            template.wm,
            template.gm,
            template.csf,
            template.t1,
            spots,
            _deep_weight(template),
            x,
            z,
            template.brain_sdf_mm,
            template.ventricle_sdf_mm,
        ]
    )
    wm, gm, csf, t1, limbic, deep, midline, height, brain_sdf, ventricle_sdf = warp(maps, source)
    wm, gm, csf = _redraw_sulci(wm, gm, csf, ventricle_sdf, rng)
    return Anatomy(wm, gm, csf, t1, limbic, deep, midline, height, brain_sdf, ventricle_sdf)


def _source_index(template: Template, rng: np.random.Generator) -> FloatArray:
    """Template index to sample for each voxel: affine, ventricle scaling, three elastic scales."""
    shape = template.t1.shape
    index = np.stack(np.meshgrid(*(np.arange(n, dtype=np.float32) for n in shape), indexing="ij"))
    centre = (np.array(shape, dtype=np.float32)[:, None, None, None] - 1) / 2
    rotation = Rotation.from_euler("xyz", rng.normal(0, 5, 3), degrees=True).as_matrix()
    stretch = np.diag(rng.normal(1.02, 0.05, 3)) + rng.normal(0, 0.02, (3, 3))
    matrix = (rotation @ stretch).astype(np.float32)
    source = np.tensordot(matrix, index - centre, axes=1) + centre
    source += rng.normal(0, 2, 3).astype(np.float32)[:, None, None, None]
    for scale_mm, amplitude_mm in ((40, 3.0), (18, 1.6), (9, rng.uniform(0.4, 1.3))):
        source += np.float32(amplitude_mm / 1.84) * smooth_field(rng, shape, scale_mm, 3)
    return _scale_ventricles(template, source, rng)


def _scale_ventricles(
    template: Template, source: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """Pull samples towards the ventricles, which widens them, or push them away."""
    common = rng.uniform(-0.1, 0.5)
    offset = template.affine[:3, 3].astype(np.float32)
    pull = np.zeros_like(source)
    for centre_mm in VENTRICLE_CENTRES_MM:
        strength = np.clip(common + rng.normal(0, 0.08), -0.2, 0.55)
        away = source - (np.array(centre_mm, np.float32) - offset)[:, None, None, None]
        reach = np.exp(-np.square(away).sum(0) / np.float32(2 * 15.0**2))
        pull -= np.float32(0.75 * strength) * reach * away
    return source + pull


def _limbic_weight(template: Template) -> FloatArray:
    x, y, z = template.mm()
    weight = np.zeros(template.t1.shape, np.float32)
    for (cx, cy, cz), radius in LIMBIC_SPOTS_MM:
        squared = (x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2
        weight = np.maximum(weight, np.exp(-squared / np.float32(2 * radius**2)))
    return weight


def _deep_weight(template: Template) -> FloatArray:
    x, y, z = template.mm()
    squared = (np.abs(x) - 17) ** 2 / 18**2 + (y + 4) ** 2 / 26**2 + (z - 4) ** 2 / 16**2
    return np.clip(2 - 2 * squared, 0, 1).astype(np.float32)


def _redraw_sulci(
    wm: FloatArray,
    gm: FloatArray,
    csf: FloatArray,
    ventricle_sdf: FloatArray,
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Undo the template's averaging: random tissue odds, then a sharpening power."""
    shape = wm.shape
    sharpness = np.float32(rng.uniform(1.2, 3.5))
    widening = rng.uniform(-0.2, 1.4)
    near_ventricle = np.clip(1 - ventricle_sdf / 3, 0, 1)
    odds_csf = widening * (1 - near_ventricle) + 0.5 * smooth_field(rng, shape, 5)[0]
    odds_gm = rng.normal(0, 0.25) + 0.25 * smooth_field(rng, shape, 5)[0]
    floor = np.float32(1e-3)
    weights = [
        np.power((wm + floor), sharpness),
        np.power((gm + floor) * np.exp(odds_gm), sharpness),
        np.power((csf + floor) * np.exp(odds_csf), sharpness),
    ]
    total = weights[0] + weights[1] + weights[2]
    wm, gm, csf = (weight / total for weight in weights)
    return wm, gm, csf
