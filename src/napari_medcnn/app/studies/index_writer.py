"""Write what files' headers say into an index, batch by batch; each batch is seen whole or not."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from napari_medcnn.app.studies.image_header import ImageHeader
from napari_medcnn.app.studies.index_reader import SeriesDetails, SeriesRow


@dataclass(frozen=True)
class Stamp:
    """By this an unchanged file is known: size in bytes and time of change in ns."""

    size: int
    mtime_ns: int


@dataclass(frozen=True)
class _Note:
    path: Path
    stamp: Stamp
    header: ImageHeader | None
    problem: str = ""
    broken: bool = False
    retry: bool = False


class IndexWriter:
    """Adds, changes and removes files; counts and sizes of their series follow at each commit.

    What is put waits in memory for :meth:`commit`: a transaction kept open would keep out those who
    write thumbnails into the same file.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._waiting: list[_Note] = []
        self._touched: set[int] = set()
        self._patients: dict[str, int] = {}
        self._studies: dict[tuple[int, str], int] = {}
        self._series: dict[tuple[int, str], int] = {}
        self._db.execute("CREATE TEMP TABLE seen (file INTEGER PRIMARY KEY)")

    @property
    def waiting(self) -> int:
        """How many files wait for the next commit."""
        return len(self._waiting)

    def is_known(self, path: Path, stamp: Stamp) -> bool:
        """Whether a file was read before and has not changed since; it counts as seen then."""
        row = self._db.execute(
            "SELECT id FROM files WHERE path = ? AND size = ? AND mtime_ns = ? AND NOT retry",
            (os.fsencode(path), stamp.size, stamp.mtime_ns),
        ).fetchone()
        if row is not None:
            self._db.execute("INSERT OR IGNORE INTO seen VALUES (?)", row)
        return row is not None

    def put(self, path: Path, stamp: Stamp, header: ImageHeader) -> None:
        """Take in a file's header."""
        self._waiting.append(_Note(path, stamp, header))

    def put_other(self, path: Path, stamp: Stamp, what: str) -> None:
        """Note that a file is no image, and what it is instead."""
        self._waiting.append(_Note(path, stamp, None, what))

    def put_broken(self, path: Path, stamp: Stamp, problem: str, *, retry: bool = False) -> None:
        """Note that a file should be an image and cannot be read.

        With `retry` it is read again by the next indexing, without it only when it has changed.
        """
        self._waiting.append(_Note(path, stamp, None, problem, broken=True, retry=retry))

    def commit(self) -> None:
        """Write what waits and let others see it."""
        if not self._waiting:
            return
        with self._transaction():
            for note in self._waiting:
                self._write(note)
        self._waiting.clear()

    def remove_unseen(self, unreachable: Iterable[Path]) -> int:
        """Remove the files that were not seen, but for those below folders not reached."""
        self.commit()
        kept = tuple(os.fsencode(folder) + os.fsencode(os.sep) for folder in unreachable)
        gone = [
            (file, series)
            for file, path, series in self._db.execute(
                "SELECT id, path, series FROM files WHERE id NOT IN (SELECT file FROM seen)"
            )
            if not path.startswith(kept)
        ]
        if gone:
            with self._transaction():
                self._db.executemany(
                    "DELETE FROM files WHERE id = ?", [(file,) for file, _ in gone]
                )
                self._touched.update(series for _, series in gone if series is not None)
        return len(gone)

    # ------------------------------------------------------------------------------------------

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            if self._touched:
                self._db.execute("UPDATE facts SET value = value + 1 WHERE name = 'revision'")
            for series in self._touched:
                self._update(series)
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        self._touched.clear()

    def _write(self, note: _Note) -> None:
        name, header = os.fsencode(note.path), note.header
        before = self._db.execute("SELECT id, series FROM files WHERE path = ?", (name,)).fetchone()
        series = None if header is None else self._series_of(header)
        values: tuple[object, ...] = (None, None, 0, None, None)
        if header is not None:
            values = (header.instance_number, header.position, header.frames, header.slices,
                      header.slice_step)  # fmt: skip
        file = self._db.execute(
            "INSERT OR REPLACE INTO files (id, path, size, mtime_ns, series, problem, broken, "
            "retry, instance, position, frames, slices, step) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (before and before[0], name, note.stamp.size, note.stamp.mtime_ns, series,
             note.problem, note.broken, note.retry, *values),
        ).lastrowid  # fmt: skip
        self._db.execute("INSERT OR IGNORE INTO seen VALUES (?)", (file,))
        self._touched.update({series, before and before[1]} - {None})

    def _series_of(self, header: ImageHeader) -> int:
        patient = self._patients.get(header.patient_key)
        if patient is None:
            patient = self._patient(header)
        study = self._studies.get((patient, header.study_uid)) or self._study(patient, header)
        key = (study, header.series_uid)
        if key not in self._series:
            y, x = header.spacing or (None, None)
            self._series[key] = self._found_or_made(
                "series",
                {"study": study, "uid": header.series_uid},
                {
                    "kind": header.kind, "number": header.series_number,
                    "description": header.series_description, "modality": header.modality,
                    "body_part": header.body_part, "words": _words(header),
                    "row_count": header.rows, "column_count": header.columns,
                    "spacing_y": y, "spacing_x": x,
                },
            )  # fmt: skip
        return self._series[key]

    def _patient(self, header: ImageHeader) -> int:
        named: dict[str, object] = {"id_key": header.id_key, "sex": header.sex}
        if not header.patient_key:
            named["id"] = 0  # people are counted from 1
        found = self._found_or_made("patients", {"key": header.patient_key}, named)
        self._patients[header.patient_key] = found
        return found

    def _study(self, patient: int, header: ImageHeader) -> int:
        named = {"date": header.study_date, "description": header.study_description}
        found = self._found_or_made(
            "studies",
            {"patient": patient, "uid": header.study_uid},
            {**named, "age": header.age},
        )
        self._studies[patient, header.study_uid] = found
        return found

    def _found_or_made(
        self, table: str, key: Mapping[str, object], rest: Mapping[str, object]
    ) -> int:
        where = " AND ".join(f"{name} = ?" for name in key)
        row = self._db.execute(f"SELECT id FROM {table} WHERE {where}", (*key.values(),)).fetchone()
        if row is not None:
            return int(row[0])
        columns = {**key, **rest}
        marks = ", ".join("?" * len(columns))
        made = self._db.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", (*columns.values(),)
        )
        return int(made.lastrowid or 0)

    def _update(self, series: int) -> None:
        """Count a series' files anew; without any it goes, and its empty study and patient too."""
        files, images, slices, first, last, volume, step = self._db.execute(
            "SELECT count(*), coalesce(sum(frames), 0), count(DISTINCT round(position, 2)), "
            "min(position), max(position), max(slices), max(step) FROM files WHERE series = ?",
            (series,),
        ).fetchone()
        if slices > 1:
            step = (last - first) / (slices - 1)
        self._db.execute(
            "UPDATE series SET files = ?, images = ?, slices = ?, spacing_z = ? WHERE id = ?",
            (files, images, volume or slices, step, series),
        )
        study, patient = self._db.execute(
            "SELECT studies.id, patient FROM series JOIN studies ON studies.id = study "
            "WHERE series.id = ?",
            (series,),
        ).fetchone()
        # Parents are marked too: who shows the tree asks only below what has changed.
        for table, row in (("series", series), ("studies", study), ("patients", patient)):
            self._db.execute(
                f"UPDATE {table} SET revision = (SELECT value FROM facts WHERE name = 'revision') "
                "WHERE id = ?",
                (row,),
            )
        if not files:
            self._remove_empty(series, study, patient)

    def _remove_empty(self, series: int, study: int, patient: int) -> None:
        self._db.execute("DELETE FROM details WHERE series = ?", (series,))
        self._db.execute("DELETE FROM series WHERE id = ?", (series,))
        for table, row, below in (
            ("studies", study, "SELECT 1 FROM series WHERE study = ?"),
            ("patients", patient, "SELECT 1 FROM studies WHERE patient = ?"),
        ):
            self._db.execute(
                f"DELETE FROM {table} WHERE id = ? AND NOT EXISTS ({below})", (row, row)
            )
        # What was removed must be made again should a later file need it.
        self._patients.clear()
        self._studies.clear()
        self._series.clear()


def _words(header: ImageHeader) -> str:
    """What the filter box looks through."""
    date = header.study_date
    dates = f"{date} {date[:4]}-{date[4:6]}-{date[6:]}" if date else ""
    parts = (header.modality, header.series_description, header.study_description,
             header.body_part, dates, header.kind)  # fmt: skip
    return " ".join(part for part in parts if part).casefold()


def keep_details(connection: sqlite3.Connection, series: SeriesRow, details: SeriesDetails) -> None:
    """Keep thumbnail and findings of a series as it is at this revision."""
    findings = json.dumps([finding.to_json() for finding in details.findings])
    connection.execute(
        "INSERT OR REPLACE INTO details (series, revision, picture, findings) VALUES (?, ?, ?, ?)",
        (series.id, series.revision, details.picture, findings),
    )
