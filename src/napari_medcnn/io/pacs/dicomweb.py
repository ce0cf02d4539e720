"""A server that speaks DICOMweb: QIDO-RS to find, WADO-RS to retrieve, STOW-RS to send."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pydicom
import requests
from dicomweb_client import DICOMwebClient

from napari_medcnn.core.events import Done, Job, JobControl, Message, Progress
from napari_medcnn.io.dicom.guarded import read_dataset
from napari_medcnn.io.pacs.answer_limits import AnswerLimits
from napari_medcnn.io.pacs.answers import unquoted
from napari_medcnn.io.pacs.connection import Verified
from napari_medcnn.io.pacs.credentials import Credential
from napari_medcnn.io.pacs.download import (
    MAX_INSTANCE_BYTES,
    MAX_INSTANCES,
    MAX_SERIES_BYTES,
    Download,
)
from napari_medcnn.io.pacs.errors import PacsError
from napari_medcnn.io.pacs.http import CHUNK_BYTES, WatchedSession, in_words, timeouts
from napari_medcnn.io.pacs.profiles import WebProfile
from napari_medcnn.io.pacs.query import (
    SERIES_KEYS,
    STUDY_KEYS,
    Match,
    Query,
    SeriesKey,
    known_instances,
    series_match,
)
from napari_medcnn.io.pacs.search import search
from napari_medcnn.io.pacs.upload import Outgoing, outgoing_files, sent

MAX_ANSWER_BYTES = 64 * 1024**2
"""Longest list that a search may answer."""

_PAGE = 1000
_AS_STORED = (("application/dicom", "*"),)
"""Any transfer syntax: what is compressed stays so, bit for bit."""

_REFUSED = (400, 409, 413, 415)
"""Status codes that concern one object; others concern the connection."""


class WebConnection:
    """See :class:`~napari_medcnn.io.pacs.connection.PacsConnection`."""

    def __init__(self, profile: WebProfile, credential: Credential | None = None) -> None:
        self.profile = profile
        self._credential = credential

    def __repr__(self) -> str:
        return f"WebConnection({self.profile!r})"

    def verify(self, control: JobControl | None = None) -> Job:
        """Ask for one study."""
        control = control or JobControl()
        yield from self._warnings()
        with (
            self._client(control, AnswerLimits(MAX_ANSWER_BYTES, MAX_ANSWER_BYTES)) as client,
            in_words(self.profile),
        ):
            _datasets(client.search_for_studies(limit=1))
        yield Done(Verified(f"{self.profile.origin} answers DICOMweb"))

    def find(self, query: Query, control: JobControl | None = None) -> Job:
        """Look for studies or series by QIDO-RS."""
        control = control or JobControl()
        yield from self._warnings()
        with self._client(control, AnswerLimits(MAX_ANSWER_BYTES, MAX_ANSWER_BYTES)) as client:

            def studies(filters: dict[str, str], most: int) -> list[pydicom.Dataset]:
                with in_words(self.profile):
                    answer = client.search_for_studies(
                        search_filters=filters, limit=most, fields=STUDY_KEYS
                    )
                    return _datasets(answer)

            def series(study_uid: str, filters: dict[str, str], most: int) -> list[pydicom.Dataset]:
                with in_words(self.profile):
                    answer = client.search_for_series(
                        study_uid, search_filters=filters, limit=most, fields=SERIES_KEYS
                    )
                    return _datasets(answer)

            yield from search(query, control, studies, series)

    def retrieve(self, key: SeriesKey, folder: Path, control: JobControl | None = None) -> Job:
        """Fetch a series by WADO-RS, image by image as the server streams it."""
        control = control or JobControl()
        yield from self._warnings()
        yield Progress("asking what there is", 0, 0)
        with self._client(control, AnswerLimits(MAX_ANSWER_BYTES, MAX_ANSWER_BYTES)) as client:
            expected = self._count(client, key)
        if expected > MAX_INSTANCES:
            raise PacsError(f"the series has more than {MAX_INSTANCES} images")
        with (
            self._client(control, AnswerLimits(MAX_SERIES_BYTES, MAX_INSTANCE_BYTES)) as client,
            Download(folder, key) as download,
        ):
            yield Progress("retrieving", 0, expected)
            for content in self._images(client, key):
                control.checkpoint()
                download.add(content)
                yield Progress("retrieving", download.count, expected)
            control.checkpoint()
            yield Done(download.complete(expected))

    def send(self, paths: Sequence[Path], control: JobControl | None = None) -> Job:
        """Send files by STOW-RS, one a request."""
        control = control or JobControl()
        yield from self._warnings()
        outgoing = outgoing_files(paths)
        refusals: list[str] = []
        with self._client(control, AnswerLimits(MAX_ANSWER_BYTES, MAX_ANSWER_BYTES)) as client:
            for number, file in enumerate(outgoing):
                control.checkpoint()
                yield Progress("sending", number, len(outgoing))
                refusal = self._store(client, file)
                if refusal:
                    refusals.append(refusal)
        yield Progress("sending", len(outgoing), len(outgoing))
        yield Done(sent(len(outgoing), refusals, self.profile.name))

    def _warnings(self) -> Iterator[Message]:
        if self.profile.sends_secrets_in_the_clear:
            text = f"the {self.profile.login} travels unencrypted to {self.profile.origin}"
            yield Message(f"{text}: use https where the server can", "warning")

    @contextmanager
    def _client(self, control: JobControl, limits: AnswerLimits) -> Iterator[DICOMwebClient]:
        with WatchedSession(self.profile, self._credential, control, limits) as session:
            with in_words(self.profile):
                client = DICOMwebClient(
                    self.profile.url.rstrip("/"),
                    session=session,
                    timeout=timeouts(self.profile),
                    chunk_size=CHUNK_BYTES,
                )
                # Its waits between retries could not be cancelled.
                client.set_http_retry_params(retry=False)
            yield client

    def _count(self, client: DICOMwebClient, key: SeriesKey) -> int:
        """How many images the series has: as the server says, else counted."""
        with in_words(self.profile):
            answer = client.search_for_series(
                key.study_uid,
                search_filters={"SeriesInstanceUID": key.series_uid},
                fields=SERIES_KEYS,
            )
            study = Match(key.study_uid)
            found = [series_match(dataset, study) for dataset in _datasets(answer)]
        said = [match for match in found if match.series_uid == key.series_uid]
        if not said:
            raise PacsError("the server has no such series", hint="search for it again")
        return said[0].instances or self._listed(client, key)

    def _listed(self, client: DICOMwebClient, key: SeriesKey) -> int:
        listed: dict[str, str] = {}
        while True:
            before = len(listed)
            with in_words(self.profile):
                page = client.search_for_instances(
                    key.study_uid, key.series_uid, limit=_PAGE, offset=before
                )
                listed |= known_instances(_datasets(page))
            # A server that ignores the offset repeats itself; one that obeys comes to an end.
            if len(listed) == before or len(listed) > MAX_INSTANCES:
                return len(listed)

    def _images(self, client: DICOMwebClient, key: SeriesKey) -> Iterator[bytes]:
        with in_words(self.profile), _quietly():
            datasets = iter(
                client.iter_series(key.study_uid, key.series_uid, media_types=_AS_STORED)
            )
        while True:
            with in_words(self.profile), _quietly():
                dataset = next(datasets, None)
                if dataset is None:
                    return
                stream = io.BytesIO()
                pydicom.dcmwrite(stream, dataset)
            yield stream.getvalue()

    def _store(self, client: DICOMwebClient, file: Outgoing) -> str:
        """Why the server refused a file; empty when it took it."""
        dataset = read_dataset(file.path)
        with in_words(self.profile), _quietly():
            try:
                answer = client.store_instances([dataset])
            except requests.HTTPError as error:
                if error.response is None or error.response.status_code not in _REFUSED:
                    raise
                return f"refused with status {error.response.status_code}"
            failed = answer.get("FailedSOPSequence")
        if failed:
            return f"refused with reason {int(failed[0].get('FailureReason', 0)):04X}H"
        return ""


def _datasets(answer: Sequence[dict[str, Any]]) -> list[pydicom.Dataset]:
    with unquoted():
        return [pydicom.Dataset.from_json(record) for record in answer]


@contextmanager
def _quietly() -> Iterator[None]:
    """Without pydicom's warnings of irregular files, and the client's of irregular servers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
