"""Which lesions: those of a result of an image, or of a labels layer that was drawn on it."""

from __future__ import annotations

from napari.layers import Labels
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QComboBox, QWidget

from napari_medcnn.app.result import Result
from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.gui.foreign_labels import can_be_measured, segmentation_of
from napari_medcnn.gui.layer_links import volume_in
from napari_medcnn.gui.viewer_state import ViewerState

NONE_THERE = "no lesions of this image yet"


class LesionSources(QComboBox):
    """A drop-down of the results of an image and of the labels layers that fit it.

    Parameters
    ----------
    state : ViewerState
        Of the viewer.
    first : str
        An entry before all others, which stands for no lesions; empty for none.

    Attributes
    ----------
    changed : Signal
        Others are chosen.
    """

    changed = Signal()

    def __init__(self, state: ViewerState, first: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state, self._first = state, first
        self._volume: Volume | None = None
        self._sources: list[Result | Labels | None] = []
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(10)
        self.currentIndexChanged.connect(self.changed)
        state.results_changed.connect(self.refresh)
        state.viewer.layers.events.inserted.connect(self._on_layers)
        state.viewer.layers.events.removed.connect(self._on_layers)

    @property
    def source(self) -> Result | Labels | None:
        """What is chosen."""
        index = self.currentIndex()
        return self._sources[index] if 0 <= index < len(self._sources) else None

    def avoid(self, other: Result | Labels | None) -> None:
        """Choose the first that is not another, where there is one."""
        for index, source in enumerate(self._sources):
            if source is not other and self.source is other:
                self.setCurrentIndex(index)

    def show_volume(self, volume: Volume | None) -> None:
        """Offer what belongs to another image."""
        self._volume = volume
        self.refresh()

    def choose(self, result_id: str) -> None:
        """Choose a result by its id."""
        for index, source in enumerate(self._sources):
            if isinstance(source, Result) and source.id == result_id:
                self.setCurrentIndex(index)

    def segmentation(self) -> Segmentation | None:
        """The chosen labels, on the image's grid; None where none are chosen.

        Raises
        ------
        InputMismatch
            When a layer does not fit the image.
        """
        source = self.source
        if isinstance(source, Result):
            return source.segmentation
        if source is None or self._volume is None:
            return None
        return segmentation_of(source, [self._volume])[0]

    def refresh(self) -> None:
        """Look again what there is; what was chosen stays if it is still there."""
        before = self.source
        self._sources = [None] if self._first else []
        if self._volume is not None:
            self._sources += self._state.session.results_of(self._volume.id)
            fitting = [la for la in self._state.viewer.layers if self._fits(la)]
            # Of images on one grid, a layer of another one fits too: it comes last.
            self._sources += sorted(fitting, key=self._is_of_another)
        with QSignalBlocker(self):
            self.clear()
            for source in self._sources:
                self.addItem(self._first if source is None else source.name)
            if not self._sources:
                self.addItem(NONE_THERE)
            there = [source is before for source in self._sources]
            self.setCurrentIndex(there.index(True) if True in there else 0)
            self.setEnabled(len(self._sources) > 0)
        self.changed.emit()

    def _fits(self, layer: object) -> bool:
        if self._volume is None or not can_be_measured(layer):
            return False
        try:
            segmentation_of(layer, [self._volume])
        except InputMismatch:
            return False
        return True

    def _is_of_another(self, layer: Labels) -> bool:
        named = volume_in(layer)
        return named is not None and self._volume is not None and named.id != self._volume.id

    def _on_layers(self) -> None:
        self.refresh()
