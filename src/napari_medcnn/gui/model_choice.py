"""Which model: the list of those at hand, and any other folder."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtGui import QPaintEvent
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.gui.model_card import ModelCard
from napari_medcnn.models.registry import find_model, look_through
from napari_medcnn.models.spec import ModelSpec

_TEXT_MARGIN_PX = 4


class ModelChoice(QWidget):
    """A drop-down of models with the chosen one's card.

    Attributes
    ----------
    changed : Signal
        Another model is chosen.
    problem : Signal
        A sentence: a folder is no model.
    """

    changed = Signal()
    problem = Signal(str)

    def __init__(self, preferred: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._preferred = preferred
        self._models: list[ModelSpec] = []
        self._others: list[ModelSpec] = []
        self.list = _MiddleElided()
        self.list.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.list.setMinimumContentsLength(10)
        self.list.currentIndexChanged.connect(self._on_index)
        self.other = QToolButton()
        self.other.setText("…")
        self.other.setToolTip("Choose the folder of another model (a MONAI Bundle)")
        self.other.clicked.connect(self._ask)
        self.card = ModelCard()
        row = QHBoxLayout()
        row.addWidget(self.list, 1)
        row.addWidget(self.other)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(row)
        layout.addWidget(self.card)

    @property
    def spec(self) -> ModelSpec | None:
        """The chosen model."""
        index = self.list.currentIndex()
        return self._models[index] if 0 <= index < len(self._models) else None

    def refresh(self) -> None:
        """Look again which models there are; the chosen one stays."""
        shelf = look_through()
        before = self.spec
        self._models = [spec for spec in shelf.models if spec.listed]
        self._models += [s for s in self._others if s.path not in {m.path for m in self._models}]
        with QSignalBlocker(self.list):
            self.list.clear()
            for spec in self._models:
                self.list.addItem(spec.title)
            wanted = self._preferred if before is None else before.id
            ids = [spec.id for spec in self._models]
            self.list.setCurrentIndex(ids.index(wanted) if wanted in ids else 0)
        for error in shelf.problems:
            self.problem.emit(f"A model was left out: {error}")
        self._on_index()

    def choose(self, name_or_path: str | Path) -> None:
        """Choose a model by its id or its folder."""
        try:
            spec = find_model(name_or_path)
        except MedcnnError as error:
            self.problem.emit(str(error))
            return
        known = [model.path for model in self._models]
        if spec.path not in known:
            self._others.append(spec)
            self._models.append(spec)
            self.list.addItem(spec.title)
            known.append(spec.path)
        self.list.setCurrentIndex(known.index(spec.path))

    def _on_index(self) -> None:
        spec = self.spec
        self.card.show_model(spec)
        self.list.setToolTip("The model that looks for lesions" if spec is None else spec.title)
        self.changed.emit()

    def _ask(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "The folder of a model")
        if chosen:
            self.choose(Path(chosen))


class _MiddleElided(QComboBox):
    """Shortens a long name in its middle: names of models differ at their ends."""

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
