"""How a data set is divided: shares, seed and folds, and what has to be said of it."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QSpinBox, QWidget

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.gui.train_jobs import DataSet
from napari_medcnn.training.manifest import Split


class TrainSplitForm(QWidget):
    """Shares in per cent, a seed, and a number of folds.

    Attributes
    ----------
    changed : Signal
        Another split is wanted.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.validation = _spin(1, 90, 15, "Share of the cases that chooses the best state", " %")
        self.test = _spin(0, 90, 20, "Share that is kept aside to the end, for the figures", " %")
        self.seed = _spin(0, 999_999, 0, "The same seed draws the same split")
        self.folds = _spin(1, 20, 1, "1: one split by the shares; more: so many parts in turn")
        self.fold = _spin(1, 1, 1, "Which of the folds chooses the best state")
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        form.addRow("Chooses", self.validation)
        form.addRow("Judges", self.test)
        form.addRow("Seed", self.seed)
        form.addRow("Folds", self.folds)
        form.addRow("Fold", self.fold)
        self.folds.valueChanged.connect(self._on_folds)
        for spin in (self.validation, self.test, self.seed, self.fold):
            spin.valueChanged.connect(self.changed)
        self._on_folds()

    def split(self, data: DataSet) -> Split:
        """The split that is chosen.

        Raises
        ------
        MedcnnError
            When it is impossible; a leak of patients is one such error.
        """
        # It loads scikit-learn, which napari's start should not pay for.
        from napari_medcnn.training.splits import folds, make_split

        test, seed = self.test.value() / 100, self.seed.value()
        if self.folds.value() > 1:
            every = folds(
                data.manifest, self.folds.value(), test=test, seed=seed, grouping=data.grouping
            )
            return every[self.fold.value() - 1]
        share = self.validation.value() / 100
        if share + test >= 1:
            raise MedcnnError(
                f"{self.validation.value()} % and {self.test.value()} % leave nothing to learn from"
            )
        return make_split(
            data.manifest, validation=share, test=test, seed=seed, grouping=data.grouping
        )

    def _on_folds(self) -> None:
        several = self.folds.value() > 1
        self.validation.setEnabled(not several)
        self.fold.setEnabled(several)
        self.fold.setRange(1, self.folds.value())
        self.changed.emit()


def _spin(low: int, high: int, value: int, tip: str, suffix: str = "") -> QSpinBox:
    spin = QSpinBox()
    spin.setRange(low, high)
    spin.setValue(value)
    spin.setSuffix(suffix)
    spin.setToolTip(tip)
    spin.setKeyboardTracking(False)
    return spin
