"""Add a model or remove one, inline: progress, the question of trust, licence and card."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFrame, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_medcnn.core.events import Event, Failed, Message
from napari_medcnn.core.volume import Severity
from napari_medcnn.gui.bridge import JobFactory, JobRunner, job_of
from napari_medcnn.gui.model_add_form import ModelAddForm
from napari_medcnn.gui.model_adding import NewModel, TrustQuestion, add_model
from napari_medcnn.gui.model_card import ModelCard
from napari_medcnn.gui.notices import NoticeBoard, sentence
from napari_medcnn.gui.progress_row import ProgressRow
from napari_medcnn.models.spec import ModelSpec

_ALSO = "; it also wants: "
"""Begins the list of everything else in the refusal of a bundle."""

NO_LICENCE = "Its licence is not stated: ask its makers before you use it."


class ModelPanel(QFrame):
    """Below the list of models, while one is added or removed.

    Attributes
    ----------
    added : Signal
        A model, which is there from now on and which the user wants to use.
    shelf_changed : Signal
        A model came or went.
    opened, closed : Signal
        The user has begun, has finished.
    """

    added = Signal(object)
    shelf_changed = Signal()
    opened = Signal()
    closed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.runner = JobRunner(self)
        self.form = ModelAddForm()
        self.board = NoticeBoard(self)
        self.card = ModelCard()
        self.progress = ProgressRow(self.runner)
        self.add = QPushButton("Add")
        self.use = QPushButton("Use this model")
        self.undo = QPushButton("Remove it again")
        self.close_button = QPushButton("Close")
        self._new: ModelSpec | None = None
        self._doomed: ModelSpec | None = None
        self._lay_out()
        self._connect()
        self.hide()

    @property
    def is_open(self) -> bool:
        """Whether something is being added or removed."""
        return not self.isHidden()

    def open(self) -> None:
        """Show the form of a new model."""
        self.board.clear()
        self._new = self._doomed = None
        self.form.clear()
        self._show()
        self.form.source.setFocus()

    def start(self, new: NewModel | None = None) -> None:
        """Add what the form says, in a worker."""
        new = new or self.form.new_model
        if not new.source or self.runner.is_running:
            return
        self.board.clear()
        self._run(f"Adding {new.called}", partial(add_model, new))

    def ask_to_remove(self, spec: ModelSpec) -> None:
        """Ask whether a model of the user's is to be deleted."""
        if self.runner.is_running:
            return
        self._new, self._doomed = None, spec
        self.board.clear()
        self.board.post(
            Severity.WARNING,
            f"Delete {spec.title} ({spec.id}) from this computer? Results that it made stay.",
            [("Keep it", self.close_panel), ("Delete", self._remove)],
            closable=False,
        )
        self._show()

    def close_panel(self) -> None:
        """Put the panel away; a running import is cancelled first."""
        if self.runner.is_running:
            self.runner.cancel()
            return
        self.board.clear()
        self._new = self._doomed = None
        self.hide()
        self.closed.emit()

    # ------------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.add.setToolTip("Copy the model to your models, after it was checked")
        self.use.setToolTip("Choose it for the next run")
        self.undo.setToolTip("Delete the copy that was just made")
        self.close_button.setToolTip("Put this away")
        self.buttons = QWidget()
        row = QHBoxLayout(self.buttons)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        for button in (self.add, self.use, self.undo, self.close_button):
            button.setAutoDefault(False)
            row.addWidget(button, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.setSpacing(4)
        for widget in (self.form, self.board, self.card, self.progress, self.buttons):
            layout.addWidget(widget)

    def _connect(self) -> None:
        self.form.changed.connect(self._on_form)
        self.form.submitted.connect(self.start)
        self.add.clicked.connect(self._on_add)
        self.use.clicked.connect(self._use)
        self.undo.clicked.connect(self._undo)
        self.close_button.clicked.connect(self.close_panel)
        self.runner.event.connect(self._on_event)
        self.runner.done.connect(self._on_done)
        self.runner.failed.connect(self._on_failed)
        self.runner.finished.connect(self._show_state)

    def _show(self) -> None:
        self._show_state()
        self.show()
        self.opened.emit()

    def _on_form(self) -> None:
        self.board.clear_closable()  # what was said was about another model
        self._show_state()

    def _show_state(self) -> None:
        running = self.runner.is_running
        asking = any(not notice.closable for notice in self.board.notices)
        adding = self._new is None and self._doomed is None
        self.form.setVisible(adding and not asking)
        self.form.setEnabled(not running)
        self.card.setVisible(self._new is not None)
        self.buttons.setVisible(not running and not asking)
        self.add.setVisible(adding)
        self.add.setEnabled(bool(self.form.new_model.source))
        self.use.setVisible(self._new is not None)
        self.undo.setVisible(self._new is not None)
        self.close_button.setVisible(self._new is None)

    def _run(self, title: str, make_job: JobFactory) -> None:
        self.runner.start(title, make_job)
        self.progress.begin()
        self._show_state()

    def _on_add(self) -> None:
        self.start()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Message) and event.level == "warning":
            self.board.post(Severity.WARNING, sentence(event.text))

    def _on_done(self, outcome: object) -> None:
        if isinstance(outcome, TrustQuestion):
            self._ask(outcome)
        elif isinstance(outcome, ModelSpec):
            self._present(outcome)
        else:
            self._doomed = None
            self.shelf_changed.emit()
            self.hide()
            self.closed.emit()

    def _present(self, spec: ModelSpec) -> None:
        """Licence, purpose and card, before the model is used."""
        self._new = spec
        self.board.clear()
        if spec.licence:
            text = f"{spec.title} was added. Licence: {sentence(spec.licence)}"
        else:
            text = f"{spec.title} was added. {NO_LICENCE}"
        severity = Severity.INFO if spec.licence else Severity.WARNING
        self.board.post(severity, text)
        self.card.show_model(spec)
        self.card.about.set_open(True)
        self.shelf_changed.emit()

    def _ask(self, question: TrustQuestion) -> None:
        yes = replace(question.about, trust=True, sha256=question.sha256 or question.about.sha256)
        self.board.clear()
        self.board.post(
            Severity.WARNING,
            trust_text(question),
            [("Do not add it", self._refuse), ("I trust it: run it", partial(self.start, yes))],
            closable=False,
        )

    def _refuse(self) -> None:
        self.board.clear()
        self.board.post(Severity.INFO, "Nothing was added, and nothing of it was run.")
        self._show_state()

    def _on_failed(self, failed: Failed) -> None:
        removing, self._doomed = self._doomed is not None, None
        if failed.cancelled:
            self.board.post(Severity.INFO, "Cancelled; nothing was added.")
        else:
            what = "The model was not removed" if removing else "The model was not added"
            self.board.post_failure(what, replace(failed, text=in_the_window(failed.text)))

    def _use(self) -> None:
        spec = self._new
        self.close_panel()
        self.added.emit(spec)

    def _undo(self) -> None:
        self._doomed, self._new = self._new, None
        self.board.clear()
        self._remove()

    def _remove(self) -> None:
        from napari_medcnn.models.importing.placing import remove_model

        if self._doomed is not None:
            self.board.clear()
            title = f"Removing {self._doomed.title}"
            self._run(title, job_of(remove_model, self._doomed.path.name))


def trust_text(question: TrustQuestion) -> str:
    """The question of trust: what it is about, what it wants, what a yes means."""
    about = question.about
    lines = [
        f"{about.called} is a program. Do you trust it?",
        f"• {sentence(question.wants)}",
        "• It would run with your rights: it could read, change or send your files.",
        f"• It comes from {about.source}",
    ]
    if question.sha256:
        lines.append(f"• SHA-256: {question.sha256}")
    lines.append("A yes is remembered for exactly this file. If in doubt, do not add it.")
    return "\n".join(lines)


def in_the_window(text: str) -> str:
    """An error with the command's options called as the form calls them, and its list as one."""
    for option, field in (
        ("state --network", "choose the Network"),
        ("or state --card", "or choose it under Card"),
        ("or state another name with --name", "or state another Name"),
        ("state one with --name", "state one under Name"),
    ):
        text = text.replace(option, field)
    first, also, others = text.partition(_ALSO)
    if not also:
        return text
    return "\n• ".join([f"{first}\nIt also wants, and does not get:", *others.split("; ")])
