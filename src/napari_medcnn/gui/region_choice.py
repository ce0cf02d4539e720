"""Which part of the image is run: all of it, inside drawn shapes, or around a label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from napari.layers import Labels, Layer, Shapes
from qtpy.QtCore import QSignalBlocker, QTimer, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QVBoxLayout,
    QWidget,
)

from napari_medcnn.app.layers import placement
from napari_medcnn.app.region_of_interest import (
    Region,
    region_of_label,
    region_of_shapes,
    region_text,
    shown_grid,
)
from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.volume import Volume
from napari_medcnn.gui.layer_links import volume_in
from napari_medcnn.gui.viewer_state import ViewerState

LOOK_AGAIN_MS = 250
"""After the last change of a layer: drawing a box sends many."""

DEFAULT_MARGIN_MM = 10.0
OWN_SHAPES = "Region of interest"
ANY_LABEL, SELECTED_LABEL = -1, -2

Kind = Literal["whole", "draw", "shapes", "label"]


@dataclass(frozen=True, eq=False)
class _Entry:
    """A line of the drop-down."""

    kind: Kind
    layer: Layer | None = None

    @property
    def text(self) -> str:
        name = "" if self.layer is None else self.layer.name
        return {
            "whole": "the whole image",
            "draw": "a box that I draw",
            "shapes": f"inside {name}",
            "label": f"around {name}",
        }[self.kind]


class RegionChoice(QWidget):
    """A drop-down of layers that can bound a run, and what belongs to each kind.

    Attributes
    ----------
    changed : Signal
        The region is another one, or may be.
    """

    changed = Signal()

    def __init__(self, state: ViewerState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._entries: list[_Entry] = []
        self._watched: Layer | None = None
        self._volume: Volume | None = None
        self._known: tuple[object, Region] | None = None
        self.list = _narrow_list()
        self.all_slices = QCheckBox("Through all slices")
        self.label = _narrow_list()
        self.margin = QDoubleSpinBox()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(LOOK_AGAIN_MS)
        self._timer.timeout.connect(self.changed)
        self._lay_out()
        self._connect()
        self._list_layers()

    def show_volume(self, volume: Volume | None) -> None:
        """The image that a box would be drawn on."""
        self._volume = volume
        self.list.setEnabled(volume is not None)

    def region(self) -> Region | None:
        """The part of the image to run; None for all of it.

        Raises
        ------
        InputMismatch
            When nothing is drawn yet, or it lies outside of the image.
        """
        entry = self._entry
        if self._volume is None or entry.layer is None:
            return None
        if entry.kind == "shapes":
            return _inside(self._volume, entry.layer, all_slices=self.all_slices.isChecked())
        return self._around(self._volume, entry.layer)

    def describe(self, region: Region | None) -> str:
        """The region in words for the plan, "" for all of the image."""
        if region is None or self._volume is None:
            return ""
        entry = self._entry
        text = f"{region_text(region, self._volume.geometry.shape)}, {entry.text}"
        if entry.kind == "label":
            return f"{text} ({self.label.currentText()}) with {self.margin.value():g} mm around it"
        return text

    def draw(self) -> None:
        """Add a layer of shapes over the image, ready to draw a box on."""
        if self._volume is None:
            return
        place = placement(self._volume).as_kwargs()
        layer = Shapes(
            ndim=len(place["scale"]),
            name=OWN_SHAPES,
            face_color="transparent",
            edge_color="yellow",
            edge_width=max(1.0, min(self._volume.geometry.shape[1:]) / 150),
            **place,
        )
        self._state.viewer.add_layer(layer)
        self._choose(layer)
        layer.mode = "add_rectangle"

    # ------------------------------------------------------------------------------------------

    @property
    def _entry(self) -> _Entry:
        return self._entries[max(self.list.currentIndex(), 0)]

    def _lay_out(self) -> None:
        self.list.setToolTip("The run only looks at the windows that touch this part of the image")
        self.all_slices.setChecked(True)
        self.all_slices.setMinimumWidth(1)
        self.all_slices.setToolTip(
            "The drawn box goes through the whole image. Without this, from the first slice that "
            "something is drawn on to the last"
        )
        self.label.setToolTip("The label that the box is put around")
        self.margin.setRange(0, 500)
        self.margin.setDecimals(1)
        self.margin.setSuffix(" mm")
        self.margin.setValue(DEFAULT_MARGIN_MM)
        self.margin.setToolTip("How far the box reaches beyond the label on each side")
        self._form = QFormLayout()
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._form.addRow("Region", self.list)
        self._form.addRow(self.all_slices)
        self._form.addRow("Label", self.label)
        self._form.addRow("Margin", self.margin)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(self._form)

    def _connect(self) -> None:
        layers = self._state.viewer.layers
        layers.events.inserted.connect(self._list_layers)
        layers.events.removed.connect(self._list_layers)
        self.list.currentIndexChanged.connect(self._on_index)
        self.all_slices.toggled.connect(self.changed)
        self.label.currentIndexChanged.connect(self.changed)
        self.margin.valueChanged.connect(self._timer.start)

    def _list_layers(self) -> None:
        before = self._entry if self._entries else None
        self._entries = [_Entry("whole"), _Entry("draw")]
        for layer in self._state.viewer.layers:
            if isinstance(layer, Shapes):
                self._entries.append(_Entry("shapes", layer))
            elif isinstance(layer, Labels) and isinstance(layer.data, np.ndarray):
                self._entries.append(_Entry("label", layer))
        with QSignalBlocker(self.list):
            self.list.clear()
            for entry in self._entries:
                self.list.addItem(entry.text)
            chosen = None if before is None else before.layer
            layers = [entry.layer for entry in self._entries]
            self.list.setCurrentIndex(layers.index(chosen) if chosen in layers[2:] else 0)
        if before is not None and before.layer is not self._entry.layer:
            self._on_index()
        else:
            self._show_fields()

    def _choose(self, layer: Layer) -> None:
        layers = [entry.layer for entry in self._entries]
        self.list.setCurrentIndex(layers.index(layer))

    def _on_index(self) -> None:
        entry = self._entry
        if entry.kind == "draw":
            with QSignalBlocker(self.list):
                self.list.setCurrentIndex(0)
            self.draw()
            return
        self._watch(entry.layer)
        self._list_labels(entry.layer)
        self._show_fields()
        self.changed.emit()

    def _show_fields(self) -> None:
        kind = self._entry.kind
        self._form.setRowVisible(self.all_slices, kind == "shapes")
        self._form.setRowVisible(self.label, kind == "label")
        self._form.setRowVisible(self.margin, kind == "label")

    def _list_labels(self, layer: Layer | None) -> None:
        with QSignalBlocker(self.label):
            self.label.clear()
            if not isinstance(layer, Labels):
                return
            self.label.addItem("all labels", ANY_LABEL)
            for value, name in _named_values(layer):
                self.label.addItem(name, value)
            self.label.addItem("the one selected in the layer", SELECTED_LABEL)

    def _watch(self, layer: Layer | None) -> None:
        for events in _events_of(self._watched):
            events.disconnect(self._look_again)
        self._watched = layer
        for events in _events_of(layer):
            events.connect(self._look_again)

    def _look_again(self) -> None:
        self._known = None
        self._timer.start()

    def _around(self, volume: Volume, layer: Labels) -> Region:
        chosen = self.label.currentData()
        value = layer.selected_label if chosen == SELECTED_LABEL else chosen
        if layer.data.ndim != 3:
            raise InputMismatch("a region needs labels with three axes", source=layer.name)
        drawn_on = volume_in(layer)
        if drawn_on is not None and drawn_on.geometry.shape == layer.data.shape:
            grid = drawn_on.geometry
        else:
            grid = shown_grid(volume, layer.data.shape, layer.scale, layer.translate)
        margin = self.margin.value()
        asked = (volume.id, layer.unique_id, value, margin)
        if self._known is None or self._known[0] != asked:  # a large layer takes 50 ms to look at
            wanted = None if value == ANY_LABEL else value
            self._known = (asked, region_of_label(volume, layer.data, grid, wanted, margin))
        return self._known[1]


def _inside(volume: Volume, layer: Shapes, *, all_slices: bool) -> Region:
    """Shapes may have more axes than the image (time), or two, and then lie over all slices."""
    axes = slice(-min(layer.ndim, 3), None)
    scale, translate = np.asarray(layer.scale)[axes], np.asarray(layer.translate)[axes]
    shapes = [np.asarray(vertices)[:, axes] * scale + translate for vertices in layer.data]
    return region_of_shapes(volume, shapes, all_slices=all_slices)


def _named_values(layer: Labels) -> list[tuple[int, str]]:
    table = layer.features
    if not {"index", "name"} <= set(table.columns):
        return []
    return [(int(v), str(name)) for v, name in zip(table["index"], table["name"], strict=True) if v]


def _events_of(layer: Layer | None) -> tuple[Any, ...]:
    if isinstance(layer, Shapes):
        return (layer.events.data, layer.events.set_data)
    if isinstance(layer, Labels):
        return (layer.events.paint, layer.events.labels_update, layer.events.data,
                layer.events.selected_label)  # fmt: skip
    return ()


def _narrow_list() -> QComboBox:
    choice = QComboBox()
    choice.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    choice.setMinimumContentsLength(10)
    return choice
