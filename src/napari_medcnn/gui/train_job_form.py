"""A training job to look at and change: the network, how long, and every option of a proposal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, get_args

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QVBoxLayout, QWidget

from napari_medcnn.gui.collapsible import Section
from napari_medcnn.gui.train_fields import (
    ChoiceField,
    CountField,
    MirrorField,
    NumbersField,
)
from napari_medcnn.training.job import (
    AugmentationName,
    Denoising,
    Loss,
    Normalisation,
    OptimiserName,
    ScheduleName,
    TrainJob,
)
from napari_medcnn.training.job_problems import LOSSES
from napari_medcnn.training.proposal import Proposal

CT_NEEDS = ("ct", "range")
"""Normalisations that need measured bounds, which only a proposal has."""

_TIPS = {
    "preprocessing.spacing_mm": "Size of a voxel that the network works on: z y x in mm",
    "preprocessing.normalisation": "How intensities become comparable between images",
    "preprocessing.denoise": "A filter before everything else",
    "sampling.patch": "What the network sees at once: z y x in voxels",
    "sampling.batch": "Patches in one step; more need more memory",
    "sampling.steps_per_epoch": "Steps between two points of the curve",
    "optimisation.optimiser": "The rule by which weights change",
    "optimisation.rate": "The highest learning rate",
    "optimisation.schedule": "What becomes of the rate on the way",
    "optimisation.loss": "What the training makes small",
    "augmentation": "How much patches are turned, scaled, blurred and brightened",
    "mirror_axes": "Only where left and right mean the same",
    "ending.validate_every": "Epochs between two looks at the cases that choose",
    "ending.patience": "Ends the run when so many looks brought nothing better",
    "sampling.accumulate": "Batches that are added up for one step: learns as from a batch so many "
    "times as large, in the memory of one, and takes as many times as long",
    "optimisation.class_weights": "How much each class counts in the loss, as more of a rare one",
    "optimisation.weight_decay": "How strongly weights are kept small; 0 not at all",
    "optimisation.clip_norm": "The longest step that is taken, as a norm of the gradient: keeps a "
    "run from going astray; empty for no limit",
    "optimisation.ema_decay": "Judge and keep the average of the weights over the last steps: 0.99 "
    "over about 100 of them, 0.999 over 1000; empty for the weights themselves",
}
_TITLES = {
    "preprocessing.spacing_mm": "Spacing (mm)",
    "preprocessing.denoise": "Denoise",
    "sampling.steps_per_epoch": "Steps an epoch",
    "ending.validate_every": "Look every",
    "sampling.accumulate": "Batches a step",
    "optimisation.clip_norm": "Clip gradients",
    "optimisation.ema_decay": "Average weights",
}
ADVANCED = (
    "sampling.accumulate",
    "optimisation.class_weights",
    "optimisation.weight_decay",
    "optimisation.clip_norm",
    "optimisation.ema_decay",
)
"""Fields that few need, in a section of their own."""


class TrainJobForm(QWidget):
    """The options of a job. What the user changed stays changed when a new proposal comes.

    Attributes
    ----------
    changed : Signal
        The user changed something.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._proposal: Proposal | None = None
        self._edited: set[str] = set()
        self.fields: dict[str, Any] = {
            "preprocessing.spacing_mm": NumbersField(
                "Spacing", 3, float, nothing="as the images have it"
            ),
            "preprocessing.normalisation": ChoiceField(get_args(Normalisation)),
            "preprocessing.denoise": ChoiceField(get_args(Denoising)),
            "sampling.patch": NumbersField("Patch", 3, int),
            "sampling.batch": CountField(1, 256),
            "sampling.steps_per_epoch": CountField(1, 10_000),
            "optimisation.loss": ChoiceField(get_args(Loss)),
            "optimisation.optimiser": ChoiceField(get_args(OptimiserName)),
            "optimisation.rate": NumbersField("Rate", 1, float),
            "optimisation.schedule": ChoiceField(get_args(ScheduleName)),
            "augmentation": ChoiceField(get_args(AugmentationName)),
            "mirror_axes": MirrorField("Mirror left and right"),
            "ending.validate_every": CountField(1, 1000),
            "ending.patience": CountField(0, 1000, "never"),
            "sampling.accumulate": CountField(1, 256),
            "optimisation.class_weights": NumbersField(
                "Class weights", None, float, nothing="all alike", zero=True
            ),
            "optimisation.weight_decay": NumbersField("Weight decay", 1, float, zero=True),
            "optimisation.clip_norm": NumbersField("Clip gradients", 1, float, nothing="never"),
            "optimisation.ema_decay": NumbersField("Average weights", 1, float, nothing="no"),
        }
        self.advanced = Section("Advanced", self._rows(ADVANCED))
        self._lay_out()

    @property
    def edited(self) -> frozenset[str]:
        """The fields that the user changed."""
        return frozenset(self._edited)

    def show_proposal(self, proposal: Proposal) -> None:
        """Show a proposal; the user's own changes stay."""
        self._proposal = proposal
        job = proposal.job
        self.fields["optimisation.loss"].show_choices(LOSSES[job.manifest.task])
        measured = job.preprocessing.normalisation
        known = [n for n in get_args(Normalisation) if n == measured or n not in CT_NEEDS]
        self.fields["preprocessing.normalisation"].show_choices(known)
        why = {reason.where: reason.text for reason in proposal.reasons}
        for where, field in self.fields.items():
            if where not in self._edited:
                field.show_value(_value(job, where))
            reason = why.get(where) or why.get(where.split(".")[0], "")
            tip = _TIPS[where] + (_order(job) if where == "optimisation.class_weights" else "")
            field.setToolTip(f"{tip}.\nProposed because: {reason}" if reason else f"{tip}.")

    def reset(self) -> None:
        """Go back to the proposal."""
        self._edited.clear()
        if self._proposal is not None:
            self.show_proposal(self._proposal)
        self.changed.emit()

    def job(self) -> TrainJob | None:
        """The proposal with what the user changed; None where there is no proposal.

        Raises
        ------
        MedcnnError
            When a field holds no number.
        """
        if self._proposal is None:
            return None
        job = self._proposal.job
        for where in self.fields:
            if where in self._edited:
                job = _with(job, where, self.fields[where].value)
        if "sampling.patch" in self._edited and job.preprocessing.size is not None:
            job = _with(job, "preprocessing.size", job.sampling.patch)
        return job

    def _lay_out(self) -> None:
        self.fields["ending.validate_every"].setSuffix(" epochs")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self._rows([where for where in self.fields if where not in ADVANCED]))
        layout.addWidget(self.advanced)

    def _rows(self, names: Iterable[str]) -> QWidget:
        box = QWidget()
        form = QFormLayout(box)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for where in names:
            field = self.fields[where]
            field.setObjectName(where)
            field.edited.connect(self._on_edited)
            field.setToolTip(f"{_TIPS[where]}.")
            if where == "mirror_axes":
                form.addRow(field)
            else:
                name = where.rpartition(".")[2].replace("_", " ").capitalize()
                form.addRow(_TITLES.get(where, name), field)
        return box

    def _on_edited(self) -> None:
        self._edited.add(self.sender().objectName())
        self.changed.emit()


def _order(job: TrainJob) -> str:
    """The classes in the order of their weights."""
    classes = job.manifest.classes
    background = ("background",) if job.manifest.task == "segmentation" else ()
    return f": {', '.join((*background, *classes))}"


def _value(job: TrainJob, where: str) -> Any:
    value: Any = job
    for name in where.split("."):
        value = getattr(value, name)
    return value


def _with(job: TrainJob, where: str, value: Any) -> TrainJob:
    part, _, name = where.rpartition(".")
    if not part:
        return replace(job, **{name: value})
    return replace(job, **{part: replace(getattr(job, part), **{name: value})})
