"""Where patches of a synthetic volume are cut: at lesions, at what matches them, at what deceives.

Half of the places without a lesion are the lesions' own shapes moved into white matter. The others
are hard: bright tissue that is none (ventricular lining, septum, limbic cortex), tissue at the
border of fluid, and false alarms of the shipped lesion model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_medcnn.evaluation.lesion_wise import pair_lesions
from napari_medcnn.imaging.components import cut_out_components
from recipes.flair_lesions.bundle import MIN_LESION_VOLUME_MM3
from recipes.lesion_classifier.matched import matched_shapes
from recipes.lesion_classifier.patches import LESION, NONE

Mask = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float32]
Centre = tuple[int, int, int]
Kind = Literal["lesion", "found", "matched", "bright", "fluid_border", "false_alarm"]
"""What lies in the middle of a patch; the first two are lesions."""

APART = 4
"""Farther from every lesion, in voxels of 1 mm, lies what is called none."""

FLUID, TISSUE = 0.6, 0.8
"""In medians of the brain: below the first is fluid in FLAIR, from the second on tissue."""

BORDER, EDGE = 2, 3
"""Voxels of 1 mm: what is so near to fluid is at its border, so near to the outside at its edge."""

BRIGHT_SHARE = 0.03
"""The brightest part of what is no lesion: where a threshold errs."""

MOST_LESIONS, MOST_OF_A_KIND = 10, 3
"""Patches of a volume: of its lesions, which are matched by half as many places in white matter,
and of bright tissue and of borders of fluid each."""

JITTER = 2
"""Voxels by which a patch may be cut beside the middle of what it is of, along each axis."""


@dataclass(frozen=True)
class Place:
    """The voxel ``(x, y, z)`` in the middle of a patch, and what is there."""

    centre: Centre
    kind: Kind

    @property
    def target(self) -> str:
        """The class of the patch."""
        return LESION if self.kind in ("lesion", "found") else NONE


def places(
    image: Values, lesions: Mask, white_matter: Mask, rng: np.random.Generator
) -> Iterator[Place]:
    """Places of a volume at 1 mm whose unit is the brain's median.

    Parameters
    ----------
    image, lesions, white_matter : numpy.ndarray
        ``(x, y, z)``; 0 outside the brain, and the truth.
    rng : numpy.random.Generator
        The only source of randomness.
    """
    far = apart(lesions)
    tissue = inner_tissue(image) & far
    components, _ = cut_out_components(lesions.astype(np.uint8), MIN_LESION_VOLUME_MM3)
    chosen = [components[n] for n in sorted(rng.permutation(len(components))[:MOST_LESIONS])]
    matches = matched_shapes(chosen, tissue & white_matter, rng)
    for match in matches:
        yield Place(_jittered(middle(match.lesion_voxels), rng), "lesion")
    with_room = [match for match in matches if match.moved is not None]
    for match in with_room[: MOST_LESIONS // 2]:
        yield Place(_jittered(middle(match.moved_voxels), rng), "matched")
    if not tissue.any():
        return
    bright = tissue & (image >= np.quantile(image[tissue], 1 - BRIGHT_SHARE))
    yield from _drawn(bright, "bright", rng)
    yield from _drawn(tissue & at_fluid(image), "fluid_border", rng)


def places_of_candidates(candidates: Mask, lesions: Mask) -> Iterator[Place]:
    """What the lesion model marked in a volume: lesions that it found, and false alarms.

    Partners are those of `evaluation.lesion_wise`. A candidate that touches a lesion and is not its
    partner, or lies beside one, is neither and left out.
    """
    pairs = pair_lesions(candidates, lesions, 1.0, min_volume_mm3=MIN_LESION_VOLUME_MM3)
    hits = {found for found, _ in pairs.partners}
    far = apart(lesions)
    for number in range(1, len(pairs.found_sizes) + 1):
        voxels = np.argwhere(pairs.found == number)
        centre = middle(voxels)
        if number in hits:
            yield Place(centre, "found")
        elif far[centre] and not lesions[tuple(voxels.T)].any():
            yield Place(centre, "false_alarm")


def lesion_centres(lesions: Mask) -> list[Centre]:
    """The middle of each lesion that is large enough to be reported, in voxels of 1 mm."""
    components, _ = cut_out_components(lesions.astype(np.uint8), MIN_LESION_VOLUME_MM3)
    return [middle(np.argwhere(c.mask) + [part.start for part in c.box]) for c in components]


def middle(voxels: npt.NDArray[np.intp]) -> Centre:
    """The voxel nearest to the mean of some voxels ``(voxel, axis)``."""
    x, y, z = (int(c) for c in np.rint(voxels.mean(axis=0)))
    return x, y, z


def apart(lesions: Mask) -> Mask:
    """What has no lesion in the cube around it, and so lies more than `APART` voxels from all."""
    near = ndimage.maximum_filter(lesions.astype(np.uint8), 2 * APART + 1)
    return near == 0


def inner_tissue(image: Values) -> Mask:
    """Brain that is no fluid, and not at the brain's edge."""
    inside = ndimage.minimum_filter((image > 0).astype(np.uint8), 2 * EDGE + 1)
    return (inside > 0) & (image >= TISSUE)


def at_fluid(image: Values) -> Mask:
    """What is so near to fluid within the brain that it is at its border."""
    fluid = (image > 0) & (image < FLUID)
    near = ndimage.maximum_filter(fluid.astype(np.uint8), 2 * BORDER + 1)
    return near > 0


def _drawn(candidates: Mask, kind: Kind, rng: np.random.Generator) -> Iterator[Place]:
    voxels = np.argwhere(candidates)
    count = min(MOST_OF_A_KIND, len(voxels))
    for x, y, z in voxels[rng.choice(len(voxels), count, replace=False)] if count else ():
        yield Place((int(x), int(y), int(z)), kind)


def _jittered(centre: Centre, rng: np.random.Generator) -> Centre:
    x, y, z = (
        int(c + d) for c, d in zip(centre, rng.integers(-JITTER, JITTER + 1, 3), strict=True)
    )
    return x, y, z
