"""A section that opens and closes, with what is less often needed."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QToolButton, QVBoxLayout, QWidget


class Section(QWidget):
    """A header to click on (or to press Space on), and its content below."""

    def __init__(
        self, title: str, content: QWidget, *, is_open: bool = False, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.content = content
        self.header = QToolButton()
        self.header.setText(title)
        self.header.setCheckable(True)
        self.header.setAutoRaise(True)
        self.header.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.header.toggled.connect(self._show)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.header)
        layout.addWidget(content)
        content.setContentsMargins(10, 0, 0, 4)
        self.header.setChecked(is_open)
        self._show(is_open)

    def set_open(self, is_open: bool) -> None:
        """Show or hide the content."""
        self.header.setChecked(is_open)

    @property
    def is_open(self) -> bool:
        """Whether the content shows."""
        return self.header.isChecked()

    def _show(self, is_open: bool) -> None:
        self.header.setArrowType(Qt.ArrowType.DownArrow if is_open else Qt.ArrowType.RightArrow)
        self.content.setVisible(is_open)
        lay_out_anew(self)


def lay_out_anew(widget: QWidget) -> None:
    """Lay out a widget and what holds it, from within.

    Where parts come, go and change their wrapped text at once, Qt keeps the height of a state
    between.
    """
    inner: QWidget | None = widget
    while inner is not None and (layout := inner.layout()) is not None:
        layout.invalidate()
        layout.activate()
        inner.updateGeometry()
        inner = inner.parentWidget()
