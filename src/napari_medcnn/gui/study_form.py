"""What the study browser consists of on screen, and what each state of it shows."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QAction
from qtpy.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QPushButton,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_medcnn.app.studies.index_file import known_folders
from napari_medcnn.gui.bridge import JobRunner
from napari_medcnn.gui.found_list import FoundList
from napari_medcnn.gui.notices import NoticeBoard, WrappedLabel
from napari_medcnn.gui.progress_row import ProgressRow
from napari_medcnn.gui.study_text import folder_text
from napari_medcnn.gui.study_tree_model import StudyTreeModel
from napari_medcnn.gui.study_tree_view import StudyTreeView

NO_FOLDER = (
    "Choose a folder of studies, or drop it here: DICOM in any layout, and NIfTI, NRRD and "
    "MetaImage files. Series show while the folder is being looked through; nothing in it is "
    "changed."
)
SEARCHING = "Looking through the folder …"
NOTHING_FOUND = "This folder holds no DICOM, NIfTI, NRRD or MetaImage files."
NO_MATCH = "No series matches the filter."
_RECENT = 8


class StudyForm(QWidget):
    """The widgets of the tab *Folder*, without what they do.

    Attributes
    ----------
    recent_chosen : Signal
        A folder that was indexed before.
    """

    recent_chosen = Signal(object)

    def __init__(
        self, owner: QWidget, model: StudyTreeModel, indexing: JobRunner, opening: JobRunner
    ) -> None:
        super().__init__(owner)
        self.board = NoticeBoard(self)
        self.found = FoundList(self)
        self.tree = StudyTreeView(model)
        self.folder_button = QPushButton("Choose folder …")
        self.menu_button = QToolButton()
        self.folder_label = WrappedLabel()
        self.filter = QLineEdit()
        self.names = QCheckBox("Show patient names")
        self.hint = WrappedLabel(NO_FOLDER)
        self.summary = WrappedLabel()
        self.open_button = QPushButton("Open")
        self.batch_button = QPushButton("Add to batch")
        self.indexing_row = ProgressRow(indexing)
        self.opening_row = ProgressRow(opening)
        self._fill_menu()
        self._explain()
        self._lay_out(owner)

    def show_folder(self, folder: Path | None) -> None:
        """Show which folder this is about."""
        self.folder_label.show_text("" if folder is None else folder_text(folder))
        self.folder_label.setToolTip("" if folder is None else str(folder))
        self.filter.clear()
        self.names.setChecked(False)
        self.found.clear()
        self.board.clear()

    def show_state(
        self,
        *,
        has_folder: bool,
        has_index: bool,
        is_empty: bool,
        is_indexing: bool,
        can_open: bool,
        summary: str,
    ) -> None:
        """Show or grey out what each state needs."""
        self.update_action.setEnabled(has_folder and not is_indexing)
        self.forget_action.setEnabled(has_folder and not is_indexing)
        self.filter.setEnabled(has_folder)
        self.names.setEnabled(has_folder)
        self.open_button.setEnabled(can_open)
        self.batch_button.setEnabled(bool(self.tree.selected_series))
        if is_empty:
            empty = SEARCHING if is_indexing else NOTHING_FOUND
            empty = NO_MATCH if self.filter.text() else empty
            self.hint.show_text(empty if has_index or is_indexing else NO_FOLDER)
        self._stack.setCurrentIndex(int(is_empty))
        self.summary.show_text(summary)

    # ------------------------------------------------------------------------------------------

    def _fill_menu(self) -> None:
        self.menu = QMenu(self.menu_button)
        self.update_action = QAction("Look for changes", self.menu)
        self.forget_action = QAction("Forget this folder's index", self.menu)
        self.recent = QMenu("Recent folders", self.menu)
        self.menu.addAction(self.update_action)
        self.menu.addMenu(self.recent)
        self.menu.addSeparator()
        self.menu.addAction(self.forget_action)
        self.menu.aboutToShow.connect(self._fill_recent)
        self.menu_button.setText("⋯")
        self.menu_button.setMenu(self.menu)
        self.menu_button.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        self.menu_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)

    def _fill_recent(self) -> None:
        self.recent.clear()
        for folder in known_folders()[:_RECENT]:
            self.recent.addAction(folder_text(folder), partial(self.recent_chosen.emit, folder))
        self.recent.setEnabled(not self.recent.isEmpty())

    def _explain(self) -> None:
        self.folder_button.setToolTip("Browse the studies below a folder")
        self.menu_button.setToolTip("Look for changes, recent folders, forget the index")
        self.menu_button.setAccessibleName("More")
        self.update_action.setToolTip("Read new and changed files, drop those that have gone")
        self.forget_action.setToolTip("Delete what is kept of this folder; the images stay")
        self.menu.setToolTipsVisible(True)
        self.filter.setPlaceholderText("Filter: modality, text, date, ID")
        self.filter.setClearButtonEnabled(True)
        self.filter.setToolTip(
            "Show series with all these words. A patient's ID must be typed in full unless names "
            "are shown"
        )
        self.names.setToolTip(
            "Names and IDs are read from the files when this is ticked, and kept nowhere"
        )
        self.open_button.setToolTip("Open the selected series as layers")
        self.batch_button.setToolTip("Let a model run on the selected series, one a case")

    def _lay_out(self, owner: QWidget) -> None:
        top = QHBoxLayout()
        top.setSpacing(4)
        top.addWidget(self.folder_button, 1)
        top.addWidget(self.menu_button)
        self._stack = QStackedWidget()
        self._stack.addWidget(self.tree)
        empty = QWidget()
        centred = QVBoxLayout(empty)
        centred.setContentsMargins(6, 6, 6, 6)
        centred.addWidget(self.hint)
        centred.addStretch(1)
        self.hint.setAlignment(Qt.AlignmentFlag.AlignLeft)
        self._stack.addWidget(empty)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.setSpacing(6)
        layout.addLayout(top)
        layout.addWidget(self.folder_label)
        layout.addWidget(self.filter)
        layout.addWidget(self.names)
        layout.addWidget(self.board)
        layout.addWidget(self.found)
        layout.addWidget(self._stack, 1)
        layout.addWidget(self.summary)
        layout.addWidget(self.indexing_row)
        layout.addWidget(self.opening_row)
        buttons = QHBoxLayout()
        buttons.setSpacing(4)
        buttons.addWidget(self.open_button, 1)
        buttons.addWidget(self.batch_button, 1)
        layout.addLayout(buttons)
        around = QVBoxLayout(owner)
        around.setContentsMargins(0, 0, 0, 0)
        around.addWidget(self)
