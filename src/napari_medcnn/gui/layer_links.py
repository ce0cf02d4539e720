"""Which volume and which result a layer shows, and indices of volumes as its layers have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer

from napari_medcnn.app.adoption import adopt_layer
from napari_medcnn.app.ball import Box
from napari_medcnn.app.layers import METADATA_KEY, LayerKind
from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.volume import Volume


def _mine(layer: Layer | None) -> Mapping[str, Any]:
    mine = {} if layer is None else layer.metadata.get(METADATA_KEY, {})
    return mine if isinstance(mine, Mapping) else {}


def volume_id_of(layer: Layer | None) -> str | None:
    """The id of the volume that an image layer of ours shows."""
    mine = _mine(layer)
    return mine.get("volume_id") if mine.get("kind") == LayerKind.IMAGE else None


def result_id_of(layer: Layer | None) -> str | None:
    """The id of the result that a labels layer was made for."""
    return _mine(layer).get("result_id")


def volume_in(layer: Layer | None) -> Volume | None:
    """The volume that a layer of ours carries; a labels layer names what it was drawn on."""
    carried = _mine(layer).get("volume")
    return carried if isinstance(carried, Volume) else None


def shows_array(layer: Layer, array: np.ndarray) -> bool:
    """Whether painting the layer changes the array."""
    return isinstance(layer, Labels) and np.may_share_memory(layer.data, array)


def is_adoptable(layer: Layer) -> bool:
    """Whether an image layer that was opened by other means can be worked on."""
    return (
        isinstance(layer, Image)
        and not _mine(layer)
        and not layer.rgb
        and not layer.multiscale
        and isinstance(layer.data, np.ndarray)
        and 2 <= layer.ndim <= 4
        and layer.data.dtype.kind in "biuf"
        and _is_straight(layer)
    )


def volume_from(layer: Image) -> Volume:
    """A volume from a layer of other origin, as it lies; the layer is left alone.

    Raises
    ------
    InputMismatch
        When the layer holds no grey-value image on a straight grid.
    """
    if not is_adoptable(layer):
        raise InputMismatch(
            "this layer cannot be analysed",
            source=layer.name,
            hint="choose a grey-value image that is neither rotated nor a pyramid",
        )
    return adopt_layer(layer.data, layer.scale, layer.translate, layer.name, units=layer.units)


def link(layer: Image, volume: Volume) -> None:
    """Note in a layer's metadata that it shows a volume; nothing else of it is changed."""
    layer.metadata[METADATA_KEY] = {
        "kind": LayerKind.IMAGE.value,
        "volume_id": volume.id,
        "volume": volume,
    }


def layer_index(layer: Layer, index: Sequence[float]) -> tuple[float, ...]:
    """An index ``(z, y, x)`` of a volume in a layer, which has two axes for a single picture."""
    return tuple(index)[-layer.ndim :]


def volume_index(layer: Layer, index: Sequence[float]) -> tuple[float, float, float]:
    """The index ``(z, y, x)`` of a volume from an index of its layer."""
    z, y, x = (0.0, *index)[-3:] if layer.ndim == 2 else tuple(index)[-3:]
    return float(z), float(y), float(x)


def layer_slices(layer: Layer, box: Box) -> tuple[slice, ...]:
    """A box of a volume's voxels as slices of its layer's data."""
    return box.slices[-layer.ndim :]


def _is_straight(layer: Layer) -> bool:
    matrix = np.asarray(layer.affine.linear_matrix)
    identity = np.eye(layer.ndim)
    return (
        np.allclose(matrix, identity)
        and np.allclose(layer.affine.translate, 0)
        and np.allclose(np.asarray(layer.rotate), identity)
        and np.allclose(np.asarray(layer.shear), 0)
    )
