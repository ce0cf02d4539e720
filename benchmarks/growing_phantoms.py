"""Two studies of lesions of which everything is known: which is new, gone, grown, merged, split.

Frozen before the matcher was written or tuned: its figures are only worth something as long as
nothing here is changed to suit them. Nothing here knows of the rules by which changes are found.

A phantom has three clusters of two lesions. Each lesion is a lump: an ellipsoid with bumps, 3.5 to
9 mm in mean radius. The two of a cluster come within 2 to 5 mm of each other at their largest, be
it in one study or one before and the other after. What becomes of each is drawn at random:

- it stays as it is; is new; is gone;
- its surface moves 2 to 4 mm outwards (grown) or inwards (shrunk), about a slice's thickness;
- two lobes 2 to 5 mm apart grow into one (merged), or one falls into two such lobes (split).

Between the studies the patient is turned by up to 8 degrees and moved by up to 6 mm. Both are
imaged in slices of 3 mm with voxels of 1 mm; a voxel is marked when the lesion fills more than a
part of it that is drawn anew for each study, between a quarter and three quarters, as readers
differ. The registration that comes with a phantom is the true motion with a rigid error of 1 mm
(root mean square over the lesions).

A draw in which the marked lesions are not what was meant (two that touch, one in pieces, one that
is too thin to be seen or is cut by the edge) is drawn again: then what is known would not be true.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import cc3d
import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from benchmarks.lumps import Lobe, directions, draw_lobe, set_apart
from napari_medcnn.core.geometry import FloatArray, Geometry

KINDS = ("stable", "new", "gone", "grown", "shrunk", "merged", "split")
SHAPE = (48, 144, 144)
CLUSTERS, UNITS = 3, 2
CLUSTER_OFFSET_MM = 36.0
LONE_RADIUS_MM, LOBE_RADIUS_MM = (3.5, 9.0), (3.5, 6.0)
GAP_MM = (2.0, 5.0)
GROWTH_MM = (2.0, 4.0)
MERGED_DEPTH_MM = (1.0, 2.0)
"""How far each of two merging lobes grows beyond the middle of the gap between them."""

THRESHOLD = (0.25, 0.75)
TURN_DEG, SHIFT_MM = 8.0, 6.0
SAMPLES = (5, 3, 3)
"""Points a voxel along (z, y, x) at which a lesion is looked for."""

NOISE = 5.0


@dataclass(frozen=True)
class Recipe:
    """What may differ between sets of phantoms; the defaults are those of the published figures.

    Parameters
    ----------
    spacing : tuple of float
        Of both studies, mm along ``(z, y, x)``.
    residual_mm : float
        Error of the registration, root mean square over the lesions.
    growth_mm : tuple of float
        Least and most by which a surface moves.
    kinds : tuple of str
        Of :data:`KINDS`: what a lesion's fate is drawn from.
    """

    spacing: tuple[float, float, float] = (3.0, 1.0, 1.0)
    residual_mm: float = 1.0
    growth_mm: tuple[float, float] = GROWTH_MM
    kinds: tuple[str, ...] = KINDS


@dataclass(frozen=True, eq=False)
class Study:
    """One study: true lesion numbers and an image, both ``(z, y, x)`` on `geometry`."""

    lesions: npt.NDArray[np.uint16]
    image: npt.NDArray[np.float32]
    geometry: Geometry


@dataclass(frozen=True)
class Fate:
    """What became of a lesion: its numbers before and after, and its true volumes in mm³."""

    kind: str
    before: tuple[int, ...]
    after: tuple[int, ...]
    volume_before_mm3: float
    volume_after_mm3: float


@dataclass(frozen=True, eq=False)
class GrowingPhantom:
    """Two studies and what is true of them.

    Parameters
    ----------
    before, after : Study
        Each on its own grid.
    fates : tuple of Fate
        Every lesion of both studies is in one of them.
    motion, registration : numpy.ndarray
        4x4, from a point of `before` to one of `after`, LPS mm ``(x, y, z)``: the true one, and
        the one that is known to the user.
    """

    before: Study
    after: Study
    fates: tuple[Fate, ...]
    motion: FloatArray
    registration: FloatArray


_Unit = tuple[str, tuple[Lobe, ...]]


def phantom(seed: int, recipe: Recipe = Recipe()) -> GrowingPhantom:
    """The phantom of a seed."""
    rng = np.random.default_rng(seed)
    while True:
        units = _scene(rng, recipe)
        made = _imaged(rng, units, recipe)
        if made is not None:
            return made


def _scene(rng: np.random.Generator, recipe: Recipe) -> list[_Unit]:
    corners = np.array(list(product((-1, 1), repeat=3)))
    units: list[_Unit] = []
    for corner in rng.choice(corners, CLUSTERS, replace=False):
        first, second = (_unit(rng, str(rng.choice(recipe.kinds)), recipe) for _ in range(UNITS))
        second = (second[0], set_apart(rng, first[1], second[1], rng.uniform(*GAP_MM)))
        lobes = [lobe.centre for _, members in (first, second) for lobe in members]
        by = corner * CLUSTER_OFFSET_MM - np.mean(lobes, axis=0)
        units += [(kind, tuple(lb.moved(by) for lb in held)) for kind, held in (first, second)]
    return units


def _unit(rng: np.random.Generator, kind: str, recipe: Recipe) -> _Unit:
    """One lesion around 0, or the two lobes of one."""
    growth = rng.uniform(*recipe.growth_mm)
    offsets: dict[str, tuple[float | None, float | None]] = {
        "stable": (0.0, 0.0),
        "new": (None, 0.0),
        "gone": (0.0, None),
        "grown": (0.0, growth),
        "shrunk": (growth, 0.0),
    }
    if kind in offsets:
        return kind, (draw_lobe(rng, LONE_RADIUS_MM, offsets[kind]),)
    gap = rng.uniform(*GAP_MM)
    reach = gap / 2 + rng.uniform(*MERGED_DEPTH_MM)
    first, second = (draw_lobe(rng, LOBE_RADIUS_MM, (0.0, 0.0)) for _ in range(2))
    (second,) = set_apart(rng, (first,), (second,), gap)
    held = (0.0, reach) if kind == "merged" else (reach, 0.0)
    return kind, (replace(first, offsets=held), replace(second, offsets=held))


def _imaged(rng: np.random.Generator, units: list[_Unit], recipe: Recipe) -> GrowingPhantom | None:
    motion = _motion(rng)
    before = _study(rng, units, 0, np.eye(4), recipe)
    after = _study(rng, units, 1, motion, recipe)
    if before is None or after is None:
        return None
    fates = tuple(
        Fate(kind, before[1][n], after[1][n], before[2][n], after[2][n])
        for n, (kind, _) in enumerate(units)
    )
    centres = np.stack([lobe.centre for _, lobes in units for lobe in lobes])
    registration = motion @ _residual(rng, centres, recipe.residual_mm)
    return GrowingPhantom(before[0], after[0], fates, motion, registration)


def _study(
    rng: np.random.Generator, units: list[_Unit], when: int, motion: FloatArray, recipe: Recipe
) -> tuple[Study, list[tuple[int, ...]], list[float]] | None:
    """A study, with each unit's lesion numbers and true volume; None where it is not as meant."""
    half_mm = tuple((n - 1) / 2 * s for n, s in zip(SHAPE, recipe.spacing, strict=True))
    grid = Geometry.from_spacing(SHAPE, recipe.spacing, (-half_mm[2], -half_mm[1], -half_mm[0]))
    threshold = rng.uniform(*THRESHOLD)
    marked = np.zeros(SHAPE, dtype=np.uint16)
    image = rng.normal(100, NOISE, SHAPE).astype(np.float32)
    numbers: list[tuple[int, ...]] = []
    volumes = []
    count = 0
    for kind, lobes in units:
        held = [(b, o) for b in lobes if (o := b.offsets[when]) is not None]
        joined = kind == ("split", "merged")[when]
        lesions = [held] if joined else [[one] for one in held]
        numbers.append(tuple(count + 1 + n for n in range(len(lesions))))
        volumes.append(0.0)
        for members in lesions:
            count += 1
            filled = _filled(members, grid, motion)
            if filled is None or marked[filled[0]][filled[1] > threshold].any():
                return None
            box, share = filled
            marked[box][share > threshold] = count
            image[box] += (100 * share).astype(np.float32)
            volumes[-1] += float(share.sum()) * grid.voxel_volume_mm3
    return (Study(marked, image, grid), numbers, volumes) if _as_meant(marked, count) else None


def _filled(
    lobes: list[tuple[Lobe, float]], grid: Geometry, motion: FloatArray
) -> tuple[tuple[slice, slice, slice], FloatArray] | None:
    """How full each voxel of a box around a lesion is; None where it reaches the grid's edge."""
    surface = np.concatenate([lobe.surface(offset) for lobe, offset in lobes])
    index = grid.lps_to_index(surface @ motion[:3, :3].T + motion[:3, 3])
    start = np.floor(index.min(axis=0)).astype(int) - 1
    stop = np.ceil(index.max(axis=0)).astype(int) + 2
    if (start < 1).any() or (stop >= np.array(grid.shape)).any():
        return None
    within = [(np.arange(n) + 0.5) / n - 0.5 for n in SAMPLES]
    axes = [
        (np.arange(a, b)[:, None] + w).ravel() for a, b, w in zip(start, stop, within, strict=True)
    ]
    points = grid.index_to_lps(np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3))
    at_first = (points - motion[:3, 3]) @ motion[:3, :3]  # its inverse: the motion is rigid
    inside = np.zeros(len(at_first), dtype=bool)
    for lobe, offset in lobes:
        inside |= lobe.holds(at_first, offset)
    blocks = [m for n, s in zip(stop - start, SAMPLES, strict=True) for m in (int(n), s)]
    box = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    return (box[0], box[1], box[2]), inside.reshape(blocks).mean(axis=(1, 3, 5))


def _as_meant(marked: npt.NDArray[np.uint16], count: int) -> bool:
    """Whether the connected components (26 neighbours) are the lesions, one each."""
    components = cc3d.connected_components(marked > 0, connectivity=26)
    pairs = {*zip(components[marked > 0].tolist(), marked[marked > 0].tolist(), strict=True)}
    return len({c for c, _ in pairs}) == len({m for _, m in pairs}) == len(pairs) == count


def _motion(rng: np.random.Generator) -> FloatArray:
    (axis, way) = directions(rng, 2)
    return _rigid(axis * np.deg2rad(rng.uniform(0, TURN_DEG)), way * rng.uniform(0, SHIFT_MM))


def _residual(rng: np.random.Generator, centres: FloatArray, residual_mm: float) -> FloatArray:
    """A rigid motion that moves the centres by so much, as root mean square."""
    (axis, way) = directions(rng, 2)
    turn, shift = axis * np.deg2rad(rng.uniform(0, 1)), way * rng.uniform(0, 1)
    tried = _rigid(turn, shift)
    moved = centres @ tried[:3, :3].T + tried[:3, 3] - centres
    scale = residual_mm / np.sqrt((moved**2).sum(axis=1).mean())
    return _rigid(turn * scale, shift * scale)


def _rigid(turn: FloatArray, shift: FloatArray) -> FloatArray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(turn).as_matrix()
    matrix[:3, 3] = shift
    return matrix
