"""Label maps of synthetic heads, built around the MNI152 template that the package nilearn carries.

The template is skull-stripped, so everything around the brain is invented: distance from the
brain's surface gives cerebrospinal fluid, skull (two tables and marrow), scalp fat and skin;
ellipsoids in template coordinates give eyes, sinuses, ears, face and neck; smooth noise fills what
remains. The anatomy only has to be varied enough that no network can rely on one contrast or one
thickness: the idea of SynthStrip (Hoopes et al., NeuroImage 2022), with code of our own.

Arrays here are (x, y, z) with RAS axes; coordinates are MNI millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from scipy import ndimage

GRID_MM = 2.0
GRID_SHAPE = (112, 132, 120)
GRID_CENTRE_MM = (0.0, -12.0, -25.0)

(AIR, GM, WM, CSF, OUTER_CSF, BONE, MARROW, FAT, SKIN, MUSCLE, EYE, ORBIT, SINUS_AIR, MUCOSA, VEIN,
 CORD, NERVE, GLAND, LESION_A, LESION_B) = range(20)  # fmt: skip
LABELS = 20


@dataclass(frozen=True)
class Template:
    """The template on its own 1 mm grid: tissue maps in 0..1 and brain outline, (x, y, z) RAS."""

    gm: np.ndarray
    wm: np.ndarray
    outline: np.ndarray
    origin_mm: tuple[float, float, float]


@dataclass(frozen=True)
class Head:
    """One synthetic head on the 2 mm grid: `labels`, tissue maps in 0..255 (uint8), brain mask."""

    labels: np.ndarray
    gm: np.ndarray
    wm: np.ndarray
    brain: np.ndarray


def load_template() -> Template:
    """Read the MNI152 tissue maps inside nilearn; the outline is the cortex with sulci closed."""
    import nilearn.datasets

    folder = Path(nilearn.datasets.__file__).parent / "data"

    def read(name: str) -> np.ndarray:
        image = sitk.ReadImage(
            str(folder / f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz")
        )
        return sitk.GetArrayFromImage(image).transpose(2, 1, 0)

    gm, wm, t1 = (read(name).astype(np.float32) / 255.0 for name in ("gm", "wm", "t1"))
    tissue = np.pad((gm + wm) > 0.5, 12)
    inside = ndimage.distance_transform_edt(~tissue) <= 7.0
    closed = (ndimage.distance_transform_edt(inside) > 6.0)[12:-12, 12:-12, 12:-12]
    outline = ndimage.binary_fill_holes(closed & (ndimage.binary_dilation(t1 > 0, iterations=2)))
    return Template(gm, wm, outline.astype(np.float32), (-98.0, -134.0, -72.0))


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], scale_mm: float) -> np.ndarray:
    """Unit-variance smooth noise on the 2 mm grid whose features are about `scale_mm` wide."""
    coarse = [max(3, round(n * GRID_MM / scale_mm) + 2) for n in shape]
    seed = torch.from_numpy(rng.standard_normal(coarse).astype(np.float32))[None, None]
    field = torch.nn.functional.interpolate(seed, size=shape, mode="trilinear", align_corners=True)[
        0, 0
    ].numpy()
    return field / (field.std() + 1e-6)


def _template_coordinates(rng: np.random.Generator) -> list[np.ndarray]:
    """MNI coordinates (3 arrays, mm) of each voxel of a randomly turned, scaled and bent head."""
    axes = [(np.arange(n, dtype=np.float32) - (n - 1) / 2) * GRID_MM for n in GRID_SHAPE]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"))
    angles = np.deg2rad(rng.normal(0, 5, 3))
    turn = np.eye(3)
    for axis, angle in enumerate(angles):
        one = np.eye(3)
        a, b = [i for i in range(3) if i != axis]
        one[a, a] = one[b, b] = np.cos(angle)
        one[a, b], one[b, a] = -np.sin(angle), np.sin(angle)
        turn = turn @ one
    overall = rng.uniform(0.97, 1.2)
    matrix = turn @ np.diag(overall * rng.uniform(0.93, 1.07, 3)) + rng.normal(0, 0.02, (3, 3))
    mapped = np.tensordot(matrix.astype(np.float32), grid, 1)
    for axis in range(3):
        mapped[axis] += GRID_CENTRE_MM[axis] + rng.normal(0, 4)
        mapped[axis] += rng.uniform(1, 4) * smooth_noise(rng, GRID_SHAPE, 45)
        mapped[axis] += rng.uniform(0, 1.4) * smooth_noise(rng, GRID_SHAPE, 16)
    return list(mapped)


def _ellipsoid(
    xyz: list[np.ndarray], centre: tuple[float, float, float], radii: tuple[float, float, float]
) -> np.ndarray:
    return sum(((c - m) / r) ** 2 for c, m, r in zip(xyz, centre, radii, strict=True)) < 1.0


def _fill_soft_tissue(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """A mosaic of face and neck tissues, each where its own smooth noise is the largest."""
    kinds = np.array([MUSCLE, FAT, MUCOSA, GLAND, MARROW, SINUS_AIR, BONE, VEIN], np.uint8)
    weight = np.array([0.9, 0.5, 0.2, 0.0, -0.2, -0.3, -0.2, -0.9]) + rng.normal(
        0, 0.35, len(kinds)
    )
    scale = rng.uniform(9, 26)
    best = np.stack([smooth_noise(rng, shape, scale) + w for w in weight]).argmax(0)
    return kinds[best]


def _wrap(rng: np.random.Generator, xyz: list[np.ndarray], brain: np.ndarray) -> np.ndarray:
    """Everything outside the brain: labels from distance layers, ellipsoids and mosaic."""
    x, y, z = xyz
    shape = brain.shape
    away = ndimage.distance_transform_edt(~brain).astype(np.float32) * GRID_MM
    away += 0.5 * smooth_noise(rng, shape, 10)

    def layer(low: float, high: float, wobble: float) -> np.ndarray:
        return np.maximum(0.3, rng.uniform(low, high) * (1 + wobble * smooth_noise(rng, shape, 40)))

    fluid = layer(0.3, 4.5, 0.4)
    bone = layer(4.0, 9.0, 0.25)
    scalp = layer(3.0, 11.0, 0.3)
    skull_end = fluid + bone
    face = _ellipsoid(
        xyz, (0, rng.uniform(25, 40), -60), tuple(rng.uniform([62, 55, 65], [78, 72, 90]))
    )
    neck = (
        ((x / rng.uniform(50, 68)) ** 2 + ((y + rng.uniform(25, 45)) / rng.uniform(55, 75)) ** 2)
        < 1
    ) & (z < -45)
    ears = np.zeros(shape, bool)
    for side in (-1, 1):
        ears |= _ellipsoid(xyz, (side * rng.uniform(80, 92), -25, -38), (rng.uniform(3, 9), 15, 28))
    head = ndimage.binary_fill_holes((away < skull_end + scalp) | face | neck)
    depth = ndimage.distance_transform_edt(head).astype(np.float32) * GRID_MM

    labels = np.where(head, _fill_soft_tissue(rng, shape), AIR).astype(np.uint8)
    vault = head & (away < skull_end + scalp + 6) & (z > -35 + 0.25 * np.abs(y + 20))
    labels[vault] = FAT
    temporalis = vault & (np.abs(x) > 45) & (z < 35) & (away < skull_end + 0.6 * scalp)
    labels[temporalis] = MUSCLE
    labels[head & (depth < rng.uniform(2.0, 4.5))] = SKIN
    labels[ears & ~head] = rng.choice([SKIN, FAT, MUSCLE])

    _place_face(rng, xyz, labels, away > skull_end)
    _place_neck(rng, xyz, labels, head)

    shell = away < skull_end
    labels[shell] = BONE
    if rng.random() < 0.85:
        inner, outer = fluid + bone * rng.uniform(0.2, 0.4), fluid + bone * rng.uniform(0.6, 0.85)
        labels[(away > inner) & (away < outer) & (smooth_noise(rng, shape, 30) > -1.0)] = MARROW
    below = shell & (z < -30)
    patchy = below & (smooth_noise(rng, shape, 14) > rng.uniform(0.0, 1.5))
    labels[patchy] = rng.choice([MARROW, SINUS_AIR, MUSCLE, VEIN, FAT])
    labels[away < fluid] = OUTER_CSF
    _place_veins(rng, xyz, labels, away)
    _open_foramen(rng, xyz, labels, away)
    return labels


def _place_face(
    rng: np.random.Generator, xyz: list[np.ndarray], labels: np.ndarray, free: np.ndarray
) -> None:
    """Orbits with eyes and nerves, sinuses, nasal cavity and mastoid cells."""
    wide = rng.uniform(0.8, 1.25)
    for side in (-1, 1):
        eye = (side * rng.uniform(29, 35), rng.uniform(56, 66), rng.uniform(-44, -34))
        orbit = _ellipsoid(xyz, (eye[0] * 0.85, eye[1] - 14, eye[2]), (17 * wide, 26, 16 * wide))
        labels[orbit & free & (labels != AIR)] = ORBIT
        nerve = _ellipsoid(xyz, (eye[0] * 0.75, eye[1] - 24, eye[2]), (3.5, 22, 3.5))
        labels[nerve & free] = NERVE
        globe = rng.uniform(11, 13.5)
        labels[_ellipsoid(xyz, eye, (globe,) * 3) & free] = EYE
        labels[_ellipsoid(xyz, (eye[0], eye[1] + globe - 4, eye[2]), (5, 3, 5)) & free] = NERVE
        maxillary = tuple(rng.uniform([8, 10, 10], [17, 18, 18]))
        labels[_ellipsoid(xyz, (side * 28, 45, -70), maxillary) & free] = SINUS_AIR
        mastoid = tuple(rng.uniform([5, 5, 5], [15, 14, 16]))
        labels[_ellipsoid(xyz, (side * 58, -35, -48), mastoid) & free] = rng.choice(
            [SINUS_AIR, MARROW, MUCOSA]
        )
        labels[_ellipsoid(xyz, (side * 68, -22, -45), (18, 3, 3)) & free] = SINUS_AIR
    nose = _ellipsoid(xyz, (0, 52, -62), tuple(rng.uniform([8, 24, 16], [15, 36, 26])))
    labels[nose & free & (np.sin(xyz[0] * rng.uniform(0.5, 1.2)) > -0.3)] = SINUS_AIR
    labels[_ellipsoid(xyz, (0, 14, -42), tuple(rng.uniform([5, 6, 5], [15, 14, 12]))) & free] = (
        SINUS_AIR
    )
    if rng.random() < 0.7:
        frontal = tuple(rng.uniform([8, 4, 6], [26, 9, 14]))
        labels[_ellipsoid(xyz, (0, 76, -16), frontal) & free] = SINUS_AIR
    throat = (np.abs(xyz[0]) < 9) & (np.abs(xyz[1] - 2) < rng.uniform(4, 9)) & (xyz[2] < -62)
    labels[throat & free] = SINUS_AIR


def _place_neck(
    rng: np.random.Generator, xyz: list[np.ndarray], labels: np.ndarray, head: np.ndarray
) -> None:
    """Clivus, vertebrae, spinal canal and muscles behind them."""
    x, y, z = xyz
    low = head & (z < -62)
    spine_y = -20 - 0.1 * (z + 70)
    labels[low & (y < spine_y) & (np.abs(x) < 45) & (y > -95)] = MUSCLE
    labels[head & _ellipsoid(xyz, (0, -8, -52), (11, 9, 20))] = MARROW
    ring = np.hypot(x, y - spine_y + 18)
    labels[low & (ring < 17)] = BONE
    body = low & (np.hypot(x, 1.3 * (y - spine_y)) < rng.uniform(10, 16))
    labels[body] = MARROW
    labels[body & (np.mod(z, 20) < 4)] = GLAND
    labels[low & (ring < rng.uniform(8, 13))] = OUTER_CSF


def _place_veins(
    rng: np.random.Generator, xyz: list[np.ndarray], labels: np.ndarray, away: np.ndarray
) -> None:
    """Sagittal and transverse sinuses, in some heads a dural rim, all outside the brain."""
    x, y, z = xyz
    near = away > 0.5
    if rng.random() < 0.8:
        width = rng.uniform(2, 6)
        labels[near & (away < width) & (np.abs(x) < width) & (z > -25)] = VEIN
        tent = np.abs(z + 22 + 0.15 * (np.abs(x))) < width
        labels[near & (away < width) & tent & (y < -40)] = VEIN
    if rng.random() < 0.25:
        labels[near & (away < rng.uniform(1.5, 3.0))] = VEIN


def _open_foramen(
    rng: np.random.Generator, xyz: list[np.ndarray], labels: np.ndarray, away: np.ndarray
) -> None:
    """Continue the medulla below the template's end as a cord in fluid, outside the brain mask."""
    x, y, z = xyz
    axis_y = -42 - 0.05 * (z + 70)
    canal = (np.hypot(x, y - axis_y) < rng.uniform(9, 14)) & (z < -56) & (away > 0)
    labels[canal] = OUTER_CSF
    labels[canal & (np.hypot(x, y - axis_y) < rng.uniform(5, 7.5))] = CORD


def _plant_lesions(rng: np.random.Generator, labels: np.ndarray, brain: np.ndarray) -> None:
    """Blobs of other contrast in the brain and at its surface: lesions stay in the mask."""
    for label in (LESION_A, LESION_B):
        if rng.random() < 0.5:
            field = smooth_noise(rng, brain.shape, rng.uniform(8, 45))
            labels[brain & (field > rng.uniform(1.9, 3.2))] = label


def make_head(template: Template, seed: int) -> Head:
    """Build one head; the same seed gives the same head."""
    rng = np.random.default_rng([seed, 20])
    xyz = _template_coordinates(rng)
    index = [c - o for c, o in zip(xyz, template.origin_mm, strict=True)]
    gm, wm, outline = (
        ndimage.map_coordinates(volume, index, order=1, mode="constant", cval=0.0)
        for volume in (template.gm, template.wm, template.outline)
    )
    brain = outline > 0.5
    labels = _wrap(rng, xyz, brain)
    labels[brain] = CSF
    _plant_lesions(rng, labels, brain)
    lesion = labels >= LESION_A
    gm = np.where(brain & ~lesion, gm, 0)
    wm = np.where(brain & ~lesion, wm, 0)
    return Head(labels, (gm * 255).astype(np.uint8), (wm * 255).astype(np.uint8), brain)
