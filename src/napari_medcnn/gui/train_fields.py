"""Fields of a training job as widgets: each shows a value, gives it back, and tells of an edit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QLineEdit, QSizePolicy, QSpinBox

from napari_medcnn.core.errors import MedcnnError

WORDS = {
    "cross_entropy": "cross-entropy",
    "dice_ce": "Dice + cross-entropy",
    "dice_focal": "Dice + focal",
    "tversky": "Tversky",
    "sgd": "SGD",
    "adam": "Adam",
    "adamw": "AdamW",
    "ct": "CT (clipped, z-score)",
    "z_score": "z-score",
    "z_score_nonzero": "z-score of what is not 0",
    "cpu": "CPU",
    "cuda": "CUDA",
    "mps": "MPS",
    "fp32": "full",
    "amp": "mixed",
}
"""Choices that people write otherwise than programs."""


class ChoiceField(QComboBox):
    """One of several words."""

    edited = Signal()

    def __init__(self, choices: Sequence[str]) -> None:
        super().__init__()
        self.setMinimumContentsLength(5)
        self.setMinimumWidth(70)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.show_choices(choices)
        self.activated.connect(self.edited)

    def show_choices(self, choices: Sequence[str]) -> None:
        """Offer other words; the chosen one stays if it is among them."""
        before = self.value
        with QSignalBlocker(self):
            self.clear()
            for choice in choices:
                self.addItem(WORDS.get(choice, choice.replace("_", " ")), choice)
            self.show_value(before)

    @property
    def value(self) -> Any:
        """The chosen word."""
        return self.currentData()

    def show_value(self, value: Any) -> None:
        """Choose a word."""
        self.setCurrentIndex(max(self.findData(value), 0))


class CountField(QSpinBox):
    """A whole number; `nothing` is said for 0 and stands for None."""

    edited = Signal()

    def __init__(self, low: int, high: int, nothing: str = "") -> None:
        super().__init__()
        self._nothing = nothing
        self.setMinimumWidth(60)
        self.setRange(0 if nothing else low, high)
        self.setSpecialValueText(nothing)
        self.setKeyboardTracking(False)
        self.valueChanged.connect(self.edited)

    @property
    def value(self) -> int | None:
        """The number."""
        number = QSpinBox.value(self)
        return None if self._nothing and not number else number

    def show_value(self, value: int | None) -> None:
        """Show a number without calling that an edit."""
        with QSignalBlocker(self):
            self.setValue(value or 0)


class TickField(QCheckBox):
    """Yes or no."""

    edited = Signal()

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.setMinimumWidth(1)
        self.clicked.connect(self.edited)

    @property
    def value(self) -> bool:
        """Whether it is ticked."""
        return self.isChecked()

    def show_value(self, value: bool) -> None:
        """Tick it or not."""
        self.setChecked(bool(value))


class MirrorField(TickField):
    """Whether left and right may change places; the other axes stay as they were."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._others: tuple[int, ...] = ()

    @property
    def value(self) -> tuple[int, ...]:  # type: ignore[override]
        """The axes of ``(z, y, x)``."""
        return (*self._others, *((2,) if self.isChecked() else ()))

    def show_value(self, value: Sequence[int]) -> None:  # type: ignore[override]
        """Show the axes."""
        self._others = tuple(axis for axis in value if axis != 2)
        self.setChecked(2 in value)


class NumbersField(QLineEdit):
    """Numbers with spaces between them.

    Parameters
    ----------
    title : str
        What errors call it.
    count : int, optional
        How many; None for as many as there are.
    kind : type
        Whole numbers or others.
    nothing : str
        What an empty field says; it stands for None then. Without it, there must be numbers.
    zero : bool
        Whether 0 is a number like others.
    """

    edited = Signal()

    def __init__(
        self,
        title: str,
        count: int | None,
        kind: type[int] | type[float],
        *,
        nothing: str = "",
        zero: bool = False,
    ) -> None:
        super().__init__()
        self._title, self._count, self._kind, self._zero = title, count, kind, zero
        self._nothing = nothing
        self.setPlaceholderText(nothing)
        self.editingFinished.connect(self._on_finished)
        self._shown = ""

    @property
    def value(self) -> Any:
        """The number, or as many as there are.

        Raises
        ------
        MedcnnError
            When it is something else.
        """
        text = self.text().replace(",", " ").replace("×", " ").strip()
        if not text and self._nothing:
            return None
        try:
            numbers = tuple(self._kind(part) for part in text.split())
        except ValueError:
            numbers = ()
        if not self._are_right(numbers):
            what = "a number" if self._count == 1 else f"{self._count or ''} numbers".strip()
            bound = "of 0 or more" if self._zero else "above 0"
            raise MedcnnError(f"{self._title}: {self.text()!r} is not {what} {bound}")
        return numbers[0] if self._count == 1 else numbers

    def _are_right(self, numbers: Sequence[float]) -> bool:
        if not numbers or (self._count is not None and len(numbers) != self._count):
            return False
        return all(n > 0 or (self._zero and n == 0) for n in numbers)

    def show_value(self, value: Any) -> None:
        """Show numbers."""
        if value is None:
            shown = ""
        else:
            shown = " ".join(f"{n:g}" for n in ((value,) if self._count == 1 else value))
        self._shown = shown
        self.setText(shown)

    def _on_finished(self) -> None:
        if self.text() != self._shown:
            self._shown = self.text()
            self.edited.emit()
