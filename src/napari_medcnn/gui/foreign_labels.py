"""A labels layer that someone drew or opened, as a segmentation of one of the open images."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from napari.layers import Labels, Layer

from napari_medcnn.app.layers import METADATA_KEY, placement
from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.segmentation import Label, Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.gui.layer_links import result_id_of, volume_in

OWN_LAYERS = "napari-medcnn: not to be measured"
"""Key in the metadata of layers that only point at something."""


def can_be_measured(layer: Layer | None) -> bool:
    """Whether a layer holds labels that are no result yet."""
    return (
        isinstance(layer, Labels)
        and isinstance(layer.data, np.ndarray)
        and OWN_LAYERS not in layer.metadata
        and result_id_of(layer) is None
    )


def segmentation_of(layer: Labels, volumes: Iterable[Volume]) -> tuple[Segmentation, Volume]:
    """The layer's labels, copied, on the grid of the open image that it fits.

    Raises
    ------
    InputMismatch
        When it fits none, or holds negative values.
    """
    volume = _image_of(layer, list(volumes))
    array = layer.data.reshape(volume.geometry.shape)
    if array.size and int(array.min()) < 0:
        raise InputMismatch("holds negative values, which are no labels", source=layer.name)
    array = array.astype(np.min_scalar_type(max(int(array.max(initial=0)), 1)), copy=True)
    return Segmentation(array, volume.geometry, _labels(layer, array), volume.id), volume


def _image_of(layer: Labels, volumes: list[Volume]) -> Volume:
    named = volume_in(layer)
    # The image that the layer names comes first, the latest opened next.
    latest_first = list(reversed(volumes))
    candidates = sorted(latest_first, key=lambda v: named is None or v.id != named.id)
    for volume in candidates:
        if _fits(layer, volume):
            return volume
    raise InputMismatch(
        "fits none of the open images",
        source=layer.name,
        hint="open the image that it was drawn on, on the same grid",
    )


def _fits(layer: Labels, volume: Volume) -> bool:
    place = placement(volume)
    return (
        layer.data.shape == volume.geometry.shape[-len(place.scale) :]
        and np.allclose(layer.scale, place.scale, rtol=1e-3)
        and np.allclose(layer.translate, place.translate, atol=0.1 * min(place.scale))
    )


def _labels(layer: Labels, array: np.ndarray) -> tuple[Label, ...]:
    from napari_medcnn.io.label_layers import numbered_label

    mine = layer.metadata.get(METADATA_KEY, {})
    known = {label.value: label for label in mine.get("labels", ())}
    values = [int(value) for value in np.unique(array) if value] or [1]
    return tuple(known.get(value, numbered_label(value)) for value in sorted({*values, *known}))
