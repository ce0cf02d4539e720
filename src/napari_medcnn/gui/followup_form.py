"""What is followed up: two studies, the days between them, and how they are registered."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_medcnn.app.followup_run import StudyInput
from napari_medcnn.core.change import ChangeRule
from napari_medcnn.core.errors import InputMismatch, MedcnnError
from napari_medcnn.core.followup import FollowUp
from napari_medcnn.core.registration import RegistrationKind
from napari_medcnn.followup.registration_options import RegistrationOptions
from napari_medcnn.gui.collapsible import Section
from napari_medcnn.gui.followup_jobs import DrawnStudy, Pair
from napari_medcnn.gui.followup_study import StudyPick
from napari_medcnn.gui.notices import sentence
from napari_medcnn.gui.viewer_state import ViewerState

ONE_IMAGE = (
    "Two images are needed: open the baseline and the follow-up in the Load panel, then come back "
    "here."
)
KINDS: tuple[tuple[str, RegistrationKind], ...] = (
    ("rigid: heads", RegistrationKind.RIGID),
    ("affine: also stretches", RegistrationKind.AFFINE),
    ("B-spline: bends, for bodies", RegistrationKind.BSPLINE),
)
REGIONS = (
    ("brain, else body", "auto"),
    ("brain", "brain"),
    ("body", "body"),
    ("whole image", "all"),
)
STARTS = (("many positions", "auto"), ("positions of the files", "header"))
MOST_DAYS = 36525


class FollowUpForm(QWidget):
    """The choice of two studies.

    Attributes
    ----------
    changed : Signal
        Something else is chosen.
    """

    changed = Signal()

    def __init__(self, state: ViewerState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.before = StudyPick(state, "Baseline")
        self.after = StudyPick(state, "Follow-up")
        self.swap = QPushButton("⇅ Swap")
        self.days = QSpinBox()
        self.kind, self.region, self.start = QComboBox(), QComboBox(), QComboBox()
        self.least_percent = QDoubleSpinBox()
        self.options_section = Section("Options", self._options())
        self._lay_out()
        self.swap.clicked.connect(self.swap_studies)
        for pick in (self.before, self.after):
            pick.changed.connect(self._on_pick)
        layers = state.viewer.layers.events
        layers.inserted.connect(self._list_images)
        layers.removed.connect(self._list_images)
        state.volumes_changed.connect(self._list_images)
        self._list_images()

    def swap_studies(self) -> None:
        """Take the baseline for the follow-up, and the other way round."""
        first, second = self.before.layer, self.after.layer
        self.before.choose(second)
        self.after.choose(first)

    def problem(self) -> str:
        """What stands in the way of registering; empty for nothing."""
        if self.before.layer is None or self.after.layer is None:
            return ONE_IMAGE
        try:
            self._check_distinct()
        except MedcnnError as error:
            return sentence(str(error))
        return ""

    def pair(self) -> Pair:
        """The chosen images, for a registration.

        Raises
        ------
        InputMismatch
            When they are not two images.
        """
        self._check_distinct()
        return Pair(self.before.volume(), self.after.volume(), self.options())

    def studies(self) -> tuple[StudyInput | DrawnStudy, StudyInput | DrawnStudy]:
        """The chosen images with their lesions.

        Raises
        ------
        InputMismatch
            When one has none, or both the same.
        """
        self._check_distinct()
        names = [pick.volume().name for pick in (self.before, self.after)]
        if names[0] == names[1]:
            names = [f"{names[0]} (baseline)", f"{names[1]} (follow-up)"]
        if self.before.lesions.source is self.after.lesions.source is not None:
            raise InputMismatch(
                f"the lesions of both studies are {self.after.lesions.currentText()}",
                hint="choose for each study the lesions that were marked in it",
            )
        days = self.days.value()
        since = (0.0, float(days)) if days else (None, None)
        return self.before.study(names[0], since[0]), self.after.study(names[1], since[1])

    def choose_results(self, found: FollowUp) -> None:
        """Choose what was compared: labels layers have become results."""
        self.before.lesions.choose(found.before.point.study)
        self.after.lesions.choose(found.after.point.study)

    def options(self) -> RegistrationOptions:
        """How they are registered."""
        return RegistrationOptions(
            kind=RegistrationKind(self.kind.currentData()),  # Qt hands back a plain str
            region=self.region.currentData(),
            start=self.start.currentData(),
        )

    def rule(self) -> ChangeRule:
        """When a lesion has changed."""
        return ChangeRule(least_percent=self.least_percent.value())

    # ------------------------------------------------------------------------------------------

    def _check_distinct(self) -> None:
        before, after = self.before.layer, self.after.layer
        if before is not None and after is not None and before is after:
            raise InputMismatch(
                f"baseline and follow-up are both {after.name}", hint="choose another image"
            )

    def _list_images(self) -> None:
        self.before.list_images()
        self.after.list_images(avoid=self.before.layer)

    def _on_pick(self) -> None:
        self.after.lesions.avoid(self.before.lesions.source)
        self.changed.emit()

    def _options(self) -> QWidget:
        for box, choices in ((self.kind, KINDS), (self.region, REGIONS), (self.start, STARTS)):
            for text, value in choices:
                box.addItem(text, value)
            box.setSizeAdjustPolicy(
                QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            )
            box.setMinimumContentsLength(10)
            box.currentIndexChanged.connect(self.changed)
        self.kind.setToolTip("What the registration may do to the follow-up; volumes never change")
        self.region.setToolTip("What guides the registration")
        self.start.setToolTip("Where the registration begins to look")
        self.least_percent.setRange(0, 500)
        self.least_percent.setDecimals(0)
        self.least_percent.setSuffix(" %")
        self.least_percent.setValue(ChangeRule().least_percent)
        self.least_percent.setToolTip(
            "A lesion that changed by less is stable, however exactly it was measured"
        )
        self.least_percent.valueChanged.connect(self.changed)
        box = QWidget()
        form = QFormLayout(box)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Register", self.kind)
        form.addRow("Guided by", self.region)
        form.addRow("Start", self.start)
        form.addRow("Least change", self.least_percent)
        return box

    def _lay_out(self) -> None:
        self.days.setRange(0, MOST_DAYS)
        self.days.setSpecialValueText("not known")
        self.days.setToolTip("Days between the studies: growth and doubling times need them")
        self.days.valueChanged.connect(self.changed)
        self.swap.setToolTip("Take the baseline for the follow-up, and the other way round")
        apart = QFormLayout()
        apart.setContentsMargins(0, 0, 0, 0)
        apart.addRow("Days between", self.days)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for widget in (self.before, self.swap, self.after):
            layout.addWidget(widget)
        layout.addLayout(apart)
        layout.addWidget(self.options_section)
