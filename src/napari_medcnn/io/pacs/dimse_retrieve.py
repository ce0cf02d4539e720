"""Fetch a series over DICOM's own protocol: C-GET, or C-MOVE to a receiver of our own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pydicom import Dataset
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.events import Job, JobControl, Progress
from napari_medcnn.io.pacs.association import Watch, associated, checked_status, server_tls
from napari_medcnn.io.pacs.download import MAX_SERIES_BYTES, Download
from napari_medcnn.io.pacs.errors import PacsError
from napari_medcnn.io.pacs.profiles import DimseProfile
from napari_medcnn.io.pacs.query import SeriesKey

TRANSFER_SYNTAXES = (
    "1.2.840.10008.1.2.1",  # explicit VR little endian
    "1.2.840.10008.1.2",  # implicit VR little endian
    "1.2.840.10008.1.2.4.50",  # JPEG baseline
    "1.2.840.10008.1.2.4.51",  # JPEG extended
    "1.2.840.10008.1.2.4.57",  # JPEG lossless
    "1.2.840.10008.1.2.4.70",  # JPEG lossless, first-order prediction
    "1.2.840.10008.1.2.4.80",  # JPEG-LS lossless
    "1.2.840.10008.1.2.4.81",  # JPEG-LS near-lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 lossless
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
    "1.2.840.10008.1.2.4.201",  # HTJ2K lossless
    "1.2.840.10008.1.2.4.203",  # HTJ2K
    "1.2.840.10008.1.2.5",  # RLE
    "1.2.840.10008.1.2.2",  # explicit VR big endian
)
"""What is taken as it is stored; never deflated, which may inflate without bounds."""

MAX_CONTEXTS = 128
"""Presentation contexts of one association: DICOM PS3.8, section 9.3.2.2."""

_PENDING = 0xFF00
_REFUSED = 0xA900  # "data set does not match SOP class": nothing we asked for
_CANNOT_STORE = 0xA700


def retrieve_series(
    profile: DimseProfile,
    key: SeriesKey,
    listed: Mapping[str, str],
    expected: int,
    download: Download,
    control: JobControl,
) -> Job:
    """Fill `download`; yields progress and leaves completing to the caller.

    Parameters
    ----------
    listed : mapping
        SOP instance UIDs that the server has with their classes.
    expected : int
        How many images the series has.
    """
    receiver = _Receiver(download, control)
    classes = sorted(set(filter(None, listed.values())))
    if not classes:
        raise PacsError(
            "the server does not say what kinds of images it has",
            source=f"connection {profile.name}",
            hint="use DICOMweb if the server offers it",
        )
    yield Progress("retrieving", 0, expected)
    if profile.retrieve == "get":
        yield from _get(profile, key, classes, receiver, expected, control)
    else:
        yield from _move(profile, key, classes, receiver, expected, control)
    control.checkpoint()


class _Receiver:
    """Writes what arrives; a failure is kept and told after the library has ended its part."""

    def __init__(self, download: Download, control: JobControl) -> None:
        self._download = download
        self._control = control
        self._lock = threading.Lock()
        self._error: MedcnnError | None = None

    @property
    def count(self) -> int:
        return self._download.count

    def store(self, event: evt.Event) -> int:
        with self._lock:
            if self._error is not None or self._control.is_cancelled:
                return _CANNOT_STORE
            try:
                self._download.add(event.encoded_dataset())
            except MedcnnError as error:
                self._error = error
                return _REFUSED
        return 0

    def raise_failure(self) -> None:
        if self._error is not None:
            raise self._error


def _get(
    profile: DimseProfile,
    key: SeriesKey,
    classes: Sequence[str],
    receiver: _Receiver,
    expected: int,
    control: JobControl,
) -> Job:
    model = StudyRootQueryRetrieveInformationModelGet
    storage = _storage_contexts(classes)
    with associated(
        profile,
        [build_context(model), *storage],
        control,
        MAX_SERIES_BYTES,
        roles=[build_role(uid, scp_role=True) for uid in classes],
        handlers=[(evt.EVT_C_STORE, receiver.store)],
    ) as (association, watch):
        responses = association.send_c_get(_identifier(key), model)
        yield from _follow(profile, responses, receiver, expected, watch, control)


def _move(
    profile: DimseProfile,
    key: SeriesKey,
    classes: Sequence[str],
    receiver: _Receiver,
    expected: int,
    control: JobControl,
) -> Job:
    model = StudyRootQueryRetrieveInformationModelMove
    contexts = [build_context(model)]
    with (
        associated(profile, contexts, control, MAX_SERIES_BYTES) as (association, watch),
        _listening(profile, classes, receiver, watch),
    ):
        responses = association.send_c_move(_identifier(key), profile.calling_ae, model)
        yield from _follow(profile, responses, receiver, expected, watch, control)


def _follow(
    profile: DimseProfile,
    responses: Iterator[tuple[Dataset, Dataset | None]],
    receiver: _Receiver,
    expected: int,
    watch: Watch,
    control: JobControl,
) -> Job:
    """Progress while sub-operations go on; the counts of the last answer must hold."""
    for status, _ in responses:
        receiver.raise_failure()
        control.checkpoint()
        failed = int(status.get("NumberOfFailedSuboperations") or 0)
        if failed and status.get("Status") != _PENDING:
            raise PacsError(
                f"the server could not send {failed} of the series' images",
                source=f"connection {profile.name}",
                hint="nothing was kept; the server's log tells why",
            )
        checked_status(profile, status, watch, "send the series", (0, _PENDING))
        yield Progress("retrieving", receiver.count, expected)


@contextmanager
def _listening(
    profile: DimseProfile, classes: Sequence[str], receiver: _Receiver, watch: Watch
) -> Iterator[None]:
    """Our own storage server while a C-MOVE lasts; it takes nothing but the series' images."""
    ours = AE(ae_title=profile.calling_ae)
    ours.require_called_aet = True
    ours.maximum_associations = 4
    ours.acse_timeout = ours.dimse_timeout = ours.network_timeout = profile.timeout_s
    for uid in classes:
        ours.add_supported_context(uid, list(TRANSFER_SYNTAXES))
    handlers: list[tuple[Any, Callable[[evt.Event], Any]]] = [
        (evt.EVT_C_STORE, receiver.store),
        (evt.EVT_DATA_RECV, watch.saw),
    ]
    try:
        server = ours.start_server(
            ("", profile.listen_port),
            block=False,
            evt_handlers=handlers,  # type: ignore[arg-type]
            ssl_context=server_tls(profile) if profile.tls else None,
        )
    except OSError as error:
        raise PacsError(
            f"cannot wait for images on port {profile.listen_port}: {error.strerror or error}",
            source=f"connection {profile.name}",
            hint="choose another listening port, here and in the server",
        ) from error
    try:
        yield
    finally:
        if server is not None:
            server.shutdown()


def _identifier(key: SeriesKey) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "SERIES"
    identifier.StudyInstanceUID = key.study_uid
    identifier.SeriesInstanceUID = key.series_uid
    return identifier


def _storage_contexts(classes: Sequence[str]) -> list[PresentationContext]:
    """A context for each class and syntax, so that the server sends images as they are stored."""
    if (1 + len(classes)) * len(TRANSFER_SYNTAXES) < MAX_CONTEXTS:
        return [build_context(uid, syntax) for uid in classes for syntax in TRANSFER_SYNTAXES]
    return [build_context(uid, list(TRANSFER_SYNTAXES)) for uid in classes][: MAX_CONTEXTS - 1]
