"""Change a label map from the lesion table so that the layer's own undo takes it back."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any

import numpy as np
from napari.layers import Labels
from napari.viewer import Viewer

from napari_medcnn.app.ball import Box
from napari_medcnn.core.lesion import LesionTable
from napari_medcnn.gui.layer_links import layer_slices

CLICK_DISTANCE_PX = 3.0


def as_one_edit(layer: Labels, box: Box, change: Callable[[], object]) -> None:
    """Let `change` write one value into the layer's array, as one step of its history.

    Parameters
    ----------
    layer : Labels
        Shares its array with what `change` writes to.
    box : Box
        Holds every voxel that `change` writes.
    change : callable
        May raise; the array is then as it was.
    """
    slices = layer_slices(layer, box)
    region = layer.data[slices]
    before = region.copy()
    change()
    changed = np.nonzero(region != before)
    if not changed[0].size:
        return
    value = int(region[changed][0])
    region[...] = before
    layer.data_setitem(
        tuple(axis + part.start for axis, part in zip(changed, slices, strict=True)), value
    )
    layer.refresh()


def erase(layer: Labels, table: LesionTable, lesion_ids: Iterable[int]) -> None:
    """Erase lesions of a table that is up to date, as one step of the layer's history."""
    wanted = np.zeros(int(table.id_map.max(initial=0)) + 1, dtype=bool)
    wanted[[i for i in lesion_ids if i < len(wanted)]] = True
    wanted[0] = False
    layer.data_setitem(np.nonzero(wanted[table.id_map])[-layer.ndim :], 0)
    layer.refresh()


class ClickInView:
    """Waits for one click in a viewer's canvas; dragging still pans."""

    def __init__(self, viewer: Viewer, on_click: Callable[[tuple[float, ...]], None]) -> None:
        self._viewer = viewer
        self._on_click = on_click

    @property
    def is_waiting(self) -> bool:
        """Whether the next click counts."""
        return self._watch in self._viewer.mouse_drag_callbacks

    def wait(self) -> None:
        """Let the next click count."""
        if not self.is_waiting:
            self._viewer.mouse_drag_callbacks.append(self._watch)

    def stop(self) -> None:
        """Let clicks be again."""
        if self.is_waiting:
            self._viewer.mouse_drag_callbacks.remove(self._watch)

    def _watch(self, viewer: Viewer, event: Any) -> Generator[None, None, None]:
        start = np.asarray(event.pos if event.pos is not None else (0, 0), dtype=float)
        moved = 0.0
        yield
        while event.type == "mouse_move":
            moved = max(moved, float(np.abs(np.asarray(event.pos, dtype=float) - start).max()))
            yield
        if moved <= CLICK_DISTANCE_PX and self.is_waiting:
            self._on_click(tuple(event.position))
