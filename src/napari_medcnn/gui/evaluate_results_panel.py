"""What an evaluation came to: figures, comparison, cases, plots, and the operating point."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_medcnn.evaluation.operating_point import OperatingPoint
from napari_medcnn.gui.bridge import JobRunner
from napari_medcnn.gui.collapsible import Section, lay_out_anew
from napari_medcnn.gui.evaluate_jobs import Evaluated
from napari_medcnn.gui.evaluate_operating import OperatingPanel
from napari_medcnn.gui.evaluate_plot_view import PlotView
from napari_medcnn.gui.evaluate_plots import plots_of, subjects_of
from napari_medcnn.gui.evaluate_tables import CaseView, FigureTable
from napari_medcnn.gui.evaluate_text import (
    about,
    about_comparison,
    case_rows,
    compared,
    headlines,
    is_classification,
    missing,
)
from napari_medcnn.gui.notices import WrappedLabel, sentence
from napari_medcnn.gui.progress_row import ProgressRow
from napari_medcnn.gui.train_fields import ChoiceField


class EvaluateResultsPanel(QWidget):
    """Shows an evaluation; what it asks for is done by others.

    Parameters
    ----------
    working : JobRunner
        What opens cases and writes files.

    Attributes
    ----------
    opened : Signal
        The id of a case that the user wants to see.
    """

    opened = Signal(str)

    def __init__(self, working: JobRunner, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.evaluated: Evaluated | None = None
        self.progress = ProgressRow(working)
        self.text = WrappedLabel(parent=self)
        self.figures = FigureTable("Figures", ("Figure", "Value", "95 % interval"))
        self.comparison_text = WrappedLabel(parent=self)
        self.comparison = FigureTable(
            "Comparison", ("Figure", "First", "Second", "Difference", "p", "Ranks p")
        )
        self.cases = CaseView()
        self.subject = ChoiceField(())
        self.subject.setAccessibleName("Class or label that the plots are of")
        self.plots = PlotView()
        self.operating = OperatingPanel()
        self.save = QPushButton("Save …")
        self.report = QPushButton("Report …")
        self._lay_out()
        self.cases.opened.connect(self.opened)
        self.subject.currentIndexChanged.connect(self._show_subject)
        self.plots.drawn.connect(self._mark)
        self.operating.moved.connect(self._mark)

    def show_result(self, evaluated: Evaluated) -> None:
        """Show another evaluation."""
        self.evaluated = evaluated
        run = evaluated.run
        self.text.show_text("\n".join([about(run), *map(sentence, missing(run))]))
        self.figures.show_rows(headlines(run))
        self.cases.show_rows(case_rows(run))
        self._show_comparison(evaluated)
        subjects = subjects_of(evaluated)
        self.subject.blockSignals(True)
        self.subject.clear()
        self.subject.addItems(subjects)
        # Of two classes the second one is what is looked for.
        self.subject.setCurrentIndex(1 if len(subjects) == 2 and is_classification(run) else 0)
        self.subject.blockSignals(False)
        self.subject.setVisible(len(subjects) > 1)
        self._operating_section.setVisible(is_classification(run))
        self._show_subject()
        lay_out_anew(self)

    # ------------------------------------------------------------------------------------------

    def _show_comparison(self, evaluated: Evaluated) -> None:
        comparison = evaluated.comparison
        self._comparison_section.setVisible(comparison is not None or bool(evaluated.problem))
        self.comparison.setVisible(comparison is not None)
        if comparison is None:
            self.comparison_text.show_text(sentence(evaluated.problem))
            return
        self.comparison_text.show_text(about_comparison(comparison))
        self.comparison.show_rows(compared(comparison))

    def _show_subject(self) -> None:
        evaluated = self.evaluated
        if evaluated is None:
            return
        subject = self.subject.currentText()
        self.plots.show_plots(plots_of(evaluated, subject))
        if is_classification(evaluated.run):
            result: Any = evaluated.run.result
            asked = result.cases.answers.questions()
            place = self.subject.currentIndex()
            self.operating.show_scores(asked.true[:, place], asked.given[:, place])

    def _mark(self, *_: object) -> None:
        """Where the operating point lies on the curve that is shown."""
        point, plot = self.operating.point, self.plots.plot
        if self.evaluated is None or point is None or plot is None:
            return
        if is_classification(self.evaluated.run):
            place = _place(point, plot.title)
            if place is not None:
                self.plots.canvas.mark(*place)

    def _lay_out(self) -> None:
        self.save.setToolTip("Write figures.json, cases.csv and the curves into a folder")
        told = _box(self.comparison_text, self.comparison)
        self._comparison_section = Section("Comparison", told, is_open=True)
        self._operating_section = Section("Operating point", self.operating, is_open=True)
        self.report.setToolTip("Write report.html and report.pdf into a folder")
        buttons = QHBoxLayout()
        buttons.setSpacing(4)
        buttons.addWidget(self.save)
        buttons.addWidget(self.report)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for widget in (self.text, self.figures):
            layout.addWidget(widget)
        layout.addLayout(buttons)
        for widget in (
            self.progress,
            self._comparison_section,
            Section("Cases", _box(self.cases), is_open=True),
            Section("Plots", _box(self.subject, self.plots), is_open=True),
            self._operating_section,
        ):
            layout.addWidget(widget)


def _box(*widgets: QWidget) -> QWidget:
    """Widgets below each other, as the content of a section."""
    box = QWidget()
    layout = QVBoxLayout(box)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)
    for widget in widgets:
        layout.addWidget(widget)
    return box


def _place(point: OperatingPoint, title: str) -> tuple[float, float] | None:
    """The point on the curve of a title; None where it is on none."""
    if title == "ROC" and point.sensitivity is not None and point.specificity is not None:
        return 1 - point.specificity, point.sensitivity
    if title == "Precision-recall" and point.sensitivity is not None and point.ppv is not None:
        return point.sensitivity, point.ppv
    return None
