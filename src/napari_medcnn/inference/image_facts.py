"""What a plan must know of an image, and whether a model can be run on such a one at all."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.geometry import AxisMap, Index
from napari_medcnn.core.volume import Volume
from napari_medcnn.models.spec import ModelSpec

COARSE_FACTOR = 4.0
"""Voxels that are longer than the model's by more than this hide what it was trained to see.

Slices of 3 mm are every day's MR, and models at 1 mm are trained with them."""


@dataclass(frozen=True)
class ImageFacts:
    """What a plan must know of an image, without its voxels.

    Parameters
    ----------
    shape, spacing_mm : tuple
        ``(z, y, x)`` of the volume's canonical array.
    modalities : tuple of str
        One an image: several images are the channels of one case. ``""`` where unknown.
    orientation : str
        Where z, y, x point to, e.g. ``"SPL"``.
    axes : AxisMap
        From the file's own axis order to the volume's.
    is_2d, spacing_known : bool
        As :class:`~napari_medcnn.core.volume.Volume` says.
    frames : int
        More than 1 for a series in time, echo or the like.
    voxel_bytes : float
        Of all images together in memory, for each voxel of the grid.
    """

    shape: Index
    spacing_mm: tuple[float, float, float]
    modalities: tuple[str, ...] = ("",)
    orientation: str = "SPL"
    axes: AxisMap = AxisMap()
    is_2d: bool = False
    spacing_known: bool = True
    frames: int = 1
    voxel_bytes: float = 4.0

    @property
    def channels(self) -> int:
        """Number of images."""
        return len(self.modalities)


def facts_of(volume: Volume | Sequence[Volume]) -> ImageFacts:
    """The facts of a volume, or of the volumes that are one case's channels."""
    volumes = (volume,) if isinstance(volume, Volume) else tuple(volume)
    if not volumes:
        raise InputMismatch("there is no image", hint="choose one")
    first = volumes[0]
    return ImageFacts(
        shape=first.geometry.shape,
        spacing_mm=first.geometry.spacing,
        modalities=tuple(v.modality for v in volumes),
        orientation=first.geometry.orientation,
        axes=first.source.axes,
        is_2d=any(v.is_2d for v in volumes),
        spacing_known=all(v.spacing_known for v in volumes),
        frames=max(v.frame_count for v in volumes),
        voxel_bytes=sum(v.array.nbytes for v in volumes) / math.prod(first.geometry.shape),
    )


def check(spec: ModelSpec, facts: ImageFacts) -> None:
    """Refuse what cannot be run.

    Raises
    ------
    InputMismatch
        With what to do instead.
    """
    if facts.is_2d:
        raise InputMismatch(
            f"{spec.title} works on volumes, this is a single picture",
            hint="open the whole series, or choose a model for pictures",
        )
    check_channels(spec, facts)
    if not facts.spacing_known:
        raise InputMismatch(
            "the image's voxel size is unknown, so that nothing can be measured",
            hint="open the original DICOM or NIfTI file",
        )


def check_channels(spec: ModelSpec, facts: ImageFacts) -> None:
    """Refuse a series in time, and another number of images than of channels.

    Raises
    ------
    InputMismatch
        With what to do instead.
    """
    if facts.frames > 1:
        raise InputMismatch(
            f"the image has {facts.frames} frames, {spec.title} takes one",
            hint="choose a frame",
        )
    if facts.channels != len(spec.channels):
        names = ", ".join(channel.name for channel in spec.channels)
        raise InputMismatch(
            f"{spec.title} takes {len(spec.channels)} image(s) ({names}), not {facts.channels}",
            hint="give one image a channel, in this order",
        )


def doubts(spec: ModelSpec, facts: ImageFacts) -> Iterator[str]:
    """What the user should read before such a run."""
    for channel, modality in zip(spec.channels, facts.modalities, strict=True):
        if channel.modality and modality and channel.modality != modality:
            yield f"the image is {modality}; {spec.title} was made for {channel.modality}"
    if spec.spacing_mm is not None:
        model = max(spec.spacing_mm)
        image = max(facts.spacing_mm)
        if model > 0 and image > COARSE_FACTOR * model:
            yield (
                f"the image's voxels are up to {image:.3g} mm long, the model works at "
                f"{model:.3g} mm: small lesions may be missed"
            )
