"""Explain what a classifier says of one lesion: the map lies on the patch that it saw."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_medcnn.core.errors import InputMismatch, ModelError
from napari_medcnn.core.events import Done, Event, Job, JobControl
from napari_medcnn.core.explanation import Explanation, Method
from napari_medcnn.core.lesion import Lesion, LesionTable
from napari_medcnn.core.volume import Volume
from napari_medcnn.inference.classify_check import check_classifies
from napari_medcnn.inference.explain import explain
from napari_medcnn.inference.explain_options import ExplainOptions
from napari_medcnn.inference.explain_slice import in_volume
from napari_medcnn.inference.explain_target import label_to_explain
from napari_medcnn.inference.lesion_patches import CutPatch, around_crop, patch_around
from napari_medcnn.inference.map_back import box_on_image, map_on_image
from napari_medcnn.inference.preprocess import Prepared, channels_on_one_grid, prepare
from napari_medcnn.inference.run_frame import check_findings, running
from napari_medcnn.inference.slice_pictures import SlicePictures
from napari_medcnn.models.spec import ModelSpec

if TYPE_CHECKING:
    import torch

_DEFAULTS = ExplainOptions()


def explain_lesion(
    volumes: Volume | Sequence[Volume],
    model: ModelSpec,
    *,
    lesions: LesionTable,
    number: int,
    axis: int = 0,
    method: Method = "gradcam",
    target: str | None = None,
    layer: str | None = None,
    options: ExplainOptions = _DEFAULTS,
    control: JobControl | None = None,
    network: torch.nn.Module | None = None,
) -> Job:
    """Explain the answer for one lesion, seen as ``classify(unit="lesion")`` sees it.

    Parameters
    ----------
    volumes : Volume or sequence of Volume
        The image; for a model of several channels one volume each, in the model's order.
    model : ModelSpec
        A model that classifies patches around lesions.
    lesions : LesionTable
        Of the first volume.
    number : int
        The id of the lesion.
    axis : int
        Of ``(z, y, x)``, along which a network of pictures sees the slice through the lesion.
    method, target, layer, options, control, network
        As for :func:`~napari_medcnn.inference.explain.explain`.

    Yields
    ------
    Event
        As `explain` does; ``Done(Explanation)`` on the first volume's grid, 0 beside the patch.

    Raises
    ------
    ModelError
        When the model says nothing of patches around lesions.
    InputMismatch
        When there is no such lesion, or image or lesions do not fit the model.
    MedcnnError
        As `explain` does.
    """
    volumes = (volumes,) if isinstance(volumes, Volume) else tuple(volumes)
    control = control or JobControl()
    check_classifies(model, volumes, "lesion", axis, lesions)
    lesion = _lesion(lesions, number)
    label_to_explain(model, target)  # a wrong name is told before an image is prepared
    check_findings(volumes, options.accept_findings)
    with running(options.threads, lambda: "cpu"):
        patch, seen = yield from _cut(volumes, model, lesion, axis, options, control)
    for event in explain(
        patch.volumes,
        replace(around_crop(model)[1], patch=None),
        method=method,
        target=target,
        layer=layer,
        options=options,
        control=control,
        network=network,
    ):
        if isinstance(event, Done):
            yield Done(_in_volume(event.result, patch, seen, volumes[0], lesion))
        else:
            yield event


@dataclass(frozen=True, eq=False)
class _Seen:
    """What a patch was cut from: a volume, or a picture of the slice at ``(axis, index)`` of it."""

    image: Volume
    prepared: Prepared
    slice_at: tuple[int, int] | None


def _lesion(lesions: LesionTable, number: int) -> Lesion:
    known = {lesion.id: lesion for lesion in lesions.lesions}
    if number not in known:
        there = ", ".join(map(str, known)) or "none"
        raise InputMismatch(f"there is no lesion {number}", hint=f"those that there are: {there}")
    return known[number]


def _cut(
    volumes: tuple[Volume, ...],
    model: ModelSpec,
    lesion: Lesion,
    axis: int,
    options: ExplainOptions,
    control: JobControl,
) -> Generator[Event, None, tuple[CutPatch, _Seen]]:
    """The lesion's patch before the steps that follow the crop; a generator of events."""
    if model.patch is None:
        raise ModelError(f"{model.title} does not say how much it sees around a lesion")
    images, slice_at = volumes, None
    x, y, z = (float(mm) for mm in volumes[0].geometry.index_to_lps(lesion.centroid_index))
    centre = (x, y, z)
    if model.of_pictures:
        channels, notes = channels_on_one_grid(volumes)
        yield from notes
        slices = SlicePictures(volumes, channels, axis)
        slice_at = axis, slices.through(lesion.centroid_index)
        images, centre = slices.picture(slice_at[1]), slices.place(lesion.centroid_index)
    before, _ = around_crop(model)
    prepared = yield from prepare(images, before, control, accept_findings=options.accept_findings)
    patch = patch_around(prepared, centre, model.patch.size, images)
    return patch, _Seen(images[0], prepared, slice_at)


def _in_volume(
    found: Explanation, patch: CutPatch, seen: _Seen, volume: Volume, lesion: Lesion
) -> Explanation:
    """The patch's map back where the patch was cut, the way in which the volume stores it."""
    whole = patch.put_back(found.array).transpose(2, 1, 0)
    z, y, x = ((a, a + n) for a, n in zip(patch.start, found.array.shape, strict=True))
    on_image = replace(
        found,
        array=map_on_image(whole, seen.prepared, seen.image),
        geometry=seen.image.geometry,
        volume_id=volume.id,
        window=box_on_image((x, y, z), patch.grid, seen.image),
        region=f"lesion {lesion.id}",
        parameters={**found.parameters, "lesion": lesion.id},
    )
    if seen.slice_at is None:
        return on_image
    placed = in_volume(on_image, volume, *seen.slice_at)
    return replace(placed, region=f"{on_image.region}, {placed.region}")
