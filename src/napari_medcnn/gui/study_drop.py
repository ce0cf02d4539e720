"""Let series be dropped onto napari's canvas, which takes nothing but files by itself."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Signal
from qtpy.QtWidgets import QWidget

from napari_medcnn.gui.study_tree_model import SERIES_MIME

_TYPES = (QEvent.Type.DragEnter, QEvent.Type.DragMove, QEvent.Type.Drop)


class CanvasDrop(QObject):
    """Watches the canvas for series that are dragged from one study tree.

    Attributes
    ----------
    dropped : Signal
        The ids of the series.
    """

    dropped = Signal(list)

    def __init__(self, canvas: QWidget, source: QWidget) -> None:
        super().__init__(source)
        self._source = source
        canvas.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802, D102 - Qt's name
        if event.type() not in _TYPES or not event.mimeData().hasFormat(SERIES_MIME):
            return False
        # The ids mean something to the tree alone that they come from.
        if event.source() is not self._source:
            return False
        event.acceptProposedAction()
        if event.type() == QEvent.Type.Drop:
            ids = bytes(event.mimeData().data(SERIES_MIME)).decode().split()
            self.dropped.emit([int(number) for number in ids])
        return True
