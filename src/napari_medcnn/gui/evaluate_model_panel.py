"""Which models are measured, and how: one, a second to compare it with, and the rules."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QFormLayout, QVBoxLayout, QWidget

from napari_medcnn.app.settings import Settings
from napari_medcnn.gui.collapsible import Section
from napari_medcnn.gui.evaluate_model_pick import ModelPick
from napari_medcnn.gui.run_options import threads_beside_the_window
from napari_medcnn.gui.train_fields import ChoiceField
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.models.spec import ModelSpec, Task

DEVICES = ("auto", "cpu", "cuda", "mps")
TOLERANCE_MM = 1.0


class EvaluateModelPanel(QWidget):
    """Models, rules and device.

    Attributes
    ----------
    changed : Signal
        Something else is chosen.
    """

    changed = Signal()

    def __init__(self, settings: Settings, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._backend = settings.backend
        self.model = ModelPick("Model")
        self.against = ModelPick("Second model", none="no other model")
        self.lesion_wise = QCheckBox("Count whole lesions, too")
        self.lesion_wise.setChecked(True)
        self.lesion_wise.setToolTip("Lesions found, false ones, and the FROC curve")
        self.tolerance = QDoubleSpinBox()
        self.tolerance.setRange(0.0, 50.0)
        self.tolerance.setSingleStep(0.5)
        self.tolerance.setValue(TOLERANCE_MM)
        self.tolerance.setSuffix(" mm")
        self.tolerance.setToolTip("Surfaces that lie nearer count as equal (NSD)")
        self.device = ChoiceField(DEVICES)
        self.device.show_value(settings.device)
        self._lay_out()
        for pick in (self.model, self.against):
            pick.changed.connect(self.changed)

    @property
    def specs(self) -> tuple[ModelSpec, ...]:
        """The chosen models, none, one or two."""
        return tuple(s for s in (self.model.spec, self.against.spec) if s is not None)

    def options(self) -> RunOptions:
        """How models are run."""
        return RunOptions(
            device=self.device.value,
            backend=self._backend,  # type: ignore[arg-type]
            threads=threads_beside_the_window(),
            keep_probability=False,
        )

    def show_task(self, task: Task) -> None:
        """Offer what fits the data."""
        for pick in (self.model, self.against):
            pick.show_task(task)
        for widget in (self.lesion_wise, self.tolerance):
            widget.setEnabled(task == "segmentation")

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Model", self.model)
        form.addRow("Against", self.against)
        options = QWidget()
        rows = QFormLayout(options)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addRow(self.lesion_wise)
        rows.addRow("Tolerance", self.tolerance)
        rows.addRow("Device", self.device)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(form)
        layout.addWidget(Section("Options", options))
