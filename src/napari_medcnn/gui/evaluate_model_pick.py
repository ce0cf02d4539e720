"""A drop-down of models that can be measured on labelled data, by the data's task."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QToolButton, QWidget

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.gui.train_fields import ChoiceField
from napari_medcnn.models.registry import find_model, look_through
from napari_medcnn.models.spec import ModelSpec, Task

MEASURED: tuple[Task, ...] = ("segmentation", "classification")


class ModelPick(QWidget):
    """Models of the list, and a button for any folder of one.

    Parameters
    ----------
    name : str
        What it is called for those who do not see it.
    none : str
        What stands for no model; without it there is always one, if there are any.

    Attributes
    ----------
    changed : Signal
        Another model is chosen.
    problem : Signal
        Why a folder cannot be taken.
    """

    changed = Signal()
    problem = Signal(str)

    def __init__(self, name: str, none: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._none = none
        self._tasks = MEASURED
        self._others: list[ModelSpec] = []
        self.list = _OpenedList()
        self.list.setAccessibleName(name)
        self.folder = QToolButton()
        self.folder.setText("…")
        self.folder.setToolTip("A model's folder, e.g. the bundle of a training's run")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        row.addWidget(self.list, 1)
        row.addWidget(self.folder)
        self.list.opened.connect(self.refresh)
        self.list.currentIndexChanged.connect(self._on_index)
        self.folder.clicked.connect(self._ask)
        self.refresh()

    @property
    def spec(self) -> ModelSpec | None:
        """The chosen model."""
        found: ModelSpec | None = self.list.currentData()
        return found

    def show_task(self, task: Task | None) -> None:
        """List the models of one task alone."""
        self._tasks = MEASURED if task is None else (task,)
        self.refresh()

    def refresh(self) -> None:
        """Look again which models there are; the chosen one stays."""
        before = self.spec
        models = [spec for spec in look_through().models if spec.listed]
        known = {spec.path for spec in models}
        models += [spec for spec in self._others if spec.path not in known]
        models = [spec for spec in models if spec.task in self._tasks]
        with QSignalBlocker(self.list):
            self.list.clear()
            if self._none:
                self.list.addItem(self._none, None)
            for spec in models:
                self.list.addItem(spec.title, spec)
            self._select(before)
        if self.spec != before:
            self._on_index()

    def choose(self, name_or_path: str | Path) -> None:
        """Choose a model by its id or its folder."""
        try:
            spec = find_model(name_or_path)
        except MedcnnError as error:
            self.problem.emit(str(error))
            return
        if spec.task not in self._tasks:
            self.problem.emit(
                f"{spec.title} is a model of {spec.task}; this takes {' or '.join(self._tasks)}."
            )
            return
        self._others.append(spec)
        self.refresh()
        self._select(spec)

    def _select(self, spec: ModelSpec | None) -> None:
        if spec is None:
            return
        paths = [getattr(self.list.itemData(n), "path", None) for n in range(self.list.count())]
        if spec.path in paths:
            self.list.setCurrentIndex(paths.index(spec.path))

    def _on_index(self) -> None:
        spec = self.spec
        self.list.setToolTip(self._none if spec is None else f"{spec.title}: {spec.task}")
        self.changed.emit()

    def _ask(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "The folder of a model")
        if chosen:
            self.choose(Path(chosen))


class _OpenedList(ChoiceField):
    opened = Signal()

    def __init__(self) -> None:
        super().__init__(())

    def showPopup(self) -> None:  # noqa: N802 - Qt's
        """Let others look for models that came by other ways first."""
        self.opened.emit()
        super().showPopup()
