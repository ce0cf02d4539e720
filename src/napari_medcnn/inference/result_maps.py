"""The maps of a result on the volume's grid, and the part of them that a run fills."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.geometry import Index
from napari_medcnn.core.volume import Volume
from napari_medcnn.inference.decide import Plane
from napari_medcnn.inference.way_back import WayBack
from napari_medcnn.models.spec import ModelSpec

Half: TypeAlias = npt.NDArray[np.float16]


@dataclass(frozen=True)
class Wanted:
    """What to make beside the labels.

    Parameters
    ----------
    probability, entropy, variance : bool
        Which maps; `variance` where the logits have a last channel that holds it.
    """

    probability: bool = True
    entropy: bool = False
    variance: bool = False


@dataclass(eq=False)
class Maps:
    """The result as it grows: arrays with axes in the order of the network's tensor.

    Zero where nothing is known; views of what the caller keeps, in any memory order.
    """

    labels: npt.NDArray[Any]
    probability: Half | None = None
    entropy: Half | None = None
    variance: Half | None = None

    def put(self, where: tuple[Any, ...], plane: Plane, variance: npt.NDArray[Any] | None) -> None:
        """Fill in a plane."""
        self.labels[where] = plane.labels
        for into, values in (
            (self.probability, plane.probability),
            (self.entropy, plane.entropy),
            (self.variance, variance),
        ):
            if into is not None and values is not None:
                into[where] = values


class ResultMaps:
    """Arrays ``(z, y, x)`` of a volume, zero where nothing is known.

    Parameters
    ----------
    volume : Volume
        The image that the result is for.
    spec : ModelSpec
        Its labels decide the type of the label map.
    wanted : Wanted
        Which maps there are.
    region : tuple of (start, stop), optional
        The part ``(z, y, x)`` that the run fills; all of it by default.

    Raises
    ------
    InputMismatch
        When the region holds no voxel of the volume.
    """

    def __init__(
        self,
        volume: Volume,
        spec: ModelSpec,
        wanted: Wanted,
        region: tuple[Index, Index] | None = None,
    ) -> None:
        shape = volume.geometry.shape
        self._axes = volume.source.axes.inverse()
        self._region = _slices(region, shape)
        self._shape = shape
        largest = max((label.value for label in spec.labels), default=0)
        kind = np.uint8 if largest <= 255 else np.uint16
        self.labels: npt.NDArray[Any] = np.zeros(shape, dtype=kind)
        self.probability = _empty(shape, wanted.probability)
        self.entropy = _empty(shape, wanted.entropy)
        self.variance = _empty(shape, wanted.variance)

    def part(self, way_back: WayBack) -> tuple[WayBack, Maps]:
        """The way back to the region alone, and the region's maps with axes as the network's."""
        file_region = self._in_file_order()
        arrays = [
            None if m is None else self._axes.apply(m[self._region]).transpose(2, 1, 0)
            for m in (self.labels, self.probability, self.entropy, self.variance)
        ]
        moved = [None if m is None else m.transpose(way_back.axes) for m in arrays]
        labels, *others = moved
        if labels is None:
            raise ValueError("there is no label map")
        return way_back.within(file_region), Maps(labels, *others)

    def keep_region(self) -> None:
        """Clear what lies outside of the region."""
        for values in self.all():
            kept = values[self._region].copy()
            values[...] = 0
            values[self._region] = kept

    def clear(self) -> None:
        """Start again."""
        for values in self.all():
            values[...] = 0

    def all(self) -> Iterator[npt.NDArray[Any]]:
        """Every map there is."""
        maps = (self.labels, self.probability, self.entropy, self.variance)
        return (m for m in maps if m is not None)

    @property
    def uncertainty(self) -> dict[str, Half]:
        """The maps of uncertainty by their names."""
        named = {"entropy": self.entropy, "variance": self.variance}
        return {name: values for name, values in named.items() if values is not None}

    def _in_file_order(self) -> tuple[slice, ...]:
        """The region along ``x, y, z`` in the file's order."""
        slices = []
        for axis, flip in zip(self._axes.order, self._axes.flip, strict=True):
            start, stop, n = self._region[axis].start, self._region[axis].stop, self._shape[axis]
            slices.append(slice(n - stop, n - start) if flip else slice(start, stop))
        return tuple(reversed(slices))


def _slices(region: tuple[Index, Index] | None, shape: Index) -> tuple[slice, ...]:
    start, stop = region or ((0, 0, 0), shape)
    slices = tuple(slice(max(a, 0), min(z, n)) for a, z, n in zip(start, stop, shape, strict=True))
    if any(s.start >= s.stop for s in slices):
        raise InputMismatch(
            "the region of interest holds no voxel of the image",
            hint="draw it over the image, or run the whole image",
        )
    return slices


def _empty(shape: Index, wanted: bool) -> Half | None:
    return np.zeros(shape, dtype=np.float16) if wanted else None
