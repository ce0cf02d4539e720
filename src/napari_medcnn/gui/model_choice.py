"""Which model: the list of those at hand, and any other folder."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtGui import QAction, QPaintEvent
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QMenu,
    QPushButton,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.gui.model_card import ModelCard
from napari_medcnn.gui.model_panel import ModelPanel
from napari_medcnn.models.registry import find_model, look_through, user_models_folder
from napari_medcnn.models.spec import ModelSpec, Task

FINDING: tuple[Task, ...] = ("segmentation", "detection")
"""Tasks of models that say where something is."""

ELSEWHERE: dict[Task, str] = {
    "segmentation": "marks lesions: the dock Analyze runs it",
    "detection": "draws boxes: the dock Analyze runs it",
    "classification": "tells classes apart: the dock Classify runs it",
}
"""What a model does that a dock cannot use, and where it runs."""

_TEXT_MARGIN_PX = 4


class ModelChoice(QWidget):
    """A drop-down of models with the chosen one's card, and a panel to add and remove models.

    Parameters
    ----------
    preferred : str
        The id of the model that is chosen at first, where it is there.
    tasks : tuple of Task
        What the dock can do with a model; models of other tasks are left out. Those of the first
        task are listed first.
    purpose : str
        What the chosen model is for, as a tooltip.

    Attributes
    ----------
    changed : Signal
        Another model is chosen.
    problem : Signal
        A sentence: a folder is no model.
    """

    changed = Signal()
    problem = Signal(str)

    def __init__(
        self,
        preferred: str,
        parent: QWidget | None = None,
        *,
        tasks: tuple[Task, ...] = FINDING,
        purpose: str = "The model that looks for lesions",
    ) -> None:
        super().__init__(parent)
        self._preferred, self._tasks, self._purpose = preferred, tasks, purpose
        self._models: list[ModelSpec] = []
        self._others: list[ModelSpec] = []
        self._told: set[str] = set()
        self.list = _MiddleElided()
        self.add_button = QPushButton("Add …")
        self.more = QToolButton()
        self.panel = ModelPanel()
        self.card = ModelCard()
        self._set_up()
        self._lay_out()
        self.list.currentIndexChanged.connect(self._on_index)
        self.list.opened.connect(self.refresh)
        self.add_button.clicked.connect(self.panel.open)
        self.panel.shelf_changed.connect(self.refresh)
        self.panel.added.connect(self._use)
        self.panel.opened.connect(self.card.hide)
        self.panel.closed.connect(self.card.show)

    @property
    def spec(self) -> ModelSpec | None:
        """The chosen model."""
        index = self.list.currentIndex()
        return self._models[index] if 0 <= index < len(self._models) else None

    def refresh(self) -> None:
        """Look again which models there are; the chosen one stays."""
        shelf = look_through()
        before = self.spec
        self._others = [spec for spec in self._others if spec.path.is_dir()]
        models = [spec for spec in shelf.models if spec.listed and spec.task in self._tasks]
        models.sort(key=lambda spec: spec.task != self._tasks[0])
        models += [s for s in self._others if s.path not in {m.path for m in models}]
        for error in shelf.problems:
            if str(error) not in self._told:
                self._told.add(str(error))
                self.problem.emit(f"A model was left out: {error}")
        if before is not None and models == self._models:
            return
        self._models = models
        with QSignalBlocker(self.list):
            self.list.clear()
            for spec in self._models:
                self.list.addItem(spec.title)
            wanted = self._preferred if before is None else before.id
            ids = [spec.id for spec in self._models]
            self.list.setCurrentIndex(ids.index(wanted) if wanted in ids else 0)
        self._on_index()

    def choose(self, name_or_path: str | Path) -> None:
        """Choose a model by its id or its folder."""
        try:
            spec = find_model(name_or_path)
        except MedcnnError as error:
            self.problem.emit(str(error))
            return
        if spec.task not in self._tasks:
            self.problem.emit(f"{spec.title} {ELSEWHERE[spec.task]}.")
            return
        known = [model.path for model in self._models]
        if spec.path not in known:
            self._others.append(spec)
            self._models.append(spec)
            self.list.addItem(spec.title)
            known.append(spec.path)
        self.list.setCurrentIndex(known.index(spec.path))

    def setEnabled(self, enabled: bool) -> None:  # noqa: N802 - Qt's
        """Freeze the choice while a model runs; its card and a model's import stay at hand."""
        for widget in (self.list, self.add_button, self.more, self.panel.use, self.panel.undo):
            widget.setEnabled(enabled)

    # ------------------------------------------------------------------------------------------

    def _set_up(self) -> None:
        self.list.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.list.setMinimumContentsLength(10)
        self.add_button.setToolTip("Add a model: a folder, a zip, a file or an address")
        self.add_button.setAccessibleName("Add a model")
        menu = QMenu(self.more)
        self.other = QAction("Use a folder where it lies …", menu)
        self.other.setToolTip("Choose the folder of another model without copying it")
        self.other.triggered.connect(self._ask)
        self.remove = QAction("Remove this model …", menu)
        self.remove.triggered.connect(self._ask_to_remove)
        menu.addActions([self.other, self.remove])
        self.more.setText("…")
        self.more.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        self.more.setToolTip("More about models")
        self.more.setMenu(menu)
        self.more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.setSpacing(2)
        row.addWidget(self.list, 1)
        row.addWidget(self.add_button)
        row.addWidget(self.more)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(row)
        layout.addWidget(self.panel)
        layout.addWidget(self.card)

    def _on_index(self) -> None:
        spec = self.spec
        self.card.show_model(spec)
        self.list.setToolTip(self._purpose if spec is None else spec.title)
        own = spec is not None and spec.path.parent == user_models_folder()
        self.remove.setEnabled(own)
        self.changed.emit()

    def _use(self, spec: ModelSpec) -> None:
        self.refresh()
        self.choose(spec.path)

    def _ask(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "The folder of a model")
        if chosen:
            self.choose(Path(chosen))

    def _ask_to_remove(self) -> None:
        if self.spec is not None:
            self.panel.ask_to_remove(self.spec)


class _MiddleElided(QComboBox):
    """Shortens a long name in its middle: names of models differ at their ends."""

    opened = Signal()

    def showPopup(self) -> None:  # noqa: N802 - Qt's
        """Let others look for models that came by other ways first."""
        self.opened.emit()
        super().showPopup()

    def shown_text(self) -> str:
        """The chosen name as it fits."""
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        room = self.style().subControlRect(
            QStyle.ComplexControl.CC_ComboBox,
            option,
            QStyle.SubControl.SC_ComboBoxEditField,
            self,
        )
        width = room.width() - 2 * _TEXT_MARGIN_PX
        return self.fontMetrics().elidedText(
            self.currentText(), Qt.TextElideMode.ElideMiddle, width
        )

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        option.currentText = self.shown_text()
        painter = QStylePainter(self)
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)
