"""Bring images to what a network knows, by the steps that its bundle states, and back.

The steps are MONAI's own transforms, so that the result is what MONAI's runner gives. They work on
arrays ``(channel, x, y, z)`` in RAS and in the file's own axis order; this module is the border
where the package's ``(z, y, x)`` in LPS becomes that, and where results come back.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import ConsentNeeded, InputMismatch, MedcnnError, ModelError
from napari_medcnn.core.events import Event, JobControl, Message, Progress
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.volume import Volume
from napari_medcnn.imaging.resample import resample
from napari_medcnn.inference.regrid import interpolated
from napari_medcnn.inference.trail import Trail, leading_steps, planned
from napari_medcnn.inference.way_back import WayBack, stage_between, voxels_of
from napari_medcnn.models.spec import ModelSpec, Step
from napari_medcnn.models.vocabulary import OUR_TRANSFORMS, OURS

if TYPE_CHECKING:
    import torch

ToSource: TypeAlias = Callable[["torch.Tensor", bool], npt.NDArray[np.float32]]

STAGE = "preparing image"
"""The stage's name in :class:`~napari_medcnn.core.events.Progress`."""

SMALL_COVER = 0.9
"""A channel that covers less of the first one's grid is worth a warning."""

CT_AIR_HU = -500.0
"""Values below it are those of air in CT; MR has no values of that size below zero."""

IMPLAUSIBLE_BRAIN = "implausible-brain-mask"
"""Code of the finding that the brain mask is no brain's."""

_ANNOUNCEMENTS = {
    "BrainMaskd": "looking for the brain",
    "N4BiasCorrectiond": "evening out the brightness of the coil (N4)",
    "NnunetPreprocessd": "cropping and resampling as nnU-Net does",
}
"""What people read before a step that takes seconds."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """An image as the network takes it, and the way back.

    Parameters
    ----------
    tensor : torch.Tensor
        ``(channel, x, y, z)`` float32 on the network's grid.
    grid : Geometry
        Where the tensor's voxels are, its axes in reverse: ``(z, y, x)``.
    way_back : WayBack, optional
        To the image's grid in file order; None where two steps interpolate, or one turns axes into
        each other: then `to_source` is the only way.
    to_source : callable, optional
        ``to_source(values, nearest)`` takes ``(class, x, y, z)`` on the network's grid to
        ``(class, z, y, x)`` float32 on the volume's own, by MONAI's inverse of each step; None
        where there is a `way_back`.
    accepted : tuple of str
        Codes of what was found on the way and accepted by the user.
    """

    tensor: torch.Tensor
    grid: Geometry
    way_back: WayBack | None
    to_source: ToSource | None = None
    accepted: tuple[str, ...] = ()


def prepare(
    volumes: Sequence[Volume],
    spec: ModelSpec,
    control: JobControl,
    *,
    accept_findings: bool = False,
) -> Generator[Event, None, Prepared]:
    """Run a model's preprocessing; a generator of events that returns the `Prepared` image.

    Parameters
    ----------
    volumes : sequence of Volume
        One a channel, in the model's order; results are for the grid of the first.
    accept_findings : bool
        The user's yes to a brain mask that is no brain's.

    Raises
    ------
    InputMismatch
        When the images do not lie in the same place, or a step cannot work on them.
    ConsentNeeded
        When the brain mask is implausible and nobody said yes.
    Cancelled
        When the job was cancelled.
    """
    from napari_medcnn.inference.transforms import BRAIN_MASK_FACTS

    total = len(spec.preprocessing) + 1
    yield Progress(STAGE, 0, total)
    channels, notes = channels_on_one_grid(volumes)
    yield from notes
    yield from _modality_doubts(volumes, spec, channels)
    control.checkpoint()
    trail, begun = _first_grid(volumes[0], spec)
    image = _on_grid(channels, volumes[0], trail, control)
    del channels
    case: dict[Any, Any] = {spec.image_key: image}
    transforms: list[Any] = []
    accepted: tuple[str, ...] = ()
    for number, step in enumerate(spec.preprocessing[begun:], start=begun + 1):
        yield Progress(STAGE, number, total)
        control.checkpoint()
        transform = _transform(step, spec)
        if step.target in _ANNOUNCEMENTS:
            yield Message(_ANNOUNCEMENTS[step.target])
            transform.control = control
        transforms.append(transform)
        del image
        case = _applied(transform, step, case)
        image = case[spec.image_key]
        trail.follow(step, transform, image.affine.numpy(), image.shape[1:])
        if step.target == "BrainMaskd":
            facts = image.meta.get(BRAIN_MASK_FACTS, {})
            yield from _brain_messages(facts)
            accepted += _implausible_brain(facts, volumes[0], accept_findings)
    control.checkpoint()
    yield Progress(STAGE, total, total)
    way_back = trail.way_back()
    back = None if way_back else _monai_inverse(image, transforms, spec.image_key, volumes[0])
    grid = Geometry.from_ras_affine(tuple(image.shape[:0:-1]), image.affine.numpy())
    return Prepared(image.as_tensor().float(), grid, way_back, back, accepted)


def channels_on_one_grid(
    volumes: Sequence[Volume],
) -> tuple[list[npt.NDArray[Any]], tuple[Message, ...]]:
    """Each volume's voxels ``(z, y, x)`` on the first one's grid, and what to say of it.

    Grids that differ are brought together by their geometry, never by their shape.

    Raises
    ------
    InputMismatch
        When a volume lies elsewhere than the first.
    """
    reference = volumes[0].geometry
    channels, notes = [], []
    for volume in volumes:
        array = volume.array
        if not volume.geometry.is_close(reference):
            cover = _cover(reference, volume.geometry)
            if cover == 0:
                raise InputMismatch(
                    f"{volume.name} lies elsewhere than {volumes[0].name}: they share no voxel",
                    hint="are both of the same patient and study?",
                )
            fill = float(array.min())
            array = resample(array, volume.geometry, reference, fill=fill)
            text = (
                f"{volume.name} was resampled onto the grid of {volumes[0].name}, "
                f"of which it covers {cover:.0%}"
            )
            notes.append(Message(text, "warning" if cover < SMALL_COVER else "info"))
        bad = 0 if array.dtype.kind in "iub" else array.size - np.isfinite(array).sum()
        if bad:
            notes.append(Message(f"{bad} voxels hold no number and count as 0", "warning"))
            array = np.nan_to_num(array, nan=0, posinf=0, neginf=0)
        channels.append(array)
    return channels, tuple(notes)


def _modality_doubts(
    volumes: Sequence[Volume], spec: ModelSpec, channels: Sequence[npt.NDArray[Any]]
) -> Iterator[Message]:
    """NIfTI and NRRD name no modality, but a CT given to a model for MR shows by its values."""
    for volume, channel, values in zip(volumes, spec.channels, channels, strict=True):
        if channel.modality == "MR" and not volume.modality and values.min() < CT_AIR_HU:
            yield Message(
                f"{volume.name} has values down to {values.min():.0f}, as CT has in air; "
                f"{spec.title} was made for MR",
                "warning",
            )


def _cover(reference: Geometry, other: Geometry) -> float:
    """Share of the reference's voxels that lie within the other grid, from a coarse lattice."""
    axes = [np.linspace(0, n - 1, min(n, 17)) for n in reference.shape]
    lattice = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    index = other.lps_to_index(reference.index_to_lps(lattice))
    inside = (index >= -0.5) & (index <= np.asarray(other.shape) - 0.5)
    return float(inside.all(axis=1).mean())


def file_order(volume: Volume) -> Geometry:
    """The volume's grid in the axis order of its file, as MONAI's own loader would see it.

    The file's own numbers where they still hold: on oblique grids MONAI's choice of a grid hangs on
    the last digits of the affine, and may lie half a voxel elsewhere after any rounding.
    """
    grid = volume.geometry.reordered(volume.source.axes.inverse())
    stored = volume.source.geometry
    return stored if stored is not None and stored.is_close(grid) else grid


def _first_grid(volume: Volume, spec: ModelSpec) -> tuple[Trail, int]:
    """The trail after the steps that only choose a grid, and how many they are."""
    grid = file_order(volume)
    affine, shape = grid.to_ras_affine(), grid.shape[::-1]
    steps = leading_steps(spec.preprocessing)
    transforms = [_transform(step, spec) for step in steps]
    trail = planned(Trail(affine, shape), steps, transforms, spec.image_key)
    return (trail, len(steps)) if trail.is_straight else (Trail(affine, shape), 0)


def _on_grid(
    channels: Sequence[npt.NDArray[Any]], volume: Volume, trail: Trail, control: JobControl
) -> Any:
    """MONAI's image ``(channel, x, y, z)``: stored voxels interpolated straight onto a grid."""
    import torch
    from monai.data import MetaTensor

    grid = file_order(volume)
    stage = stage_between(
        grid.to_ras_affine(),
        grid.shape[::-1],
        trail.affine,
        trail.shape,
        clamped=True,
        nearest=trail.takes_nearest,
    )
    if stage is None:
        raise ValueError("the trail bends")
    # z is the slowest axis in memory, as in the volume: whole planes are read and written.
    held = torch.empty((len(channels), *reversed(trail.shape)), dtype=torch.float32)
    positions = voxels_of(stage)
    to_file = volume.source.axes.inverse()
    for channel, out in zip(channels, held.numpy(), strict=True):
        stored = to_file.apply(channel).transpose(2, 1, 0)
        into = out.transpose(2, 1, 0).transpose(*np.argsort(stage.axes))
        for _ in interpolated(stored, positions, into):
            control.checkpoint()
    affine = torch.from_numpy(trail.affine)
    image = MetaTensor(
        held.permute(0, 3, 2, 1),
        affine=affine,
        meta={"original_affine": affine.clone(), "original_channel_dim": 0, "space": "RAS"},
    )
    image.meta["spatial_shape"] = np.array(image.shape[1:])
    return image


def _transform(step: Step, spec: ModelSpec) -> Any:
    """The transform of a step, built from the table of known classes."""
    from importlib import import_module

    module = import_module(OUR_TRANSFORMS if step.target in OURS else "monai.transforms")
    arguments = step.arguments
    if step.target == "Orientationd":  # MONAI's default, which it warns about when not stated
        arguments = {"labels": None, **arguments}
    try:
        return getattr(module, step.target)(**arguments)
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"the step {step.target} cannot be built as described: {error}", source=spec.path
        ) from error


def _applied(transform: Any, step: Step, case: dict[Any, Any]) -> dict[Any, Any]:
    """The case after a step; an error of ours keeps its words, one of MONAI's names the step."""
    try:
        applied: dict[Any, Any] = transform(case)
        return applied
    except MedcnnError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise InputMismatch(
            f"the model's step {step.target} failed on this image: {error}"
        ) from error


def _brain_messages(facts: dict[str, Any]) -> Generator[Event, None, None]:
    if facts.get("note"):
        yield Message(f"brain, {facts['volume_ml']:.0f} mL: {facts['note']}")
    for warning in facts.get("warnings", ()):
        yield Message(warning, "warning")


def _implausible_brain(facts: dict[str, Any], volume: Volume, accepted: bool) -> tuple[str, ...]:
    """The code of an implausible mask that the user accepts; refused without a yes."""
    if facts.get("plausible", True):
        return ()
    if not accepted:
        raise ConsentNeeded(
            "the brain was probably not found right: " + "; ".join(facts["warnings"]),
            source=volume.name,
            hint="look at the image, then accept its findings to go on",
        )
    return (IMPLAUSIBLE_BRAIN,)


def _monai_inverse(image: Any, transforms: list[Any], key: str, volume: Volume) -> ToSource:
    from monai.data import MetaTensor
    from monai.transforms import Compose, InvertibleTransform, allow_missing_keys_mode
    from monai.transforms.utils import convert_applied_interp_mode

    operations, meta = copy.deepcopy(image.applied_operations), copy.deepcopy(image.meta)
    way_back = Compose([t for t in transforms if isinstance(t, InvertibleTransform)])

    def to_source(values: torch.Tensor, nearest: bool) -> npt.NDArray[np.float32]:
        # As MONAI's Invertd, on one class at a time.
        history = copy.deepcopy(operations)
        if nearest:
            history = convert_applied_interp_mode(history, mode="nearest", align_corners=None)
        restored = MetaTensor(values, meta=copy.deepcopy(meta), applied_operations=history)
        if way_back.transforms:
            with allow_missing_keys_mode(way_back):
                restored = way_back.inverse({key: restored})[key]
        array = restored.as_tensor().numpy().astype(np.float32, copy=False)
        moved: npt.NDArray[np.float32] = volume.source.axes.apply(array.transpose(0, 3, 2, 1))
        return moved

    return to_source
