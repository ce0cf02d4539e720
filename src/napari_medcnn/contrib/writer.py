"""napari's writers: an image or labels layer to a file on the grid that the image came from.

A layer of this package knows its volume and goes back to the exact grid of its source. Of any other
layer only scale, translate and units are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.app.adoption import adopt_layer, volume_of_layer
from napari_medcnn.app.layers import METADATA_KEY
from napari_medcnn.core.errors import WriteError
from napari_medcnn.core.segmentation import Label, Segmentation
from napari_medcnn.core.volume import Volume


def write_image(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Write an image layer to NIfTI, NRRD or MetaImage.

    Parameters
    ----------
    path : str
        The file; its suffix is the format.
    data : array
        ``layer.data``.
    attributes : mapping
        The layer's other fields: metadata, scale, translate, units, name, ...

    Returns
    -------
    list of str
        The file that was written.

    Raises
    ------
    WriteError
        When the layer is in colour or a pyramid, or the file cannot be written.
    """
    from napari_medcnn.io.write import write_volume

    if attributes.get("rgb") or attributes.get("multiscale"):
        raise WriteError("colour images and pyramids are no volumes", source=path)
    volume = _own_volume(data, attributes)
    volume = _adopted(data, attributes) if volume is None else _with_data(volume, data)
    return [str(write_volume(volume, path))]


def write_labels(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Write a labels layer; ``.seg.nrrd`` keeps the names and colours of the labels.

    Parameters, returns and raises as :func:`write_image`.
    """
    from napari_medcnn.io.write import write_segmentation

    volume = _own_volume(data, attributes)
    if volume is None:
        volume = _adopted(data, attributes)
        array = volume.array
    else:
        array = np.asarray(data).reshape(volume.geometry.shape)
    if volume.frames is not None:
        raise WriteError("a label map has three axes", source=path, hint="write each frame")
    labels = _unsigned(array, path)
    segmentation = Segmentation(labels, volume.geometry, _labels(labels, attributes), volume.id)
    return [str(write_segmentation(segmentation, volume, path))]


def _own_volume(data: Any, attributes: Mapping[str, Any]) -> Volume | None:
    """The layer's volume, if it has one and still fits it."""
    volume = volume_of_layer(attributes.get("metadata", {}), {})
    if volume is None:
        return None
    shown = tuple(n for n in np.shape(data) if n > 1)
    fitting = (volume.array.shape, volume.geometry.shape)
    return volume if shown in [tuple(n for n in shape if n > 1) for shape in fitting] else None


def _with_data(volume: Volume, data: Any) -> Volume:
    frames = volume.frames if np.size(data) == volume.array.size else None
    shape = volume.array.shape if frames is not None else volume.geometry.shape
    return replace(volume, array=np.asarray(data).reshape(shape), frames=frames)


def _adopted(data: Any, attributes: Mapping[str, Any]) -> Volume:
    ndim = np.ndim(data)
    return adopt_layer(
        data,
        attributes.get("scale", (1.0,) * ndim),
        attributes.get("translate", (0.0,) * ndim),
        str(attributes.get("name", "layer")),
        units=attributes.get("units") or (),
    )


def _unsigned(array: npt.NDArray[Any], path: str) -> npt.NDArray[Any]:
    if array.size and int(array.min()) < 0:
        raise WriteError("a label map has no negative values", source=path)
    return array.astype(np.min_scalar_type(int(array.max(initial=0))))


def _labels(array: npt.NDArray[Any], attributes: Mapping[str, Any]) -> tuple[Label, ...]:
    """The layer's own labels, and numbered ones for values that it has no name for."""
    from napari_medcnn.io.label_layers import numbered_label

    known = tuple(attributes.get("metadata", {}).get(METADATA_KEY, {}).get("labels", ()))
    values = {label.value for label in known}
    others = [int(v) for v in np.unique(array) if v and int(v) not in values]
    return known + tuple(numbered_label(value) for value in others)
