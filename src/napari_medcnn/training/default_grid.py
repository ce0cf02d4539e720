"""Rules for the grid and values that a network sees: spacing, normalisation, size of a patch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, prod

import numpy as np

from napari_medcnn.training.fingerprint import Fingerprint
from napari_medcnn.training.job import Preprocessing
from napari_medcnn.training.manifest import Manifest
from napari_medcnn.training.proposal import Choice
from napari_medcnn.training.topology import topology

Zyx = tuple[int, int, int]
SpacingMm = tuple[float, float, float]

THICK_SLICES = 3.0
"""Spacings of this ratio, and slices as many times fewer, make a data set anisotropic."""

THIN_PERCENTILE = 10
"""Of the spacing across such slices: some detail of the finer cases is kept, not that of none."""

STRIPPED_SHARE = 0.25
"""Images with a larger share of voxels that are 0 have nothing around the organ."""

SHRINK = 0.95
"""By which a patch that is too large loses length, until it fits."""


def target_spacing(fingerprint: Fingerprint) -> Choice[SpacingMm]:
    """The spacing ``(z, y, x)`` of the network's grid: the median, finer across thick slices.

    Isensee et al. 2021: where the slices of most cases are thick, the spacing across them is the
    tenth percentile, so that interpolation does not make up detail within them.
    """
    spacings = np.array([case.spacing_mm for case in fingerprint.cases])
    median, shape = np.array(fingerprint.median_spacing_mm), np.array(fingerprint.median_shape)
    thick = int(median.argmax())
    others = [axis for axis in range(3) if axis != thick]
    coarse = median[thick] >= THICK_SLICES * median[others].min()
    few = shape[thick] * THICK_SLICES <= shape[others].max()
    why = f"the median of {len(spacings)} training cases"
    if np.ptp(spacings, axis=0).max() < 1e-3:
        why = "that of all training cases"
    elif coarse and few:
        finer = float(np.percentile(spacings[:, thick], THIN_PERCENTILE))
        median[thick] = max(finer, median[others].max())
        why = (
            f"the median, but across the thick slices along {'zyx'[thick]} the tenth percentile, "
            f"{median[thick]:.3g} mm"
        )
    z, y, x = (round(float(value), 4) for value in median)
    return Choice((z, y, x), why)


def shape_at(fingerprint: Fingerprint, spacing_mm: SpacingMm | None) -> Zyx:
    """The median size ``(z, y, x)`` of the training cases on a grid of this spacing."""
    shapes = np.array([case.shape for case in fingerprint.cases], dtype=float)
    if spacing_mm is not None:
        shapes *= np.array([case.spacing_mm for case in fingerprint.cases]) / spacing_mm
    z, y, x = (max(1, round(float(value))) for value in np.median(shapes, axis=0))
    return z, y, x


def normalised(manifest: Manifest, fingerprint: Fingerprint) -> Choice[Preprocessing]:
    """How values are brought to one scale: a `Preprocessing` with nothing else in it."""
    first = fingerprint.intensities[0]
    if manifest.modality == "CT" and len(manifest.channels) == 1 and first.std > 0:
        low, high = first.percentile_00_5, first.percentile_99_5
        return Choice(
            Preprocessing(normalisation="ct", clip=(low, high), mean=first.mean, std=first.std),
            f"CT has a unit: clipped to {low:.0f} .. {high:.0f} HU, where 99 % of the foreground "
            f"lies, then less its mean {first.mean:.0f} and over its deviation {first.std:.0f}",
        )
    values = fingerprint.intensities
    eight_bits = all(one.minimum >= 0 and one.maximum <= 255 for one in values)
    if eight_bits and not manifest.modality:
        return Choice(
            Preprocessing(normalisation="range", clip=(0.0, 255.0)),
            "pictures of 8 bits have one scale: 0 .. 255 become 0 .. 1",
        )
    zero = float(np.median([case.zero_share for case in fingerprint.cases]))
    if zero > STRIPPED_SHARE:
        return Choice(
            Preprocessing(normalisation="z_score_nonzero"),
            f"{zero:.0%} of a typical image is exactly 0, so only the rest says how bright it is; "
            "each image by its own mean and deviation",
        )
    return Choice(
        Preprocessing(normalisation="z_score"),
        "the values have no unit, so each image is measured by its own mean and deviation",
    )


def patch_for(
    shape: Sequence[int],
    spacing_mm: Sequence[float],
    most_voxels: int,
    multiple: Callable[[Sequence[int]], Sequence[int]],
) -> tuple[int, ...]:
    """The typical image if it fits into `most_voxels`, else as near to a cube of it in mm as can.

    Parameters
    ----------
    shape, spacing_mm : sequence
        Of the typical image, in any order of axes.
    most_voxels : int
        Of the patch.
    multiple : callable
        What the sizes of a patch must be multiples of, from its sizes.
    """
    sizes = [float(n) for n in shape]
    while True:
        patch = rounded_up([ceil(n) for n in sizes], multiple)
        if prod(patch) <= most_voxels or max(sizes) <= 1:
            return patch
        longest = max(range(len(sizes)), key=lambda axis: sizes[axis] * spacing_mm[axis])
        sizes[longest] = max(1.0, sizes[longest] * SHRINK)


def rounded_up(
    sizes: Sequence[int], multiple: Callable[[Sequence[int]], Sequence[int]]
) -> tuple[int, ...]:
    """Sizes not below those given that are multiples of what they themselves ask for."""
    current = tuple(sizes)
    while True:
        asked = multiple(current)
        larger = tuple(ceil(n / of) * of for n, of in zip(current, asked, strict=True))
        if larger == current:
            return larger
        current = larger


def halving_multiple(
    spacing_mm: Sequence[float], most_stages: int
) -> Callable[[Sequence[int]], Sequence[int]]:
    """What a patch must be a multiple of for a network that halves by :func:`topology`."""

    def multiple(sizes: Sequence[int]) -> Sequence[int]:
        return topology(sizes, spacing_mm, most_stages).multiple

    return multiple


def fixed_multiple(of: int) -> Callable[[Sequence[int]], Sequence[int]]:
    """The same multiple along every axis."""
    return lambda sizes: (of,) * len(sizes)
