"""Fetch a model's file once: resumed after an interruption, checked, and kept by its content.

What was fetched lies in the cache under the SHA-256 of its content, and a note per address says
which content that was. A file that came in part goes on where it stopped (``Range``), if the server
says that it is still the same one (``If-Range``).
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from napari_medcnn.core.atomic import write_json
from napari_medcnn.core.errors import ModelError
from napari_medcnn.core.events import Event, JobControl, Message, Progress
from napari_medcnn.core.user_folders import cache_folder
from napari_medcnn.models.importing.limits import MAX_DOWNLOAD_BYTES
from napari_medcnn.models.weights import sha256 as file_sha256

if TYPE_CHECKING:
    import requests

STAGE = "downloading"
"""The stage's name in :class:`~napari_medcnn.core.events.Progress`; its steps are megabytes."""

KEPT = "downloads"
"""The folder of the user's cache that keeps what was fetched."""

_CHUNK = 1 << 18
_MEGABYTE = 1_000_000
_TIMEOUT_S = (10.0, 60.0)
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PARTIAL, _NOT_MODIFIED, _OUT_OF_RANGE = 206, 304, 416


@dataclass(frozen=True)
class _Note:
    """What is known of an address: its content's hash once complete, and the server's mark."""

    url: str
    mark: str = ""
    sha256: str = ""


def download(
    url: str, sha256: str | None, control: JobControl, max_bytes: int = MAX_DOWNLOAD_BYTES
) -> Generator[Event, None, Path]:
    """Fetch a file; a generator of `Progress` that returns its path in the cache.

    Parameters
    ----------
    url : str
        ``https``; ``http`` only with `sha256`, or from this computer.
    sha256 : str, optional
        What the content must have, in hexadecimal; a file with it in the cache is not asked for.
    control : JobControl
        A cancelled download is resumed by the next one.
    max_bytes : int
        Longest file.

    Raises
    ------
    ModelError
        When the address is refused, the server does not give the file, or its hash is another.
    Cancelled
        When the job was cancelled.
    """
    _check_address(url, sha256)
    folder = cache_folder(KEPT)
    folder.mkdir(parents=True, exist_ok=True)
    if sha256 and (known := _kept(folder, sha256)):
        yield Message(f"{known.name[:12]}… is here already; nothing was downloaded")
        return known
    fetch = _Fetch(url, folder, control, max_bytes)
    try:
        with FileLock(fetch.part.with_suffix(".lock"), timeout=0):
            return (yield from fetch.events(sha256))
    except Timeout:
        raise ModelError("is being downloaded already", source=url) from None


def _check_address(url: str, sha256: str | None) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ModelError("is no address of the web", source=url, hint="https://…")
    if parts.scheme == "http" and not sha256 and parts.hostname not in _LOOPBACK:
        raise ModelError(
            "anyone on the way could exchange what comes by http",
            source=url,
            hint="use https, or state the file's SHA-256",
        )


def _kept(folder: Path, sha256: str) -> Path | None:
    file = folder / sha256.lower()
    return file if file.is_file() and file_sha256(file) == sha256.lower() else None


class _Fetch:
    """One download on its way."""

    def __init__(self, url: str, folder: Path, control: JobControl, max_bytes: int) -> None:
        self.url = url
        self.folder = folder
        self.control = control
        self.max_bytes = max_bytes
        name = hashlib.sha256(url.encode()).hexdigest()[:32]
        self.part = folder / f"url-{name}.part"
        self.note_file = folder / f"url-{name}.json"
        self.note = self._read_note()

    def _read_note(self) -> _Note:
        try:
            content: Any = json.loads(self.note_file.read_text(encoding="utf-8"))
            return _Note(self.url, str(content["mark"]), str(content["sha256"]))
        except (OSError, ValueError, LookupError, TypeError):
            return _Note(self.url)

    def events(self, wanted: str | None) -> Generator[Event, None, Path]:
        import requests

        complete = _kept(self.folder, self.note.sha256) if self.note.sha256 else None
        if complete and not self.note.mark and not wanted:
            return complete
        try:
            with requests.Session() as session, self._asked(session, bool(complete)) as answer:
                if answer.status_code == _NOT_MODIFIED and complete:
                    yield Message("the server has nothing newer; nothing was downloaded")
                    return complete
                yield from self._received(answer)
        except requests.RequestException as error:
            raise ModelError(
                f"cannot be downloaded: {_in_words(error)}",
                source=self.url,
                hint="what came so far is kept: try again to go on from there",
            ) from error
        return self._finished(wanted)

    def _asked(self, session: requests.Session, complete: bool) -> requests.Response:
        """The server's answer: the rest of a file that began to come, or the whole."""
        self.control.checkpoint()
        headers = {"Accept-Encoding": "identity"}
        came = self.part.stat().st_size if self.part.is_file() else 0
        if came and self.note.mark:
            headers |= {"Range": f"bytes={came}-", "If-Range": self.note.mark}
        elif complete and self.note.mark:
            name = "If-None-Match" if '"' in self.note.mark else "If-Modified-Since"
            headers[name] = self.note.mark
        answer = session.get(self.url, headers=headers, stream=True, timeout=_TIMEOUT_S)
        if answer.status_code == _OUT_OF_RANGE:  # the part is as long as the whole, or longer
            answer.close()
            self.part.unlink(missing_ok=True)
            return self._asked(session, complete)
        if self.url.startswith("https:") and not answer.url.startswith("https:"):
            answer.close()
            raise ModelError("the server leads away from https, refused", source=self.url)
        answer.raise_for_status()
        return answer

    def _received(self, answer: requests.Response) -> Generator[Event, None, None]:
        resumed = answer.status_code == _PARTIAL and self._goes_on(answer)
        done = self.part.stat().st_size if resumed else 0
        length = answer.headers.get("Content-Length", "")
        total = done + int(length) if length.isdigit() else 0
        self._check_size(total)
        # A weak ETag ("W/…") must not be used to resume, nor must one be trusted that is missing.
        etag = answer.headers.get("ETag", "")
        strong = etag if etag.startswith('"') else ""
        self._write_note(strong or answer.headers.get("Last-Modified", ""))
        if resumed:
            yield Message(f"going on after {done / _MEGABYTE:.1f} MB that came before")
        begin, first, shown = time.perf_counter(), done, -1
        with self.part.open("ab" if resumed else "wb") as stream:
            for chunk in answer.iter_content(_CHUNK):
                self.control.checkpoint()
                stream.write(chunk)
                done += len(chunk)
                self._check_size(done)
                if done // _MEGABYTE > shown:
                    shown = done // _MEGABYTE
                    rate = (done - first) / max(time.perf_counter() - begin, 1e-3)
                    eta = (total - done) / rate if total else None
                    yield Progress(STAGE, shown, max(total // _MEGABYTE, shown), eta)
            stream.flush()
            os.fsync(stream.fileno())
        if total and done < total:
            raise ModelError(
                f"the connection ended after {done} of {total} bytes",
                source=self.url,
                hint="try again: it goes on from there",
            )

    def _goes_on(self, answer: requests.Response) -> bool:
        """Whether a partial answer begins exactly where the part ends."""
        begins = answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
        if begins.isdigit() and int(begins) == self.part.stat().st_size:
            return True
        raise ModelError("the server sent another part than was asked for", source=self.url)

    def _check_size(self, size: int) -> None:
        if size > self.max_bytes:
            self.part.unlink(missing_ok=True)
            raise ModelError(
                f"is larger than {self.max_bytes / 1e9:.3g} GB, refused", source=self.url
            )

    def _write_note(self, mark: str, sha256: str = "") -> None:
        self.note = _Note(self.url, mark, sha256)
        write_json(self.note_file, asdict(self.note))

    def _finished(self, wanted: str | None) -> Path:
        """The complete file under its hash, if that is the wanted one."""
        found = file_sha256(self.part)
        if wanted and found != wanted.lower():
            self.part.unlink(missing_ok=True)
            raise ModelError(
                f"has the SHA-256 {found}, not {wanted.lower()}; it was thrown away",
                source=self.url,
            )
        file = self.folder / found
        self.part.replace(file)
        self._write_note(self.note.mark, found)
        return file


def _in_words(error: requests.RequestException) -> str:
    answer = error.response
    if answer is not None:
        return f"the server answers {answer.status_code} {answer.reason}"
    return type(error).__name__
