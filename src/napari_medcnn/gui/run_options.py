"""How a model runs: device, backend, mirroring, threshold, and which maps become layers."""

from __future__ import annotations

import importlib.util
import os

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QStandardItemModel
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QWidget,
)

from napari_medcnn.app.settings import Settings
from napari_medcnn.gui.notices import WrappedLabel
from napari_medcnn.inference.calibration import threads
from napari_medcnn.inference.options import OPENVINO_ONLY, RunOptions
from napari_medcnn.models.spec import ModelSpec

DEVICES = ("auto", "cpu", "cuda", "mps")
BACKENDS = (("auto", "auto"), ("PyTorch", "torch"), ("OpenVINO", "openvino"))
MIRRORING = (("as the model asks for", "model"), ("never", "none"), ("along all axes", "all"))
MODELS_ADVICE = -1.0
MODELS_THRESHOLD = 0.0


class RunOptionsForm(QWidget):
    """The form of :class:`~napari_medcnn.inference.options.RunOptions`.

    Attributes
    ----------
    changed : Signal
        Something that the plan depends on is chosen otherwise.
    """

    changed = Signal()

    def __init__(self, settings: Settings, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._spec: ModelSpec | None = None
        self.device = _choice([(name, name) for name in DEVICES], settings.device)
        self.backend = _choice(BACKENDS, settings.backend)
        self.mirroring = _choice(MIRRORING, settings.mirroring)
        self.mirror_note = WrappedLabel(parent=self)
        self.threshold = QDoubleSpinBox()
        self.min_volume = QDoubleSpinBox()
        self.probability = QCheckBox("Show the probability map")
        self.uncertainty = QCheckBox("Show maps of uncertainty")
        self.reuse_empty = QCheckBox("Reuse empty windows")
        self._set_up(settings)
        self._explain()
        self._lay_out()
        for choice in (self.device, self.backend, self.mirroring):
            choice.currentIndexChanged.connect(self._on_change)
        self.threshold.valueChanged.connect(self._on_change)
        for check in (self.uncertainty, self.reuse_empty):
            check.toggled.connect(self._on_change)

    @property
    def options(self) -> RunOptions:
        """What is chosen, without a region and the user's yes to findings."""
        threshold = self.threshold.value()
        return RunOptions(
            device=self.device.currentData(),
            backend=self.backend.currentData(),
            mirror=self.mirroring.currentData(),
            threshold=None if threshold == MODELS_THRESHOLD else threshold,
            keep_probability=True,  # lesions carry their mean probability
            keep_uncertainty=self.uncertainty.isChecked(),
            reuse_empty=self.reuse_empty.isChecked(),
            threads=threads_beside_the_window(),
        )

    @property
    def map_names(self) -> tuple[str, ...]:
        """Which maps are to become layers."""
        names = ("probability",) if self.probability.isChecked() else ()
        return (*names, "entropy", "variance") if self.uncertainty.isChecked() else names

    @property
    def min_volume_mm3(self) -> float:
        """Smaller components are no lesions."""
        if self.min_volume.value() >= 0 or self._spec is None:
            return max(self.min_volume.value(), 0.0)
        return self._spec.min_lesion_volume_mm3

    def show_model(self, spec: ModelSpec | None) -> None:
        """Show what a model leaves to choose."""
        self._spec = spec
        only_openvino = spec is not None and spec.kind in OPENVINO_ONLY
        self.backend.setEnabled(not only_openvino)
        self._note_mirroring()

    # ------------------------------------------------------------------------------------------

    def _set_up(self, settings: Settings) -> None:
        for spin, smallest, largest, text in (
            (self.threshold, MODELS_THRESHOLD, 0.99, "the model's own"),
            (self.min_volume, MODELS_ADVICE, 100_000, "the model's own"),
        ):
            spin.setRange(smallest, largest)
            spin.setSpecialValueText(text)
        self.threshold.setSingleStep(0.05)
        self.min_volume.setDecimals(1)
        self.min_volume.setSuffix(" mm³")
        smallest = settings.min_volume_mm3
        self.min_volume.setValue(smallest if smallest >= 0 else MODELS_ADVICE)
        self.probability.setChecked(settings.probability_layer)
        self.uncertainty.setChecked(settings.uncertainty_layers)
        self.reuse_empty.setChecked(True)
        if importlib.util.find_spec("openvino") is None:
            self._switch_off_openvino()

    def _switch_off_openvino(self) -> None:
        row = self.backend.findData("openvino")
        model = self.backend.model()
        if isinstance(model, QStandardItemModel):
            model.item(row).setEnabled(False)
        tip = "Not installed: pip install napari-medcnn[fast]"
        self.backend.setItemData(row, tip, Qt.ItemDataRole.ToolTipRole)

    def _explain(self) -> None:
        self.device.setToolTip("auto: the graphics card where there is one, else the processor")
        self.backend.setToolTip(
            "What computes the network. auto measures one window of each, once for a model on this "
            "machine, and keeps the faster one whose output agrees"
        )
        self.mirroring.setToolTip(
            "Test-time augmentation: each window is also seen mirrored, and the answers are "
            "averaged. Steadier, and as many times slower as there are answers"
        )
        self.threshold.setToolTip("From which probability on a voxel counts as found")
        self.min_volume.setToolTip("Smaller lesions are left out")
        self.probability.setToolTip("An image layer, hidden at first, black where nothing is found")
        self.uncertainty.setToolTip(
            "Image layers, hidden at first: the entropy of the classes and, where windows are "
            "answered several times (mirroring, an ensemble), the variance of the answers"
        )
        self.reuse_empty.setToolTip(
            "Windows that hold one same value everywhere, as the air around a patient does, get "
            "the network's answer from the first of them. The result is the same"
        )

    def _lay_out(self) -> None:
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Device", self.device)
        form.addRow("Backend", self.backend)
        form.addRow("Mirroring", self.mirroring)
        form.addRow(self.mirror_note)
        form.addRow("Threshold", self.threshold)
        form.addRow("Smallest lesion", self.min_volume)
        for check in (self.probability, self.uncertainty, self.reuse_empty):
            check.setMinimumWidth(1)
            form.addRow(check)

    def _on_change(self) -> None:
        self._note_mirroring()
        self.changed.emit()

    def _note_mirroring(self) -> None:
        spec, chosen = self._spec, self.mirroring.currentData()
        text = ""
        if spec is not None and chosen == "model":
            axes = len(spec.mirror_axes)
            text = f"This model asks for {2**axes} answers a window." if axes else ""
        elif chosen == "all":
            text = "About 8 times the time."
        self.mirror_note.show_text(text)


def threads_beside_the_window() -> int:
    """Threads for computing: all cores but one, so that the window stays fluent.

    Only handed to the run: it sets them in its own thread, and puts back what was there.
    """
    there = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ()
    cores = len(there) or os.cpu_count() or 2
    return min(threads(RunOptions()), max(1, cores - 1))


def _choice(entries: list[tuple[str, str]] | tuple[tuple[str, str], ...], chosen: str) -> QComboBox:
    choice = QComboBox()
    choice.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    choice.setMinimumContentsLength(10)
    for text, data in entries:
        choice.addItem(text, data)
    choice.setCurrentIndex(max(choice.findData(chosen), 0))
    return choice
