"""What of an image is classified: the whole, its slices or its lesions, each as a tensor."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.classification import Item, Unit
from napari_medcnn.core.events import Event, JobControl
from napari_medcnn.core.lesion import Lesion, LesionTable, Point
from napari_medcnn.core.volume import Volume
from napari_medcnn.inference.lesion_patches import around_crop, cut_patch
from napari_medcnn.inference.preprocess import Prepared, channels_on_one_grid, prepare
from napari_medcnn.inference.slice_pictures import SlicePictures
from napari_medcnn.models.spec import ModelSpec

if TYPE_CHECKING:
    import torch


class Parts(Protocol):
    """The items of an image, and the tensor that a network sees of each."""

    items: tuple[Item, ...]
    accepted: tuple[str, ...]
    """Codes of what was found on the way and accepted by the user."""

    def image(self, number: int) -> Generator[Event, None, torch.Tensor]:
        """``(channel, x, y, z)`` float32 of ``items[number]``; a generator of events."""
        ...


def parts_of(
    volumes: Sequence[Volume],
    spec: ModelSpec,
    unit: Unit,
    axis: int,
    lesions: LesionTable | None,
    control: JobControl,
    *,
    accept_findings: bool,
) -> Generator[Event, None, Parts]:
    """The parts of an image that are classified; a generator of events.

    Parameters
    ----------
    volumes : sequence of Volume
        One a channel, in the model's order.
    axis : int
        Of ``(z, y, x)``, along which a network of pictures sees slices.
    accept_findings : bool
        The user's yes to what is found while preparing.
    """
    run = partial(prepare, control=control, accept_findings=accept_findings)
    if unit == "volume":
        return _Whole(volumes, spec, run)
    slices = None
    if spec.of_pictures:
        channels, notes = channels_on_one_grid(volumes)
        yield from notes
        slices = SlicePictures(volumes, channels, axis)
    if unit == "slice" and slices is not None:
        return _Slices(slices, volumes[0].spacing_known, spec, run)
    found = () if lesions is None else lesions.lesions
    return _Patches(volumes, slices, found, spec, run, control)


class _Prepare(Protocol):
    def __call__(
        self, volumes: Sequence[Volume], spec: ModelSpec
    ) -> Generator[Event, None, Prepared]: ...


class _Whole:
    """The image itself."""

    def __init__(self, volumes: Sequence[Volume], spec: ModelSpec, run: _Prepare) -> None:
        self._volumes, self._spec, self._run = volumes, spec, run
        first = volumes[0]
        middle = first.geometry.index_to_lps([(n - 1) / 2 for n in first.geometry.shape])
        centre = _point(middle) if first.spacing_known else None
        self.items: tuple[Item, ...] = (Item(0, centre),)
        self.accepted: tuple[str, ...] = ()

    def image(self, number: int) -> Generator[Event, None, torch.Tensor]:
        prepared = yield from self._run(self._volumes, self._spec)
        self.accepted = prepared.accepted
        return prepared.tensor


class _Slices:
    """Every slice along an axis."""

    def __init__(self, slices: SlicePictures, in_mm: bool, spec: ModelSpec, run: _Prepare) -> None:
        self._slices, self._spec, self._run = slices, spec, run
        self.items = tuple(Item(n, slices.centre(n) if in_mm else None) for n in range(len(slices)))
        self.accepted: tuple[str, ...] = ()

    def image(self, number: int) -> Generator[Event, None, torch.Tensor]:
        prepared = yield from self._run(self._slices.picture(number), self._spec)
        return prepared.tensor


class _Patches:
    """A patch around each lesion; of a network of pictures, in the slice through its centre."""

    def __init__(
        self,
        volumes: Sequence[Volume],
        slices: SlicePictures | None,
        lesions: Sequence[Lesion],
        spec: ModelSpec,
        run: _Prepare,
        control: JobControl,
    ) -> None:
        self._volumes, self._slices = volumes, slices
        self._before, self._after = around_crop(spec)
        self._run, self._control = run, control
        self._lesions = sorted(lesions, key=lambda lesion: lesion.id)
        self._last: tuple[int, Prepared] | None = None
        self.items = tuple(Item(le.id, le.centroid_lps_mm) for le in self._lesions)
        self.accepted: tuple[str, ...] = ()

    def image(self, number: int) -> Generator[Event, None, torch.Tensor]:
        centre = self._lesions[number].centroid_index
        if self._slices is None:
            index, place = 0, _point(self._volumes[0].geometry.index_to_lps(centre))
        else:
            index, place = self._slices.through(centre), self._slices.place(centre)
        image = yield from self._prepared(index)
        patch = yield from cut_patch(image, place, self._after, self._volumes, self._control)
        return patch.tensor

    def _prepared(self, index: int) -> Generator[Event, None, Prepared]:
        """The volume, or one of its slices, before its patches are cut; the last one is kept."""
        if self._last is None or self._last[0] != index:
            self._last = None  # its memory is needed
            volumes = self._volumes if self._slices is None else self._slices.picture(index)
            prepared = yield from self._run(volumes, self._before)
            self.accepted = prepared.accepted
            self._last = index, prepared
        return self._last[1]


def _point(values: npt.ArrayLike) -> Point:
    x, y, z = (float(v) for v in np.asarray(values))
    return x, y, z
