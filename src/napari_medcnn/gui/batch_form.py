"""What the batch dock consists of on screen, and what each state of it shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from qtpy.QtCore import QModelIndex, Qt, Signal
from qtpy.QtGui import QAction, QKeyEvent, QResizeEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QMenu,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QStackedWidget,
    QTableView,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_medcnn.app.case_options import CaseOptions
from napari_medcnn.app.settings import Settings
from napari_medcnn.gui.batch_table_model import HEADINGS, BatchTableModel
from napari_medcnn.gui.collapsible import Section
from napari_medcnn.gui.model_choice import ModelChoice
from napari_medcnn.gui.notices import NoticeBoard, WrappedLabel
from napari_medcnn.gui.research_notice import ResearchNotice
from napari_medcnn.gui.run_log import RunLog
from napari_medcnn.gui.run_options import RunOptionsForm

NO_CASES = (
    "Add the cases that a model is to run on: files, every image below a folder, a table (CSV) "
    "with a column a channel, or series that you select in the study browser. Files can be "
    "dropped here."
)
ROOM_FOR = {HEADINGS.index("Volume"): 330, HEADINGS.index("Time"): 400}
"""How wide the table must be for a column, in pixels."""

NO_FOLDER = "Choose where the results go"


class BatchForm(QWidget):
    """The widgets of the batch dock, without what they do."""

    def __init__(self, owner: QWidget, model: BatchTableModel, settings: Settings) -> None:
        super().__init__(owner)
        # Else napari puts an empty stretch below it.
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.board = NoticeBoard(self)
        self.model = ModelChoice(settings.model)
        self.add_button = QPushButton("Add cases")
        self.remove_button = QPushButton("Remove")
        self.table = CaseTable(model)
        self.hint = WrappedLabel(NO_CASES)
        self.folder_button = QToolButton()
        self.folder = WrappedLabel(NO_FOLDER)
        self.run_options = RunOptionsForm(settings)
        self.accept = QCheckBox("Measure in spite of findings")
        self.overwrite = QCheckBox("Replace other results")
        self.again = QCheckBox("Run finished cases again")
        self.log = RunLog(self)
        self.total = QProgressBar()
        self.stage = QLabel()
        self.start = QPushButton("Start")
        self.pause = QPushButton("Pause")
        self.stop = QPushButton("Stop")
        self._fill_menu()
        self._explain()
        self._lay_out(owner)

    def options(self) -> CaseOptions:
        """What is chosen."""
        form = self.run_options
        smallest = form.min_volume.value()
        return CaseOptions(
            run=replace(form.options, accept_findings=self.accept.isChecked()),
            min_volume_mm3=None if smallest < 0 else smallest,
            probability=form.probability.isChecked(),
            uncertainty=form.uncertainty.isChecked(),
            overwrite=self.overwrite.isChecked(),
        )

    def show_folder(self, folder: Path | None) -> None:
        """Show where results go."""
        self.folder.show_text(NO_FOLDER if folder is None else str(folder))

    def show_state(self, *, is_running: bool, is_paused: bool, can_start: bool, cases: int) -> None:
        """Show or grey out what each state needs."""
        for widget in (self.model, self.add_button, self.folder_button, self._options):
            widget.setEnabled(not is_running)
        self.remove_button.setEnabled(not is_running and cases > 0)
        self._stack.setCurrentIndex(int(cases == 0))
        self.start.setVisible(not is_running)
        self.start.setEnabled(can_start)
        self.pause.setVisible(is_running)
        self.pause.setText("Go on" if is_paused else "Pause")
        self.stop.setVisible(is_running)
        self.total.setVisible(is_running)
        self.stage.setVisible(is_running)

    # ------------------------------------------------------------------------------------------

    def _fill_menu(self) -> None:
        menu = QMenu(self.add_button)
        self.add_files = QAction("Files …", menu)
        self.add_folder = QAction("Folder …", menu)
        self.add_table = QAction("Table (CSV) …", menu)
        self.browse = QAction("From the study browser", menu)
        menu.addActions([self.add_files, self.add_folder, self.add_table, self.browse])
        menu.setToolTipsVisible(True)
        self.add_button.setMenu(menu)

    def _explain(self) -> None:
        self.add_files.setToolTip("Image files, one a case")
        self.add_folder.setToolTip("Every image file and DICOM series below a folder")
        self.add_table.setToolTip("A CSV file: a column of names, one of images or one a channel")
        self.browse.setToolTip("Select series there and press Add to batch")
        self.remove_button.setToolTip("Take the selected cases out of the list, or all of them")
        self.folder_button.setText("…")
        self.folder_button.setToolTip("Choose the folder that gets a folder for each case")
        form = self.run_options
        form.probability.setText("Write probability maps")
        form.probability.setToolTip("probability.nii.gz beside the labels of each case")
        form.uncertainty.setText("Write maps of uncertainty")
        form.uncertainty.setToolTip("entropy.nii.gz, and variance.nii.gz of several answers")
        self.accept.setToolTip("Cases with a finding that asks for your eyes fail without this")
        self.overwrite.setToolTip(
            "Without this, results of another image or model in a case's folder are kept"
        )
        self.again.setToolTip("Without this, cases that are done with these options are skipped")
        self.start.setToolTip("Run the model on all cases; finished ones are skipped")
        self.pause.setToolTip("Wait after the current window, and go on later")
        self.stop.setToolTip("End after the current window; finished cases stay finished")
        self.total.setTextVisible(True)
        self.stage.setMinimumWidth(1)

    def _option_box(self) -> QWidget:
        box = QWidget()
        inner = QVBoxLayout(box)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.setSpacing(6)
        inner.addWidget(self.run_options)
        for check in (self.accept, self.overwrite, self.again):
            check.setMinimumWidth(1)
            inner.addWidget(check)
        return box

    def _lay_out(self, owner: QWidget) -> None:
        self._options = Section("Options", self._option_box())
        top = QHBoxLayout()
        top.setSpacing(4)
        top.addWidget(self.add_button, 1)
        top.addWidget(self.remove_button)
        folder = QHBoxLayout()
        folder.addWidget(QLabel("Results"))
        folder.addWidget(self.folder, 1)
        folder.addWidget(self.folder_button)
        self._stack = QStackedWidget()
        self._stack.addWidget(self.table)
        self._stack.addWidget(_at_top(self.hint))
        buttons = QHBoxLayout()
        buttons.setSpacing(4)
        for button in (self.start, self.pause, self.stop):
            buttons.addWidget(button, 1)
        content = QWidget()
        inner = QVBoxLayout(content)
        inner.setContentsMargins(6, 6, 6, 6)
        inner.setSpacing(6)
        inner.addWidget(self.model)
        inner.addLayout(top)
        inner.addWidget(self._stack, 1)
        inner.addLayout(folder)
        inner.addWidget(self._options)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        area.setWidget(content)
        foot = QVBoxLayout()
        foot.setContentsMargins(6, 0, 6, 6)
        foot.setSpacing(6)
        for widget in (self.board, self.log, self.stage, self.total):
            foot.addWidget(widget)
        foot.addLayout(buttons)
        foot.addWidget(ResearchNotice())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(area, 1)
        layout.addLayout(foot)
        around = QVBoxLayout(owner)
        around.setContentsMargins(0, 0, 0, 0)
        around.addWidget(self)


class CaseTable(QTableView):
    """The cases; a double click or Return opens one.

    Attributes
    ----------
    opened : Signal
        The index of a case that the user wants to see.
    deleted : Signal
        The user pressed Delete.
    """

    opened = Signal(QModelIndex)
    deleted = Signal()

    def __init__(self, model: BatchTableModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setModel(model)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setShowGrid(False)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setWordWrap(False)
        self.setMinimumHeight(110)
        self.setAccessibleName("Cases of the batch")
        self.verticalHeader().hide()
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setHighlightSections(False)
        self.doubleClicked.connect(self.opened)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802, D102 - Qt's name
        # In a narrow dock a case's name tells more than figures that its tooltip has as well.
        width = self.viewport().width()
        for column, room in ROOM_FOR.items():
            if self.isColumnHidden(column) != (width < room):
                self.setColumnHidden(column, width < room)
        super().resizeEvent(event)

    @property
    def selected_rows(self) -> list[int]:
        """The numbers of the selected cases."""
        return sorted(index.row() for index in self.selectionModel().selectedRows())

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802, D102 - Qt's name
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.currentIndex().isValid():
            self.opened.emit(self.currentIndex())
        elif event.key() == Qt.Key.Key_Delete:
            self.deleted.emit()
        else:
            super().keyPressEvent(event)


def _at_top(widget: QWidget) -> QWidget:
    page = QWidget()
    layout = QVBoxLayout(page)
    layout.setContentsMargins(6, 6, 6, 6)
    layout.addWidget(widget)
    layout.addStretch(1)
    return page
