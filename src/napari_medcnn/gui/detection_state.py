"""The detections of a viewer, and the layers that show them."""

from __future__ import annotations

import uuid
import weakref
from dataclasses import dataclass
from typing import Any

from napari.layers import Layer
from qtpy.QtCore import QObject, Signal

from napari_medcnn.app.box_layers import BOXES_KEY, box_layers
from napari_medcnn.core.detection import Detections
from napari_medcnn.core.lesion import Review
from napari_medcnn.core.volume import Volume
from napari_medcnn.gui.viewer_state import ViewerState

_states: weakref.WeakKeyDictionary[ViewerState, DetectionState] = weakref.WeakKeyDictionary()


def detections_of(state: ViewerState) -> DetectionState:
    """The detections of a viewer, made when they are first asked for."""
    if state not in _states:
        _states[state] = DetectionState(state)
    return _states[state]


@dataclass(frozen=True, eq=False)
class Shown:
    """Detections in a viewer.

    Parameters
    ----------
    name : str
        For people; never a patient's identity.
    volume : Volume
        What they were found in.
    detections : Detections
        With their reviews.
    """

    name: str
    volume: Volume
    detections: Detections


class DetectionState(QObject):
    """Owns what detectors found in the volumes of a viewer; it goes with its layers.

    Attributes
    ----------
    changed : Signal
        Detections came or went, or a box was reviewed.
    """

    changed = Signal()

    def __init__(self, state: ViewerState) -> None:
        super().__init__(state)
        self._viewer = weakref.ref(state.viewer)
        self.shown: dict[str, Shown] = {}
        state.viewer.layers.events.removed.connect(self._on_removed)
        state.session.volume_removed.connect(self._on_volume_removed)

    def add(self, detections: Detections, volume: Volume) -> str:
        """Own detections and show them; returns their key."""
        key = uuid.uuid4().hex
        name = f"{volume.name}: boxes ({detections.model.title or detections.model.id})"
        self.shown[key] = Shown(name, volume, detections)
        viewer = self._viewer()
        if viewer is not None:
            for data in box_layers(detections, volume, key, name):
                viewer.add_layer(Layer.create(*data))
        self.changed.emit()
        return key

    def review(self, key: str, box_id: int, review: Review) -> None:
        """Keep what the reader decided about a box."""
        there = self.shown[key]
        reviewed = there.detections.reviewed(box_id, review)
        self.shown[key] = Shown(there.name, there.volume, reviewed)
        self.changed.emit()

    def layer_of(self, key: str) -> Layer | None:
        """A layer that shows the detections of a key."""
        return next(iter(self._layers(key)), None)

    def _layers(self, key: str) -> list[Layer]:
        viewer = self._viewer()
        layers = () if viewer is None else tuple(viewer.layers)
        return [layer for layer in layers if layer.metadata.get(BOXES_KEY) == key]

    def _on_removed(self, event: Any) -> None:
        key = event.value.metadata.get(BOXES_KEY)
        if key in self.shown and not self._layers(key):
            del self.shown[key]
            self.changed.emit()

    def _on_volume_removed(self, volume_id: str) -> None:
        viewer = self._viewer()
        gone = [k for k, shown in self.shown.items() if shown.volume.id == volume_id]
        for key in gone:
            for layer in self._layers(key):
                if viewer is not None:
                    viewer.layers.remove(layer)
