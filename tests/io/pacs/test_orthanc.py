"""Against a real server, by both protocols: what works, and what fails without leaving anything."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path

import pydicom
import pytest

from napari_medcnn.core.errors import Cancelled, MedcnnError
from napari_medcnn.core.events import Done, JobControl, Progress, run_to_end
from napari_medcnn.io.pacs.connection import PacsConnection, Verified, open_connection
from napari_medcnn.io.pacs.credentials import Credential
from napari_medcnn.io.pacs.download import Retrieved
from napari_medcnn.io.pacs.errors import PacsError
from napari_medcnn.io.pacs.profiles import Profile, WebProfile
from napari_medcnn.io.pacs.query import Found, Query, SeriesKey
from napari_medcnn.io.pacs.upload import Sent
from tests.pacs_server import (
    PASSWORD,
    PATIENT,
    PATIENT_ID,
    USER,
    Orthanc,
    StoredSeries,
    cutting_proxy,
    free_port,
    pixels_in,
)

pytestmark = pytest.mark.slow

WAYS = ("web", "dimse", "move")


def open_(profile: Profile, password: str = PASSWORD) -> PacsConnection:
    return open_connection(profile, Credential(USER, password))


@pytest.fixture(params=WAYS)
def profile(request: pytest.FixtureRequest, orthanc: Orthanc) -> Profile:
    return getattr(orthanc, request.param)


@pytest.fixture
def key(orthanc: Orthanc, stored: StoredSeries) -> SeriesKey:
    """The stored series, on the server."""
    connection = open_(orthanc.web)
    assert run_to_end(connection.send([stored.folder]), Sent).instances == stored.count
    return SeriesKey(stored.study_uid, stored.series_uid)


def elsewhere(profile: Profile, port: int, host: str = "127.0.0.1") -> Profile:
    """The same connection to another port or host."""
    if isinstance(profile, WebProfile):
        return replace(profile, url=f"http://{host}:{port}/dicom-web", timeout_s=10.0)
    return replace(profile, host=host, port=port, timeout_s=10.0)


def port_of(profile: Profile) -> int:
    if isinstance(profile, WebProfile):
        return int(profile.origin.rpartition(":")[2])
    return profile.port


def test_a_series_is_sent_found_and_fetched_bit_for_bit(
    profile: Profile, key: SeriesKey, stored: StoredSeries, tmp_path: Path
) -> None:
    connection = open_(profile)
    assert run_to_end(connection.verify(), Verified).text
    assert run_to_end(connection.send([stored.folder]), Sent) == Sent(stored.count)
    query = Query(
        patient_id=PATIENT_ID,
        first_date=date(2024, 1, 1),
        last_date=date(2024, 2, 1),
        modality="mr",
        description="flair",
    )
    (match,) = run_to_end(connection.find(query), Found).matches
    assert match.key == key
    assert (match.instances, match.modality, match.patient_name) == (stored.count, "MR", PATIENT)
    events = list(connection.retrieve(match.key, tmp_path / "out"))
    assert isinstance(events[-1], Done)
    retrieved = events[-1].result
    assert isinstance(retrieved, Retrieved)
    assert pixels_in(retrieved.folder) == stored.contents
    steps = [e.done for e in events if isinstance(e, Progress) and e.stage == "retrieving"]
    assert steps == sorted(steps)
    assert steps[-1] == stored.count
    assert [path.name for path in (tmp_path / "out").iterdir()] == [key.series_uid]


@pytest.mark.parametrize(
    "query",
    [
        Query(patient_id="nobody"),
        Query(modality="CT"),
        Query(description="spine"),
        Query(first_date=date(2025, 1, 1)),
        Query(study_uid="1.2.3"),
    ],
    ids=["patient", "modality", "description", "date", "study"],
)
def test_what_is_not_there_is_not_found(profile: Profile, key: SeriesKey, query: Query) -> None:
    assert run_to_end(open_(profile).find(query), Found).matches == ()


def test_a_series_that_is_not_there_is_told(
    profile: Profile, key: SeriesKey, tmp_path: Path
) -> None:
    with pytest.raises(PacsError, match="no such series"):
        list(open_(profile).retrieve(SeriesKey(key.study_uid, "1.2.3"), tmp_path))
    assert list(tmp_path.rglob("*.dcm")) == []


def test_compressed_images_come_as_they_are_stored(
    profile: Profile, stored: StoredSeries, tmp_path: Path
) -> None:
    folder = tmp_path / "rle"
    folder.mkdir()
    source = pydicom.dcmread(next(iter(sorted(stored.folder.iterdir()))))
    source.compress(pydicom.uid.RLELossless)
    source.SeriesInstanceUID = pydicom.uid.generate_uid()
    source.save_as(folder / "rle.dcm")
    connection = open_(profile)
    run_to_end(connection.send([folder]), Sent)
    key = SeriesKey(source.StudyInstanceUID, source.SeriesInstanceUID)
    retrieved = run_to_end(connection.retrieve(key, tmp_path / "out"), Retrieved)
    (path,) = retrieved.folder.iterdir()
    assert pydicom.dcmread(path).file_meta.TransferSyntaxUID == pydicom.uid.RLELossless
    assert pixels_in(retrieved.folder) == pixels_in(folder)


def test_a_wrong_port_is_told(profile: Profile, tmp_path: Path) -> None:
    nobody = elsewhere(profile, free_port())
    assert_fails(nobody, tmp_path, "nothing answers at")


def test_a_wrong_host_is_told(profile: Profile, tmp_path: Path) -> None:
    assert_fails(elsewhere(profile, 8042, "no-such-host.invalid"), tmp_path, "no host of this name")


def test_a_host_that_never_answers_is_given_up(profile: Profile, tmp_path: Path) -> None:
    with closing(socket.socket()) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        deaf = replace(elsewhere(profile, silent.getsockname()[1]), timeout_s=1.0)
        assert_fails(deaf, tmp_path, "no answer|dropped while")


def test_the_wrong_kind_of_server_is_told(orthanc: Orthanc, key: SeriesKey, tmp_path: Path) -> None:
    web_on_dicom_port = elsewhere(orthanc.web, orthanc.dimse.port)
    dicom_on_web_port = elsewhere(orthanc.dimse, port_of(orthanc.web))
    assert_fails(web_on_dicom_port, tmp_path, "dropped|not what a DICOMweb|no answer")
    assert_fails(dicom_on_web_port, tmp_path, "dropped|rejects")
    wrong_path = replace(orthanc.web, url=orthanc.web.origin + "/somewhere")
    assert_fails(wrong_path, tmp_path, "nothing at this address")
    start_page = replace(orthanc.web, url=orthanc.web.origin + "/app")
    assert_fails(start_page, tmp_path, "nothing at this address")


def test_wrong_credentials_are_told_and_not_repeated(orthanc: Orthanc, tmp_path: Path) -> None:
    for job in jobs(open_(orthanc.web, "wrong-horse"), tmp_path):
        with pytest.raises(PacsError, match="does not let us in") as failed:
            list(job)
        assert "wrong-horse" not in str(failed.value)
        assert failed.value.__suppress_context__
    assert_fails(replace(orthanc.web, login="none", user=""), tmp_path, "does not let us in")


def test_a_wrong_title_is_told_by_its_side(orthanc: Orthanc, tmp_path: Path) -> None:
    assert_fails(replace(orthanc.dimse, called_ae="OTHER"), tmp_path, "is not called OTHER")
    stranger = replace(orthanc.dimse, calling_ae="OTHER")
    assert_fails(stranger, tmp_path, r"could not search|does not know|dropped .* AE title")


def test_a_listening_port_that_is_taken_is_told(
    orthanc: Orthanc, key: SeriesKey, tmp_path: Path
) -> None:
    with closing(socket.socket()) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("", orthanc.move.listen_port))
        other.listen()
        with pytest.raises(PacsError, match="port"):
            list(open_(orthanc.move).retrieve(key, tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_a_connection_dropped_on_the_way_leaves_nothing(
    orthanc: Orthanc, stored: StoredSeries, key: SeriesKey, tmp_path: Path, share: float
) -> None:
    size = sum(path.stat().st_size for path in stored.folder.iterdir())
    for whole in (orthanc.web, orthanc.dimse):
        out = tmp_path / whole.name
        with (
            cutting_proxy(port_of(whole), round(size * share)) as port,
            pytest.raises(PacsError, match=r"dropped|incomplete") as failed,
        ):
            list(open_(elsewhere(whole, port)).retrieve(key, out))
        assert failed.value.hint
        assert not out.exists() or list(out.iterdir()) == []


def test_a_receiver_that_is_cut_off_leaves_nothing(
    orthanc: Orthanc, stored: StoredSeries, key: SeriesKey, tmp_path: Path
) -> None:
    """A C-MOVE whose images go to a port where nobody listens: the server cannot deliver."""
    astray = replace(orthanc.move, listen_port=free_port(), timeout_s=10.0)
    with pytest.raises(PacsError, match="could not send"):
        list(open_(astray).retrieve(key, tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_connection_dropped_while_sending_is_told(orthanc: Orthanc, stored: StoredSeries) -> None:
    for whole in (orthanc.web, orthanc.dimse):
        with (
            cutting_proxy(port_of(whole), 900) as port,
            pytest.raises(PacsError, match="dropped"),
        ):
            list(open_(elsewhere(whole, port)).send([stored.folder]))


def test_a_cancel_is_obeyed_at_every_step_and_leaves_nothing(
    profile: Profile, key: SeriesKey, tmp_path: Path
) -> None:
    for after in (1, 2, 5):
        control = JobControl()
        with pytest.raises(Cancelled):
            for number, _ in enumerate(open_(profile).retrieve(key, tmp_path, control), 1):
                if number == after:
                    control.cancel()
        assert list(tmp_path.iterdir()) == []


def test_the_server_is_still_well_after_all_that(profile: Profile, key: SeriesKey) -> None:
    assert run_to_end(open_(profile).find(Query()), Found).matches


def test_neither_password_nor_patient_is_logged(
    profile: Profile,
    key: SeriesKey,
    stored: StoredSeries,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("pynetdicom", "pydicom", "urllib3", "dicomweb_client", "requests"):
        caplog.set_level(logging.DEBUG, logger=name)
    connection = open_(profile)
    list(connection.find(Query(patient_id=PATIENT_ID)))
    list(connection.retrieve(key, tmp_path))
    list(connection.send([stored.folder]))
    with pytest.raises(MedcnnError):
        list(open_(profile, "wrong-horse").retrieve(SeriesKey(key.study_uid, "1.2"), tmp_path))
    logged = caplog.text
    assert logged
    for secret in (PASSWORD, "wrong-horse", PATIENT, PATIENT_ID, "Doe", "Authorization"):
        assert secret not in logged


def jobs(connection: PacsConnection, folder: Path) -> Iterator[object]:
    key = SeriesKey("1.2.3", "1.2.4")
    yield connection.verify()
    yield connection.find(Query(patient_id=PATIENT_ID))
    yield connection.retrieve(key, folder)


def assert_fails(profile: Profile, folder: Path, match: str) -> None:
    """Every job fails with one line that names the connection and no patient."""
    for job in jobs(open_(profile), folder):
        with pytest.raises(PacsError, match=match) as failed:
            list(job)
        text = str(failed.value)
        assert "\n" not in text
        assert PATIENT_ID not in text
        assert PASSWORD not in text
    assert list(folder.iterdir()) == []
