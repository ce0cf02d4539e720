"""Which slice of an image a viewer shows, and how to lead it to another one."""

from __future__ import annotations

from napari.layers import Layer
from napari.viewer import Viewer

from napari_medcnn.gui.views import show_axial, show_coronal, show_sagittal

_SHOW = (show_axial, show_coronal, show_sagittal)
"""The plane of slices along each axis of ``(z, y, x)``."""


def go_to_slice(viewer: Viewer, layer: Layer, axis: int, index: int) -> None:
    """Lead a viewer to a slice of a layer, in the plane in which it can be seen.

    Parameters
    ----------
    layer : Layer
        Of an image ``(..., z, y, x)``; one of two axes has a single slice, which is always shown.
    axis : int
        Of ``(z, y, x)``.
    index : int
        Of the image's voxels.
    """
    place = axis - 3
    if layer.ndim < -place:
        return
    corner = [0.0] * layer.ndim
    corner[place] = index
    of_viewer = viewer.dims.ndim + place
    if of_viewer in viewer.dims.displayed:
        _SHOW[axis](viewer)
    viewer.dims.set_point(of_viewer, float(layer.data_to_world(corner)[place]))


def slice_at(viewer: Viewer, layer: Layer, axis: int) -> int:
    """The slice of a layer that goes through the viewer's point, or the one closest to it.

    Parameters are those of :func:`go_to_slice`; a layer of two axes has only slice 0 along z.
    """
    place = axis - 3
    if layer.ndim < -place:
        return 0
    point = list(viewer.dims.point)[-layer.ndim :]
    index = round(float(layer.world_to_data(point)[place]))
    return min(max(index, 0), layer.data.shape[place] - 1)


def slice_shown(viewer: Viewer, layer: Layer | None, axis: int) -> int | None:
    """The slice of a layer that the viewer shows; None where it looks along another axis."""
    if layer is None or layer.ndim < 3 - axis:
        return None
    if viewer.dims.ndim + axis - 3 in viewer.dims.displayed:
        return None
    return slice_at(viewer, layer, axis)
