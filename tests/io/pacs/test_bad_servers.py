"""Servers that fall silent, lie or answer nonsense: played by the libraries' own server side."""

from __future__ import annotations

import gzip
import io
import json
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
)

from napari_medcnn.core.errors import Cancelled
from napari_medcnn.core.events import JobControl
from napari_medcnn.io.pacs import dicomweb
from napari_medcnn.io.pacs.connection import open_connection
from napari_medcnn.io.pacs.errors import LoginRefused, PacsError
from napari_medcnn.io.pacs.profiles import DimseProfile, WebProfile
from napari_medcnn.io.pacs.query import Query, SeriesKey
from tests.pacs_server import MR_IMAGE, StoredSeries

KEY = SeriesKey("1.2.3", "1.2.4")


def dataset(**values: Any) -> pydicom.Dataset:
    made = pydicom.Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


@contextmanager
def dicom_server(
    find: Callable[[evt.Event], Iterator[Any]], get: Callable[[evt.Event], Iterator[Any]] | None
) -> Iterator[DimseProfile]:
    """A server of DICOM's protocol with these answers."""
    server = AE(ae_title="BAD")
    server.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    server.add_supported_context(StudyRootQueryRetrieveInformationModelGet)
    server.add_supported_context(MR_IMAGE, scu_role=True, scp_role=True)
    handlers: list[Any] = [(evt.EVT_C_FIND, find)]
    if get is not None:
        handlers.append((evt.EVT_C_GET, get))
    running = server.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    assert running is not None
    try:
        port = running.socket.getsockname()[1]
        yield DimseProfile("bad", "127.0.0.1", port, "BAD", timeout_s=1.0)
    finally:
        running.shutdown()


def listing(stored: StoredSeries, uids: list[str], count: int) -> Callable[..., Iterator[Any]]:
    """Answers to the questions that go before a C-GET."""

    def find(event: evt.Event) -> Iterator[Any]:
        if event.identifier.QueryRetrieveLevel == "SERIES":
            answer = dataset(SeriesInstanceUID=stored.series_uid)
            answer.NumberOfSeriesRelatedInstances = count
            yield 0xFF00, answer
            return
        for uid in uids:
            yield 0xFF00, dataset(SOPInstanceUID=uid, SOPClassUID=MR_IMAGE)

    return find


def sending(paths: list[Path], said: int | None = None) -> Callable[..., Iterator[Any]]:
    """A C-GET that sends these files."""

    def get(event: evt.Event) -> Iterator[Any]:
        yield len(paths) if said is None else said
        for path in paths:
            yield 0xFF00, pydicom.dcmread(path)

    return get


def test_a_server_that_falls_silent_is_given_up() -> None:
    end = threading.Event()

    def find(_: evt.Event) -> Iterator[Any]:
        end.wait(20)
        yield 0x0000, None

    with dicom_server(find, None) as profile:
        begun = time.monotonic()
        with pytest.raises(PacsError, match="no answer came for 1 s"):
            list(open_connection(profile).find(Query()))
        assert time.monotonic() - begun < 8
        end.set()


def test_a_cancel_wakes_a_job_that_waits_for_a_silent_server() -> None:
    end = threading.Event()

    def find(_: evt.Event) -> Iterator[Any]:
        end.wait(20)
        yield 0x0000, None

    with dicom_server(find, None) as profile:
        patient = DimseProfile(**{**vars(profile), "timeout_s": 60.0})
        control = JobControl()
        threading.Timer(0.5, control.cancel).start()
        begun = time.monotonic()
        with pytest.raises(Cancelled):
            list(open_connection(patient).find(Query(), control))
        assert time.monotonic() - begun < 8
        end.set()


def test_an_escaping_uid_of_a_server_is_refused(tmp_path: Path, stored: StoredSeries) -> None:
    def find(_: evt.Event) -> Iterator[Any]:
        answer = pydicom.Dataset()
        answer.add_new("StudyInstanceUID", "LO", "../../escaped")
        yield 0xFF00, answer

    with dicom_server(find, None) as profile:
        with pytest.raises(PacsError, match="UID"):
            list(open_connection(profile).find(Query()))
        with pytest.raises(PacsError, match="UID"):
            list(open_connection(profile).retrieve(KEY, tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("lie", ["fewer", "more", "unlisted", "none listed"])
def test_a_server_whose_counts_do_not_hold_leaves_nothing(
    tmp_path: Path, stored: StoredSeries, lie: str
) -> None:
    paths = sorted(stored.folder.iterdir())[:4]
    uids = [str(pydicom.dcmread(path).SOPInstanceUID) for path in paths]
    key = SeriesKey(stored.study_uid, stored.series_uid)
    find = listing(stored, uids, len(uids))
    get = sending(paths)
    if lie == "fewer":
        get = sending(paths[:3])
    elif lie == "more":
        find = listing(stored, uids, len(uids) - 1)
    elif lie == "unlisted":
        find = listing(stored, uids[:3], 4)
    else:
        find = listing(stored, [], 4)
    with dicom_server(find, get) as profile, pytest.raises(PacsError):
        list(open_connection(profile).retrieve(key, tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_an_honest_server_of_the_same_kind_is_served(tmp_path: Path, stored: StoredSeries) -> None:
    paths = sorted(stored.folder.iterdir())[:4]
    uids = [str(pydicom.dcmread(path).SOPInstanceUID) for path in paths]
    key = SeriesKey(stored.study_uid, stored.series_uid)
    with dicom_server(listing(stored, uids, 4), sending(paths)) as profile:
        list(open_connection(profile).retrieve(key, tmp_path))
    assert len(list((tmp_path / stored.series_uid).iterdir())) == 4


@contextmanager
def web_server(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[WebProfile]:
    """An HTTP server that answers every GET with `answer`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            port = server.server_address[1]
            yield WebProfile("bad", f"http://127.0.0.1:{port}/rs", timeout_s=2.0)
        finally:
            server.shutdown()
            thread.join()


def reply(
    status: int, body: bytes, kind: str = "application/dicom+json", **headers: str
) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Welcome</html>",
        b"[1, 2]",
        b'[{"0020000D": 3}]',
        b'[{"0020000D": {"vr": "UI", "Value": ["../../x"]}}]',
        b'[{"nonsense": {"vr": "UI"}}]',
        b"[" * 100_000,
        b'{"error": "x"}',
    ],
    ids=["empty", "html", "numbers", "shape", "escape", "tag", "nested", "object"],
)
def test_nonsense_is_refused_or_nothing_found(body: bytes, tmp_path: Path) -> None:
    with web_server(reply(200, body)) as profile:
        connection = open_connection(profile)
        try:
            events = list(connection.find(Query()))
        except PacsError as error:
            assert "../" not in str(error)
        else:
            assert events[-1].result.matches == ()
        with pytest.raises(PacsError):
            list(connection.retrieve(KEY, tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_an_endless_answer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicomweb, "MAX_ANSWER_BYTES", 100_000)
    endless = reply(200, b" " * 200_000)
    with web_server(endless) as profile, pytest.raises(PacsError, match="too long"):
        list(open_connection(profile).find(Query()))


def test_an_answer_that_inflates_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < 100_000
    monkeypatch.setattr(dicomweb, "MAX_ANSWER_BYTES", 1_000_000)
    zipped = reply(200, bomb, **{"Content-Encoding": "gzip"})
    with web_server(zipped) as profile:
        tracemalloc.start()
        try:
            with pytest.raises(PacsError, match="too long"):
                list(open_connection(profile).find(Query()))
            assert tracemalloc.get_traced_memory()[1] < 20_000_000
        finally:
            tracemalloc.stop()


def test_the_endless_page_of_a_redirect_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicomweb, "MAX_ANSWER_BYTES", 100_000)
    away = reply(302, b" " * 5_000_000, Location="/rs/elsewhere")
    with web_server(away) as profile, pytest.raises(PacsError, match="too long"):
        list(open_connection(profile).find(Query()))


@pytest.mark.parametrize(
    "status, match",
    [(403, "forbids"), (404, "nothing at this address"), (500, "problem of its own"), (418, "418")],
)
def test_each_refusal_is_told(status: int, match: str) -> None:
    page = reply(status, b"secret page")
    with web_server(page) as profile, pytest.raises(PacsError, match=match):
        list(open_connection(profile).find(Query(patient_id="P-4711")))


def test_a_refused_login_is_told_apart() -> None:
    with web_server(reply(401, b"")) as profile, pytest.raises(LoginRefused):
        list(open_connection(profile).verify())


def test_a_circle_of_redirects_ends() -> None:
    again = reply(302, b"", Location="/rs/again")
    with web_server(again) as profile, pytest.raises(PacsError, match="address to address"):
        list(open_connection(profile).verify())


def test_a_login_is_not_passed_on_to_another_server() -> None:
    from napari_medcnn.io.pacs.credentials import Credential

    seen: list[str | None] = []

    def tell(handler: BaseHTTPRequestHandler) -> None:
        seen.append(handler.headers.get("Authorization"))
        reply(200, b"[]")(handler)

    with web_server(tell) as other:
        location = other.url.replace("127.0.0.1", "localhost")
        with web_server(reply(302, b"", Location=location)) as profile:
            web = WebProfile("bad", profile.url, "token", timeout_s=2.0)
            list(open_connection(web, Credential("", "t0ken")).verify())
    assert seen == [None]


PART = b"--x\r\nContent-Type: application/dicom\r\n\r\n"
MULTIPART = 'multipart/related; type="application/dicom"; boundary="x"'


@contextmanager
def archive(retrieval: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[WebProfile]:
    """A server that lists a series of one image and answers its retrieval like this."""
    series = {
        "0020000E": {"vr": "UI", "Value": [KEY.series_uid]},
        "00201209": {"vr": "IS", "Value": [1]},
    }
    listed = reply(200, json.dumps([series]).encode())

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked_for_list = "SeriesInstanceUID" in handler.path or "includefield" in handler.path
        (listed if asked_for_list else retrieval)(handler)

    with web_server(answer) as profile:
        yield profile


@pytest.mark.parametrize(
    "retrieval",
    [
        reply(200, b"[{}]"),
        reply(200, b"--x--\r\n", MULTIPART),
        reply(200, PART + b"\xff" * 500 + b"\r\n--x--\r\n", MULTIPART),
    ],
    ids=["json", "empty", "garbage"],
)
def test_a_retrieval_that_is_no_dicom_leaves_nothing(
    tmp_path: Path, retrieval: Callable[[BaseHTTPRequestHandler], None]
) -> None:
    with archive(retrieval) as profile, pytest.raises(PacsError):
        list(open_connection(profile).retrieve(KEY, tmp_path))
    assert list(tmp_path.iterdir()) == []


def deflated(n_bytes: int) -> bytes:
    """An image of this series whose private text inflates to so many bytes."""
    image = dataset(SOPInstanceUID="1.2.5", SOPClassUID=MR_IMAGE)
    image.StudyInstanceUID, image.SeriesInstanceUID = KEY.study_uid, KEY.series_uid
    image.add_new(0x00091000, "UT", "x" * n_bytes)
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    stream = io.BytesIO()
    image.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


@pytest.mark.parametrize("chunk", [None, 7, 64])
def test_a_deflated_image_is_refused_before_it_inflates(
    tmp_path: Path, chunk: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if chunk is not None:
        monkeypatch.setattr(dicomweb, "CHUNK_BYTES", chunk)
    image = deflated(200_000)
    assert len(image) < 2000
    body = reply(200, PART + image + b"\r\n--x--\r\n", MULTIPART)
    with archive(body) as profile, pytest.raises(PacsError, match="deflated"):
        list(open_connection(profile).retrieve(KEY, tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", [MULTIPART, "application/dicom"])
def test_one_image_without_end_is_cut(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dicomweb, "MAX_INSTANCE_BYTES", 1_000_000)
    body = reply(200, PART + bytes(5_000_000), kind)
    with archive(body) as profile, pytest.raises(PacsError, match="too long"):
        list(open_connection(profile).retrieve(KEY, tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_many_images_together_may_be_larger_than_one(
    tmp_path: Path, stored: StoredSeries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dicomweb, "MAX_INSTANCE_BYTES", 100_000)
    files = [path.read_bytes() for path in sorted(stored.folder.iterdir())]
    assert sum(map(len, files)) > 300_000 > 3 * max(map(len, files))
    parts = b"".join(PART + content + b"\r\n" for content in files)
    series = {
        "0020000E": {"vr": "UI", "Value": [stored.series_uid]},
        "00201209": {"vr": "IS", "Value": [len(files)]},
    }

    def answer(handler: BaseHTTPRequestHandler) -> None:
        is_list = "includefield" in handler.path
        images = reply(200, parts + b"--x--\r\n", MULTIPART)
        (reply(200, json.dumps([series]).encode()) if is_list else images)(handler)

    with web_server(answer) as profile:
        list(open_connection(profile).retrieve(SeriesKey(stored.study_uid, stored.series_uid),
                                               tmp_path))  # fmt: skip
    assert len(list((tmp_path / stored.series_uid).iterdir())) == len(files)
