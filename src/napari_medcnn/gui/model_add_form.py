"""Where a model to add comes from, and what only some kinds of models need to be told."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_medcnn.gui.collapsible import Section
from napari_medcnn.gui.model_adding import CHECKPOINTS, NewModel
from napari_medcnn.gui.notices import WrappedLabel
from napari_medcnn.models.vocabulary import NETWORKS

KINDS = (
    "A MONAI Bundle or a trained nnU-Net (folder or zip), or with a card beside it an ONNX file, "
    "a SavedModel folder, a checkpoint, TorchScript or .pt2."
)
FILES = "Models (*.zip *.onnx *.safetensors *.pt *.pth *.ckpt *.bin *.ts *.pt2);;All files (*)"
CARDS_NETWORK = "as its card says"


class ModelAddForm(QWidget):
    """The form of a :class:`~napari_medcnn.gui.model_adding.NewModel`.

    Attributes
    ----------
    changed : Signal
        The source is another one.
    submitted : Signal
        Return was pressed.
    """

    changed = Signal()
    submitted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.source = QLineEdit()
        self.file_button = QPushButton("File …")
        self.folder_button = QPushButton("Folder …")
        self.network = QComboBox()
        self.card = QLineEdit()
        self.card_button = QToolButton()
        self.name = QLineEdit()
        self.sha256 = QLineEdit()
        self._explain()
        self._lay_out()
        self.source.textChanged.connect(self._on_source)
        self.source.returnPressed.connect(self.submitted)
        self.file_button.clicked.connect(self._ask_for_file)
        self.folder_button.clicked.connect(self._ask_for_folder)
        self.card_button.clicked.connect(self._ask_for_card)
        self._on_source()

    @property
    def new_model(self) -> NewModel:
        """What is filled in."""
        network = self.network.currentText() if self.network.currentIndex() > 0 else ""
        return NewModel(
            source=self.source.text().strip(),
            name=self.name.text().strip(),
            network=network if self._takes_network() else "",
            card=self.card.text().strip(),
            sha256=self.sha256.text().strip(),
        )

    def clear(self) -> None:
        """Start with an empty form."""
        for line in (self.source, self.card, self.name, self.sha256):
            line.clear()
        self.network.setCurrentIndex(0)

    # ------------------------------------------------------------------------------------------

    def _explain(self) -> None:
        self.source.setPlaceholderText("File, folder or https:// address")
        self.source.setClearButtonEnabled(True)
        self.source.setAccessibleName("Where the model comes from")
        self.file_button.setToolTip("Choose a file or a zip")
        self.folder_button.setToolTip("Choose a model's folder")
        self.network.addItem(CARDS_NETWORK)
        self.network.addItems(sorted(NETWORKS))
        self.network.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.network.setMinimumContentsLength(8)
        self.network.setToolTip(
            "A checkpoint holds numbers only: the network that they belong to. Its sizes are read "
            "from the checkpoint"
        )
        self.card.setPlaceholderText("the one beside the file")
        self.card.setToolTip("A JSON file that says how the model is used: channels, labels, …")
        self.card_button.setText("…")
        self.card_button.setToolTip("Choose the card's file")
        self.name.setPlaceholderText("what it calls itself")
        self.name.setToolTip("What to call the model here")
        self.sha256.setPlaceholderText("not checked")
        self.sha256.setToolTip("The SHA-256 that the file must have, as its makers state it")

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        buttons.setSpacing(4)
        buttons.addWidget(self.file_button, 1)
        buttons.addWidget(self.folder_button, 1)
        self._network_row = QWidget()
        network = _form(self._network_row)
        network.addRow("Network", self.network)
        card = QHBoxLayout()
        card.setSpacing(2)
        card.addWidget(self.card, 1)
        card.addWidget(self.card_button)
        more = QWidget()
        form = _form(more)
        form.addRow("Name", self.name)
        form.addRow("Card", card)
        form.addRow("SHA-256", self.sha256)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(WrappedLabel(KINDS))
        layout.addWidget(self.source)
        layout.addLayout(buttons)
        layout.addWidget(self._network_row)
        layout.addWidget(Section("Name, card, check sum", more))

    def _takes_network(self) -> bool:
        path = self.source.text().strip().partition("?")[0]
        return Path(path).suffix.lower() in CHECKPOINTS

    def _on_source(self) -> None:
        self._network_row.setVisible(self._takes_network())
        self.changed.emit()

    def _ask_for_file(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "The file of a model", "", FILES)
        if chosen:
            self.source.setText(chosen)

    def _ask_for_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "The folder of a model")
        if chosen:
            self.source.setText(chosen)

    def _ask_for_card(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "The model's card", "", "Cards (*.json)")
        if chosen:
            self.card.setText(chosen)


def _form(box: QWidget) -> QFormLayout:
    form = QFormLayout(box)
    form.setContentsMargins(0, 0, 0, 0)
    form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    return form
