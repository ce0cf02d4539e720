"""A slider over a classifier's thresholds: what it finds and misses at each, while it moves."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy.typing as npt
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.evaluation.operating_point import (
    OperatingPoint,
    OperatingPoints,
    operating_points,
)
from napari_medcnn.gui.notices import WrappedLabel
from napari_medcnn.report.figure_text import number

START = 0.5
WANTED = 0.9
"""Sensitivity and specificity that the buttons ask for."""

FIGURES = (
    ("Sensitivity", "sensitivity"),
    ("Specificity", "specificity"),
    ("PPV", "ppv"),
    ("NPV", "npv"),
    ("F1", "f1"),
)
COUNTS = (
    ("True positives", "true_positives"),
    ("False positives", "false_positives"),
    ("False negatives", "false_negatives"),
    ("True negatives", "true_negatives"),
)


class OperatingPanel(QWidget):
    """Each step of the slider is a threshold at which something else is found.

    Attributes
    ----------
    moved : Signal
        The :class:`OperatingPoint` that is shown now.
    """

    moved = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.point: OperatingPoint | None = None
        self._points: OperatingPoints | None = None
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Threshold of the class's probability")
        self.title = QLabel()
        self.values = {name: QLabel("–") for _, name in (*FIGURES, *COUNTS)}
        self.youden = QPushButton("Youden")
        self.sensitive = QPushButton("Sens. ≥ 0.9")
        self.specific = QPushButton("Spec. ≥ 0.9")
        self.note = WrappedLabel(parent=self)
        self._lay_out()
        self.slider.valueChanged.connect(self._on_slider)
        self.youden.clicked.connect(self._to_youden)
        self.sensitive.clicked.connect(self._to_sensitivity)
        self.specific.clicked.connect(self._to_specificity)

    def show_scores(self, positive: npt.NDArray[Any], scores: npt.NDArray[Any]) -> None:
        """Show what the thresholds of one class do.

        Parameters
        ----------
        positive, scores : numpy.ndarray
            ``(case,)``, whether a case is of the class, and the probability that it is.
        """
        self._points = operating_points(positive, scores)
        self.slider.blockSignals(True)
        # To the right the threshold rises.
        self.slider.setRange(0, len(self._points.thresholds) - 1)
        self.slider.blockSignals(False)
        self.show_point(self._points.at(START))

    def show_point(self, point: OperatingPoint) -> None:
        """Show a point, and move the slider to it."""
        if self._points is None:
            return
        self.point = point
        self.slider.blockSignals(True)
        level = int((self._points.thresholds >= point.threshold).sum()) - 1
        self.slider.setValue(self.slider.maximum() - max(level, 0))
        self.slider.blockSignals(False)
        is_none = math.isinf(point.threshold)
        threshold = "above every case" if is_none else f"{point.threshold:.4g}"
        self.title.setText(f"Threshold {threshold}")
        for _, name in FIGURES:
            self.values[name].setText(number(getattr(point, name)))
        for _, name in COUNTS:
            self.values[name].setText(str(getattr(point, name)))
        self.moved.emit(point)

    # ------------------------------------------------------------------------------------------

    def _on_slider(self, value: int) -> None:
        if self._points is not None:
            level = self.slider.maximum() - value
            self.note.show_text("")
            self.show_point(self._points.at(float(self._points.thresholds[level])))

    def _to_youden(self) -> None:
        self._jump(OperatingPoints.youden)

    def _to_sensitivity(self) -> None:
        self._jump(lambda points: points.at_sensitivity(WANTED))

    def _to_specificity(self) -> None:
        self._jump(lambda points: points.at_specificity(WANTED))

    def _jump(self, to: Callable[[OperatingPoints], OperatingPoint]) -> None:
        if self._points is None:
            return
        try:
            point = to(self._points)
        except InputMismatch as error:
            self.note.show_text(str(error))
            return
        self.note.show_text(
            f"By {point.rule}: chosen on these same cases, it flatters the model on them."
        )
        self.show_point(point)

    def _lay_out(self) -> None:
        self.youden.setToolTip("Where sensitivity + specificity − 1 is largest")
        self.sensitive.setToolTip("The highest threshold that finds nine of ten")
        self.specific.setToolTip("The lowest threshold that leaves nine of ten others alone")
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(6)
        grid.setVerticalSpacing(1)
        for column, names in ((0, FIGURES), (2, COUNTS)):
            for row, (word, name) in enumerate(names):
                value = self.values[name]
                value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                value.setMinimumWidth(self.fontMetrics().horizontalAdvance("0.000"))
                value.setAccessibleName(word)
                grid.addWidget(QLabel(word), row, column)
                grid.addWidget(value, row, column + 1)
        grid.setColumnStretch(0, 1)
        grid.setColumnStretch(2, 1)
        buttons = QHBoxLayout()
        buttons.setSpacing(4)
        for button in (self.youden, self.sensitive, self.specific):
            button.setMinimumWidth(1)
            buttons.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.title)
        layout.addWidget(self.slider)
        layout.addLayout(grid)
        layout.addLayout(buttons)
        layout.addWidget(self.note)
