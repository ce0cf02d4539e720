"""From slabs of logits to labels on the image's grid, in the order that the bundle states."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from napari_medcnn.inference.reduce_on_image import OnImageGrid
from napari_medcnn.inference.reduce_on_network import OnNetworkGrid
from napari_medcnn.inference.result_maps import Maps, Wanted
from napari_medcnn.inference.way_back import WayBack
from napari_medcnn.inference.windows import Sink
from napari_medcnn.models.spec import ModelSpec


class Reducer(Sink, Protocol):
    """A sink that makes labels."""

    def finish(self) -> Iterator[None]:
        """What is left to do after the last slab; yields between small steps."""
        ...


def reducer(
    spec: ModelSpec,
    way_back: WayBack,
    maps: Maps,
    wanted: Wanted,
    *,
    axis: int,
    threshold: float | None = None,
    planes: int = 0,
) -> Reducer:
    """The reducer that follows the bundle's order of going back and of making labels.

    Parameters
    ----------
    way_back : WayBack
        To the image's voxels that `maps` hold.
    maps : Maps
        Filled in; axes in the order of the network's tensor.
    axis : int
        Of the network's tensor, along which the slabs come.
    threshold : float, optional
        In place of the model's own rule.
    planes : int
        Of the image, interpolated at once; 0 for one a thread.
    """
    if spec.postprocessing.labels_first:
        return OnNetworkGrid(spec, way_back, maps, wanted, axis, threshold)
    return OnImageGrid(spec, way_back, maps, wanted, axis, threshold, planes)
