"""The dock *Models*: every model at hand, its card, and adding, checking and removing models."""

from __future__ import annotations

from napari.viewer import Viewer
from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_medcnn.core.events import Failed
from napari_medcnn.core.volume import Severity
from napari_medcnn.gui.bridge import JobRunner
from napari_medcnn.gui.model_card import ModelCard
from napari_medcnn.gui.model_choice import ModelChoice
from napari_medcnn.gui.model_panel import ModelPanel
from napari_medcnn.gui.notices import NoticeBoard, sentence
from napari_medcnn.gui.preferences import model_job
from napari_medcnn.gui.progress_row import ProgressRow
from napari_medcnn.gui.research_notice import ResearchNotice
from napari_medcnn.models.registry import look_through, user_models_folder
from napari_medcnn.models.spec import ModelSpec
from napari_medcnn.models.verify import Verified, verify

_KINDS = {
    "segmentation": "marks voxels",
    "detection": "finds boxes",
    "classification": "classifies images",
}


class ModelsWidget(QWidget):
    """The models at hand.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer that the dock belongs to.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._models: list[ModelSpec] = []
        self.runner = JobRunner(self)
        self.board = NoticeBoard(self)
        self.list = QListWidget()
        self.card = ModelCard()
        self.panel = ModelPanel()
        self.progress = ProgressRow(self.runner)
        self.add = QPushButton("Add …")
        self.check = QPushButton("Check")
        self.remove = QPushButton("Remove …")
        self._lay_out()
        self._connect()
        self.refresh()

    @property
    def spec(self) -> ModelSpec | None:
        """The model that is looked at."""
        row = self.list.currentRow()
        return self._models[row] if 0 <= row < len(self._models) else None

    def refresh(self) -> None:
        """Look again which models there are."""
        before = self.spec
        shelf = look_through()
        self._models = [spec for spec in shelf.models if spec.listed]
        with QSignalBlocker(self.list):
            self.list.clear()
            for spec in self._models:
                self.list.addItem(_item(spec))
            paths = [spec.path for spec in self._models]
            row = paths.index(before.path) if before and before.path in paths else 0
            self.list.setCurrentRow(row if self._models else -1)
        self.board.clear_closable()
        for error in shelf.problems:
            self.board.post(Severity.WARNING, f"A model was left out: {error}")
        self._show()

    def start_check(self) -> None:
        """Load the model's network and hold it against its card."""
        spec = self.spec
        if spec is None or self.runner.is_running:
            return
        self.board.clear_closable()
        self.runner.start(f"Checking {spec.title}", model_job(verify, spec))
        self.progress.begin()
        self._show()

    # ------------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        self.list.setAccessibleName("Models at hand")
        self.list.setSpacing(3)
        self.add.setToolTip("Add a model: a folder, a zip, a file or an address")
        self.check.setToolTip("Load the network, run it once, and compare it with its card")
        row = QHBoxLayout()
        row.setSpacing(4)
        for button in (self.add, self.check, self.remove):
            row.addWidget(button, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.setSpacing(6)
        layout.addWidget(self.board)
        layout.addWidget(self.list, 1)
        layout.addLayout(row)
        for widget in (self.panel, self.progress, self.card, ResearchNotice()):
            layout.addWidget(widget)

    def _connect(self) -> None:
        self.list.currentRowChanged.connect(self._show)
        self.add.clicked.connect(self.panel.open)
        self.check.clicked.connect(self.start_check)
        self.remove.clicked.connect(self._ask_to_remove)
        self.panel.shelf_changed.connect(self._on_shelf)
        self.panel.added.connect(self._look_at)
        self.panel.opened.connect(self.card.hide)
        self.panel.closed.connect(self.card.show)
        self.runner.done.connect(self._on_checked)
        self.runner.failed.connect(self._on_failed)
        self.runner.finished.connect(self._show)

    def _show(self) -> None:
        spec = self.spec
        self.card.show_model(spec)
        own = spec is not None and spec.path.parent == user_models_folder()
        self.check.setEnabled(spec is not None and not self.runner.is_running)
        self.remove.setEnabled(own)
        self.remove.setToolTip(
            "Delete your copy of this model" if own else "Models that ship cannot be removed"
        )

    def _on_shelf(self) -> None:
        """The other docks of this window list the same models."""
        self.refresh()
        for choice in self.window().findChildren(ModelChoice):
            choice.refresh()

    def _look_at(self, spec: ModelSpec) -> None:
        paths = [model.path for model in self._models]
        if spec.path in paths:
            self.list.setCurrentRow(paths.index(spec.path))

    def _ask_to_remove(self) -> None:
        if self.spec is not None:
            self.panel.ask_to_remove(self.spec)

    def _on_checked(self, verified: Verified) -> None:
        lines = [f"{verified.spec.title} runs and gives what its card says."]
        lines += [f"SHA-256 {digest}" for digest in verified.hashes.values()]
        self.board.post(Severity.INFO, "\n".join(lines))

    def _on_failed(self, failed: Failed) -> None:
        if failed.cancelled:
            self.board.post(Severity.INFO, sentence("the check was cancelled"))
        else:
            self.board.post_failure("The model did not pass the check", failed)


def _item(spec: ModelSpec) -> QListWidgetItem:
    channels = ", ".join(f"{c.modality} {c.name}".strip() for c in spec.channels)
    item = QListWidgetItem(f"{spec.title}\n{_KINDS[spec.task]} · {channels} · {spec.version}")
    item.setData(Qt.ItemDataRole.UserRole, spec.id)
    item.setToolTip(f"{spec.id}: {spec.one_liner}" if spec.one_liner else spec.id)
    return item
