"""Baseline and follow-up side by side: the same place in both, under one crosshair."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from napari.components import ViewerModel
from napari.layers import Layer
from napari.viewer import Viewer
from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QVBoxLayout

from napari_medcnn.gui.followup_layers import FollowUpLayers
from napari_medcnn.gui.linked_panes import LinkedPanes
from napari_medcnn.gui.notices import WrappedLabel
from napari_medcnn.gui.view_access import unwrapped
from napari_medcnn.gui.view_pane import PlanePane
from napari_medcnn.gui.view_planes import Plane
from napari_medcnn.gui.view_slices import can_slice

TITLE = "Baseline and follow-up"
NOTHING = "Register a follow-up in the Follow-up panel; both images are then shown here."
ABOUT = "The follow-up lies on the baseline's grid, interpolated to be looked at."

Shown = Callable[[], Sequence[Layer]]


def show_side_by_side(viewer: Viewer, layers: FollowUpLayers) -> SideBySide:
    """Add the dock with both panes, or bring it to the front where it is already."""
    viewer = unwrapped(viewer)
    docks = viewer.window.dock_widgets.values()
    widget = next((w for w in docks if isinstance(w, SideBySide) and w.layers is layers), None)
    if widget is None:
        widget = SideBySide(viewer, layers)
        viewer.window.add_dock_widget(widget, name=TITLE, area="bottom")
    dock = widget.parentWidget()
    if dock is not None:
        dock.show()
        dock.raise_()
    return widget


class StudyPane(PlanePane):
    """A pane that shows some layers of the viewer, whether the main view shows them or not.

    Parameters
    ----------
    viewer : ViewerModel
        Held weakly.
    plane : Plane
        Which one.
    name : str
        What the study is.
    shown : callable
        The layers that it shows now, from the bottom.
    """

    def __init__(self, viewer: ViewerModel, plane: Plane, name: str, shown: Shown) -> None:
        super().__init__(viewer, plane)
        self.name = name
        self._shown = shown

    def _layers(self) -> list[Layer]:
        return [layer for layer in self._shown() if can_slice(layer)]

    def _title(self, layers: list[Layer], viewer: ViewerModel) -> str:
        if not layers:
            return self.name
        return f"{self.name}: {layers[0].name}\n{super()._title(layers, viewer)}"


class SideBySide(LinkedPanes):
    """Both panes: what is pointed at, scrolled and zoomed in one is so in the other.

    Parameters
    ----------
    napari_viewer : Viewer
        Held weakly.
    layers : FollowUpLayers
        Those of the pair.
    """

    def __init__(self, napari_viewer: Viewer, layers: FollowUpLayers) -> None:
        super().__init__(napari_viewer)
        viewer = unwrapped(napari_viewer)
        self.layers = layers
        self.before = StudyPane(viewer, Plane.AXIAL, "Baseline", lambda: layers.before)
        self.after = StudyPane(viewer, Plane.AXIAL, "Follow-up", lambda: layers.after)
        self.plane = QComboBox()
        for plane in Plane:
            self.plane.addItem(plane.value.capitalize(), plane)
        self.plane.setToolTip("Which plane both panes show")
        self.about = WrappedLabel(ABOUT)
        self.splitter.setOrientation(Qt.Orientation.Horizontal)
        for pane, other in ((self.before, self.after), (self.after, self.before)):
            self.add_pane(pane)
            pane.framed.connect(other.frame_as)
        self.plane.currentIndexChanged.connect(self._on_plane)
        self._lay_out()
        self.refresh()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Two in a row, low enough to leave the main view its place."""
        return QSize(900, 280)

    def refresh(self) -> None:
        """Show the pair's layers as they are now."""
        there = bool(self.layers.before and self.layers.after)
        self.about.show_text(ABOUT if there else NOTHING)
        self.draw_soon()

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.addWidget(self.plane)
        row.addWidget(self.about, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.setSpacing(4)
        layout.addLayout(row)
        layout.addWidget(self.splitter, 1)

    def _on_plane(self) -> None:
        for pane in (self.before, self.after):
            pane.show_plane(Plane(self.plane.currentData()))  # Qt hands back a plain str
