"""Choose, enter, change and remove PACS connections."""

from __future__ import annotations

from functools import partial

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QMenu, QPushButton, QVBoxLayout, QWidget

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.gui.notices import sentence
from napari_medcnn.gui.pacs_profile_form import PacsProfileForm
from napari_medcnn.io.pacs.credentials import forget_in_keyring
from napari_medcnn.io.pacs.profile_store import load_profiles, remove_profile
from napari_medcnn.io.pacs.profiles import Profile


class PacsProfileRow(QWidget):
    """The list of connections with its buttons, and the form below while one is edited.

    Attributes
    ----------
    changed : Signal
        Another connection is chosen, or this one was changed.
    editing : Signal
        Whether the form shows.
    test_asked : Signal
        The user wants to know whether the server answers.
    failed : Signal
        A sentence: the list could not be read or written.
    """

    changed = Signal()
    editing = Signal(bool)
    test_asked = Signal()
    failed = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.list = QComboBox()
        self.new = QPushButton("New")
        self.more = QPushButton("More")
        self.form = PacsProfileForm()
        self._lay_out()
        self.list.currentIndexChanged.connect(self.changed)
        self.new.clicked.connect(partial(self.edit, None))
        self.form.saved.connect(self.refresh)
        self.form.closed.connect(partial(self._show_form, False))

    @property
    def profile(self) -> Profile | None:
        """The connection that is chosen."""
        return self.list.currentData()

    def refresh(self, chosen: str = "") -> None:
        """Read the list anew and choose one, the same as before by default."""
        chosen = chosen or (self.profile.name if self.profile else "")
        try:
            known: tuple[Profile, ...] = load_profiles()
        except MedcnnError as error:
            self.failed.emit(sentence(str(error)))
            known = ()
        self.list.blockSignals(True)
        self.list.clear()
        for number, profile in enumerate(known):
            self.list.addItem(profile.name, profile)
            self.list.setItemData(number, profile.address, Qt.ItemDataRole.ToolTipRole)
        self.list.setCurrentIndex(max(self.list.findText(chosen), 0) if known else -1)
        self.list.blockSignals(False)
        self.changed.emit()

    def edit(self, profile: Profile | None) -> None:
        """Show the form for a connection, or for a new one."""
        self.form.edit(profile)
        self._show_form(True)

    def edit_chosen(self) -> None:
        """Show the form for the connection that is chosen."""
        self.edit(self.profile)

    def remove(self) -> None:
        """Remove the connection that is chosen, and its secret from the keyring."""
        profile = self.profile
        if profile is None:
            return
        try:
            remove_profile(profile.name)
            forget_in_keyring(profile)
        except MedcnnError as error:
            self.failed.emit(sentence(str(error)))
        self.refresh()

    def set_busy(self, busy: bool) -> None:
        """Let nothing be changed while a job runs."""
        self.setEnabled(not busy)
        for action in self._of_profile:
            action.setEnabled(self.profile is not None)

    def _show_form(self, shown: bool) -> None:
        self.form.setVisible(shown)
        for widget in (self.list, self.new, self.more):
            widget.setEnabled(not shown)
        self.editing.emit(shown)

    def _lay_out(self) -> None:
        self.list.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.list.setAccessibleName("PACS connection")
        self.list.setToolTip("The server to work with")
        self.new.setToolTip("Enter another server")
        self.more.setToolTip("Test, change or remove this connection")
        menu = QMenu(self.more)
        self._of_profile = (
            menu.addAction("Test connection", self.test_asked.emit),
            menu.addAction("Edit …", self.edit_chosen),
            menu.addAction("Remove", self.remove),
        )
        self.more.setMenu(menu)
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.list, 1)
        row.addWidget(self.new)
        row.addWidget(self.more)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(row)
        layout.addWidget(self.form)
        self.form.hide()
