"""A CSV file with a row for each case."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from napari_medcnn.core.errors import ReadError
from napari_medcnn.core.events import JobControl
from napari_medcnn.training.manifest import Manifest, Part, TrainCase
from napari_medcnn.training.sources.class_folders import PART_FOLDERS
from napari_medcnn.training.sources.classes import LabelClasses, classes_in
from napari_medcnn.training.sources.entries import stem

_NAMED = ("id", "patient", "label", "class", "part")
_OURS = {name: name for name in (*_NAMED, "image")} | {"case": "id"}
"""Columns in lower case, and what they are; tables of a batch call a case's name ``case``."""


def table(
    path: Path,
    *,
    name: str = "",
    classes: LabelClasses | None = None,
    modality: str = "",
    control: JobControl | None = None,
) -> Manifest:
    """The data set of a table with a header.

    Columns are ``id`` (or ``case``), ``patient`` and ``part`` (each may be missing), ``label`` (a
    label map) or ``class`` (its name), and ``image``, or one column for each channel, called after
    it. Paths are absolute, or start at the table's folder.

    Parameters
    ----------
    path : Path
        Comma, semicolon or tab between columns; UTF-8.
    name : str
        Of the data set; by default the file's.
    classes : LabelClasses, optional
        Names and values of label maps; by default what the files hold.
    modality : str
        DICOM's term of all channels.
    control : JobControl, optional
        Cancels while label files are read.

    Raises
    ------
    ReadError
        With the line and the column that are wrong.
    """
    columns, rows = _rows(path)
    channels = tuple(column for column in columns if column not in _NAMED)
    _require_columns(columns, channels, path)
    numbered = list(enumerate(rows, start=2))
    cases = tuple(_case(row, channels, f"line {line}", path) for line, row in numbered)
    if "class" in columns:
        found = LabelClasses(tuple(sorted({case.target for case in cases if case.target})), ())
    else:
        found = classes or classes_in([case.label for case in cases if case.label], control)
    return Manifest(
        name=name or path.stem,
        task="classification" if "class" in columns else "segmentation",
        channels=channels,
        classes=found.classes,
        values=found.stored_values if "label" in columns else (),
        cases=cases,
        modality=modality,
    )


def _rows(path: Path) -> tuple[tuple[str, ...], list[dict[str, str]]]:
    """Names of the columns in lower case where they are ours, and the rows that are not empty."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ReadError(f"cannot be opened: {error.strerror or error}", source=path) from error
    except UnicodeDecodeError as error:
        raise ReadError("is no text in UTF-8", source=path, hint="save it as UTF-8") from error
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise ReadError(f"is no table: {error}", source=path) from error
    header = [cell.strip() for cell in lines[0]] if lines else []
    columns = tuple(_OURS.get(cell.lower(), cell) for cell in header)
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        if not any(cell.strip() for cell in line):
            continue
        if len(line) != len(columns):
            raise ReadError(
                f"line {number} has {len(line)} cells; the header has {len(columns)}", source=path
            )
        rows.append({name: cell.strip() for name, cell in zip(columns, line, strict=True)})
    if not rows:
        raise ReadError("has no row below its header", source=path)
    return columns, rows


def _require_columns(columns: Sequence[str], channels: Sequence[str], path: Path) -> None:
    twice = sorted({name for name in columns if columns.count(name) > 1 or not name})
    if twice:
        raise ReadError(f"the column {twice[0]!r} is there twice, or has no name", source=path)
    if not channels:
        raise ReadError(
            "has no column of images", source=path, hint="call it image, or one after each channel"
        )
    if ("label" in columns) == ("class" in columns):
        raise ReadError(
            "needs a column label, with label maps, or a column class, and not both",
            source=path,
            hint=f"it has {', '.join(columns)}",
        )


def _case(row: Mapping[str, str], channels: Sequence[str], where: str, path: Path) -> TrainCase:
    folder = path.absolute().parent
    for channel in channels:
        if not row[channel] or not (folder / row[channel]).exists():
            raise ReadError(
                f"{where}, column {channel}: {row[channel] or 'nothing'!r} is no file",
                source=path,
                hint=f"columns other than {', '.join(_NAMED)} are channels; remove what is none",
            )
    part = row.get("part", "").casefold()
    if part and part not in PART_FOLDERS:
        raise ReadError(
            f"{where}, column part: {part!r}", source=path, hint=f"{', '.join(get_args(Part))}"
        )
    label = row.get("label")
    return TrainCase(
        id=row.get("id") or _id(row[channels[0]]),
        images=tuple(folder / row[channel] for channel in channels),
        patient=row.get("patient") or None,
        label=folder / label if label else None,
        target=row.get("class") or None,
        part=PART_FOLDERS[part] if part else None,
    )


def _id(image: str) -> str:
    """A case without an id is called after its image and the folders that the table names."""
    path = Path(image)
    folders = [] if path.is_absolute() else [part for part in path.parent.parts if part != ".."]
    return "__".join((*folders, stem(path)))
