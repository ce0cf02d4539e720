"""Edit a PACS connection: its address, how to log in, certificates; never a password."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.gui.collapsible import Section
from napari_medcnn.gui.notices import WrappedLabel, sentence
from napari_medcnn.io.pacs.profile_store import save_profile
from napari_medcnn.io.pacs.profiles import (
    DEFAULT_CALLING_AE,
    DEFAULT_TIMEOUT_S,
    Profile,
    from_json,
    to_json,
)

_KINDS = {"dicomweb": "DICOMweb", "dimse": "DICOM (DIMSE)"}
_LOGINS = {"none": "No login", "password": "User and password", "token": "Token"}
_RETRIEVALS = {"get": "C-GET", "move": "C-MOVE"}


class PacsProfileForm(QWidget):
    """A view of a profile; the profile itself checks what is typed.

    Attributes
    ----------
    saved : Signal
        The name of the connection that was saved.
    closed : Signal
        The user is done, with or without saving.
    """

    saved = Signal(str)
    closed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._replacing: str | None = None
        self.name = _line("clinic")
        self.kind = _combo(_KINDS)
        self.url = _line("https://pacs.example.org/dicom-web")
        self.login = _combo(_LOGINS)
        self.user = _line()
        self.host = _line("pacs.example.org")
        self.port = _port(104)
        self.called_ae = _line("PACS")
        self.calling_ae = _line()
        self.retrieve = _combo(_RETRIEVALS)
        self.listen_port = _port(11113)
        self.tls = QCheckBox("Encrypt (TLS)")
        self.ca_file, self.client_certificate, self.client_key = (_line("*.pem") for _ in range(3))
        self.timeout = QSpinBox()
        self.timeout.setRange(1, 3600)
        self.timeout.setSuffix(" s")
        self.problem = WrappedLabel()
        self.save = QPushButton("Save connection")
        self.cancel = QPushButton("Cancel")
        self._lay_out()
        self.kind.currentIndexChanged.connect(self._show_kind)
        self.login.currentIndexChanged.connect(self._show_kind)
        self.retrieve.currentIndexChanged.connect(self._show_kind)
        self.save.clicked.connect(self._save)
        self.cancel.clicked.connect(self.closed)
        self.edit(None)

    def edit(self, profile: Profile | None) -> None:
        """Show a profile to change, or an empty form for a new one."""
        self._replacing = None if profile is None else profile.name
        record = {} if profile is None else to_json(profile)
        _choose(self.kind, record.get("kind", "dicomweb"))
        _choose(self.login, record.get("login", "none"))
        _choose(self.retrieve, record.get("retrieve", "get"))
        for key in ("name", "url", "user", "host", "called_ae", *_CERTIFICATES):
            getattr(self, key).setText(record.get(key, ""))
        self.calling_ae.setText(record.get("calling_ae", DEFAULT_CALLING_AE))
        self.port.setValue(record.get("port", 104))
        self.listen_port.setValue(record.get("listen_port", 11113))
        self.tls.setChecked(record.get("tls", False))
        self.timeout.setValue(round(record.get("timeout_s", DEFAULT_TIMEOUT_S)))
        self.certificates.set_open(any(record.get(key) for key in _CERTIFICATES))
        self.problem.show_text("")
        self._show_kind()

    def record(self) -> dict[str, Any]:
        """What is typed, as :func:`~napari_medcnn.io.pacs.profiles.from_json` takes it."""
        kind = self.kind.currentData()
        common = {
            "kind": kind,
            "name": self.name.text().strip(),
            "timeout_s": float(self.timeout.value()),
            **{key: getattr(self, key).text().strip() for key in _CERTIFICATES},
        }
        if kind == "dicomweb":
            login = self.login.currentData()
            user = self.user.text().strip() if login == "password" else ""
            return {**common, "url": self.url.text().strip(), "login": login, "user": user}
        return {
            **common,
            "host": self.host.text().strip(),
            "port": self.port.value(),
            "called_ae": self.called_ae.text().strip(),
            "calling_ae": self.calling_ae.text().strip(),
            "retrieve": self.retrieve.currentData(),
            "listen_port": self.listen_port.value(),
            "tls": self.tls.isChecked(),
        }

    def _save(self) -> None:
        try:
            profile = from_json(self.record())
            save_profile(profile, replacing=self._replacing)
        except MedcnnError as error:
            self.problem.show_text(sentence(str(error)))
            return
        self.saved.emit(profile.name)
        self.closed.emit()

    def _show_kind(self) -> None:
        is_web = self.kind.currentData() == "dicomweb"
        self._web.setVisible(is_web)
        self._dimse.setVisible(not is_web)
        _show_row(self._web_rows, self.user, self.login.currentData() == "password")
        _show_row(self._dimse_rows, self.listen_port, self.retrieve.currentData() == "move")

    def _lay_out(self) -> None:
        self._web_rows = _form((("Address", self.url), ("Login", self.login), ("User", self.user)))
        self._dimse_rows = _form(
            (
                ("Host", self.host),
                ("Port", self.port),
                ("Its AE title", self.called_ae),
                ("Our AE title", self.calling_ae),
                ("Retrieve by", self.retrieve),
                ("Listen on", self.listen_port),
                ("", self.tls),
            ),
        )
        more = _form(
            (
                ("CA file", self.ca_file),
                ("Our certificate", self.client_certificate),
                ("Its key", self.client_key),
                ("Timeout", self.timeout),
            ),
        )
        self.certificates = Section("Certificates and timeout", _with(more))
        self._web, self._dimse = _with(self._web_rows), _with(self._dimse_rows)
        self.url.setToolTip("The server's DICOMweb address, without user and password")
        self.user.setToolTip("The password is asked for, or kept in the system's keyring")
        self.called_ae.setToolTip("The server's AE title")
        self.calling_ae.setToolTip("As it is entered in the server")
        self.listen_port.setToolTip("Images of a C-MOVE come to this port of this computer")
        buttons = QHBoxLayout()
        buttons.addWidget(self.save, 1)
        buttons.addWidget(self.cancel)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(4)
        outer.addLayout(_form((("Name", self.name), ("Protocol", self.kind))))
        for widget in (self._web, self._dimse, self.certificates, self.problem):
            outer.addWidget(widget)
        outer.addLayout(buttons)
        outer.addStretch(1)


_CERTIFICATES = ("ca_file", "client_certificate", "client_key")


def _form(rows: tuple[tuple[str, QWidget], ...]) -> QFormLayout:
    form = QFormLayout()
    form.setContentsMargins(0, 0, 0, 0)
    form.setSpacing(4)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    for title, field in rows:
        form.addRow(title, field)
        if title:
            field.setAccessibleName(title)
    return form


def _with(layout: QFormLayout) -> QWidget:
    widget = QWidget()
    widget.setLayout(layout)
    return widget


def _show_row(form: QFormLayout, field: QWidget, visible: bool) -> None:
    field.setVisible(visible)
    form.labelForField(field).setVisible(visible)


def _line(example: str = "") -> QLineEdit:
    line = QLineEdit()
    line.setPlaceholderText(example)
    line.setMinimumWidth(60)
    return line


def _port(value: int) -> QSpinBox:
    box = QSpinBox()
    box.setRange(1, 65535)
    box.setValue(value)
    return box


def _combo(items: dict[str, str]) -> QComboBox:
    combo = QComboBox()
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(8)
    for key, text in items.items():
        combo.addItem(text, key)
    return combo


def _choose(combo: QComboBox, key: str) -> None:
    combo.setCurrentIndex(max(combo.findData(key), 0))
