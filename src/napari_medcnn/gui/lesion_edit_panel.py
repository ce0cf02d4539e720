"""Mark a missed lesion, paint, erase, and see what was edited."""

from __future__ import annotations

from functools import partial

from napari.layers import Labels
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QGridLayout,
    QLabel,
    QPushButton,
    QWidget,
)

from napari_medcnn.app.ball import ball
from napari_medcnn.app.result import Result
from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.lesion import Lesion
from napari_medcnn.gui.edited_voxels import EditedVoxels
from napari_medcnn.gui.layer_links import volume_index
from napari_medcnn.gui.lesion_drawing import ClickInView, as_one_edit, erase
from napari_medcnn.gui.viewer_state import ViewerState

DEFAULT_RADIUS_MM = 3.0


class LesionEditPanel(QWidget):
    """Tools that change the label map of one result.

    Attributes
    ----------
    told : Signal
        A sentence for the user: what to do, or why something is not possible.
    """

    told = Signal(str)

    def __init__(self, state: ViewerState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._result_id: str | None = None
        self._selected: tuple[Lesion, ...] = ()
        self._click = ClickInView(state.viewer, self._place)
        self._edited = EditedVoxels(state.viewer)
        self.label = QComboBox()
        self.radius = QDoubleSpinBox()
        self.place = QPushButton("Add by click")
        self.paint = QPushButton("Paint")
        self.delete = QPushButton("Delete lesion")
        self.show_edited = QCheckBox("Show edited voxels")
        self._set_up()
        self._lay_out()
        state.result_changed.connect(self._on_result_changed)

    def show_result(self, result: Result | None) -> None:
        """Work on a result from now on."""
        if result is None or result.id != self._result_id:
            self._stop_tools()
            self._edited.hide()
            self.show_edited.setChecked(False)
        self._result_id = None if result is None else result.id
        labels = () if result is None else result.segmentation.labels
        if [self.label.itemData(i) for i in range(self.label.count())] != [
            label.value for label in labels
        ]:
            self.label.clear()
            for label in labels:
                self.label.addItem(label.name, label.value)
        self.setEnabled(result is not None)

    def show_selected(self, lesions: tuple[Lesion, ...]) -> None:
        """These lesions are what Delete erases."""
        self._selected = lesions
        self.delete.setEnabled(bool(lesions))
        self.delete.setText("Delete lesion" if len(lesions) < 2 else f"Delete {len(lesions)}")

    def delete_selected(self) -> None:
        """Erase the selected lesions' voxels; undo in the layer brings them back."""
        layer, result_id = self._layer(), self._result_id
        if layer is None or result_id is None:
            return
        session = self._state.session
        result = session.results[result_id]
        table = session.recompute(result_id) if result.is_stale else result.table
        chosen = {lesion.id for lesion in self._selected}
        ids = [lesion.id for lesion in table.lesions if lesion.id in chosen]
        if not ids:
            return
        erase(layer, table, ids)
        what = f"Lesion {ids[0]}" if len(ids) == 1 else f"{len(ids)} lesions"
        self.told.emit(
            f"{what} deleted. Ctrl+Z in the image, with the labels layer selected, undoes it."
        )

    def _set_up(self) -> None:
        self.radius.setRange(0.5, 50.0)
        self.radius.setSingleStep(0.5)
        self.radius.setDecimals(1)
        self.radius.setValue(DEFAULT_RADIUS_MM)
        self.radius.setSuffix(" mm")
        self.radius.setToolTip("Radius of the ball that a click adds, in millimetres")
        self.label.setToolTip("What the new lesion is called")
        self.place.setCheckable(True)
        self.place.setToolTip("Then click on the missed lesion in the image: a ball is added there")
        self.place.toggled.connect(self._on_place_toggled)
        self.paint.setCheckable(True)
        self.paint.setToolTip("Paint with the brush of the labels layer; press again to stop")
        self.paint.toggled.connect(self._on_paint_toggled)
        self.delete.setToolTip("Erase the selected lesions (Delete key in the table)")
        self.delete.clicked.connect(self.delete_selected)
        self.delete.setEnabled(False)
        self.show_edited.setToolTip("Mark voxels that you added or erased since the prediction")
        self.show_edited.toggled.connect(self._on_show_edited)
        self.setEnabled(False)

    def _lay_out(self) -> None:
        layout = QGridLayout(self)
        layout.setHorizontalSpacing(4)
        layout.setVerticalSpacing(4)
        layout.addWidget(QLabel("Label"), 0, 0)
        layout.addWidget(self.label, 0, 1)
        layout.addWidget(QLabel("Radius"), 1, 0)
        layout.addWidget(self.radius, 1, 1)
        layout.addWidget(self.place, 2, 0)
        layout.addWidget(self.paint, 2, 1)
        layout.addWidget(self.delete, 3, 0)
        layout.addWidget(self.show_edited, 3, 1)
        layout.setColumnStretch(0, 1)
        layout.setColumnStretch(1, 1)

    def _layer(self) -> Labels | None:
        return None if self._result_id is None else self._state.labels_layer(self._result_id)

    def _activate_layer(self, mode: str) -> Labels | None:
        layer = self._layer()
        if layer is not None:
            self._state.viewer.layers.selection.active = layer
            layer.mode = mode
        return layer

    def _on_place_toggled(self, wanted: bool) -> None:
        if not wanted:
            self._click.stop()
            return
        self.paint.setChecked(False)
        if self._state.viewer.dims.ndisplay == 3:
            self.place.setChecked(False)
            self.told.emit("A click has no depth in 3D: switch to 2D to add a lesion.")
            return
        self._activate_layer("pan_zoom")
        self._click.wait()

    def _place(self, position: tuple[float, ...]) -> None:
        """A ball where the user clicked, at a world position."""
        self.place.setChecked(False)
        layer, result_id = self._layer(), self._result_id
        if layer is None or result_id is None:
            return
        centre = volume_index(layer, layer.world_to_data(position))
        value, radius = int(self.label.currentData()), self.radius.value()
        session = self._state.session
        geometry = session.results[result_id].segmentation.geometry
        try:
            add = partial(session.add_lesion_ball, result_id, centre, radius, value)
            inside = all(-0.5 <= c < n - 0.5 for c, n in zip(centre, geometry.shape, strict=True))
            if inside:
                as_one_edit(layer, ball(geometry, centre, radius)[0], add)
            else:
                add()  # says what is wrong
        except MedcnnError as error:
            self.told.emit(str(error))

    def _on_paint_toggled(self, wanted: bool) -> None:
        if wanted:
            self.place.setChecked(False)
            layer = self._activate_layer("paint")
            if layer is not None:
                layer.selected_label = int(self.label.currentData())
        else:
            layer = self._layer()
            if layer is not None and layer.mode == "paint":
                layer.mode = "pan_zoom"

    def _on_show_edited(self, wanted: bool) -> None:
        layer, result_id = self._layer(), self._result_id
        if wanted and layer is not None and result_id is not None:
            self._edited.show(self._state.session.results[result_id], layer)
        else:
            self._edited.hide()

    def _on_result_changed(self, result_id: str) -> None:
        if result_id == self._result_id and self.show_edited.isChecked():
            self._on_show_edited(True)

    def _stop_tools(self) -> None:
        self.place.setChecked(False)
        self.paint.setChecked(False)
