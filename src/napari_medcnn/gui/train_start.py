"""What a training starts from: nothing, or a model of the list, and how much of that may change."""

from __future__ import annotations

from dataclasses import replace

from qtpy.QtCore import QObject, QSignalBlocker, Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QLabel, QSizePolicy

from napari_medcnn.gui.notices import WrappedLabel
from napari_medcnn.gui.train_fields import CountField, TickField
from napari_medcnn.models.registry import look_through
from napari_medcnn.models.spec import ModelSpec
from napari_medcnn.training.job import TrainJob
from napari_medcnn.training.starting_from import starting_from

SCRATCH = "From scratch"
KEEPS = (
    "Images are prepared as this model knows them: its own spacing, values, filter and patch stand "
    "in for those of the options. It learns at a lower rate."
)
PERCENT = 100


class TrainStart(QObject):
    """Rows for a form; those that only a model asks for are shown with one alone.

    Attributes
    ----------
    changed : Signal
        Another model, or another part of it learns.
    """

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._models: list[ModelSpec] = []
        self.model = QComboBox()
        self.keeps = WrappedLabel(KEEPS)
        self.freeze = TickField("Keep its encoder as it is")
        self.encoder_rate = CountField(1, PERCENT)
        self._rate_title = QLabel("Encoder")
        self._set_up()
        self.refresh()
        self.model.currentIndexChanged.connect(self._on_changed)
        self.freeze.edited.connect(self._on_changed)
        self.encoder_rate.edited.connect(self._on_changed)

    def add_rows(self, form: QFormLayout) -> None:
        """Put its rows at the end of a form."""
        form.addRow("Start", self.model)
        form.addRow(self.keeps)
        form.addRow(self.freeze)
        form.addRow(self._rate_title, self.encoder_rate)
        self._show_rows()

    @property
    def is_model(self) -> bool:
        """Whether it starts from a model."""
        return self.model.currentIndex() > 0

    def started(self, job: TrainJob) -> TrainJob:
        """The job, from where it is to start.

        Raises
        ------
        ModelError
            When the model does not fit the job.
        """
        if not self.is_model:
            return job
        begun = starting_from(job, self._models[self.model.currentIndex() - 1].path)
        frozen = self.freeze.value
        rate = 1.0 if frozen else (self.encoder_rate.value or PERCENT) / PERCENT
        network = replace(begun.network, freeze_encoder=frozen, encoder_rate=rate)
        return replace(begun, network=network)

    def refresh(self) -> None:
        """List the models to start from; the chosen one stays if it is among them."""
        before = self.model.currentText()
        self._models = [spec for spec in look_through().models if spec.listed]
        with QSignalBlocker(self.model):
            self.model.clear()
            self.model.addItems([SCRATCH, *(_line(spec) for spec in self._models)])
            self.model.setCurrentIndex(max(self.model.findText(before), 0))

    def reset(self) -> None:
        """Start from scratch."""
        self.freeze.show_value(False)
        self.encoder_rate.show_value(PERCENT)
        self.model.setCurrentIndex(0)

    def _on_changed(self) -> None:
        self._show_rows()
        self.changed.emit()

    def _show_rows(self) -> None:
        self.keeps.setVisible(self.is_model)
        self.freeze.setVisible(self.is_model)
        for widget in (self._rate_title, self.encoder_rate):
            widget.setVisible(self.is_model and not self.freeze.value)

    def _set_up(self) -> None:
        self.model.setToolTip("Learn on top of what a model knows already")
        self.model.setMinimumContentsLength(5)
        self.model.setMinimumWidth(70)
        self.model.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.model.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.freeze.setToolTip("Only the part that decides is taught: for very few cases")
        self.encoder_rate.setToolTip(
            "How fast its encoder learns beside the rest; less keeps more of what it knows"
        )
        self.encoder_rate.setSuffix(" % of the rate")
        self.encoder_rate.show_value(PERCENT)


def _line(spec: ModelSpec) -> str:
    """A model's name in the list; one that does not segment is for a training of its own kind."""
    return spec.title if spec.task == "segmentation" else f"{spec.title} ({spec.task})"
