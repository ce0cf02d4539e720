"""A body whose six sides can be told apart, stored in any of the 48 axis orders and flips."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer

from napari_medcnn.app.layers import segmentation_layer, volume_layers
from napari_medcnn.core.geometry import AxisMap, Geometry
from napari_medcnn.core.segmentation import Label, Segmentation
from napari_medcnn.core.volume import Source, Volume, canonical_volume

BODY, DIM_SUPERIOR, MEDIUM_ANTERIOR, BRIGHT_LEFT = 40, 110, 175, 235
CENTRE = (12, 16, 20)
ORIENTATIONS = [
    AxisMap(order, flip)
    for order in permutations(range(3))
    for flip in product((False, True), repeat=3)
]


def phantom_array() -> np.ndarray:
    """24 x 32 x 40 voxels (z, y, x): blocks at Superior, Anterior and Left, all off the centre."""
    array = np.full((24, 32, 40), BODY, dtype=np.uint8)
    array[19:22, 13:19, 17:23] = DIM_SUPERIOR
    array[10:14, 3:7, 17:23] = MEDIUM_ANTERIOR
    array[10:14, 13:19, 32:37] = BRIGHT_LEFT
    return array


def phantom(stored_as: AxisMap = ORIENTATIONS[0], **fields: object) -> Volume:
    """The phantom, read from a file that stores it in some orientation."""
    array = phantom_array()
    grid = Geometry.from_spacing(array.shape, (3.0, 1.5, 1.25), (-25.0, 40.0, 7.5))
    return canonical_volume(
        np.ascontiguousarray(stored_as.apply(array)),
        grid.reordered(stored_as),
        source=Source(),
        **{"name": "phantom", "modality": "MR", **fields},
    )


def rotated(volume: Volume, degrees: float) -> Volume:
    """The volume turned around the patient's long axis."""
    turn = np.eye(4)
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn[:2, :2] = (c, -s), (s, c)
    geometry = Geometry(volume.geometry.shape, turn @ volume.geometry.affine)
    return Volume(volume.array, geometry, name=volume.name, modality=volume.modality)


def add_volume(viewer: ViewerModel, volume: Volume) -> Image:
    """Show a volume as the package does, with all its grey values apart, and go to its middle."""
    layer = viewer.add_layer(Layer.create(*volume_layers(volume)[0]))
    layer.contrast_limits = (0, 255)
    # Blocks are told by their exact grey, which smoothing and attenuation would change.
    layer.interpolation2d, layer.rendering = "nearest", "mip"
    if volume.geometry.shape[0] > 1:
        viewer.dims.set_point(
            range(viewer.dims.ndim - 3, viewer.dims.ndim),
            [t + s * i for t, s, i in zip(layer.translate, layer.scale, CENTRE, strict=False)][-3:],
        )
    return layer


def add_labels(viewer: ViewerModel, volume: Volume) -> Labels:
    """Empty labels of a volume: 1 is pure green, 2 pure blue."""
    labels = Label(1, "lesion", (0.0, 1.0, 0.0)), Label(2, "other", (0.0, 0.0, 1.0))
    array = np.zeros(volume.geometry.shape, dtype=np.uint8)
    drawn = Segmentation(array, volume.geometry, labels, volume.id)
    layer = viewer.add_layer(Layer.create(*segmentation_layer(drawn, volume)))
    layer.opacity = 1.0
    return layer


def offset_of(picture: np.ndarray, value: int) -> tuple[float, float]:
    """How far right of and above the middle a grey value is seen, in parts of the picture's size.

    Parameters
    ----------
    picture : numpy.ndarray
        ``(rows, columns, 3 or 4)`` uint8.
    value : int
        The grey value of a block.
    """
    grey = picture[..., :3].astype(int)
    # A virtual screen may have 16 bits a pixel.
    rows, columns = np.nonzero((np.abs(grey - value) <= 8).all(axis=-1))
    assert rows.size > 50, f"a block of value {value} is not in the picture"
    height, width = grey.shape[:2]
    return float(np.median(columns)) / width - 0.5, 0.5 - float(np.median(rows)) / height


def seen(picture: np.ndarray, value: int) -> str:
    """The edge of the picture that a block lies towards; an empty string if in the middle."""
    right, up = offset_of(picture, value)
    if max(abs(right), abs(up)) < 0.04:
        return ""
    assert min(abs(right), abs(up)) < 0.04, f"{value} is in a corner: {right:.2f}, {up:.2f}"
    if abs(right) > abs(up):
        return "right" if right > 0 else "left"
    return "top" if up > 0 else "bottom"
