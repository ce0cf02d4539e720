"""What of an image is classified: the whole, each slice along an axis, or each lesion."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QWidget

from napari_medcnn.app.result import Result
from napari_medcnn.core.classification import Unit
from napari_medcnn.core.errors import InputMismatch, MedcnnError
from napari_medcnn.core.lesion import LesionTable
from napari_medcnn.core.volume import Volume
from napari_medcnn.gui.classify_jobs import ClassifyRequest, Drawn
from napari_medcnn.gui.lesion_sources import LesionSources
from napari_medcnn.gui.preferences import preferences
from napari_medcnn.gui.viewer_state import ViewerState
from napari_medcnn.inference.classify_check import as_channels, check_classifies
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.models.spec import ModelSpec

UNITS: tuple[tuple[str, Unit], ...] = (
    ("the whole image", "volume"),
    ("each slice", "slice"),
    ("each lesion", "lesion"),
)
AXES = ("axial (along z)", "coronal (along y)", "sagittal (along x)")
"""Of ``(z, y, x)``."""


class ClassifyForm(QWidget):
    """The choice of what gets a class.

    Attributes
    ----------
    changed : Signal
        Something else is chosen.
    """

    changed = Signal()

    def __init__(self, state: ViewerState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._spec: ModelSpec | None = None
        self._volume: Volume | None = None
        self._chosen_by_hand = False
        self.unit = QComboBox()
        self.axis = QComboBox()
        self.lesions = LesionSources(state)
        for text, unit in UNITS:
            self.unit.addItem(text, unit)
        self.axis.addItems(list(AXES))
        self.unit.setToolTip("What gets a class")
        self.axis.setToolTip("Which slices a model for pictures sees")
        self.lesions.setToolTip("Whose lesions are classified")
        self._form = QFormLayout(self)
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        self._form.addRow("Classify", self.unit)
        self._form.addRow("Slices", self.axis)
        self._form.addRow("Lesions of", self.lesions)
        self.unit.activated.connect(self._on_chosen)
        self.unit.currentIndexChanged.connect(self._on_change)
        self.axis.currentIndexChanged.connect(self.changed)
        self.lesions.changed.connect(self.changed)

    @property
    def chosen_unit(self) -> Unit:
        """What gets a class."""
        unit: Unit = self.unit.currentData()
        return unit

    def show_model(self, spec: ModelSpec | None) -> None:
        """Suit a model: until the user chooses, what most models of its kind are for."""
        if spec != self._spec:
            self._chosen_by_hand = False
        self._spec = spec
        self._suit()
        self._on_change()

    def show_volume(self, volume: Volume | None) -> None:
        """Offer the lesions of another image."""
        self._volume = volume
        self.lesions.show_volume(volume)
        self._suit()

    def check(self, volumes: Sequence[Volume]) -> None:
        """Refuse what cannot be run, before anything is run.

        Raises
        ------
        MedcnnError
            With what to do instead.
        """
        if self._spec is None:
            return
        channels = as_channels(tuple(volumes), self._spec)
        source, table = self.lesions.source, None
        if isinstance(source, Result):
            table = source.table
        elif source is not None:
            table = _unmeasured(volumes[0])
        if self.chosen_unit == "lesion" and table is None:
            raise InputMismatch(
                "there are no lesions of this image to classify",
                hint="find them in the Analyze panel, or draw them on a Labels layer",
            )
        check_classifies(self._spec, channels, self.chosen_unit, self.axis.currentIndex(), table)

    def request(self, volumes: tuple[Volume, ...], options: RunOptions) -> ClassifyRequest:
        """What is chosen, for a run.

        Raises
        ------
        MedcnnError
            When it cannot be run, see :meth:`check`.
        """
        spec = self._spec
        if spec is None:
            raise MedcnnError("no model is chosen")
        self.check(volumes)
        unit, axis = self.chosen_unit, self.axis.currentIndex()
        if unit != "lesion":
            return ClassifyRequest(volumes, spec, unit, axis, options=options)
        source = self.lesions.source
        if isinstance(source, Result):
            session = self._state.session
            table = session.recompute(source.id) if source.is_stale else source.table
            return ClassifyRequest(
                volumes, spec, unit, axis, source.id, source.revision, table, options=options
            )
        segmentation = self.lesions.segmentation()
        if source is None or segmentation is None:
            raise MedcnnError("no lesions are chosen")
        drawn = Drawn(
            segmentation, preferences().min_volume_for(0.0), f"{volumes[0].name}: {source.name}"
        )
        return ClassifyRequest(volumes, spec, unit, axis, drawn=drawn, options=options)

    def _suit(self) -> None:
        """Propose a unit: slices to a model of pictures, lesions to one of patches."""
        spec = self._spec
        if spec is None or self._chosen_by_hand:
            return
        flat = self._volume is not None and self._volume.is_2d
        unit = "lesion" if spec.patch else "slice" if spec.of_pictures and not flat else "volume"
        self.unit.setCurrentIndex(self.unit.findData(unit))

    def _on_chosen(self) -> None:
        self._chosen_by_hand = True

    def _on_change(self) -> None:
        unit = self.chosen_unit
        of_pictures = self._spec is not None and self._spec.of_pictures
        self._form.setRowVisible(self.axis, of_pictures and unit != "volume")
        self._form.setRowVisible(self.lesions, unit == "lesion")
        self.changed.emit()


def _unmeasured(volume: Volume) -> LesionTable:
    """What stands for a layer's lesions before they are measured: they are of this image."""
    return LesionTable((), np.zeros((1, 1, 1), dtype=np.uint32), volume.id)
