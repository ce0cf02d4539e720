"""What a run told on its way, for those who want to know."""

from __future__ import annotations

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_medcnn.gui.collapsible import Section
from napari_medcnn.gui.notices import WrappedLabel


class RunLog(QWidget):
    """A closed section with the notes of the last run; hidden while there are none."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.lines: list[str] = []
        self._text = WrappedLabel(parent=self)
        self._section = Section("Notes of the run", self._text)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._section)
        self.hide()

    def add(self, line: str) -> None:
        """Note one more line."""
        self.lines.append(line)
        self._show()

    def clear(self) -> None:
        """Forget the last run."""
        self.lines = []
        self._show()

    def _show(self) -> None:
        self._section.header.setText(f"Notes of the run ({len(self.lines)})")
        self._text.setText("\n".join(self.lines))
        self.setVisible(bool(self.lines))
