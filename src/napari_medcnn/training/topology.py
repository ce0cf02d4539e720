"""How deep a U-shaped network goes, and along which axes it shrinks: from patch and spacing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SMALLEST_FEATURES = 4
"""Voxels that the deepest features keep along an axis that is halved."""

ANISOTROPY = 2.0
"""From this ratio of spacings on, an axis waits with halving and with mixing neighbours."""


@dataclass(frozen=True)
class Topology:
    """Strides and kernels of each stage of a U-shaped network, first stage first.

    Parameters
    ----------
    strides : tuple of tuple of int
        One number an axis, 1 or 2, in the order of the axes given; the first stage has 1.
    kernels : tuple of tuple of int
        1 or 3 an axis.
    """

    strides: tuple[tuple[int, ...], ...]
    kernels: tuple[tuple[int, ...], ...]

    @property
    def stages(self) -> int:
        """How many resolutions the network has."""
        return len(self.strides)

    @property
    def multiple(self) -> tuple[int, ...]:
        """What the size of a patch must be a multiple of along each axis."""
        product = [1] * len(self.strides[0])
        for stride in self.strides:
            product = [a * b for a, b in zip(product, stride, strict=True)]
        return tuple(product)


def topology(size: Sequence[int], spacing_mm: Sequence[float], most_stages: int = 6) -> Topology:
    """Halve each axis while its features are large enough, coarse axes after fine ones.

    The published rule of nnU-Net (Isensee et al., Nature Methods 2021, supplementary note 2): an
    axis is halved while at least `SMALLEST_FEATURES` voxels remain and its voxels are less than
    twice as long as the shortest ones that can still be halved; a kernel is 1 along an axis until
    its voxels are less than twice as long as the shortest ones.

    Parameters
    ----------
    size : sequence of int
        Of the patch, in any order of axes.
    spacing_mm : sequence of float
        In the same order.
    most_stages : int
        Bound of the number of resolutions.
    """
    sizes, spacings = [float(n) for n in size], list(spacing_mm)
    kernels = [_kernel(spacings, (1,) * len(sizes))]
    strides = [(1,) * len(sizes)]
    while len(strides) < most_stages:
        able = [axis for axis, n in enumerate(sizes) if n >= 2 * SMALLEST_FEATURES]
        if not able:
            break
        finest = min(spacings[axis] for axis in able)
        chosen = [axis for axis in able if spacings[axis] < ANISOTROPY * finest]
        strides.append(tuple(2 if axis in chosen else 1 for axis in range(len(sizes))))
        for axis in chosen:
            sizes[axis], spacings[axis] = sizes[axis] / 2, spacings[axis] * 2
        kernels.append(_kernel(spacings, kernels[-1]))
    return Topology(tuple(strides), tuple(kernels))


def _kernel(spacings: Sequence[float], before: tuple[int, ...]) -> tuple[int, ...]:
    """3 along axes that came close to the finest, or were close at a stage before."""
    finest = min(spacings)
    return tuple(
        3 if old == 3 or spacing < ANISOTROPY * finest else 1
        for spacing, old in zip(spacings, before, strict=True)
    )
