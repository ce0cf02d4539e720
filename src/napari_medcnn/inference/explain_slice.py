"""Explain a slice of a volume by a network of pictures: the map lies on the slice, nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.events import Done, Job, JobControl
from napari_medcnn.core.explanation import Explanation, Method
from napari_medcnn.core.geometry import Index
from napari_medcnn.core.volume import Volume
from napari_medcnn.inference.explain import explain
from napari_medcnn.inference.explain_options import ExplainOptions
from napari_medcnn.inference.preprocess import channels_on_one_grid
from napari_medcnn.inference.run_frame import check_findings
from napari_medcnn.inference.slice_pictures import SlicePictures
from napari_medcnn.models.spec import ModelSpec

if TYPE_CHECKING:
    import torch

_DEFAULTS = ExplainOptions()


def explain_slice(
    volumes: Volume | Sequence[Volume],
    model: ModelSpec,
    *,
    axis: int,
    index: int,
    method: Method = "gradcam",
    target: str | None = None,
    layer: str | None = None,
    options: ExplainOptions = _DEFAULTS,
    control: JobControl | None = None,
    network: torch.nn.Module | None = None,
) -> Job:
    """Explain the answer for one slice, seen as ``classify(unit="slice")`` sees it.

    Parameters
    ----------
    volumes : Volume or sequence of Volume
        The image; for a model of several channels one volume each, in the model's order.
    model : ModelSpec
        A model that classifies pictures.
    axis, index : int
        Which slice: its place along an axis of ``(z, y, x)``.
    method, target, layer, options, control, network
        As for :func:`~napari_medcnn.inference.explain.explain`.

    Yields
    ------
    Event
        As `explain` does; ``Done(Explanation)`` on the first volume's grid, 0 in other slices.

    Raises
    ------
    InputMismatch
        When the model knows no pictures, or there is no such slice.
    MedcnnError
        As `explain` does.
    """
    volumes = (volumes,) if isinstance(volumes, Volume) else tuple(volumes)
    _check(model, volumes[0], axis, index)
    check_findings(volumes, options.accept_findings)
    channels, notes = channels_on_one_grid(volumes)
    yield from notes
    picture = SlicePictures(volumes, channels, axis).picture(index)
    for event in explain(
        picture,
        model,
        method=method,
        target=target,
        layer=layer,
        options=options,
        control=control,
        network=network,
    ):
        if isinstance(event, Done):
            yield Done(in_volume(event.result, volumes[0], axis, index))
        else:
            yield event


def _check(model: ModelSpec, volume: Volume, axis: int, index: int) -> None:
    if not model.of_pictures:
        raise InputMismatch(
            f"{model.title} does not classify pictures", hint="explain the whole image"
        )
    if axis not in (0, 1, 2):
        raise InputMismatch(f"there is no axis {axis}", hint="0, 1 and 2 are z, y and x")
    count = volume.geometry.shape[axis]
    if not 0 <= index < count:
        raise InputMismatch(
            f"there is no slice {index} along {'zyx'[axis]}", hint=f"0 to {count - 1}"
        )


def in_volume(found: Explanation, volume: Volume, axis: int, index: int) -> Explanation:
    """A picture's map back in its slice, the way up in which the volume stores it.

    Parameters
    ----------
    found : Explanation
        Of the picture of one slice, see :mod:`~napari_medcnn.inference.slice_pictures`.
    volume : Volume
        That the slice is of.
    axis, index : int
        Its place along an axis of ``(z, y, x)``.
    """
    shown = found.array[0]
    # Rows of a picture run against z; see the module of slices as pictures.
    plane = shown if axis == 0 else shown[::-1]
    array = np.zeros(volume.geometry.shape, dtype=np.float32)
    place: list[int | slice] = [slice(None)] * 3
    place[axis] = index
    array[tuple(place)] = plane
    return replace(
        found,
        array=array,
        geometry=volume.geometry,
        volume_id=volume.id,
        window=_window(found.window, shown.shape[0], axis, index),
        region=f"slice {index} along {'zyx'[axis]}",
        parameters={**found.parameters, "axis": axis, "slice": index},
    )


def _window(window: tuple[Index, Index], rows: int, axis: int, index: int) -> tuple[Index, Index]:
    """The box of the volume's voxels that is a box ``(1, row, column)`` of the picture."""
    (_, top, left), (_, bottom, right) = window
    if axis != 0:
        top, bottom = rows - bottom, rows - top
    low, high = [top, left], [bottom, right]
    low.insert(axis, index)
    high.insert(axis, index + 1)
    return (low[0], low[1], low[2]), (high[0], high[1], high[2])
