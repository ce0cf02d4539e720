"""One session a viewer, and the layers that show it."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from napari.layers import Image, Labels, Layer
from napari.viewer import Viewer
from qtpy.QtCore import QObject, QTimer, Signal

from napari_medcnn.app.layers import segmentation_layer, volume_layers
from napari_medcnn.app.result import Result
from napari_medcnn.app.session import Session
from napari_medcnn.core.errors import GeometryError
from napari_medcnn.core.events import Failed
from napari_medcnn.core.lesion import LesionTable
from napari_medcnn.core.volume import Volume
from napari_medcnn.gui.bridge import JobRunner, job_of
from napari_medcnn.gui.label_watch import LabelWatch
from napari_medcnn.gui.layer_links import (
    link,
    result_id_of,
    shows_array,
    volume_from,
    volume_id_of,
    volume_in,
)
from napari_medcnn.gui.session_saving import SessionSaving
from napari_medcnn.gui.view_access import unwrapped
from napari_medcnn.gui.views import attach

REMEASURE_DELAY_MS = 400
"""After the last stroke: a reader paints several strokes in a row."""

_states: weakref.WeakKeyDictionary[Viewer, ViewerState] = weakref.WeakKeyDictionary()


def state_of(viewer: Viewer) -> ViewerState:
    """The state of a viewer, made when it is first asked for."""
    viewer = unwrapped(viewer)
    if viewer not in _states:
        _states[viewer] = ViewerState(viewer)
    return _states[viewer]


@dataclass(frozen=True, eq=False)
class Removal:
    """What left the session with a layer that the user removed."""

    name: str
    volume: Volume | None
    results: tuple[Result, ...]


class ViewerState(QObject):
    """Owns the session of a viewer and keeps session and layers in step.

    Attributes
    ----------
    volumes_changed, results_changed : Signal
        A volume, a result came or went.
    result_touched : Signal
        The id of a result that was painted on and is not measured yet.
    result_changed : Signal
        The id of a result whose lesions, reviews or name changed.
    removed : Signal
        What went with a layer that the user removed, as :class:`Removal`; it can be brought back.
    problem : Signal
        A sentence for the user.
    """

    volumes_changed = Signal()
    results_changed = Signal()
    result_touched = Signal(str)
    result_changed = Signal(str)
    removed = Signal(object)
    problem = Signal(str)

    def __init__(self, viewer: Viewer) -> None:
        window = viewer.window._qt_window
        super().__init__(window)
        # The registry must not keep the viewer alive through its own value.
        self._viewer = weakref.ref(viewer)
        self.session = Session()
        self.measuring = JobRunner(self)
        self.saving = SessionSaving(self.session, self)
        self._watches: dict[str, LabelWatch] = {}
        self._stale: list[str] = []
        self._measured: tuple[str, int] | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(REMEASURE_DELAY_MS)
        self._timer.timeout.connect(self._measure_next)
        self._connect(viewer)
        attach(viewer)
        for layer in list(viewer.layers):
            self._adopt(layer)
        window.destroyed.connect(partial(_forget, weakref.ref(viewer), self.saving.end))

    @property
    def viewer(self) -> Viewer:
        """The viewer, as long as it is open."""
        viewer = self._viewer()
        if viewer is None:
            raise RuntimeError("the viewer of this state is closed")
        return viewer

    # From session to layers -------------------------------------------------------------------

    def add_volumes(self, volumes: Iterable[Volume]) -> None:
        """Own volumes and show each as a layer."""
        for volume in volumes:
            self.session.add_volume(volume)

    def adopt(self, layer: Image) -> Volume:
        """Own the volume of an image layer; one of other origin is taken as it lies.

        Raises
        ------
        InputMismatch
            When the layer holds no grey-value image on a straight grid.
        """
        volume = self.volume_of(layer)
        if volume is None:
            volume = volume_in(layer) or volume_from(layer)
            link(layer, volume)
            self.session.add_volume(volume)
        return volume

    def add_result(self, result: Result) -> None:
        """Own a result and show it as a Labels layer."""
        self.session.restore_result(result)

    def merge(self, other: Session) -> tuple[str, ...]:
        """Take over what another session holds, as one that was loaded from a file.

        Returns
        -------
        tuple of str
            Names of results that are open already and were left as they are.
        """
        for volume in other.volumes.values():
            self.session.add_volume(volume)
        for reference in other.missing_volumes.values():
            if reference.id not in self.session.volumes:
                self.session.note_missing(reference)
        known = [r for r in other.results.values() if r.id in self.session.results]
        for result in other.results.values():
            if result.id not in self.session.results:
                self.session.restore_result(result)
        return tuple(result.name for result in known)

    def image_layer(self, volume_id: str) -> Image | None:
        """A layer that shows a volume."""
        return next((la for la in self._images() if volume_id_of(la) == volume_id), None)

    def labels_layer(self, result_id: str) -> Labels | None:
        """The layer that shares its array with a result."""
        watch = self._watches.get(result_id)
        return None if watch is None else watch.layer

    def volume_of(self, layer: Layer | None) -> Volume | None:
        """The session's volume that an image layer shows, or that a Labels layer belongs to."""
        result = self.result_of(layer)
        volume_id = volume_id_of(layer) if result is None else result.volume_id
        return self.session.volumes.get(volume_id or "")

    def result_of(self, layer: Layer | None) -> Result | None:
        """The session's result that a Labels layer shows."""
        for result_id, watch in self._watches.items():
            if watch.layer is layer:
                return self.session.results.get(result_id)
        return None

    def remeasure(self, result_id: str) -> None:
        """Measure a result's lesions now, in a worker."""
        if result_id not in self._stale:
            self._stale.append(result_id)
        self._timer.start(0)

    # ------------------------------------------------------------------------------------------

    def _connect(self, viewer: Viewer) -> None:
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_removed)
        session = self.session
        session.volume_added.connect(self._on_volume_added)
        session.volume_removed.connect(self._on_volume_removed)
        session.result_added.connect(self._on_result_added)
        session.result_removed.connect(self._on_result_removed)
        session.result_touched.connect(self._on_touched)
        session.result_changed.connect(self._on_changed)
        self.measuring.done.connect(self._on_measured)
        self.measuring.failed.connect(self._on_measuring_failed)
        self.saving.problem.connect(self.problem)

    def _images(self) -> Iterator[Image]:
        viewer = self._viewer()
        layers = () if viewer is None else tuple(viewer.layers)
        return (layer for layer in layers if isinstance(layer, Image))

    def _on_inserted(self, event: Any) -> None:
        self._adopt(event.value)

    def _adopt(self, layer: Layer) -> None:
        volume = volume_in(layer)
        if volume is not None and volume_id_of(layer) == volume.id:
            self.session.add_volume(volume)
        result = self.session.results.get(result_id_of(layer) or "")
        if result is not None and shows_array(layer, result.segmentation.array):
            self._watch(result, layer)

    def _watch(self, result: Result, layer: Labels) -> None:
        if result.id in self._watches:
            self._watches[result.id].stop()
        self._watches[result.id] = LabelWatch(
            layer,
            partial(self.session.touch, result.id),
            partial(self._take_new_array, result.id),
        )

    def _take_new_array(self, result_id: str) -> None:
        layer = self._watches[result_id].layer
        try:
            array = layer.data[None] if layer.ndim == 2 else layer.data
            self.session.adopt_array(result_id, array)
        except GeometryError as error:
            array = self.session.results[result_id].segmentation.array
            layer.data = array[0] if layer.ndim == 2 else array
            self.problem.emit(f"{layer.name}: {error}; the labels are as they were before.")

    def _on_removed(self, event: Any) -> None:
        layer = event.value
        result = self.result_of(layer)
        if result is not None:
            self.session.remove_result(result.id)
            self.removed.emit(Removal(layer.name, None, (result,)))
            return
        volume = self.session.volumes.get(volume_id_of(layer) or "")
        if volume is not None and self.image_layer(volume.id) is None:
            results = self.session.results_of(volume.id)
            self.session.remove_volume(volume.id)
            self.removed.emit(Removal(layer.name, volume, results))

    def bring_back(self, removal: Removal) -> None:
        """Undo the removal of a layer."""
        if removal.volume is not None:
            self.session.add_volume(removal.volume)
        for result in removal.results:
            if result.id not in self.session.results:
                self.session.restore_result(result)

    def _on_volume_added(self, volume: Volume) -> None:
        if self.image_layer(volume.id) is None:
            for data in volume_layers(volume):
                self.viewer.add_layer(Layer.create(*data))
        for result in self.session.results_of(volume.id):
            self._show_result(result, volume)  # of a session file whose image was missing
        self.volumes_changed.emit()

    def _on_volume_removed(self, volume_id: str) -> None:
        self._remove_layers([la for la in self._images() if volume_id_of(la) == volume_id])
        self.volumes_changed.emit()

    def _on_result_added(self, result_id: str) -> None:
        result = self.session.results[result_id]
        volume = self.session.volumes.get(result.volume_id)
        if volume is not None:
            self._show_result(result, volume)
        self.results_changed.emit()

    def _show_result(self, result: Result, volume: Volume) -> None:
        if result.id not in self._watches:
            layer = Layer.create(*segmentation_layer(result, volume))
            self._watch(result, layer)
            self.viewer.add_layer(layer)
            if result.is_stale:  # saved between a stroke and its measurement
                self.remeasure(result.id)

    def _on_result_removed(self, result_id: str) -> None:
        watch = self._watches.pop(result_id, None)
        if watch is not None:
            watch.stop()
            self._remove_layers([watch.layer])
        self.results_changed.emit()

    def _remove_layers(self, layers: list[Layer]) -> None:
        viewer = self._viewer()
        for layer in layers:
            if viewer is not None and layer in viewer.layers:
                viewer.layers.remove(layer)

    # Measuring again --------------------------------------------------------------------------

    def _on_touched(self, result_id: str) -> None:
        if result_id not in self._stale:
            self._stale.append(result_id)
        self._timer.start(REMEASURE_DELAY_MS)
        self.result_touched.emit(result_id)

    def _measure_next(self) -> None:
        self._stale = [r for r in self._stale if self._can_measure(r)]
        if not self._stale or self.measuring.is_running:
            return  # the end of the running measurement asks again
        result = self.session.results[self._stale.pop(0)]
        self._measured = (result.id, result.revision)
        self.measuring.start(
            f"Measuring {result.name}", job_of(self.session.compute_table, result.id)
        )

    def _can_measure(self, result_id: str) -> bool:
        result = self.session.results.get(result_id)
        return result is not None and result.volume_id in self.session.volumes

    def _on_measured(self, table: LesionTable) -> None:
        if self._measured is not None:
            # An outdated table is not taken; touching has asked for a new one already.
            self.session.install_table(*self._measured, table)
        self._measured = None
        if self._stale:
            self._timer.start(0)

    def _on_measuring_failed(self, failed: Failed) -> None:
        self._measured = None
        if not failed.cancelled:
            self.problem.emit(f"The lesions could not be measured: {failed.text}")
        if self._stale:
            self._timer.start(0)

    def _on_changed(self, result_id: str) -> None:
        self.result_changed.emit(result_id)


def _forget(viewer: weakref.ref[Viewer], end_saving: Any) -> None:
    end_saving()
    closed = viewer()
    if closed is not None:
        _states.pop(closed, None)
