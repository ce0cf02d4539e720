"""What a run will do, before it is started; and what stands in its way."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.volume import Finding, Severity, Volume
from napari_medcnn.gui.collapsible import Section, lay_out_anew
from napari_medcnn.gui.notices import NoticeBoard, WrappedLabel, sentence
from napari_medcnn.gui.volume_text import UNBROKEN_AXES
from napari_medcnn.inference.forecast import forecast
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.inference.plan import InferencePlan, describe
from napari_medcnn.models.spec import ModelSpec


class PlanView(QWidget):
    """The plan of a model on some images, its warnings, and the user's yes where it is needed.

    Attributes
    ----------
    changed : Signal
        Whether a run can start may have changed.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.plan: InferencePlan | None = None
        self._asked: tuple[Finding, ...] = ()
        self.advice = WrappedLabel(parent=self)
        self.board = NoticeBoard(self)
        self.accept = QCheckBox("I have looked: measure anyway")
        self.accept.setToolTip("Without your yes, an image with such a problem is not measured")
        self.accept.toggled.connect(self._on_accept)
        self.lines = WrappedLabel(parent=self)
        self.section = Section("Plan", self.lines, is_open=True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for widget in (self.advice, self.board, self.accept, self.section):
            layout.addWidget(widget)

    @property
    def can_run(self) -> bool:
        """Whether there is a plan, and the user's yes where it needs one."""
        return self.plan is not None and (not self._asked or self.accept.isChecked())

    @property
    def accepted(self) -> bool:
        """Whether the user said yes to blocking findings."""
        return bool(self._asked) and self.accept.isChecked()

    def show_advice(self, text: str) -> None:
        """There is nothing to plan yet: say what to do."""
        self._show(None, (), ())
        self.advice.show_text(text)
        self.changed.emit()

    def show_plan(
        self,
        spec: ModelSpec,
        volumes: Sequence[Volume],
        options: RunOptions,
        region_text: str = "",
    ) -> None:
        """Plan a run, or say why there can be none.

        Parameters
        ----------
        region_text : str
            The region of `options` in words.
        """
        blocking = tuple(f for volume in volumes for f in volume.blocking_findings)
        try:
            plan = forecast(volumes, spec, options)
        except MedcnnError as error:
            self._show(None, ((Severity.BLOCKING, str(error)),), ())
        else:
            warnings = tuple((Severity.WARNING, warning) for warning in plan.warnings)
            self._show(plan, warnings, blocking, region_text)
        self.changed.emit()

    def show_problem(self, text: str) -> None:
        """There can be no run as it is chosen now: say why."""
        self._show(None, ((Severity.WARNING, text),), ())
        self.changed.emit()

    def _show(
        self,
        plan: InferencePlan | None,
        messages: Sequence[tuple[Severity, str]],
        blocking: tuple[Finding, ...],
        region_text: str = "",
    ) -> None:
        self.plan = plan
        self.advice.show_text("")
        if blocking != self._asked:
            self.accept.setChecked(False)
        self._asked = blocking
        self.board.clear()
        for finding in blocking:
            self.board.post(finding.severity, sentence(finding.text), closable=False)
        for severity, text in messages:
            self.board.post(severity, sentence(text), closable=False)
        self.accept.setVisible(bool(blocking))
        self.lines.setText("" if plan is None else "\n".join(_lines(plan, region_text)))
        self.section.setVisible(plan is not None)
        for part in (self.board, self.section):
            lay_out_anew(part)

    def _on_accept(self) -> None:
        self.changed.emit()


def _lines(plan: InferencePlan, region_text: str) -> list[str]:
    """The plan without the model, which is named above, and the warnings, which stand apart."""
    lines = describe(plan)[1 : len(describe(plan)) - len(plan.warnings)]
    if region_text:
        lines.insert(0, f"Region: {region_text}")
    return [line.replace("x × y × z", UNBROKEN_AXES) for line in lines]
