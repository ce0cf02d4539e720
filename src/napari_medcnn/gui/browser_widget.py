"""The dock *Study browser*: the studies of a folder, and those of an archive (PACS)."""

from __future__ import annotations

from pathlib import Path

from napari.viewer import Viewer
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from napari_medcnn.gui.notices import WrappedLabel
from napari_medcnn.gui.study_panel import StudyPanel
from napari_medcnn.gui.viewer_state import state_of

PACS_MISSING = (
    "To query and retrieve from a PACS, install its libraries: "
    "pip install napari-medcnn[pacs], then start napari again."
)


class BrowserWidget(QWidget):
    """Finds studies and opens their series; see the module's docstring."""

    def __init__(self, napari_viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.studies = StudyPanel(state_of(napari_viewer))
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.addTab(self.studies, "Folder")
        self._pacs_page = QWidget()
        QVBoxLayout(self._pacs_page).setContentsMargins(0, 0, 0, 0)
        self.tabs.addTab(self._pacs_page, "PACS")
        self.tabs.currentChanged.connect(self._on_tab)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.tabs)

    def browse(self, folder: Path) -> None:
        """Show the studies of a folder, such as one that was retrieved."""
        self.tabs.setCurrentWidget(self.studies)
        self.studies.open_folder(folder)

    def _on_tab(self) -> None:
        layout = self._pacs_page.layout()
        if self.tabs.currentWidget() is self._pacs_page and layout.count() == 0:
            layout.addWidget(self._pacs_panel())

    def _pacs_panel(self) -> QWidget:
        # The network libraries are an extra, and take a while to import.
        try:
            from napari_medcnn.gui.pacs_panel import PacsPanel
        except ImportError:
            label = WrappedLabel(PACS_MISSING)
            label.setContentsMargins(12, 12, 12, 12)
            label.setAlignment(Qt.AlignmentFlag.AlignTop)
            return label
        return PacsPanel(self.browse)
