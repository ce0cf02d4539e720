"""The index of one folder on disk: a SQLite file in the user's cache, its tables and its opening.

It holds paths, sizes, dates and descriptions, thumbnails, and opaque patient keys; no name, no
patient ID and no birth date. Folder, index and key can be read by their owner only.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from pathlib import Path

from platformdirs import user_cache_path

from napari_medcnn.core.errors import WriteError

VERSION = 1
"""Of the tables below; an index of another version is made anew."""

BUSY_S = 10.0
"""How long one writer waits for another: the indexer and the maker of thumbnails share a file."""

_NAME = "index.sqlite"

_TABLES = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value);
CREATE TABLE patients (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, id_key TEXT NOT NULL, sex TEXT NOT NULL,
    revision INTEGER NOT NULL DEFAULT 0);
CREATE INDEX patients_by_revision ON patients (revision);
CREATE TABLE studies (
    id INTEGER PRIMARY KEY, patient INTEGER NOT NULL, uid TEXT NOT NULL, date TEXT NOT NULL,
    description TEXT NOT NULL, age INTEGER, revision INTEGER NOT NULL DEFAULT 0,
    UNIQUE (patient, uid));
CREATE TABLE series (
    id INTEGER PRIMARY KEY, study INTEGER NOT NULL, uid TEXT NOT NULL, kind TEXT NOT NULL,
    number INTEGER, description TEXT NOT NULL, modality TEXT NOT NULL, body_part TEXT NOT NULL,
    words TEXT NOT NULL, files INTEGER NOT NULL DEFAULT 0, images INTEGER NOT NULL DEFAULT 0,
    slices INTEGER NOT NULL DEFAULT 0, row_count INTEGER NOT NULL DEFAULT 0,
    column_count INTEGER NOT NULL DEFAULT 0, spacing_y REAL, spacing_x REAL, spacing_z REAL,
    revision INTEGER NOT NULL DEFAULT 0, UNIQUE (study, uid));
CREATE TABLE files (
    id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE, size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL, series INTEGER, problem TEXT NOT NULL, broken INTEGER NOT NULL,
    retry INTEGER NOT NULL, instance INTEGER, position REAL, frames INTEGER NOT NULL,
    slices INTEGER, step REAL);
CREATE INDEX broken_files ON files (path) WHERE broken;
CREATE INDEX files_of_series ON files (series, position, instance);
CREATE TABLE details (
    series INTEGER PRIMARY KEY, revision INTEGER NOT NULL, picture BLOB, findings TEXT NOT NULL);
"""


def default_folder() -> Path:
    """Where indexes lie unless the user says otherwise."""
    return user_cache_path("napari-medcnn", appauthor=False) / "studies"


def index_path(folder: Path, cache: Path | None = None) -> Path:
    """Where the index of a folder lies; it need not exist."""
    name = hashlib.blake2b(os.fsencode(folder.resolve()), digest_size=12).hexdigest()
    return (default_folder() if cache is None else cache) / name / _NAME


def open_index(path: Path, folder: Path) -> sqlite3.Connection:
    """Open the index of a folder to write and read; one that cannot be used is made anew.

    Raises
    ------
    WriteError
        When it can be neither opened nor made.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            return _opened(path, folder)
        except _Unusable:
            forget(path)
            return _opened(path, folder)
    except (OSError, sqlite3.Error, _Unusable) as error:
        raise WriteError(
            "the study index cannot be written",
            source=path.parent,
            hint=f"free some space, or remove the folder; {error}",
        ) from error


def open_to_read(path: Path) -> sqlite3.Connection | None:
    """Open an index that exists to read it while others write; None where there is none."""
    if not path.is_file():
        return None
    try:
        connection = sqlite3.connect(path, timeout=0.2, isolation_level=None)
        connection.execute("PRAGMA query_only = 1")
        if _version(connection) == VERSION:
            return connection
        connection.close()
    except sqlite3.Error:
        return None  # the next indexing makes it anew
    return None


def forget(path: Path) -> None:
    """Delete an index with its thumbnails."""
    for file in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
        file.unlink(missing_ok=True)


def known_folders(cache: Path | None = None) -> list[Path]:
    """The folders that were indexed and still exist, the last one first."""
    found = []
    for path in (default_folder() if cache is None else cache).glob(f"*/{_NAME}"):
        connection = open_to_read(path)
        if connection is None:
            continue
        row = connection.execute("SELECT value FROM facts WHERE name = 'folder'").fetchone()
        connection.close()
        if row is not None and Path(os.fsdecode(row[0])).is_dir():
            found.append((path.stat().st_mtime, Path(os.fsdecode(row[0]))))
    return [folder for _, folder in sorted(found, reverse=True)]


class _Unusable(Exception):
    """An index is damaged or of another version."""


def _opened(path: Path, folder: Path) -> sqlite3.Connection:
    if not path.exists():
        path.touch(mode=0o600)
    # Transactions are begun and ended by hand: a batch of files each.
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        version = _version(connection)
        if version == 0:
            connection.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
            facts = [("folder", os.fsencode(folder.resolve())), ("revision", 0)]
            connection.executemany("INSERT INTO facts VALUES (?, ?)", facts)
        elif version != VERSION:
            raise _Unusable
        connection.execute("SELECT count(*) FROM facts").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        raise
    except (sqlite3.DatabaseError, _Unusable) as error:
        connection.close()
        raise _Unusable(str(error)) from error
    return connection


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
