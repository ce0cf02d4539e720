"""Is the registration right? Its figures and warnings in words, and ways to look at it."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from napari_medcnn.core.registration import RegistrationQuality
from napari_medcnn.core.volume import Severity
from napari_medcnn.gui.followup_layers import FollowUpLayers, Look
from napari_medcnn.gui.notices import Notice, WrappedLabel, sentence

LOOKS: tuple[tuple[str, Look], ...] = (
    ("Checkerboard", Look.CHECKERBOARD),
    ("Swipe", Look.SWIPE),
    ("Follow-up", Look.FOLLOW_UP),
    ("Baseline", Look.BASELINE),
)
SWIPE_STEPS = 200
LOOKS_WRONG = (
    "This registration looks wrong. Nothing is compared by it unless you looked at it and say so."
)
LOOK_FIRST = "Nothing speaks against it. Look at it all the same before you compare."


class FollowUpCheckPanel(QWidget):
    """Shows a registration before it is used.

    Parameters
    ----------
    layers : FollowUpLayers
        Those of the pair.

    Attributes
    ----------
    accepted : Signal
        The user takes a registration that looks wrong.
    panes_asked : Signal
        The user wants both images side by side.
    """

    accepted = Signal()
    panes_asked = Signal()

    def __init__(self, layers: FollowUpLayers, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._layers = layers
        self._quality: RegistrationQuality | None = None
        self._taken = False
        self.figures = WrappedLabel(parent=self)
        self.verdict = WrappedLabel(parent=self)
        self.look = QComboBox()
        self.swipe = QSlider(Qt.Orientation.Horizontal)
        self.sides = QLabel("baseline  |  follow-up")
        self.panes = QPushButton("Side by side")
        self._warnings: Notice | None = None
        self._lay_out()
        self.look.currentIndexChanged.connect(self._show)
        self.swipe.valueChanged.connect(self._show)
        self.panes.clicked.connect(self.panes_asked)

    @property
    def is_accepted(self) -> bool:
        """Whether the registration may be used: it is plausible, or the user said so."""
        return self._quality is not None and (self._quality.plausible or self._taken)

    def show_quality(self, quality: RegistrationQuality) -> None:
        """Show what is known of a new registration, and begin with a checkerboard."""
        self._quality, self._taken = quality, False
        self.figures.show_text(figures_text(quality))
        self._show_verdict(quality)
        with QSignalBlocker(self.look), QSignalBlocker(self.swipe):
            self.look.setCurrentIndex(0)
            self.swipe.setValue(SWIPE_STEPS // 2)
        self._show()

    def forget(self) -> None:
        """There is no registration any more."""
        self._quality, self._taken = None, False

    def accept(self) -> None:
        """Take the registration although it looks wrong."""
        self._taken = True
        self.verdict.show_text("It looks wrong, and is used because you said so.")
        self.accepted.emit()

    # ------------------------------------------------------------------------------------------

    def _show_verdict(self, quality: RegistrationQuality) -> None:
        if self._warnings is not None:
            self._warnings.dismiss()
            self._warnings = None
        self.verdict.show_text("" if quality.warnings else LOOK_FIRST)
        if not quality.warnings:
            return
        lines = [sentence(text) for text in quality.warnings]
        actions = [] if quality.plausible else [("I have looked: use it", self.accept)]
        severity = Severity.WARNING if quality.plausible else Severity.BLOCKING
        text = "\n".join(lines if quality.plausible else [LOOKS_WRONG, *lines])
        self._warnings = Notice(severity, text, actions, closable=False)
        self._layout.insertWidget(1, self._warnings)

    def _show(self) -> None:
        look = Look(self.look.currentData())  # Qt hands back a plain str
        self._swipe_row.setVisible(look is Look.SWIPE)
        self._layers.look(look, self.swipe.value() / SWIPE_STEPS)

    def _lay_out(self) -> None:
        for text, look in LOOKS:
            self.look.addItem(text, look)
        self.look.setToolTip("What the main view shows of both images")
        self.look.setAccessibleName("Look at the registration")
        self.swipe.setRange(0, SWIPE_STEPS)
        self.swipe.setToolTip("Where the baseline ends and the follow-up begins")
        self.swipe.setAccessibleName("Swipe between baseline and follow-up")
        self.sides.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.panes.setToolTip("Both images beside each other under one crosshair")
        row = QHBoxLayout()
        row.addWidget(self.look, 1)
        row.addWidget(self.panes)
        self._swipe_row = QWidget()
        below = QVBoxLayout(self._swipe_row)
        below.setContentsMargins(0, 0, 0, 0)
        below.setSpacing(0)
        below.addWidget(self.swipe)
        below.addWidget(self.sides)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(4)
        for widget in (self.figures, self.verdict):
            self._layout.addWidget(widget)
        self._layout.addLayout(row)
        self._layout.addWidget(self._swipe_row)


def figures_text(quality: RegistrationQuality) -> str:
    """The figures of a registration in words."""
    lines = [
        f"Moved by {quality.shift_mm:.1f} mm, turned by {quality.rotation_deg:.1f}°.",
        f"The outlines overlap by {quality.overlap:.0%} (Dice).",
    ]
    before, after = quality.similarity_before, quality.similarity_after
    if after is None:
        lines.append("The images hardly show the same region: their likeness is not known.")
    else:
        was = "" if before is None else f"; by the files' own positions {before:.3f}"
        lines.append(f"Likeness {after:.3f}{was} (mutual information, from 1 to 2).")
    if quality.landmark_error_mm is not None:
        lines.append(f"Landmarks are {quality.landmark_error_mm:.1f} mm apart.")
    return "\n".join(lines)
