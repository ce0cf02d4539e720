"""Add what is open in the viewer to a data set: an image, the labels drawn on it, whose it is."""

from __future__ import annotations

from pathlib import Path

from napari.layers import Labels
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QWidget,
)

from napari_medcnn.app.case import safe_id
from napari_medcnn.app.training_set import Drawn, add_case
from napari_medcnn.core.errors import InputMismatch, MedcnnError
from napari_medcnn.core.events import Failed
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.core.volume import Severity
from napari_medcnn.gui.bridge import JobRunner, job_of
from napari_medcnn.gui.foreign_labels import can_be_measured, segmentation_of
from napari_medcnn.gui.image_choice import ImageChoice
from napari_medcnn.gui.layer_links import result_id_of
from napari_medcnn.gui.notices import NoticeBoard, sentence
from napari_medcnn.gui.viewer_state import ViewerState
from napari_medcnn.models.spec import Channel
from napari_medcnn.training.manifest import Manifest

DATA_FILE = "medcnn_dataset.json"
"""The file of a data set that is made here, in the folder that the user chooses."""


class TrainAddCase(QWidget):
    """A form for one case; the folder is asked for once.

    Attributes
    ----------
    added : Signal
        Path of the data set's file, which has the case now.
    """

    added = Signal(object)

    def __init__(
        self, state: ViewerState, board: NoticeBoard, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._state, self._board = state, board
        self._layers: list[Labels] = []
        self._channels: tuple[str, ...] = ()
        self.file: Path | None = None
        self.runner = JobRunner(self)
        self.image = ImageChoice(state)
        self.labels = QComboBox()
        self.case = QLineEdit()
        self.patient = QLineEdit()
        self.classes = QLineEdit()
        self.replace = QCheckBox("Replace it if it is there")
        self.add = QPushButton("Add to the data set")
        self._set_up()
        self.image.changed.connect(self._on_image)
        self.labels.currentIndexChanged.connect(self._show_classes)
        self.add.clicked.connect(self.start)
        self.runner.done.connect(self._on_done)
        self.runner.failed.connect(self._on_failed)
        layers = state.viewer.layers
        layers.events.inserted.connect(self.refresh)
        layers.events.removed.connect(self.refresh)
        self.refresh()

    def show_manifest(self, manifest: Manifest | None, file: Path | None) -> None:
        """Ask for the channels of a data set; cases go to its file where it is one of ours."""
        names = () if manifest is None else manifest.channels
        self._channels = names
        self.image.show_channels(tuple(Channel(name) for name in names))
        if manifest is not None and manifest.task == "segmentation":
            self.classes.setText(", ".join(manifest.classes))
        self.file = file

    def refresh(self) -> None:
        """List the labels layers that are open."""
        before = self._layer()
        self._layers = [
            layer
            for layer in self._state.viewer.layers
            if can_be_measured(layer) or (isinstance(layer, Labels) and result_id_of(layer))
        ]
        with QSignalBlocker(self.labels):
            self.labels.clear()
            self.labels.addItems([layer.name for layer in self._layers])
            if before in self._layers:
                self.labels.setCurrentIndex(self._layers.index(before))
        self.add.setEnabled(bool(self._layers) and bool(self.image.layers))
        self._show_classes()

    def start(self) -> None:
        """Write the case, in a worker; without a data set, ask for its folder first."""
        if self.file is None and not self._ask_for_folder():
            return
        if self.file is None or self.runner.is_running:
            return
        try:
            volumes = self.image.volumes()
            segmentation = self._segmentation()
            titles = list(self._channels) or [volumes[0].modality or "image"]
            drawn = Drawn(segmentation.array, segmentation.geometry, self._names(segmentation))
            channels = dict(zip(titles, volumes, strict=True))
        except MedcnnError as error:
            self._board.post(Severity.BLOCKING, sentence(str(error)))
            return
        case = self.case.text().strip() or safe_id(volumes[0].name)
        job = job_of(
            add_case,
            self.file,
            case,
            channels,
            drawn,
            patient=self.patient.text().strip() or None,
            replace_case=self.replace.isChecked(),
        )
        self.runner.start(f"Adding {case}", job)
        self.add.setEnabled(False)

    # ------------------------------------------------------------------------------------------

    def _set_up(self) -> None:
        self.labels.setMinimumContentsLength(8)
        self.labels.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.labels.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.labels.setToolTip("The truth: a labels layer on the image, drawn or corrected")
        self.case.setToolTip("A name of its own in the data set; the image's if left empty")
        self.patient.setToolTip("A pseudonym: cases of one patient stay on one side of the split")
        self.patient.setPlaceholderText("unknown")
        self.classes.setToolTip("Names of the label values in their order: lesion, core")
        self.add.setToolTip("Copy image and labels into the data set's folder")
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow(self.image)
        form.addRow("Labels", self.labels)
        form.addRow("Classes", self.classes)
        form.addRow("Case", self.case)
        form.addRow("Patient", self.patient)
        form.addRow(self.replace)
        form.addRow(self.add)

    def _layer(self) -> Labels | None:
        index = self.labels.currentIndex()
        return self._layers[index] if 0 <= index < len(self._layers) else None

    def _segmentation(self) -> Segmentation:
        layer = self._layer()
        if layer is None:
            raise InputMismatch("there is no labels layer; draw one or open one")
        result = self._state.result_of(layer)
        if result is not None:
            return result.segmentation
        return segmentation_of(layer, self._state.session.volumes.values())[0]

    def _names(self, segmentation: Segmentation) -> dict[int, str]:
        """The class of each value: what the user wrote, else what the labels call it."""
        values = sorted(label.value for label in segmentation.labels)
        written = [name.strip() for name in self.classes.text().split(",") if name.strip()]
        if not written:
            return {label.value: label.name for label in segmentation.labels}
        names = dict(enumerate(written, start=1))
        own = {label.value: label.name for label in segmentation.labels}
        if set(own.values()) <= set(written):  # values may differ from the data set's
            return own
        unnamed = [value for value in values if value not in names]
        if unnamed:
            raise InputMismatch(f"the value {unnamed[0]} has no name: write one for each value")
        return names

    def _show_classes(self) -> None:
        layer = self._layer()
        result = None if layer is None else self._state.result_of(layer)
        if result is not None and not self.classes.text():
            self.classes.setText(", ".join(la.name for la in result.segmentation.labels))

    def _on_image(self) -> None:
        chosen = self.image.layers
        if chosen:
            self.case.setPlaceholderText(safe_id(chosen[0].name))
        self.add.setEnabled(bool(self._layers) and bool(chosen))

    def _ask_for_folder(self) -> bool:
        chosen = QFileDialog.getExistingDirectory(self, "The folder of the data set")
        if not chosen:
            return False
        self.file = Path(chosen) / DATA_FILE
        return True

    def _on_done(self, manifest: Manifest) -> None:
        count = len(manifest.cases)
        text = f"{manifest.cases[-1].id} is added; the data set has {count} cases now."
        self._board.post(Severity.INFO, text if count > 1 else f"{manifest.cases[0].id} is added.")
        self.case.clear()
        self.refresh()
        self.added.emit(self.file)

    def _on_failed(self, failed: Failed) -> None:
        self.refresh()
        self._board.post_failure("The case was not added", failed)
