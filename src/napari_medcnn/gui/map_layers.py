"""Image layers of a result's probability and uncertainty, which go when the result goes."""

from __future__ import annotations

from collections.abc import Collection

from napari.layers import Layer
from qtpy.QtCore import QObject

from napari_medcnn.app.layers import METADATA_KEY, LayerKind, map_layers
from napari_medcnn.app.result import Result
from napari_medcnn.gui.layer_links import result_id_of
from napari_medcnn.gui.viewer_state import ViewerState


class MapLayers(QObject):
    """Adds the maps of results to a viewer, and takes them away with their result.

    They are not part of a session file: the probability is kept there with its result, and
    maps of uncertainty, which can be computed again, would make every automatic saving slow.
    """

    def __init__(self, state: ViewerState, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._state = state
        state.session.result_removed.connect(self._on_result_removed)

    def show(self, result: Result, names: Collection[str]) -> tuple[str, ...]:
        """Add the layers of those maps that the result has; their names."""
        viewer = self._state.viewer
        active = viewer.layers.selection.active
        layers = [
            Layer.create(*data)
            for data in map_layers(result, self._state.session.volumes[result.volume_id], names)
        ]
        for layer in layers:
            viewer.add_layer(layer)
        if layers and active is not None:
            viewer.layers.selection.active = active  # the labels are what is worked on next
        return tuple(layer.name for layer in layers)

    def _on_result_removed(self, result_id: str) -> None:
        layers = self._state.viewer.layers
        for layer in [la for la in layers if _is_map(la) and result_id_of(la) == result_id]:
            layers.remove(layer)


def _is_map(layer: Layer) -> bool:
    return layer.metadata.get(METADATA_KEY, {}).get("kind") == LayerKind.MAP
