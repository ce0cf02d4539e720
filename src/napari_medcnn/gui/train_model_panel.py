"""The model of a training: a proposal from the data with its reasons, and what the user changes."""

from __future__ import annotations

import re
from dataclasses import replace

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import (
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.events import Failed
from napari_medcnn.gui.bridge import JobRunner
from napari_medcnn.gui.collapsible import Section, lay_out_anew
from napari_medcnn.gui.notices import NoticeBoard, WrappedLabel, sentence
from napari_medcnn.gui.preferences import model_job
from napari_medcnn.gui.progress_row import ProgressRow
from napari_medcnn.gui.train_fields import ChoiceField, CountField
from napari_medcnn.gui.train_job_form import TrainJobForm
from napari_medcnn.gui.train_jobs import Patches, Proposed, Wish, preview_patches, propose_job
from napari_medcnn.gui.train_layers import TrainLayers
from napari_medcnn.gui.train_start import TrainStart
from napari_medcnn.training.fingerprint import Fingerprint
from napari_medcnn.training.job import Ending, TrainJob
from napari_medcnn.training.job_problems import job_problems
from napari_medcnn.training.manifest import Manifest, Split
from napari_medcnn.training.networks import network_names

NO_DATA = "Choose data first: the model is proposed from what they are."
SETTLE_MS = 500
"""After a change, wait for the next one before proposing anew."""

PATCHES = 9
BEST = "proposed"
MINUTES = 20


class TrainModelPanel(QWidget):
    """What will be trained, and how.

    Attributes
    ----------
    changed : Signal
        The job is another, or there is none.
    """

    changed = Signal()

    def __init__(
        self, board: NoticeBoard, layers: TrainLayers, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._board, self._layers = board, layers
        self._data: tuple[Manifest, Split] | None = None
        self._fingerprint: Fingerprint | None = None
        self._stale = False
        self._device, self._own_title = "auto", ""
        self._previewed: TrainJob | None = None
        self.runner = JobRunner(self)
        self.previewing = JobRunner(self)
        self.progress = ProgressRow(self.runner)
        self.hint = WrappedLabel(NO_DATA, self)
        self.title = QLineEdit()
        self.network = ChoiceField((BEST,))
        self.start_from = TrainStart(self)
        self.length = CountField(1, 100_000)
        self.unit = ChoiceField(("minutes", "epochs"))
        self.form = TrainJobForm()
        self.why = WrappedLabel(parent=self)
        self.problems = WrappedLabel(parent=self)
        self.reset = QPushButton("Back to the proposal")
        self.preview = QPushButton("Preview patches")
        self._settling = QTimer(self)
        self._settling.setSingleShot(True)
        self._settling.setInterval(SETTLE_MS)
        self.options = Section("Options", self._option_box())
        self.reasons = Section("Why these", self.why)
        self._lay_out()
        self._connect()
        self.show_data(None, None)

    @property
    def device(self) -> str:
        """Where it will run; a proposal fits a network to it."""
        return str(self._device)

    def set_device(self, device: str) -> None:
        """Another device asks for another proposal."""
        if device != self._device:
            self._device = device
            self._settling.start()

    def show_data(self, manifest: Manifest | None, split: Split | None) -> None:
        """Propose a model for other data or another split."""
        self._data = None if manifest is None or split is None else (manifest, split)
        self._fingerprint = None
        if self._data is not None and manifest is not None:
            if not self.title.text() or self.title.text() == self._own_title:
                self._own_title = manifest.name
                self.title.setText(manifest.name)
            self._settling.start()
        self._refresh()
        self.changed.emit()

    def job(self) -> TrainJob | None:
        """The job as it is chosen; None while there is no proposal for the data.

        Raises
        ------
        MedcnnError
            When a field holds no number, or the job contradicts itself.
        """
        job = None if self._fingerprint is None else self.form.job()
        if job is None or self._data is None:
            return None
        title = self.title.text().strip() or job.title
        job = replace(job, name=model_name(title), title=title, split=self._data[1])
        if self.unit.value == "epochs":
            ending = replace(job.ending, epochs=self.length.value, minutes=None)
        else:
            ending = replace(job.ending, epochs=None, minutes=float(self.length.value or 1))
        job = replace(job, ending=_validated(ending))
        started = self.start_from.started(job)
        if "optimisation.rate" in self.form.edited:  # what the user wrote is what is meant
            rate = job.optimisation.rate
            return replace(started, optimisation=replace(started.optimisation, rate=rate))
        return started

    def set_busy(self, busy: bool) -> None:
        """Freeze the model while it learns."""
        self._box.setEnabled(not busy)
        self.options.setEnabled(not busy)

    def show_patches(self) -> None:
        """Show what augmentation makes of the first training case."""
        try:
            job = self.job()
        except MedcnnError as error:
            self.problems.show_text(sentence(str(error)))
            return
        if job is not None and not self.previewing.is_running:
            self.preview.setEnabled(False)
            self._previewed = job
            self.previewing.start("Augmenting patches", model_job(preview_patches, job, PATCHES))

    # ------------------------------------------------------------------------------------------

    def _propose(self) -> None:
        if self._data is None:
            return
        if self.runner.is_running:
            self._stale = True
            self.runner.cancel()
            return
        manifest, split = self._data
        by_time = self.unit.value == "minutes"
        wish = Wish(
            model_name(self.title.text()),
            self.title.text().strip() or manifest.name,
            float(self.length.value or 1) if by_time else None,
            None if self.network.value == BEST else self.network.value,
            self._device,  # type: ignore[arg-type]
        )
        job = model_job(propose_job, manifest, split, wish, self._fingerprint)
        self._stale = False
        self.runner.start("Looking at the cases that learn", job)
        self.progress.begin()

    def _on_proposed(self, proposed: Proposed) -> None:
        self._fingerprint = proposed.fingerprint
        proposal = proposed.proposal
        job = proposal.job
        self.form.show_proposal(proposal)
        names = network_names(job.manifest.task, job.network.dimensions)
        self.network.show_choices((BEST, *names))
        self.network.setItemText(0, f"proposed ({job.network.name})")
        self.why.setText(
            "\n".join(f"{_where(reason.where)}: {reason.text}" for reason in proposal.reasons)
        )
        self._refresh()
        self.changed.emit()

    def _on_failed(self, failed: Failed) -> None:
        if not failed.cancelled:
            self._board.post_failure("No model could be proposed", failed)

    def _on_finished(self) -> None:
        if self._stale:
            self._settling.start()

    def _on_changed(self) -> None:
        self._refresh()
        self.changed.emit()

    def _on_length(self) -> None:
        self._settling.start()
        self._on_changed()

    def _reset(self) -> None:
        self.network.show_value(BEST)
        self.start_from.reset()
        self.form.reset()
        self._settling.start()

    def _refresh(self) -> None:
        has_data = self._data is not None
        ready = self._fingerprint is not None and has_data
        self.hint.show_text("" if has_data else NO_DATA)
        self._box.setVisible(has_data)
        self.options.setVisible(ready)
        self.reasons.setVisible(ready)
        self.preview.setEnabled(ready and not self.previewing.is_running)
        self.network.setEnabled(not self.start_from.is_model)
        self.problems.show_text(self._problem_text())
        lay_out_anew(self)

    def _problem_text(self) -> str:
        try:
            job = self.job()
        except MedcnnError as error:
            return f"Problem: {sentence(str(error))}"
        if job is None:
            return ""
        try:
            found = job_problems(job)
        except MedcnnError as error:
            return f"Problem: {sentence(str(error))}"
        return "\n".join(f"Problem: {_where(p.where)} {sentence(p.text)}" for p in found)

    @property
    def is_sound(self) -> bool:
        """Whether there is a job that can be run."""
        return self._fingerprint is not None and not self._problem_text()

    def _option_box(self) -> QWidget:
        box = QWidget()
        row = QHBoxLayout()
        row.setSpacing(4)
        for button in (self.reset, self.preview):
            button.setMinimumWidth(1)
        row.addWidget(self.reset)
        row.addWidget(self.preview)
        inner = QVBoxLayout(box)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.addWidget(self.form)
        inner.addLayout(row)
        return box

    def _lay_out(self) -> None:
        self.title.setToolTip("The model's name in the lists")
        self.network.setToolTip("The kind of network; the proposed one suits this computer")
        self.length.setToolTip("How long the training may take")
        self.length.show_value(MINUTES)
        self.reset.setToolTip("Forget the changes here")
        self.preview.setToolTip("Augmented patches of the first case that learns, as layers")
        length = QHBoxLayout()
        length.setSpacing(4)
        length.addWidget(self.length, 1)
        length.addWidget(self.unit)
        self._box = QWidget()
        form = QFormLayout(self._box)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Name", self.title)
        self.start_from.add_rows(form)
        form.addRow("Network", self.network)
        form.addRow("Train for", length)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for widget in (
            self.hint, self._box, self.progress, self.problems, self.options, self.reasons,
        ):  # fmt: skip
            layout.addWidget(widget)

    def _connect(self) -> None:
        self._settling.timeout.connect(self._propose)
        self.title.textChanged.connect(self._on_changed)
        self.network.edited.connect(self._settling.start)
        self.start_from.changed.connect(self._on_changed)
        self.length.edited.connect(self._on_length)
        self.unit.edited.connect(self._on_length)
        self.form.changed.connect(self._on_changed)
        self.reset.clicked.connect(self._reset)
        self.preview.clicked.connect(self.show_patches)
        self.runner.done.connect(self._on_proposed)
        self.runner.failed.connect(self._on_failed)
        self.runner.finished.connect(self._on_finished)
        self.previewing.done.connect(self._on_patches)
        self.previewing.failed.connect(self._on_preview_failed)
        self.previewing.finished.connect(self._refresh)

    def _on_patches(self, patches: Patches) -> None:
        if self._previewed is not None:
            self._layers.show_patches(patches, self._previewed)

    def _on_preview_failed(self, failed: Failed) -> None:
        self._board.post_failure("The patches cannot be shown", failed)


def model_name(title: str) -> str:
    """A title as a model's id in lists."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", title.strip()).strip("._-").lower() or "model"


def _validated(ending: Ending) -> Ending:
    """With a validation within few epochs at least, else nothing would choose the best state."""
    if ending.epochs is None:
        return ending
    return replace(ending, validate_every=min(ending.validate_every, ending.epochs))


def _where(where: str) -> str:
    return where.rpartition(".")[2].replace("_", " ").capitalize()
