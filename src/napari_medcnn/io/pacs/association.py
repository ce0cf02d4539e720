"""One DICOM association: opened, watched while it waits, and its failures in words."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from pydicom import Dataset
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext

from napari_medcnn.core.events import JobControl
from napari_medcnn.io.pacs.errors import PacsError
from napari_medcnn.io.pacs.profiles import DimseProfile

CONNECT_TIMEOUT_S = 10.0

GOODBYE_S = 3.0
"""Longest wait for a server to take note that we leave."""

MAX_PDU_BYTES = 1 << 17
"""Largest piece that a server may send at once."""

# The library logs whole queries and answers, patients included, unless told otherwise.
_config.LOG_REQUEST_IDENTIFIERS = False
_config.LOG_RESPONSE_IDENTIFIERS = False

_LOOK_S = 0.2
_WRONG_CALLED_AE = 7
_WRONG_CALLING_AE = 3


class Watch:
    """Ends an association that falls silent, sends too much, or whose job is cancelled.

    pynetdicom waits for whole messages: a large image takes longer than any sensible timeout, and
    a cancel would wait as long. So a thread looks at the bytes instead.
    """

    def __init__(
        self, association: Association, control: JobControl, timeout_s: float, most_bytes: int
    ) -> None:
        self._association = association
        self._control = control
        self._timeout_s = timeout_s
        self._most_bytes = most_bytes
        self._n_bytes = 0
        self._last = time.monotonic()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, name="medcnn-pacs-watch", daemon=True)
        self.problem: str | None = None
        association.bind(evt.EVT_DATA_RECV, self.saw)
        association.bind(evt.EVT_DATA_SENT, self.saw)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._end.set()
        self._thread.join()

    def saw(self, event: evt.Event) -> None:
        """Note that data went by; bind it to every association that belongs to the job."""
        self._last = time.monotonic()
        self._n_bytes += len(event.data)

    def dropped(self, profile: DimseProfile) -> PacsError:
        """Why the association ended before its time; raises ``Cancelled`` if that is why."""
        self._control.checkpoint()
        what = self.problem or "the connection was dropped before everything had come"
        return PacsError(
            what,
            source=f"connection {profile.name}",
            hint="nothing was kept; retry, and check our AE title's rights in the server",
        )

    def _look(self) -> None:
        while not self._end.wait(_LOOK_S):
            if self._control.is_paused:
                self._last = time.monotonic()
            elif time.monotonic() - self._last > self._timeout_s:
                self.problem = f"no answer came for {self._timeout_s:g} s"
            elif self._n_bytes > self._most_bytes:
                self.problem = "the server sends far more than it should"
            if self.problem or self._control.is_cancelled:
                _cut(self._association)
                return


@contextmanager
def associated(
    profile: DimseProfile,
    contexts: Sequence[PresentationContext],
    control: JobControl,
    most_bytes: int,
    *,
    roles: Sequence[Any] = (),
    handlers: Sequence[Any] = (),
) -> Iterator[tuple[Association, Watch]]:
    """An open association with its watch; released at the end, aborted after an error.

    Raises
    ------
    PacsError
        When the server cannot be reached, refuses us, or offers none of the contexts.
    """
    control.checkpoint()
    _check_reachable(profile)
    ours = AE(ae_title=profile.calling_ae)
    ours.connection_timeout = min(CONNECT_TIMEOUT_S, profile.timeout_s)
    ours.acse_timeout = ours.network_timeout = profile.timeout_s
    ours.dimse_timeout = None  # the watch ends what takes too long
    association = ours.associate(
        profile.host,
        profile.port,
        contexts=list(contexts),
        ae_title=profile.called_ae,
        max_pdu=MAX_PDU_BYTES,
        ext_neg=list(roles),
        tls_args=(client_tls(profile), profile.host) if profile.tls else None,
        evt_handlers=[(evt.EVT_CONN_OPEN, _send_at_once), *handlers],
    )
    if not association.is_established:
        _close(association)
        raise _refusal(profile, association)
    watch = Watch(association, control, profile.timeout_s, most_bytes)
    watch.start()
    association.acse_timeout = min(GOODBYE_S, profile.timeout_s)
    try:
        yield association, watch
        watch.stop()
        association.release()
    except RuntimeError:
        # What the library raises when it is asked something after the association has ended.
        if association.is_established:
            raise
        raise watch.dropped(profile) from None
    finally:
        watch.stop()
        if association.is_established:
            association.abort()
        _close(association)


def checked_status(
    profile: DimseProfile, status: Dataset, watch: Watch, what: str, good: Sequence[int] = (0,)
) -> int:
    """The status of a server's answer.

    Raises
    ------
    PacsError
        When there is none because the connection ended, or it is a failure.
    """
    if "Status" not in status:
        raise watch.dropped(profile)
    code = int(status.Status)
    if code not in good:
        # Its comment is not repeated: some servers quote the patient there.
        raise PacsError(
            f"the server could not {what} (status {code:04X}H)",
            source=f"connection {profile.name}",
            hint=_status_hint(code),
        )
    return code


def client_tls(profile: DimseProfile) -> ssl.SSLContext:
    """Encryption towards the server, whose certificate is checked."""
    try:
        context = ssl.create_default_context(cafile=profile.ca_file or None)
        if profile.client_certificate:
            context.load_cert_chain(profile.client_certificate, profile.client_key or None)
    except (OSError, ssl.SSLError) as error:
        raise _unreadable_certificates(profile) from error
    return context


def server_tls(profile: DimseProfile) -> ssl.SSLContext:
    """Encryption of what the server sends us by C-MOVE, with our own certificate."""
    if not profile.client_certificate:
        raise PacsError(
            "receiving encrypted images by C-MOVE needs a certificate of our own",
            source=f"connection {profile.name}",
            hint="name a client certificate and key, or use C-GET",
        )
    try:
        purpose = ssl.Purpose.CLIENT_AUTH
        context = ssl.create_default_context(purpose, cafile=profile.ca_file or None)
        context.load_cert_chain(profile.client_certificate, profile.client_key or None)
    except (OSError, ssl.SSLError) as error:
        raise _unreadable_certificates(profile) from error
    # Who sends must prove to be one whom the CA file vouches for.
    if profile.ca_file:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _unreadable_certificates(profile: DimseProfile) -> PacsError:
    return PacsError(
        "the certificates cannot be read",
        source=f"connection {profile.name}",
        hint="PEM files: CA file, client certificate, client key",
    )


def _send_at_once(event: evt.Event) -> None:
    # Each message goes out in several small pieces, and each would wait for the last one's
    # acknowledgement: 40 ms an image.
    opened = event.assoc.dul.socket
    if opened is not None and opened.socket is not None:
        opened.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _cut(association: Association) -> None:
    """End an association from another thread: as if the server had hung up, which wakes all."""
    opened = association.dul.socket
    if opened is not None and opened.socket is not None:
        with suppress(OSError):
            opened.socket.shutdown(socket.SHUT_RDWR)


def _close(association: Association) -> None:
    """Close the socket, which the library leaves to the garbage collector after a refusal."""
    opened = association.dul.socket
    if opened is not None and opened.socket is not None:
        opened.socket.close()


def _check_reachable(profile: DimseProfile) -> None:
    """Open and close a plain connection: pynetdicom doesn't tell why its own fails."""
    hint = "check host, port and firewall"
    try:
        timeout_s = min(CONNECT_TIMEOUT_S, profile.timeout_s)
        socket.create_connection((profile.host, profile.port), timeout_s).close()
    except (socket.gaierror, UnicodeError):
        what, hint = f"there is no host of this name: {profile.host}", "check the address"
    except TimeoutError:
        what = f"no answer from {profile.host}:{profile.port} in time"
    except OSError:
        what = f"nothing answers at {profile.host}:{profile.port}"
    else:
        return
    raise PacsError(what, source=f"connection {profile.name}", hint=hint)


def _refusal(profile: DimseProfile, association: Association) -> PacsError:
    what, hint = _refusal_reason(profile, association)
    return PacsError(what, source=f"connection {profile.name}", hint=hint)


def _refusal_reason(profile: DimseProfile, association: Association) -> tuple[str, str]:
    if association.is_rejected:
        answer = association.acceptor.primitive
        diagnostic = None if answer is None else answer.diagnostic
        if diagnostic == _WRONG_CALLED_AE:
            return f"the server is not called {profile.called_ae}", "check the server's AE title"
        if diagnostic == _WRONG_CALLING_AE:
            return f"the server does not know {profile.calling_ae}", (
                "check our AE title, or have it entered in the server"
            )
        return "the server rejects the association", "check both AE titles"
    if association.rejected_contexts:
        return "the server does not offer this service to us", (
            "check both AE titles and our rights in the server"
        )
    if profile.tls:
        return "the encrypted connection fails", "check the certificates, and that it is a TLS port"
    return "the connection was dropped while it was opened", (
        "check port, AE titles and whether the server wants TLS"
    )


def _status_hint(code: int) -> str | None:
    if code == 0xA801:
        return "enter our AE title, host and listening port in the server"
    if code in (0xA700, 0xA701, 0xA702):
        return "the server has no resources left"
    if code == 0x0124:
        return "our AE title lacks the right for this in the server"
    return None
