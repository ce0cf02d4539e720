"""Encrypted connections: the server's certificate is checked by both protocols."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
)

from napari_medcnn.io.pacs.connection import open_connection
from napari_medcnn.io.pacs.errors import PacsError
from napari_medcnn.io.pacs.profiles import DimseProfile, WebProfile
from napari_medcnn.io.pacs.query import SeriesKey
from tests.pacs_server import StoredSeries, pixels_in, running_orthanc


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost that has signed itself, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


@pytest.fixture
def context(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


@pytest.fixture
def web_port(context: ssl.SSLContext) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/dicom+json")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"[]")

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that does not trust us hangs up: no news."""

    with Server(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture
def dicom_port(context: ssl.SSLContext) -> Iterator[int]:
    def find(_: evt.Event) -> Iterator[tuple[int, None]]:
        yield 0x0000, None

    server = AE(ae_title="SAFE")
    server.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    running = server.start_server(
        ("127.0.0.1", 0), block=False, ssl_context=context, evt_handlers=[(evt.EVT_C_FIND, find)]
    )
    assert running is not None
    yield running.socket.getsockname()[1]
    running.shutdown()


def test_a_trusted_web_server_is_talked_to_and_another_is_not(
    certificate: tuple[Path, Path], web_port: int
) -> None:
    url = f"https://localhost:{web_port}/rs"
    list(open_connection(WebProfile("safe", url, ca_file=str(certificate[0]))).verify())
    with pytest.raises(PacsError, match="not trusted"):
        list(open_connection(WebProfile("safe", url)).verify())


def test_a_trusted_dicom_server_is_talked_to(
    certificate: tuple[Path, Path], dicom_port: int
) -> None:
    safe = DimseProfile(
        "safe", "localhost", dicom_port, "SAFE", tls=True, ca_file=str(certificate[0])
    )
    list(open_connection(safe).verify())


def test_certificates_that_cannot_be_read_are_told(dicom_port: int, web_port: int) -> None:
    missing = DimseProfile("x", "localhost", dicom_port, "SAFE", tls=True, ca_file="/no/such.pem")
    with pytest.raises(PacsError, match="certificates"):
        list(open_connection(missing).verify())
    web = WebProfile("x", f"https://localhost:{web_port}/rs", ca_file="/no/such.pem")
    with pytest.raises(PacsError):
        list(open_connection(web).verify())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_dicom_server_that_nobody_vouches_for_is_not_talked_to(dicom_port: int) -> None:
    """The library leaves the refused socket to the garbage collector, hence the filter."""
    unknown = DimseProfile("safe", "localhost", dicom_port, "SAFE", tls=True)
    with pytest.raises(PacsError, match="encrypted connection fails"):
        list(open_connection(unknown).verify())


@pytest.mark.slow
@pytest.mark.parametrize("retrieve", ["get", "move"])
def test_images_go_and_come_encrypted(
    retrieve: str, certificate: tuple[Path, Path], stored: StoredSeries, tmp_path: Path
) -> None:
    (tmp_path / "server").mkdir()
    with running_orthanc(tmp_path / "server", certificate) as server:
        plain = replace(server.dimse, host="localhost", retrieve=retrieve, timeout_s=10.0)
        ours, key = map(str, certificate)
        safe = replace(plain, tls=True, ca_file=ours, client_certificate=ours, client_key=key)
        list(open_connection(safe).send([stored.folder]))
        series = SeriesKey(stored.study_uid, stored.series_uid)
        list(open_connection(safe).retrieve(series, tmp_path / "in"))
        assert pixels_in(tmp_path / "in" / stored.series_uid) == stored.contents
        with pytest.raises(PacsError):
            list(open_connection(plain).verify())
        nobody = replace(safe, client_certificate="", client_key="")
        with pytest.raises(PacsError):
            list(open_connection(nobody).retrieve(series, tmp_path / "again"))
