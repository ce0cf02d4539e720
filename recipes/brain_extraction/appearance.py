"""From a label map to one training pair: random contrast, pose, slices, bias, noise, field of view.

Tensors are (x, y, z) RAS on the network's grid; everything follows from the random generator alone.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from synthetic_heads import (
    AIR,
    BONE,
    CORD,
    CSF,
    EYE,
    FAT,
    GLAND,
    GM,
    GRID_MM,
    LABELS,
    LESION_A,
    LESION_B,
    MARROW,
    MUCOSA,
    MUSCLE,
    NERVE,
    ORBIT,
    OUTER_CSF,
    SINUS_AIR,
    SKIN,
    VEIN,
    WM,
    Head,
)
from torch.nn import functional

NETWORK_MM = 2.5
NETWORK_SHAPE = (96, 112, 96)

# Rough relative intensities of a few sequences, in the order of _TISSUES; every value is jittered,
# and a share of images uses none of them.
_TISSUES = (GM, WM, CSF, MARROW, FAT, SKIN, MUSCLE, EYE,
            ORBIT, MUCOSA, VEIN, CORD, NERVE, GLAND, LESION_A, LESION_B)  # fmt: skip
_SEQUENCES = {
    "flair": (0.75, 0.65, 0.12, 0.25, 0.3, 0.4, 0.35, 0.12,
              0.3, 0.8, 0.3, 0.8, 0.5, 0.5, 1.0, 0.3),
    "flair_fat": (0.6, 0.5, 0.1, 0.6, 0.9, 0.5, 0.35, 0.1,
                  0.9, 0.8, 0.3, 0.6, 0.5, 0.6, 0.9, 0.2),
    "t2": (0.55, 0.4, 1.0, 0.4, 0.55, 0.4, 0.2, 1.0,
           0.55, 0.9, 0.1, 0.45, 0.35, 0.5, 0.9, 0.7),
    "t1": (0.5, 0.65, 0.2, 0.75, 1.0, 0.6, 0.45, 0.2,
           0.95, 0.5, 0.4, 0.6, 0.5, 0.55, 0.4, 0.3),
    "t1c": (0.45, 0.5, 0.18, 0.7, 1.0, 0.8, 0.5, 0.2,
            0.9, 1.0, 0.95, 0.45, 0.5, 0.8, 0.9, 0.3),
}  # fmt: skip


def _contrast(rng: np.random.Generator, sequence_share: float) -> np.ndarray:
    """Mean intensity of each label in 0..1."""
    table = rng.uniform(0.0, 1.0, LABELS)
    table[BONE] = rng.uniform(0.0, 0.35)
    table[AIR] = table[SINUS_AIR] = 0.0
    if rng.random() < sequence_share:
        preset = _SEQUENCES[rng.choice(list(_SEQUENCES))]
        for label, value in zip(_TISSUES, preset, strict=True):
            table[label] = value * rng.uniform(0.75, 1.25) + rng.normal(0, 0.04)
        table[BONE] = rng.uniform(0.02, 0.15)
        table[FAT] *= rng.choice([1.0, 1.0, 0.4])
    table[OUTER_CSF] = table[CSF] + rng.normal(0, 0.06)
    table[SINUS_AIR] = rng.uniform(0, 0.05)
    return np.clip(table, 0, 1.3).astype(np.float32)


def _noise(rng: np.random.Generator, shape: tuple[int, ...], cells: int) -> torch.Tensor:
    seed = torch.from_numpy(rng.standard_normal((1, 1, cells, cells, cells)).astype(np.float32))
    return functional.interpolate(seed, size=shape, mode="trilinear", align_corners=True)[0, 0]


def _shrink(rng: np.random.Generator, tissue: torch.Tensor) -> torch.Tensor:
    """A factor that widens the folds of the average template to those of a single, old brain."""
    least = float(rng.uniform(-0.2, 0.7))
    return ((tissue - least) / (0.95 - least)).clamp(0, 1)


def _paint(
    rng: np.random.Generator, head: Head, sequence_share: float, wide_sulci: bool
) -> torch.Tensor:
    """Intensities on the head's own 2 mm grid."""
    table = _contrast(rng, sequence_share)
    image = torch.from_numpy(table)[torch.from_numpy(head.labels).long()]
    gm, wm = (torch.from_numpy(m).float() / 255.0 for m in (head.gm, head.wm))
    if wide_sulci:
        keep = _shrink(rng, gm + wm)
        gm, wm = gm * keep, wm * keep
    image = image + gm * float(table[GM] - table[CSF]) + wm * float(table[WM] - table[CSF])
    texture = rng.uniform(0, 0.12) * _noise(rng, image.shape, 40) + rng.uniform(0, 0.1) * _noise(
        rng, image.shape, 14
    )
    grain = torch.from_numpy(rng.standard_normal(image.shape, dtype=np.float32)) * float(
        rng.uniform(0, 0.08)
    )
    return torch.where(
        torch.from_numpy(head.labels) == AIR, image, image * (1 + texture) + grain * 0.5
    )


def _view(rng: np.random.Generator) -> torch.Tensor:
    """A 3x4 matrix for affine_grid: a random pose of the head in the network's field of view."""
    angles = np.deg2rad(rng.normal(0, [6, 6, 9]) if rng.random() < 0.7 else rng.uniform(-25, 25, 3))
    turn = np.eye(3)
    for axis, angle in enumerate(angles):
        one = np.eye(3)
        a, b = [i for i in range(3) if i != axis]
        one[a, a] = one[b, b] = math.cos(angle)
        one[a, b], one[b, a] = -math.sin(angle), math.sin(angle)
        turn = turn @ one
    stretch = np.diag(rng.uniform(0.94, 1.12) * rng.uniform(0.95, 1.05, 3))
    if rng.random() < 0.5:
        stretch[0, 0] *= -1
    return torch.from_numpy(
        np.hstack([turn @ stretch, rng.normal(0, 8, (3, 1))]).astype(np.float32)
    )


def _resample(volume: torch.Tensor, pose: torch.Tensor) -> torch.Tensor:
    """Sample a 2 mm volume on the network's grid; `pose` maps network to head millimetres."""
    axes = [
        (torch.arange(n, dtype=torch.float32) - (n - 1) / 2) * NETWORK_MM for n in NETWORK_SHAPE
    ]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
    mapped = points @ pose[:, :3].T + pose[:, 3]
    half = torch.tensor([(n - 1) / 2 * GRID_MM for n in volume.shape[-3:]])
    grid = (mapped / half).flip(-1)[None]
    return functional.grid_sample(
        volume[None], grid, mode="bilinear", padding_mode="zeros", align_corners=True
    )[0]


def _thick_slices(rng: np.random.Generator, image: torch.Tensor) -> torch.Tensor:
    """Keep few slices along one axis and interpolate back, as a resampled thick scan looks."""
    thickness = rng.uniform(2.5, 7.0)
    if rng.random() < 0.3:
        return image
    axis = int(rng.choice(3, p=[0.2, 0.2, 0.6]))
    size = list(image.shape)
    size[axis] = max(12, round(image.shape[axis] * NETWORK_MM / thickness))
    thin = functional.interpolate(
        image[None, None], size=size, mode="trilinear", align_corners=False
    )
    return functional.interpolate(thin, size=image.shape, mode="trilinear", align_corners=False)[
        0, 0
    ]


def _field_of_view(rng: np.random.Generator, brain: torch.Tensor) -> tuple[slice, ...]:
    """A box that may cut neck and face, and sometimes some of the brain."""
    box = []
    for axis in range(3):
        present = torch.where(brain.amax(dim=[a for a in range(3) if a != axis]) > 0.5)[0]
        low, high = int(present[0]), int(present[-1]) + 1
        bite = [
            int(rng.uniform(0, 0.15) * (high - low)) if rng.random() < 0.2 else 0 for _ in range(2)
        ]
        air = [int(rng.integers(0, 30)) if rng.random() < 0.65 else 200 for _ in range(2)]
        start, stop = (
            low - air[0] * (not bite[0]) + bite[0],
            high + air[1] * (not bite[1]) - bite[1],
        )
        box.append(slice(max(0, start), min(brain.shape[axis], stop)))
    return tuple(box)


def normalise(image: torch.Tensor) -> torch.Tensor:
    """Scale to 0..1 between the 0.5th and 99.5th percentile, as the bundle's preprocessing does."""
    values = image.flatten()[:: max(1, image.numel() // 100_000)].sort().values
    low, high = values[int(0.005 * (len(values) - 1))], values[int(0.995 * (len(values) - 1))]
    return ((image - low) / (high - low + 1e-6)).clamp(0, 1)


def pad_to_multiple(volume: torch.Tensor, k: int = 16) -> torch.Tensor:
    """Pad the end and the beginning alike with zeros to multiples of `k`, as the bundle does."""
    pads: list[int] = []
    for n in reversed(volume.shape):
        extra = -n % k
        pads += [extra // 2, extra - extra // 2]
    return functional.pad(volume, pads)


def spoil(rng: np.random.Generator, image: torch.Tensor) -> torch.Tensor:
    """Bias field, gamma, blur and noise."""
    image = image * torch.exp(rng.uniform(0, 0.4) * _noise(rng, image.shape, 4))
    image = image.clamp(0) ** float(np.exp(rng.normal(0, 0.25)))
    image = _thick_slices(rng, image)
    sigma = float(rng.uniform(0, 0.05))
    real = image + sigma * torch.from_numpy(rng.standard_normal(image.shape, dtype=np.float32))
    if rng.random() < 0.5:
        return real.clamp(0)
    imaginary = sigma * torch.from_numpy(rng.standard_normal(image.shape, dtype=np.float32))
    return torch.sqrt(real**2 + imaginary**2)


def training_pair(
    head: Head, seed: int, sequence_share: float, wide_sulci: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Image and soft brain mask, each (x, y, z) float on the network's grid.

    `sequence_share` is the share of images with the contrast of a usual sequence; `wide_sulci`
    lets fluid take part of the cortex.
    """
    rng = np.random.default_rng([seed, 21])
    pose = _view(rng)
    stack = torch.stack(
        [_paint(rng, head, sequence_share, wide_sulci), torch.from_numpy(head.brain).float()]
    )
    image, brain = _resample(stack, pose)
    image = spoil(rng, image)
    if rng.random() < 0.5:
        image = torch.where(image < 0.04 * rng.uniform(0, 2), 0.0, image)
    box = _field_of_view(rng, brain)
    image, brain = image[box], brain[box]
    if rng.random() < 0.04:
        image = image * (brain > 0.2)
    return pad_to_multiple(normalise(image)), pad_to_multiple(brain)
