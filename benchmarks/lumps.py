"""Lumps for phantoms: ellipsoids with bumps, whose surface can be moved and which know their gap.

Frozen with `benchmarks.growing_phantoms`, which is drawn from them. Points are mm ``(x, y, z)``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from napari_medcnn.core.geometry import FloatArray


@dataclass(frozen=True, eq=False)
class Lobe:
    """A lump: in the direction u its surface is ``radius(u)`` from its centre (x, y, z)."""

    centre: FloatArray
    axes: FloatArray  # rows: the ellipsoid's axes, each divided by its length
    bumps: FloatArray  # rows: directions
    heights: FloatArray
    offsets: tuple[float | None, float | None]
    """How far its surface is moved outwards before and after, mm; None where there is no lobe."""

    def radius(self, ways: FloatArray) -> FloatArray:
        """From the centre to the surface in the directions ``(n, 3)``, before it is moved."""
        ellipsoid = 1 / np.linalg.norm(ways @ self.axes.T, axis=-1)
        bumps = np.exp(4 * (ways @ self.bumps.T - 1)) @ self.heights
        radii: FloatArray = ellipsoid * (1 + bumps)
        return radii

    def moved(self, by: FloatArray) -> Lobe:
        """The same lump elsewhere."""
        return replace(self, centre=self.centre + by)

    @property
    def largest(self) -> float:
        """The larger of its offsets."""
        return max(offset for offset in self.offsets if offset is not None)

    def surface(self, offset_mm: float) -> FloatArray:
        """Points ``(n, 3)`` of its surface."""
        ways = sphere()
        return self.centre + ways * (self.radius(ways) + offset_mm)[:, None]

    def holds(self, points: FloatArray, offset_mm: float) -> npt.NDArray[np.bool_]:
        """Which of the points ``(n, 3)`` lie in it."""
        away = points - self.centre
        distance = np.linalg.norm(away, axis=-1)
        radii = self.radius(sphere()) + offset_mm
        inside: npt.NDArray[np.bool_] = distance < 0.9 * radii.min()
        open_ = (distance < 1.1 * radii.max()) & ~inside  # few: the rest of a box is clear
        ways = away[open_] / distance[open_, None]
        inside[open_] = distance[open_] <= self.radius(ways) + offset_mm
        return inside


def draw_lobe(
    rng: np.random.Generator,
    radius_mm: tuple[float, float],
    offsets: tuple[float | None, float | None],
) -> Lobe:
    """A random lump around 0 with a mean radius between the two."""
    lengths = rng.uniform(*radius_mm) * rng.uniform(0.75, 1.2, 3)
    axes = Rotation.random(rng=rng).as_matrix() / lengths[:, None]
    heights = rng.uniform(-0.15, 0.15, 4)
    return Lobe(np.zeros(3), axes, directions(rng, 4), heights, offsets)


def set_apart(
    rng: np.random.Generator,
    fixed: tuple[Lobe, ...],
    moving: tuple[Lobe, ...],
    gap_mm: float,
) -> tuple[Lobe, ...]:
    """Lobes moved in a random direction until their largest surfaces are so far from others."""
    (way,) = directions(rng, 1)
    surface = np.concatenate([lobe.surface(lobe.largest) for lobe in moving])
    others = KDTree(np.concatenate([lobe.surface(lobe.largest) for lobe in fixed]))
    near, far = 0.0, 150.0
    for _ in range(20):  # from far away inwards; the innermost place may lie within the others
        middle = (near + far) / 2
        at = surface + middle * way
        inside = any(lobe.holds(at, lobe.largest).any() for lobe in fixed)
        if inside or others.query(at, distance_upper_bound=gap_mm)[0].min() < gap_mm:
            near = middle
        else:
            far = middle
    return tuple(lobe.moved(far * way) for lobe in moving)


def directions(rng: np.random.Generator, count: int) -> FloatArray:
    """Random unit vectors ``(count, 3)``."""
    drawn = rng.normal(size=(count, 3))
    unit: FloatArray = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return unit


@cache
def sphere(count: int = 1500) -> FloatArray:
    """Directions spread evenly (a Fibonacci lattice)."""
    z = 1 - (2 * np.arange(count) + 1) / count
    turn = np.pi * (3 - np.sqrt(5)) * np.arange(count)
    flat = np.sqrt(1 - z**2)
    return np.stack([flat * np.cos(turn), flat * np.sin(turn), z], axis=1)
