"""Ask for a connection's password or token, inline; it is kept only where the user wants it."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from napari_medcnn.gui.notices import WrappedLabel
from napari_medcnn.io.pacs.credentials import keyring_works
from napari_medcnn.io.pacs.profiles import WebProfile


class PacsSecretRow(QWidget):
    """Hidden until :meth:`ask`.

    Attributes
    ----------
    given : Signal
        The secret, and whether to keep it in the keyring.
    """

    given = Signal(str, bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.question = WrappedLabel(parent=self)
        self.line = QLineEdit()
        self.line.setEchoMode(QLineEdit.EchoMode.Password)
        self.keep = QCheckBox("Keep in the system's keyring")
        self.go_on = QPushButton("Log in")
        self.cancel = QPushButton("Cancel")
        row = QHBoxLayout()
        row.addWidget(self.go_on, 1)
        row.addWidget(self.cancel)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for widget in (self.question, self.line, self.keep):
            layout.addWidget(widget)
        layout.addLayout(row)
        self.line.returnPressed.connect(self._give)
        self.go_on.clicked.connect(self._give)
        self.cancel.clicked.connect(self.close_row)
        self.hide()

    def ask(self, profile: WebProfile) -> None:
        """Ask for the secret of a connection."""
        what = "Token" if profile.login == "token" else f"Password of {profile.user}"
        self.question.show_text(f"{what} for {profile.origin}")
        self.line.setAccessibleName(what)
        works = keyring_works()
        self.keep.setVisible(works)
        self.keep.setChecked(False)
        self.show()
        self.line.setFocus()

    def close_row(self) -> None:
        """Forget what was typed, and hide."""
        self.line.clear()
        self.hide()

    def _give(self) -> None:
        secret, keep = self.line.text(), self.keep.isChecked()
        if secret:
            self.close_row()
            self.given.emit(secret, keep)
