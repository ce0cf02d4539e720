"""How the images are shown: windows of CT, automatic contrast, labels as outlines."""

from __future__ import annotations

from functools import partial

from napari.layers import Image, Labels
from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QCheckBox, QGridLayout, QPushButton, QVBoxLayout, QWidget

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.gui.viewer_state import ViewerState
from napari_medcnn.gui.windowing import AUTO, CT_WINDOWS, apply_preset, presets_for

COLUMNS = 3
OUTLINE_PX = 1


class DisplayRow(QWidget):
    """Buttons for an image layer's contrast, and a switch for its label layers."""

    def __init__(self, state: ViewerState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._layer: Image | None = None
        self.outlines = QCheckBox("Labels as outlines")
        self.outlines.setToolTip("Show the edges of labels only, so that the tissue stays visible")
        self.outlines.toggled.connect(self._show_outlines)
        self._grid = QGridLayout()
        self._grid.setSpacing(4)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(self._grid)
        layout.addWidget(self.outlines)
        self.buttons: dict[str, QPushButton] = {}
        state.results_changed.connect(self.refresh)
        self.show_layer(None)

    def show_layer(self, layer: Image | None) -> None:
        """Act on this image layer from now on."""
        self._layer = layer
        volume = self._state.volume_of(layer)
        names = () if layer is None else presets_for("" if volume is None else volume.modality)
        if tuple(self.buttons) != names:
            self._make_buttons(names)
        self.refresh()

    def refresh(self) -> None:
        """Follow what label layers there are."""
        labels = self._label_layers()
        self.outlines.setVisible(bool(labels))
        with QSignalBlocker(self.outlines):
            self.outlines.setChecked(bool(labels) and all(la.contour for la in labels))

    def _make_buttons(self, names: tuple[str, ...]) -> None:
        for button in self.buttons.values():
            button.hide()
            button.deleteLater()
        self.buttons = {}
        for number, name in enumerate(names):
            button = QPushButton(_text(name))
            button.setToolTip(_tip(name))
            button.clicked.connect(partial(self._apply, name))
            self._grid.addWidget(button, number // COLUMNS, number % COLUMNS)
            self.buttons[name] = button

    def _apply(self, name: str, *_: object) -> None:
        if self._layer is None or self._layer not in self._state.viewer.layers:
            return
        try:
            apply_preset(self._layer, name)
        except MedcnnError as error:
            self._state.problem.emit(str(error))

    def _label_layers(self) -> list[Labels]:
        found = (self._state.labels_layer(r) for r in self._state.session.results)
        return [layer for layer in found if layer is not None]

    def _show_outlines(self, wanted: bool) -> None:
        for layer in self._label_layers():
            layer.contour = OUTLINE_PX if wanted else 0


def _text(name: str) -> str:
    return "Auto contrast" if name == AUTO else name[:1].upper() + name[1:]


def _tip(name: str) -> str:
    if name == AUTO:
        return "Contrast from the image's own values"
    window = CT_WINDOWS[name]
    return f"Centre {window.centre:g} HU, width {window.width:g} HU"
