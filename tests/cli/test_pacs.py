"""``medcnn pacs``: connections, clear errors, and the whole road against a real server."""

from __future__ import annotations

import base64
import json
import logging
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest

from napari_medcnn.app.session import Session
from napari_medcnn.app.session_file import save_session
from napari_medcnn.io.read import read
from tests.pacs_server import (
    PASSWORD,
    PATIENT,
    PATIENT_ID,
    USER,
    Orthanc,
    free_port,
    orthanc,
    own_configuration,
    pixels_in,
    write_mr_series,
)

__all__ = ["orthanc", "own_configuration"]


def add_web(medcnn: Callable, url: str, *more: str) -> None:
    outcome = medcnn("pacs", "add", "clinic", "--url", url, *more)
    assert outcome.code == 0, outcome.err


def test_connections_are_added_listed_and_removed(medcnn: Callable) -> None:
    add_web(medcnn, "https://pacs.example.org/dicom-web", "--login", "token")
    added = medcnn("pacs", "add", "old", "--host", "10.0.0.5", "--called-ae", "PACS")
    assert added.code == 0, added.err
    listed = json.loads(medcnn("pacs", "profiles", "--json").out)["profiles"]
    assert [(one["name"], one["kind"]) for one in listed] == [
        ("clinic", "dicomweb"),
        ("old", "dimse"),
    ]
    assert "PACS@10.0.0.5:104" in medcnn("pacs", "profiles").out
    assert medcnn("pacs", "remove", "old").code == 0
    assert "old" not in medcnn("pacs", "profiles").out
    again = medcnn("pacs", "add", "clinic", "--url", "https://other.example.org/")
    assert again.code == 1
    assert "already" in again.err
    add_web(medcnn, "https://other.example.org/", "--replace")


@pytest.mark.parametrize(
    "arguments",
    [
        ("add", "x"),
        ("add", "x", "--url", "https://x/", "--host", "y"),
        ("add", "x", "--host", "y"),
        ("get", "clinic", "--out", "here"),
        ("get", "clinic"),
        ("find", "clinic", "--from", "yesterday"),
        ("send", "clinic"),
    ],
)
def test_bad_usage_ends_with_2(medcnn: Callable, arguments: tuple[str, ...]) -> None:
    assert medcnn("pacs", *arguments).code == 2


@pytest.mark.parametrize("command", ["test", "find"])
def test_what_fails_is_one_line_and_ends_with_1(medcnn: Callable, command: str) -> None:
    unknown = medcnn("pacs", command, "nowhere")
    assert (unknown.code, unknown.err.count("\n")) == (1, 1)
    add_web(medcnn, f"http://127.0.0.1:{free_port()}/dicom-web")
    deaf = medcnn("pacs", command, "clinic")
    assert (deaf.code, deaf.err.count("error:")) == (1, 1)
    assert "nothing answers" in deaf.err
    assert "Traceback" not in deaf.err


def test_a_missing_password_names_its_variable(medcnn: Callable) -> None:
    add_web(medcnn, "https://pacs.example.org/", "--login", "password", "--user", "reader")
    outcome = medcnn("pacs", "test", "clinic")
    assert outcome.code == 1
    assert "MEDCNN_PACS_CLINIC_PASSWORD" in outcome.err


def test_a_password_in_the_address_is_refused_and_not_shown(medcnn: Callable) -> None:
    outcome = medcnn("pacs", "add", "clinic", "--url", "https://reader:hunter2@host/")
    assert outcome.code == 1
    assert "hunter2" not in outcome.err + outcome.out


@pytest.mark.parametrize(
    "library, address",
    [
        ("pynetdicom", ("--host", "127.0.0.1", "--called-ae", "PACS")),
        ("dicomweb_client", ("--url", "http://127.0.0.1:1/dicom-web")),
    ],
)
def test_a_missing_library_is_named_with_how_to_install_it(
    medcnn: Callable, library: str, address: tuple[str, ...]
) -> None:
    assert medcnn("pacs", "add", "clinic", *address).code == 0
    code = (
        f"import sys; sys.modules[{library!r}] = None;"
        "sys.argv = 'medcnn pacs test clinic'.split();"
        "from napari_medcnn.cli.app import run; run()"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert outcome.returncode == 1
    assert "napari-medcnn[pacs]" in outcome.stderr
    assert outcome.stderr.count("\n") == 1


def test_a_file_that_is_no_dicom_is_not_sent(medcnn: Callable, tmp_path: Path) -> None:
    add_web(medcnn, f"http://127.0.0.1:{free_port()}/dicom-web")
    (tmp_path / "note.txt").write_text("hello")
    outcome = medcnn("pacs", "send", "clinic", tmp_path / "note.txt")
    assert outcome.code == 1
    assert "note.txt" in outcome.err


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """Everything that anyone logs, down to the last detail."""
    path = tmp_path / "all.log"
    handler = logging.FileHandler(path)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield path
    root.setLevel(level)
    root.removeHandler(handler)
    handler.close()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_found_fetched_segmented_sent_back_and_found_again(
    medcnn: Callable,
    orthanc: Orthanc,
    sample_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    log: Path,
) -> None:
    def run(*arguments: object) -> dict:
        outcome = medcnn(*arguments, "--json")
        assert outcome.code == 0, outcome.err
        assert PASSWORD not in outcome.err + outcome.out
        return json.loads(outcome.out)

    (flair,) = read(sample_data / "flair_baseline.nii.gz")
    scan = write_mr_series(flair, tmp_path / "scanner", "Ax FLAIR")
    monkeypatch.setenv("MEDCNN_PACS_WEB_PASSWORD", PASSWORD)
    url = ("--url", orthanc.web.url, "--login", "password", "--user", USER)
    assert medcnn("pacs", "add", "web", *url).code == 0
    there = ("--host", orthanc.dimse.host, "--port", orthanc.dimse.port, "--called-ae", "ORTHANC")
    assert medcnn("pacs", "add", "dicom", *there).code == 0
    assert run("pacs", "test", "web")["answers"]
    assert run("pacs", "test", "dicom")["answers"]
    assert run("pacs", "send", "dicom", scan.folder)["sent"] == scan.count

    wanted = ("--patient-id", PATIENT_ID, "--modality", "MR", "--description", "flair")
    for name in ("web", "dicom"):
        (match,) = run("pacs", "find", name, *wanted)["matches"]
        assert match["series_uid"] == scan.series_uid
        assert match["instances"] == scan.count
        (one,) = run("pacs", "get", name, *wanted, "--out", tmp_path / name)["retrieved"]
        assert pixels_in(Path(one["folder"])) == scan.contents
    fetched = tmp_path / "web" / scan.series_uid

    out = tmp_path / "result"
    kinds = ("--dicom", "seg", "--dicom", "sr")
    (case,) = run("segment", fetched, "--out", out, *kinds)["cases"]
    assert case["lesions"]
    objects = {pydicom.dcmread(path).Modality: path for path in sorted(out.glob("*.dcm"))}
    for name, other, modality in (("web", "dicom", "SEG"), ("dicom", "web", "SR")):
        path = objects[modality]
        original = pydicom.dcmread(path)
        assert run("pacs", "send", name, path)["sent"] == 1
        study = ("--study", scan.study_uid)
        matches = run("pacs", "find", other, *study, "--modality", modality)["matches"]
        assert [match["series_uid"] for match in matches] == [original.SeriesInstanceUID]
        back = run("pacs", "get", other, *study, "--modality", modality, "--out", tmp_path / "back")
        (file,) = Path(back["retrieved"][0]["folder"]).iterdir()
        returned = pydicom.dcmread(file)
        assert returned.SOPInstanceUID == original.SOPInstanceUID
        assert returned == original

    wrong = medcnn("pacs", "get", "web", *wanted, "--out", "/proc/nowhere")
    assert wrong.code == 1
    shown = medcnn("pacs", "find", "web", *wanted)
    assert PATIENT not in shown.out
    assert PATIENT in medcnn("pacs", "find", "web", *wanted, "--show-patients").out

    session = Session()
    (volume,) = read(fetched)
    session.add_volume(volume)
    save_session(session, tmp_path / "session.medcnn")
    np.testing.assert_array_equal(volume.array, np.round(flair.array))
    assert_nowhere(tmp_path, PASSWORD)
    assert_nowhere(tmp_path / "configuration", PATIENT_ID)
    for secret in (PATIENT, PATIENT_ID):
        assert secret not in log.read_text(errors="replace")


def assert_nowhere(folder: Path, secret: str) -> None:
    """No file has the secret, plain or as HTTP sends it; session files are unpacked."""
    pair = base64.b64encode(f"{USER}:{secret}".encode())
    looked = 0
    for path in filter(Path.is_file, folder.rglob("*")):
        contents = [path.read_bytes()]
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                contents += [archive.read(name) for name in archive.namelist()]
        for content in contents:
            assert not re.search(re.escape(secret.encode()) + b"|" + re.escape(pair), content), path
        looked += 1
    assert looked
