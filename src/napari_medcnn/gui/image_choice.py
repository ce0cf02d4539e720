"""Which image: a layer for each channel of the model, and the frame of a series in time."""

from __future__ import annotations

from collections.abc import Sequence

from napari.layers import Image, Layer
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QLabel, QSpinBox, QWidget

from napari_medcnn.app.channel_guess import guess_channels
from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.volume import Volume
from napari_medcnn.gui.layer_links import is_adoptable, volume_from, volume_id_of, volume_in
from napari_medcnn.gui.viewer_state import ViewerState
from napari_medcnn.models.spec import Channel


class ImageChoice(QWidget):
    """A drop-down of image layers for each channel.

    Attributes
    ----------
    changed : Signal
        Another image or frame is chosen.
    """

    changed = Signal()

    def __init__(self, state: ViewerState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._layers: list[Image] = []
        self._channels: tuple[Channel, ...] = ()
        self._picked: dict[int, Image] = {}
        self.lists: list[QComboBox] = []
        self.frame = QSpinBox()
        self.frame.setToolTip("The model works on one frame: which one")
        self.frame.valueChanged.connect(self.changed)
        self._frame_title = QLabel("Frame")
        self._form = QFormLayout(self)
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        self._form.addRow(self._frame_title, self.frame)
        self.show_channels(())
        layers = state.viewer.layers
        layers.events.inserted.connect(self._list_layers)
        layers.events.removed.connect(self._list_layers)
        layers.selection.events.active.connect(self._on_active)
        state.volumes_changed.connect(self._list_layers)

    @property
    def layers(self) -> tuple[Image, ...]:
        """The chosen layers, one a channel; empty where there is none to choose."""
        if not self._layers:
            return ()
        return tuple(self._layers[max(choice.currentIndex(), 0)] for choice in self.lists)

    def preview(self) -> tuple[Volume, ...]:
        """The chosen volumes for a plan; nothing is taken over yet."""
        volumes = (
            self._state.volume_of(la) or volume_in(la) or volume_from(la) for la in self.layers
        )
        return tuple(self._of_frame(volume) for volume in volumes)

    def volumes(self) -> tuple[Volume, ...]:
        """The chosen volumes for a run, all of them of the session from now on.

        Raises
        ------
        InputMismatch
            When a layer cannot be worked on.
        """
        chosen = tuple(self._state.adopt(layer) for layer in self.layers)
        volumes = tuple(self._of_frame(volume) for volume in chosen)
        self._state.add_volumes(volumes)
        return volumes

    def check_distinct(self) -> None:
        """Refuse one image for two channels.

        Raises
        ------
        InputMismatch
            With the names of both channels.
        """
        chosen: dict[int, str] = {}
        for channel, layer in zip(self._channels, self.layers, strict=False):
            if id(layer) in chosen:
                raise InputMismatch(
                    f"{chosen[id(layer)]} and {channel.name} are both {layer.name}",
                    hint="choose an image of its own for each channel; open it if it is not there",
                )
            chosen[id(layer)] = channel.name

    def show_channels(self, channels: Sequence[Channel]) -> None:
        """Ask for one image a channel."""
        channels = tuple(channels)
        if channels == self._channels and self.lists:
            return
        self._channels, self._picked = channels, {}
        for choice in self.lists:
            self._form.removeRow(choice)
        self.lists = []
        titles = [c.name for c in channels] if len(channels) > 1 else ["Image"]
        for number, title in enumerate(titles):
            choice = QComboBox()
            choice.setSizeAdjustPolicy(
                QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            )
            choice.setMinimumContentsLength(10)
            choice.setToolTip(
                "The image to look for lesions in"
                if len(titles) == 1
                else f"The image that the model takes as {title}"
            )
            choice.currentIndexChanged.connect(self._on_pick)
            self._form.insertRow(number, title, choice)
            self.lists.append(choice)
        self._list_layers()

    def _list_layers(self) -> None:
        before = self.layers
        self._layers = [la for la in self._state.viewer.layers if _is_choosable(la)]
        guessed = guess_channels([c.name for c in self._channels], [la.name for la in self._layers])
        for number, choice in enumerate(self.lists):
            with QSignalBlocker(choice):
                choice.clear()
                for layer in self._layers:
                    choice.addItem(layer.name)
                choice.setCurrentIndex(self._index_for(number, before, guessed))
                choice.setEnabled(bool(self._layers))
        self._on_index()

    def _index_for(self, number: int, before: Sequence[Image], guessed: Sequence[int]) -> int:
        """What was chosen stays. Of several channels, only what the user chose counts as chosen."""
        several = len(self.lists) > 1
        wanted = self._picked.get(number) if several else next(iter(before), None)
        if wanted in self._layers:
            return self._layers.index(wanted)
        if several:
            return guessed[number] if guessed else -1
        return 0 if self._layers else -1

    def _on_pick(self, index: int) -> None:
        if 0 <= index < len(self._layers):
            self._picked[self.lists.index(self.sender())] = self._layers[index]
        self._on_index()

    def _on_active(self) -> None:
        active = self._state.viewer.layers.selection.active
        if len(self.lists) == 1 and active in self._layers:
            self.lists[0].setCurrentIndex(self._layers.index(active))

    def _on_index(self) -> None:
        volume = self._state.volume_of(self.layers[0]) if self.layers else None
        count = 1 if volume is None else volume.frame_count
        self.frame.setVisible(count > 1)
        self._frame_title.setVisible(count > 1)
        self.frame.setRange(0, max(count - 1, 0))
        self.changed.emit()

    def _of_frame(self, volume: Volume) -> Volume:
        if volume.frames is None:
            return volume
        frame = volume.frame(min(self.frame.value(), volume.frame_count - 1))
        return self._state.session.volumes.get(frame.id, frame)


def _is_choosable(layer: Layer) -> bool:
    return isinstance(layer, Image) and (volume_id_of(layer) is not None or is_adoptable(layer))
