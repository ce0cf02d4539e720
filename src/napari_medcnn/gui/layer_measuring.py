"""Measure a labels layer that someone drew or opened: a button for the selected layer."""

from __future__ import annotations

from napari.layers import Labels
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_medcnn.app.result import Result, new_result
from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.volume import Volume
from napari_medcnn.gui.bridge import JobRunner, job_of
from napari_medcnn.gui.foreign_labels import can_be_measured, segmentation_of
from napari_medcnn.gui.preferences import preferences
from napari_medcnn.gui.progress_row import ProgressRow
from napari_medcnn.gui.viewer_state import ViewerState

WIDTH_PX = 240


class LayerMeasuring(QWidget):
    """Makes a result of the selected labels layer, in a worker.

    Attributes
    ----------
    refused : Signal
        A sentence: why the layer is not measured.
    failed : Signal
        The :class:`Failed` event of a measurement.
    """

    refused = Signal(str)
    failed = Signal(object)

    def __init__(self, state: ViewerState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._layer: Labels | None = None
        self.runner = JobRunner(self)
        self.button = QPushButton()
        self.progress = ProgressRow(self.runner)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.button)
        layout.addWidget(self.progress)
        self.button.clicked.connect(self.measure)
        self.runner.done.connect(self._on_done)
        self.runner.failed.connect(self.failed)
        self.runner.finished.connect(self._offer)
        state.viewer.layers.selection.events.active.connect(self._offer)
        self._offer()

    def measure(self) -> None:
        """Measure the selected layer's lesions; the layer is hidden behind the result then."""
        layer = self._state.viewer.layers.selection.active
        if not can_be_measured(layer):
            return
        try:
            segmentation, volume = segmentation_of(layer, self._state.session.volumes.values())
            job = job_of(
                new_result,
                segmentation,
                volume,
                preferences().min_volume_for(0.0),
                name=_result_name(layer, volume),
            )
            self.runner.start(f"Measuring {layer.name}", job)
        except MedcnnError as error:
            self.refused.emit(str(error))
            return
        self._layer = layer
        self.progress.begin()
        self._offer()

    def _on_done(self, result: Result) -> None:
        layer, self._layer = self._layer, None
        if result.volume_id not in self._state.session.volumes:
            self.refused.emit("the image was closed while its labels were measured")
            return
        if layer is not None:
            layer.visible = False
        self._state.add_result(result)

    def _offer(self) -> None:
        active = self._state.viewer.layers.selection.active
        offered = can_be_measured(active)
        self.button.setVisible(offered)
        self.button.setEnabled(not self.runner.is_running)
        self.setVisible(offered or self.runner.is_running)
        if offered:
            text = f"Measure layer '{active.name}'"
            self.button.setText(
                self.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, WIDTH_PX)
            )
            self.button.setToolTip(f"List and measure the lesions of the layer '{active.name}'")


def _result_name(layer: Labels, volume: Volume) -> str:
    """Names the image too: of two on the same grid, intensities are those of one."""
    return layer.name if layer.name.startswith(volume.name) else f"{volume.name}: {layer.name}"
