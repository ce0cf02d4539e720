"""Several images were found: tick those to open."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_medcnn.core.volume import Volume
from napari_medcnn.gui.notices import sentence, severity_word
from napari_medcnn.gui.volume_text import findings_badge, volume_line


class FoundList(QWidget):
    """A list of images with a tick each.

    Attributes
    ----------
    chosen : Signal
        The volumes that the user wants to open.
    """

    chosen = Signal(list)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._volumes: list[Volume] = []
        self.title = QLabel()
        self.list = QListWidget()
        self.load = QPushButton("Open ticked")
        self.dismiss = QPushButton("Dismiss")
        self.list.setWordWrap(True)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setMinimumHeight(120)
        self.list.setSpacing(3)
        self.list.itemChanged.connect(self._count)
        self.load.setToolTip("Open the ticked images as layers")
        self.load.clicked.connect(self._choose)
        self.dismiss.setToolTip("Forget this list; nothing is deleted")
        self.dismiss.clicked.connect(self.clear)
        buttons = QHBoxLayout()
        buttons.addWidget(self.load, 1)
        buttons.addWidget(self.dismiss)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.title)
        layout.addWidget(self.list)
        layout.addLayout(buttons)
        self.hide()

    def offer(self, volumes: Sequence[Volume]) -> None:
        """Show what was found; the first that has slices is ticked."""
        self._volumes = list(volumes)
        self.list.clear()
        first = next((i for i, v in enumerate(self._volumes) if not v.is_2d), 0)
        for number, volume in enumerate(self._volumes):
            item = QListWidgetItem(_item_text(volume))
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            ticked = number == first
            item.setCheckState(Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked)
            item.setToolTip(_tooltip(volume))
            self.list.addItem(item)
        self.title.setText(f"{len(self._volumes)} images were found:")
        self._count()
        self.show()

    def tick(self, number: int, ticked: bool = True) -> None:
        """Tick or untick an image."""
        state = Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked
        self.list.item(number).setCheckState(state)

    def clear(self) -> None:
        """Forget what was found."""
        self._volumes = []
        self.list.clear()
        self.hide()

    @property
    def ticked(self) -> list[Volume]:
        """What the user wants to open."""
        return [
            volume
            for number, volume in enumerate(self._volumes)
            if self.list.item(number).checkState() == Qt.CheckState.Checked
        ]

    def _count(self) -> None:
        # Items are added one by one; the last one makes the list complete.
        if self.list.count() == len(self._volumes):
            self.load.setEnabled(bool(self.ticked))

    def _choose(self) -> None:
        chosen = self.ticked
        self.clear()
        self.chosen.emit(chosen)


def _item_text(volume: Volume) -> str:
    badge = findings_badge(volume)
    return f"{volume.name}\n{volume_line(volume)}" + (f"\n{badge}" if badge else "")


def _tooltip(volume: Volume) -> str:
    lines = [volume.name, volume_line(volume)]
    lines += [f"{severity_word(f.severity)}: {sentence(f.text)}" for f in volume.findings]
    return "\n".join(lines)
