"""HTTP to a server: logging in, certificates, limits, cancelling, and what went wrong in words."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from requests.auth import AuthBase

from napari_medcnn.core.events import JobControl
from napari_medcnn.io.dicom.guarded import dicom_failures
from napari_medcnn.io.pacs.answer_limits import AnswerLimits, watch
from napari_medcnn.io.pacs.credentials import Credential
from napari_medcnn.io.pacs.errors import LoginRefused, PacsError
from napari_medcnn.io.pacs.profiles import WebProfile

CHUNK_BYTES = 1 << 18
"""How much is read at once; a cancel is obeyed between two chunks."""

_MAX_REDIRECTS = 3
_CONNECT_TIMEOUT_S = 10.0
_LOGIN_REFUSED = 401
_AUTHENTICATION = {
    _LOGIN_REFUSED: "the server does not let us in: user, password or token is wrong or missing",
    403: "the server lets us in and forbids this",
    407: "the proxy on the way asks for a login",
}


def keep_queries_out_of_logs() -> None:
    """Silence the libraries' debug lines: they hold addresses with patients' numbers."""
    for name in ("dicomweb_client", "urllib3.connectionpool"):
        logger = logging.getLogger(name)
        if logger.level < logging.INFO:
            logger.setLevel(logging.INFO)


class WatchedSession(requests.Session):
    """A session that logs in, obeys a cancel while data come, and ends at a limit.

    Parameters
    ----------
    profile : WebProfile
        Certificates.
    credential : Credential, optional
        The login.
    control : JobControl
        Looked at before each request and between chunks.
    limits : AnswerLimits
        How much of an answer is read.
    """

    def __init__(
        self,
        profile: WebProfile,
        credential: Credential | None,
        control: JobControl,
        limits: AnswerLimits,
    ) -> None:
        super().__init__()
        keep_queries_out_of_logs()
        self.max_redirects = _MAX_REDIRECTS
        self.auth = _Login(profile, credential)
        self._ca_file = profile.ca_file
        if profile.client_certificate:
            key = profile.client_key
            certificate = profile.client_certificate
            self.cert = (certificate, key) if key else certificate
        self._control = control
        self._limits = limits
        # Not after the request was sent: by then the bodies of redirects have been read.
        self.hooks["response"].append(self._watched)
        self._last: requests.Response | None = None

    def close(self) -> None:
        """Let go of the connection, whether its answer was read or not."""
        if self._last is not None:
            self._last.close()
        super().close()

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send a request and hand back its answer, watched while it is read."""
        self._control.checkpoint()
        # dicomweb-client leaves the port out of it; http.client knows better.
        request.headers.pop("Host", None)
        kwargs["stream"] = True
        if self._ca_file:
            # Told here: the environment's REQUESTS_CA_BUNDLE wins over a session's own.
            kwargs["verify"] = self._ca_file
        if self._last is not None:
            self._last.close()
        self._last = super().send(request, **kwargs)
        return self._last

    def _watched(self, response: requests.Response, **_: Any) -> None:
        watch(response, self._limits, self._control)


class _Login(AuthBase):
    """Puts the login into a request; without one, keeps requests from looking into ``.netrc``."""

    def __init__(self, profile: WebProfile, credential: Credential | None) -> None:
        self._is_token = profile.login == "token"
        self._credential = None if profile.login == "none" else credential

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._credential is None:
            return request
        if self._is_token:
            request.headers["Authorization"] = f"Bearer {self._credential.secret}"
            return request
        user = self._credential.user.encode()
        requests.auth.HTTPBasicAuth(user, self._credential.secret.encode())(request)
        return request


def timeouts(profile: WebProfile) -> tuple[float, float]:
    """Longest waits for a connection and for an answer, in seconds."""
    return min(_CONNECT_TIMEOUT_S, profile.timeout_s), profile.timeout_s


@contextmanager
def in_words(profile: WebProfile) -> Iterator[None]:
    """Turn what a library raises into a :class:`PacsError` that says what to do.

    The libraries' own errors hold addresses with patients' numbers; they are not passed on.
    """
    source = f"connection {profile.name}"
    try:
        yield
    except requests.RequestException as error:
        what, hint = _reason(error, profile)
        refused = isinstance(error, requests.HTTPError) and _status(error) == _LOGIN_REFUSED
        kind = LoginRefused if refused else PacsError
        raise kind(what, source=source, hint=hint) from None
    except OSError as error:
        # A certificate file that is not there, told by requests as a plain OSError.
        raise PacsError(f"{error.strerror or error}", source=source) from None
    except dicom_failures():
        raise PacsError(
            "the answer is not what a DICOMweb server sends",
            source=source,
            hint="check the address, e.g. that it ends with /dicom-web",
        ) from None


def _reason(error: requests.RequestException, profile: WebProfile) -> tuple[str, str | None]:
    if isinstance(error, requests.HTTPError):
        return _status_reason(_status(error))
    if isinstance(error, requests.exceptions.SSLError):
        return "the encrypted connection fails: the server's certificate is not trusted", (
            "name the certificate to trust in the connection's CA file"
        )
    if isinstance(error, requests.exceptions.ConnectTimeout | requests.exceptions.ReadTimeout):
        return f"no answer from {profile.origin} in time", "check host, port and firewall"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection was dropped before everything had come", "nothing was kept; retry"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy on the way does not answer", "check the proxy's settings"
    if isinstance(error, requests.exceptions.TooManyRedirects):
        return "the server sends us from address to address", "check the address"
    if isinstance(error, requests.exceptions.ConnectionError):
        return _connection_reason(str(error), profile)
    return "the answer is not what a DICOMweb server sends", "check the address"


def _status(error: requests.HTTPError) -> int:
    return 0 if error.response is None else error.response.status_code


def _connection_reason(text: str, profile: WebProfile) -> tuple[str, str | None]:
    # urllib3 tells these apart by text only.
    if "NameResolution" in text or "resolve" in text:
        return f"there is no host of this name: {profile.origin}", "check the address"
    if "Read timed out" in text:
        return f"no answer from {profile.origin} in time", "try again, or allow more time"
    if "RemoteDisconnected" in text or "Connection aborted" in text or "reset" in text:
        return "the connection was dropped before everything had come", "nothing was kept; retry"
    return f"nothing answers at {profile.origin}", "check host, port and firewall"


def _status_reason(status: int) -> tuple[str, str | None]:
    if status in _AUTHENTICATION:
        return _AUTHENTICATION[status], "check the connection's login"
    if status == 404:
        return "the server has nothing at this address (404)", (
            "check that the address ends with the server's DICOMweb path"
        )
    if status >= 500:
        return f"the server has a problem of its own ({status})", "ask who runs the server"
    return f"the server refuses the request ({status})", None
