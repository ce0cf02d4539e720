from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path

import pytest

from napari_medcnn.core.errors import Cancelled, ModelError
from napari_medcnn.core.events import Event, JobControl
from napari_medcnn.core.user_folders import cache_folder
from napari_medcnn.models.importing.download import KEPT, download
from tests.bundle_factory import make_bundle
from tests.models.importing.conftest import Server, imported, nothing_left, told


def fetched(url: str, sha256: str | None = None, **options: int) -> Path:
    job = download(url, sha256, JobControl(), **options)
    while True:
        try:
            next(job)
        except StopIteration as end:
            return end.value


def zipped(bundle: Path) -> bytes:
    target = bundle.with_suffix(".zip")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(bundle.rglob("*")):
            archive.write(file, Path(bundle.name) / file.relative_to(bundle))
    return target.read_bytes()


def test_a_bundle_comes_from_an_address_and_is_never_fetched_twice(
    tmp_path: Path, server: Server
) -> None:
    server.content = zipped(make_bundle(tmp_path / "bright"))
    digest = hashlib.sha256(server.content).hexdigest()
    spec = imported(f"{server.url}/bright.zip", sha256=digest)
    assert (spec.id, spec.licence) == ("bright", "BSD-3-Clause")
    _, messages = told(f"{server.url}/bright.zip", sha256=digest, name="again")
    assert len(server.requests) == 1
    assert any("nothing was downloaded" in text for text in messages)
    _, messages = told(f"{server.url}/bright.zip", name="third")
    assert server.requests[1][2] == 304
    assert any("nothing newer" in text for text in messages)


def test_an_interrupted_download_goes_on_where_it_stopped(server: Server) -> None:
    server.content = os.urandom(3_000_000)
    server.stop_after = 1_000_000
    with pytest.raises(ModelError, match="try again"):
        fetched(f"{server.url}/a")
    server.stop_after = None
    file = fetched(f"{server.url}/a")
    assert file.read_bytes() == server.content
    (_, first, _), (_, second, status) = server.requests
    assert (first, status) == (None, 206)
    assert second is not None
    assert int(second.removeprefix("bytes=").rstrip("-")) >= 700_000


def test_a_file_that_changed_meanwhile_is_fetched_anew(server: Server) -> None:
    server.content = os.urandom(2_000_000)
    server.stop_after = 1_000_000
    with pytest.raises(ModelError):
        fetched(f"{server.url}/a")
    server.content, server.etag, server.stop_after = os.urandom(2_000_000), '"two"', None
    assert fetched(f"{server.url}/a").read_bytes() == server.content
    assert server.requests[-1][2] == 200


def test_a_part_that_is_longer_than_the_file_does_not_stand_in_the_way(server: Server) -> None:
    server.content = os.urandom(500_000)
    server.stop_after = 400_000
    with pytest.raises(ModelError):
        fetched(f"{server.url}/a")
    (part,) = cache_folder(KEPT).glob("*.part")
    server.stop_after, server.etag = None, ""
    part.write_bytes(bytes(900_000))
    assert fetched(f"{server.url}/a").read_bytes() == server.content


def test_a_cancelled_download_is_kept_for_the_next_try(server: Server) -> None:
    server.content = os.urandom(4_000_000)
    control = JobControl()
    events: list[Event] = []
    with pytest.raises(Cancelled):
        for event in download(f"{server.url}/a", None, control):
            events.append(event)
            control.cancel()
    (part,) = cache_folder(KEPT).glob("*.part")
    assert 0 < part.stat().st_size < 4_000_000
    assert fetched(f"{server.url}/a").read_bytes() == server.content
    assert server.requests[-1][2] == 206


def test_another_content_than_promised_is_thrown_away(models: Path, server: Server) -> None:
    server.content = b"something else"
    with pytest.raises(ModelError, match="thrown away"):
        imported(f"{server.url}/a.zip", sha256="0" * 64)
    assert nothing_left(models)
    assert not [f for f in cache_folder(KEPT).iterdir() if f.suffix not in (".json", ".lock")]


def test_what_is_too_large_ends_at_the_limit(server: Server) -> None:
    server.content = os.urandom(2_000_000)
    with pytest.raises(ModelError, match=r"is larger than 0\.001 GB"):
        fetched(f"{server.url}/a", max_bytes=1_000_000)
    assert not list(cache_folder(KEPT).glob("*.part"))


def test_a_server_that_refuses_is_told_in_words(server: Server) -> None:
    with pytest.raises(ModelError, match="the server answers 404"):
        fetched(f"{server.url}/missing")
    server.http.shutdown()
    server.http.server_close()
    with pytest.raises(ModelError, match="cannot be downloaded"):
        fetched(f"{server.url}/a")


@pytest.mark.parametrize(
    ("url", "reason"),
    [("http://example.org/a.zip", "by http"), ("https:///a.zip", "no address")],
)
def test_addresses_that_anyone_could_answer_are_refused(url: str, reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        imported(url)
