"""Inline messages: what happened, to which file, and what can be done, without a dialog."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from napari.settings import get_settings
from napari.utils.theme import get_theme
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor, QContextMenuEvent, QPainter, QPaintEvent
from qtpy.QtWidgets import (
    QApplication,
    QFrame,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_medcnn.core.events import Failed
from napari_medcnn.core.volume import Finding, Severity

BAR_WIDTH = 4
MOST_NOTICES = 4
"""More would push everything else out of a dock; the oldest notes go first."""

_BREAK_AFTER = "/\\_-.,:"
_ZERO_WIDTH_SPACE = "\u200b"

Action = tuple[str, Callable[[], None]]
"""A button's text and what it does."""


class WrappedLabel(QLabel):
    """Text that wraps in a narrow dock, long paths included, and can be copied."""

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWordWrap(True)
        self.setMinimumWidth(1)
        policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.show_text(text)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:  # noqa: N802, D102 - Qt's name
        menu = QMenu(self)
        menu.addAction("Copy", self.copy)
        menu.exec(event.globalPos())

    def copy(self) -> None:
        """Copy the selected text or all of it, without the invisible places to break at.

        With them, a path that is pasted elsewhere names no file.
        """
        chosen = self.selectedText() or self.text()
        QApplication.clipboard().setText(chosen.replace(_ZERO_WIDTH_SPACE, ""))

    def show_text(self, text: str) -> None:
        """Show a text; it may break within a path."""
        self.setText(_breakable(text))
        if not text:
            self.hide()
        elif self.parent() is not None:  # without one, Qt would open a window
            self.show()


class Notice(QFrame):
    """One message with a coloured edge, buttons for what can be done, and a way to dismiss it."""

    dismissed = Signal()

    def __init__(
        self,
        severity: Severity,
        text: str,
        actions: Sequence[Action] = (),
        *,
        closable: bool = True,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.severity = severity
        self.text = text
        self.closable = closable
        label = WrappedLabel(text)
        label.setAccessibleName(f"{_WORDS[severity]}: {text}")
        top = QHBoxLayout()
        top.setContentsMargins(0, 0, 0, 0)
        head = QLabel(_WORDS[severity])
        font = head.font()
        font.setBold(True)
        head.setFont(font)
        top.addWidget(head, 1)
        if closable:
            close = QToolButton()
            close.setText("✕")
            close.setAutoRaise(True)
            close.setToolTip("Dismiss this message")
            close.clicked.connect(self.dismiss)
            top.addWidget(close)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(BAR_WIDTH + 6, 2, 2, 4)
        layout.setSpacing(2)
        layout.addLayout(top)
        layout.addWidget(label)
        if actions:
            layout.addLayout(_button_row(actions))

    def dismiss(self) -> None:
        """Take the message away."""
        self.dismissed.emit()
        self.hide()
        self.deleteLater()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802, D102 - Qt's name
        super().paintEvent(event)
        painter = QPainter(self)
        painter.fillRect(0, 0, BAR_WIDTH, self.height(), severity_colour(self.severity))
        painter.end()


class NoticeBoard(QWidget):
    """The messages of one widget, newest last; equal ones are shown once."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(4)
        self._notices: list[Notice] = []
        self.hide()

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What is shown now."""
        return tuple(self._notices)

    @property
    def texts(self) -> tuple[str, ...]:
        """The messages that are shown now."""
        return tuple(notice.text for notice in self._notices)

    def post(
        self,
        severity: Severity,
        text: str,
        actions: Sequence[Action] = (),
        *,
        closable: bool = True,
    ) -> Notice:
        """Show a message."""
        for notice in self._notices:
            if (notice.severity, notice.text) == (severity, text):
                notice.dismiss()
                break
        self._make_room()
        notice = Notice(severity, text, actions, closable=closable)
        notice.dismissed.connect(self._forget_sender)
        self._notices.append(notice)
        self._layout.addWidget(notice)
        self.show()
        return notice

    def post_failure(self, what: str, failed: Failed, actions: Sequence[Action] = ()) -> Notice:
        """Show that `what` failed and why; its traceback can be copied."""
        if failed.cancelled:
            return self.post(Severity.INFO, f"{what}: cancelled.", actions)
        copying = [("Copy details", _Copier(failed.details))] if failed.details else []
        return self.post(Severity.BLOCKING, f"{what}: {failed.text}", [*actions, *copying])

    def post_finding(self, finding: Finding) -> Notice:
        """Show what was noticed about an image."""
        return self.post(finding.severity, sentence(finding.text))

    def clear(self) -> None:
        """Take every message away."""
        for notice in self.notices:
            notice.dismiss()

    def clear_closable(self) -> None:
        """Take away what the user could dismiss; questions that wait for an answer stay."""
        for notice in self.notices:
            if notice.closable:
                notice.dismiss()

    def _make_room(self) -> None:
        closable = [notice for notice in self._notices if notice.closable]
        if len(self._notices) >= MOST_NOTICES and closable:
            notes = [notice for notice in closable if notice.severity is Severity.INFO]
            (notes or closable)[0].dismiss()

    def _forget_sender(self) -> None:
        self._notices = [n for n in self._notices if n is not self.sender()]
        self.setVisible(bool(self._notices))


class _Copier:
    """Puts a text on the clipboard when called."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __call__(self) -> None:
        QApplication.clipboard().setText(self._text)


_WORDS = {
    Severity.INFO: "Note",
    Severity.WARNING: "Warning",
    Severity.BLOCKING: "Problem",
}
_THEME_ROLES = {
    Severity.INFO: "current",
    Severity.WARNING: "warning",
    Severity.BLOCKING: "error",
}


def severity_word(severity: Severity) -> str:
    """How people call a severity."""
    return _WORDS[severity]


def severity_colour(severity: Severity) -> QColor:
    """The colour of a severity in napari's theme."""
    theme = get_theme(get_settings().appearance.theme)
    return QColor(*getattr(theme, _THEME_ROLES[severity]).as_rgb_tuple()[:3])


def sentence(text: str) -> str:
    """The text with a capital and a full stop."""
    text = text.strip()
    if not text:
        return text
    end = "" if text[-1] in ".!?)" else "."
    return text[0].upper() + text[1:] + end


def _breakable(text: str) -> str:
    """The text with places to break long words such as paths at; short words stay as they are."""
    return re.sub(r"\S+", lambda word: _breakable_word(word[0]), text)


def _breakable_word(word: str) -> str:
    if len(word) < 20:
        return word
    if len(word) >= 40 and word.isalnum():  # a check sum
        return _ZERO_WIDTH_SPACE.join(word[n : n + 8] for n in range(0, len(word), 8))
    return "".join(c + _ZERO_WIDTH_SPACE if c in _BREAK_AFTER else c for c in word)


def _button_row(actions: Sequence[Action]) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setContentsMargins(0, 2, 0, 0)
    for text, act in actions:
        button = QPushButton(text)
        button.clicked.connect(_WithoutArguments(act))
        row.addWidget(button)
    row.addStretch(1)
    return row


class _WithoutArguments:
    """Calls a function without the `checked` that Qt's buttons send."""

    def __init__(self, function: Callable[[], None]) -> None:
        self._function = function

    def __call__(self, *_: object) -> None:
        self._function()
