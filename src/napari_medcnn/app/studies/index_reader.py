"""Ask an index what it holds, level by level: patients, their studies, their series."""

from __future__ import annotations

import json
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_medcnn.app.studies.index_file import open_to_read
from napari_medcnn.core.volume import Finding, Severity


@dataclass(frozen=True)
class PatientRow:
    """A patient without a name; `key` is empty for files that belong to no patient."""

    id: int
    key: str
    sex: str
    age: int | None
    studies: int
    revision: int


@dataclass(frozen=True)
class StudyRow:
    """A study; for files without one, the folder they lie in."""

    id: int
    patient: int
    date: str
    description: str
    age: int | None
    series: int
    revision: int


@dataclass(frozen=True)
class SeriesRow:
    """A series; spacing in mm, None where unknown; sizes are 0 where it holds no image."""

    id: int
    study: int
    uid: str
    kind: str
    number: int | None
    description: str
    modality: str
    body_part: str
    files: int
    images: int
    slices: int
    rows: int
    columns: int
    spacing: tuple[float | None, float | None, float | None]
    revision: int
    details_revision: int | None


@dataclass(frozen=True)
class SeriesDetails:
    """What is looked up only for series that someone looks at.

    `picture` is a PNG of the middle slice, None where none could be made.
    """

    picture: bytes | None
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class StudyFilter:
    """Which series are shown: those with all `words`.

    `keys` holds for each word the key of the patient whose ID it would be, `patients` the ids of
    patients whose name or ID contains it, known only while names are shown.
    """

    words: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    patients: tuple[frozenset[int], ...] = ()

    def condition(self) -> tuple[str, list[object]]:
        """SQL over the aliases p, s and e of patients, studies and series, with its values."""
        parts: list[str] = []
        values: list[object] = []
        for number, word in enumerate(self.words):
            pattern = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
            ways = ["e.words LIKE ? ESCAPE '\\'"]
            values.append(f"%{pattern}%")
            if self.keys and self.keys[number]:
                ways.append("p.id_key = ?")
                values.append(self.keys[number])
            if self.patients and self.patients[number]:
                ways.append(f"p.id IN ({', '.join(map(str, sorted(self.patients[number])))})")
            parts.append(f"({' OR '.join(ways)})")
        return " AND ".join(parts) or "1", values


@dataclass(frozen=True)
class IndexSummary:
    """How much an index holds; `problems` are files that should be images and cannot be read."""

    patients: int
    studies: int
    series: int
    files: int
    problems: int


_SERIES = (
    "e.id, e.study, e.uid, e.kind, e.number, e.description, e.modality, e.body_part, e.files, "
    "e.images, e.slices, e.row_count, e.column_count, e.spacing_z, e.spacing_y, e.spacing_x, "
    "e.revision, d.revision"
)


class IndexReader:
    """Reads an index that others may be writing."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    @classmethod
    def open(cls, path: Path) -> IndexReader | None:
        """A reader of an index file, None while there is none."""
        connection = open_to_read(path)
        return None if connection is None else cls(connection)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    @property
    def revision(self) -> int:
        """It grows whenever something changes."""
        row = self._db.execute("SELECT value FROM facts WHERE name = 'revision'").fetchone()
        return int(row[0])

    def patients(self, chosen: StudyFilter, limit: int, *, since: int = -1) -> list[PatientRow]:
        """The first `limit` patients with a series that passes, changed after revision `since`.

        Files that belong to no patient come last.
        """
        condition, values = chosen.condition()
        rows = self._db.execute(
            "SELECT p.id, p.key, p.sex, (SELECT age FROM studies WHERE patient = p.id "
            "ORDER BY date DESC LIMIT 1), (SELECT count(*) FROM studies WHERE patient = p.id), "
            "p.revision FROM patients p WHERE p.revision > ? AND EXISTS (SELECT 1 FROM studies s "
            f"JOIN series e ON e.study = s.id WHERE s.patient = p.id AND {condition}) "
            "ORDER BY p.key = '', p.id LIMIT ?",
            (since, *values, limit),
        )
        return [PatientRow(*row) for row in rows]

    def studies(self, patient: int, chosen: StudyFilter, limit: int) -> list[StudyRow]:
        """A patient's studies with a series that passes, the latest first."""
        condition, values = chosen.condition()
        rows = self._db.execute(
            "SELECT s.id, s.patient, s.date, s.description, s.age, (SELECT count(*) FROM series "
            "WHERE study = s.id), s.revision FROM studies s JOIN patients p ON p.id = s.patient "
            "WHERE s.patient = ? AND EXISTS (SELECT 1 FROM series e WHERE e.study = s.id "
            f"AND {condition}) ORDER BY s.date DESC, s.description, s.id LIMIT ?",
            (patient, *values, limit),
        )
        return [StudyRow(*row) for row in rows]

    def series(self, study: int, chosen: StudyFilter, limit: int) -> list[SeriesRow]:
        """A study's series that pass, by number."""
        condition, values = chosen.condition()
        rows = self._db.execute(
            f"SELECT {_SERIES} FROM series e JOIN studies s ON s.id = e.study "
            "JOIN patients p ON p.id = s.patient LEFT JOIN details d ON d.series = e.id "
            f"WHERE e.study = ? AND {condition} "
            "ORDER BY e.number IS NULL, e.number, e.description, e.id LIMIT ?",
            (study, *values, limit),
        )
        return [_series(row) for row in rows]

    def one_series(self, series: int) -> SeriesRow | None:
        """A series by its id."""
        row = self._db.execute(
            f"SELECT {_SERIES} FROM series e LEFT JOIN details d ON d.series = e.id WHERE e.id = ?",
            (series,),
        ).fetchone()
        return None if row is None else _series(row)

    def count_matching(self, chosen: StudyFilter, limit: int) -> int:
        """How many series pass, counted up to `limit`."""
        condition, values = chosen.condition()
        row = self._db.execute(
            "SELECT count(*) FROM (SELECT 1 FROM series e JOIN studies s ON s.id = e.study "
            f"JOIN patients p ON p.id = s.patient WHERE {condition} LIMIT ?)",
            (*values, limit),
        ).fetchone()
        return int(row[0])

    def files(self, series: int) -> list[Path]:
        """A series' files below the folder, by position and instance number."""
        rows = self._db.execute(
            "SELECT path FROM files WHERE series = ? ORDER BY position, instance, path", (series,)
        )
        return [Path(os.fsdecode(row[0])) for row in rows]

    def middle_file(self, series: int) -> Path | None:
        """The file in the middle of a series."""
        row = self._db.execute(
            "SELECT path FROM files WHERE series = ?1 ORDER BY position, instance, path LIMIT 1 "
            "OFFSET (SELECT files / 2 FROM series WHERE id = ?1)",
            (series,),
        ).fetchone()
        return None if row is None else Path(os.fsdecode(row[0]))

    def a_file_of(self, patient: int) -> Path | None:
        """Any file of a patient."""
        row = self._db.execute(
            "SELECT path FROM files JOIN series ON series.id = files.series JOIN studies ON "
            "studies.id = study WHERE patient = ? LIMIT 1",
            (patient,),
        ).fetchone()
        return None if row is None else Path(os.fsdecode(row[0]))

    def all_patients(self) -> list[int]:
        """The ids of the patients that have a key."""
        return [row[0] for row in self._db.execute("SELECT id FROM patients WHERE key != ''")]

    def details(self, series: int) -> SeriesDetails | None:
        """Thumbnail and findings of a series, None as long as nobody looked them up."""
        row = self._db.execute(
            "SELECT picture, findings FROM details WHERE series = ?", (series,)
        ).fetchone()
        if row is None:
            return None
        findings = [
            Finding(f["code"], Severity(f["severity"]), f["text"], tuple(f["slices"]))
            for f in json.loads(row[1])
        ]
        return SeriesDetails(row[0], tuple(findings))

    def problems(self, limit: int) -> list[tuple[Path, str]]:
        """Files that should be images and cannot be read, with the reason."""
        rows = self._db.execute(
            "SELECT path, problem FROM files WHERE broken ORDER BY path LIMIT ?",
            (limit,),
        )
        return [(Path(os.fsdecode(path)), problem) for path, problem in rows]

    def summary(self) -> IndexSummary:
        """How much there is."""
        row = self._db.execute(
            "SELECT (SELECT count(*) FROM patients WHERE key != ''), (SELECT count(*) FROM "
            "studies), (SELECT count(*) FROM series), (SELECT coalesce(sum(files), 0) FROM "
            "series), (SELECT count(*) FROM files WHERE broken)"
        ).fetchone()
        return IndexSummary(*row)


def _series(row: tuple[Any, ...]) -> SeriesRow:
    values = [*row[:13], row[13:16], *row[16:]]
    return SeriesRow(*values)
