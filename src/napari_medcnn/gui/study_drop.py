"""Let series be dropped onto napari's canvas, which takes nothing but files by itself."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Signal
from qtpy.QtWidgets import QWidget

from napari_medcnn.gui.study_tree_model import StudyTreeModel

_TYPES = (QEvent.Type.DragEnter, QEvent.Type.DragMove, QEvent.Type.Drop)


class CanvasDrop(QObject):
    """Watches the canvas for series that are dragged from one study tree.

    Attributes
    ----------
    dropped : Signal
        The ids of the series.
    """

    dropped = Signal(list)

    def __init__(self, canvas: QWidget, model: StudyTreeModel) -> None:
        super().__init__(model)
        self._model = model
        canvas.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802, D102 - Qt's name
        if event.type() not in _TYPES:
            return False
        series = self._model.dragged_series(event.mimeData())
        if not series:
            return False
        event.acceptProposedAction()
        if event.type() == QEvent.Type.Drop:
            self.dropped.emit(series)
        return True
