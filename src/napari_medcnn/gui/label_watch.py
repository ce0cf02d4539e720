"""Notice every way in which the reader changes a Labels layer: brush, fill, undo, new array."""

from __future__ import annotations

from collections.abc import Callable

from napari.layers import Labels


class LabelWatch:
    """Calls back when the voxels of a layer changed.

    Parameters
    ----------
    layer : Labels
        The layer to watch.
    on_edit : callable
        Its array was written to.
    on_new_array : callable
        It was given another array.
    """

    def __init__(
        self, layer: Labels, on_edit: Callable[[], None], on_new_array: Callable[[], None]
    ) -> None:
        self.layer = layer
        self._on_edit, self._on_new_array = on_edit, on_new_array
        self._array = layer.data
        self._history = _history_lengths(layer)
        layer.events.paint.connect(self._edited)
        layer.events.data.connect(self._replaced)
        # Undo and redo tell nobody but by the refresh that follows them.
        layer.events.set_data.connect(self._refreshed)

    def stop(self) -> None:
        """Watch no longer."""
        self.layer.events.paint.disconnect(self._edited)
        self.layer.events.data.disconnect(self._replaced)
        self.layer.events.set_data.disconnect(self._refreshed)

    def _edited(self) -> None:
        self._history = _history_lengths(self.layer)
        self._on_edit()

    def _replaced(self) -> None:
        if self.layer.data is self._array:
            self._edited()
            return
        self._array = self.layer.data
        self._history = _history_lengths(self.layer)
        self._on_new_array()

    def _refreshed(self) -> None:
        if _history_lengths(self.layer) != self._history:
            self._edited()


def _history_lengths(layer: Labels) -> tuple[int, int]:
    return len(layer._undo_history), len(layer._redo_history)
