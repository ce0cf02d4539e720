"""Axial, coronal and sagittal views beside the main view, all at one point.

The panes draw the viewer's own layers, so there is one array, one set of contrast limits and label
colours, and one undo history; what is painted in the main view shows in all of them.
"""

from __future__ import annotations

from napari.viewer import Viewer
from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QVBoxLayout

from napari_medcnn.gui.linked_panes import LinkedPanes
from napari_medcnn.gui.view_access import unwrapped
from napari_medcnn.gui.view_pane import PlanePane
from napari_medcnn.gui.view_planes import Plane

TITLE = "Three views"


def show_three_views(viewer: Viewer) -> ThreeViews:
    """Add the dock with the three views, or bring it to the front where it is already."""
    viewer = unwrapped(viewer)
    widget = next(
        (w for w in viewer.window.dock_widgets.values() if isinstance(w, ThreeViews)), None
    )
    if widget is None:
        widget = ThreeViews(viewer)
        viewer.window.add_dock_widget(widget, name=TITLE, area="bottom")
    dock = widget.parentWidget()
    if dock is not None:
        dock.show()
        dock.raise_()
    return widget


class ThreeViews(LinkedPanes):
    """The three panes; side by side where there is width, else one above the other.

    Parameters
    ----------
    napari_viewer : Viewer
        Held weakly.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer)
        viewer = unwrapped(napari_viewer)
        self.panes = {plane: PlanePane(viewer, plane) for plane in Plane}
        self.splitter.setOrientation(Qt.Orientation.Vertical)
        for pane in self.panes.values():
            self.add_pane(pane)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.splitter)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Three in a row, low enough to leave the main view its place."""
        return QSize(900, 280)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Lay the panes out along the longer side."""
        wide = self.width() > self.height()
        wanted = Qt.Orientation.Horizontal if wide else Qt.Orientation.Vertical
        if self.splitter.orientation() != wanted:
            self.splitter.setOrientation(wanted)
        super().resizeEvent(event)
