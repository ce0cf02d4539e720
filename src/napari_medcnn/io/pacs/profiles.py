"""A connection to a server, without its secrets: addresses, titles, certificates."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

from napari_medcnn.core.errors import MedcnnError

Login: TypeAlias = Literal["none", "password", "token"]
LOGINS: tuple[Login, ...] = ("none", "password", "token")

Retrieval: TypeAlias = Literal["get", "move"]
RETRIEVALS: tuple[Retrieval, ...] = ("get", "move")

DEFAULT_TIMEOUT_S = 30.0
DEFAULT_CALLING_AE = "MEDCNN"
MAX_AE_LENGTH = 16
"""DICOM PS3.5, value representation AE."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class ProfileError(MedcnnError):
    """A connection's description is impossible."""


@dataclass(frozen=True)
class WebProfile:
    """A server that speaks DICOMweb.

    Parameters
    ----------
    name : str
        The user's name for it: letters, digits, ``-`` and ``_``.
    url : str
        Base address, e.g. ``https://pacs.example.org/dicom-web``, without user or password.
    login : {"none", "password", "token"}
        How to log in: not at all, by user and password, or by a bearer token.
    user : str
        The user's name where `login` is ``"password"``.
    ca_file : str
        Certificates (PEM) to trust instead of the usual ones; the server's is always checked.
    client_certificate, client_key : str
        Our own certificate and key (PEM) where the server asks for one.
    timeout_s : float
        Longest wait for an answer, in seconds.
    """

    name: str
    url: str
    login: Login = "none"
    user: str = ""
    ca_file: str = ""
    client_certificate: str = ""
    client_key: str = ""
    timeout_s: float = DEFAULT_TIMEOUT_S

    def __post_init__(self) -> None:
        _check_common(self)
        _check_url(self.name, self.url)
        if self.login not in LOGINS:
            raise _wrong(self.name, f"there is no login {self.login!r}", ", ".join(LOGINS))
        if (self.login == "password") != bool(self.user):
            raise _wrong(self.name, "a user belongs to a login by password", "give both or neither")
        _check_printable(self.name, "user", self.user)

    @property
    def origin(self) -> str:
        """Scheme, host and port: whom a password is for."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def sends_secrets_in_the_clear(self) -> bool:
        """Whether a password or token would travel unencrypted beyond this machine."""
        parts = urlsplit(self.url)
        return self.login != "none" and parts.scheme == "http" and parts.hostname not in _LOOPBACK

    @property
    def address(self) -> str:
        """Where the server is, for people."""
        return self.url


@dataclass(frozen=True)
class DimseProfile:
    """A server that speaks DICOM's own network protocol.

    Parameters
    ----------
    name : str
        The user's name for it: letters, digits, ``-`` and ``_``.
    host, port
        The server's address.
    called_ae, calling_ae : str
        The server's AE title and ours, as they are configured in the server.
    retrieve : {"get", "move"}
        C-GET over our own connection, or C-MOVE: the server then connects to `listen_port` here.
    listen_port : int
        Where we wait for a C-MOVE's images.
    tls : bool
        Encrypt the connection; the server's certificate is always checked.
    ca_file, client_certificate, client_key : str
        As in :class:`WebProfile`.
    timeout_s : float
        Longest wait for an answer, in seconds.
    """

    name: str
    host: str
    port: int
    called_ae: str
    calling_ae: str = DEFAULT_CALLING_AE
    retrieve: Retrieval = "get"
    listen_port: int = 11113
    tls: bool = False
    ca_file: str = ""
    client_certificate: str = ""
    client_key: str = ""
    timeout_s: float = DEFAULT_TIMEOUT_S

    def __post_init__(self) -> None:
        _check_common(self)
        if not self.host or re.search(r"[\s/@]", self.host):
            raise _wrong(self.name, "this is no host", "a name or an IP address")
        for port in (self.port, self.listen_port):
            _check_port(self.name, port)
        for title in (self.called_ae, self.calling_ae):
            _check_ae_title(self.name, title)
        if self.retrieve not in RETRIEVALS:
            raise _wrong(self.name, f"there is no {self.retrieve!r}", ", ".join(RETRIEVALS))
        if self.ca_file and not self.tls:
            raise _wrong(self.name, "certificates need an encrypted connection", "turn TLS on")

    @property
    def address(self) -> str:
        """Where the server is, for people."""
        return f"{self.called_ae}@{self.host}:{self.port}"


Profile: TypeAlias = WebProfile | DimseProfile

_KINDS: dict[str, type[WebProfile] | type[DimseProfile]] = {
    "dicomweb": WebProfile,
    "dimse": DimseProfile,
}


def kind_of(profile: Profile) -> str:
    """``"dicomweb"`` or ``"dimse"``."""
    return "dicomweb" if isinstance(profile, WebProfile) else "dimse"


def to_json(profile: Profile) -> dict[str, Any]:
    """The profile as a JSON-able dict; there are no secrets in it."""
    return {"kind": kind_of(profile), **asdict(profile)}


def from_json(record: object) -> Profile:
    """The profile of a dict that :func:`to_json` made, checked anew.

    Raises
    ------
    ProfileError
        When a part is missing, unknown or impossible.
    """
    if not isinstance(record, dict) or record.get("kind") not in _KINDS:
        raise ProfileError("this is no connection of a known kind")
    kind = _KINDS[record["kind"]]
    values = {key: value for key, value in record.items() if key != "kind"}
    types = {field.name: type_of(str(field.type)) for field in fields(kind)}
    for key, value in values.items():
        if key not in types or not isinstance(value, types[key]):
            raise ProfileError("a connection's description has an impossible part")
    try:
        return kind(**values)
    except TypeError as error:
        raise ProfileError("a connection's description lacks a part") from error


def type_of(annotation: str) -> type | tuple[type, ...]:
    """The class of a value with this annotation in a profile."""
    simple: dict[str, type | tuple[type, ...]] = {
        "int": int,
        "bool": bool,
        "float": (int, float),
    }
    return simple.get(annotation, str)


def _check_common(profile: Profile) -> None:
    if not _NAME.fullmatch(profile.name):
        raise ProfileError(
            "this is no name for a connection", hint="letters, digits, - and _; at most 40"
        )
    if not 0 < profile.timeout_s <= 3600:
        raise _wrong(profile.name, f"{profile.timeout_s:g} s is no timeout", "1 to 3600 seconds")
    if profile.client_key and not profile.client_certificate:
        raise _wrong(profile.name, "a key needs its certificate", "give both")


def _check_url(name: str, url: str) -> None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _wrong(name, "this is no web address", "https://host/path") from error
    if parts.username is not None or parts.password is not None:
        # Told without the address: it holds a password.
        raise _wrong(
            name,
            "the address may not contain a user or password",
            "give the user apart; the password is asked for or kept in the keyring",
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _wrong(name, "this is no web address", "https://host/path")
    if parts.query or parts.fragment or re.search(r"[\s\\]", url):
        raise _wrong(name, "the address must end with its path", "no ? and no #")
    if port is not None:
        _check_port(name, port)


def _check_port(name: str, port: int) -> None:
    if not 1 <= port <= 65535:
        raise _wrong(name, f"{port} is no port", "1 to 65535")


def _check_ae_title(name: str, title: str) -> None:
    _check_printable(name, "AE title", title)
    if not title.strip() or len(title) > MAX_AE_LENGTH or "\\" in title:
        raise _wrong(name, "this is no AE title", f"1 to {MAX_AE_LENGTH} characters")


def _check_printable(name: str, what: str, text: str) -> None:
    if not text.isascii() or not text.isprintable():
        raise _wrong(name, f"the {what} has impossible characters", "plain letters and digits")


def _wrong(name: str, what: str, hint: str) -> ProfileError:
    return ProfileError(what, source=f"connection {name}", hint=hint)
