"""Cases from a table: a column of names, and one of images or one for each channel of the model."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from napari_medcnn.app.case import Case, ImageSource, safe_id
from napari_medcnn.core.errors import ReadError
from napari_medcnn.models.spec import ModelSpec

CASE, IMAGE, SERIES = "case", "image", "series"
CASE_NAMES = (CASE, "case_id", "id")
DELIMITERS = (",", ";", "\t")
MOST_TOLD = 5
"""So many problems are listed; who mends them sees the rest then."""

FORM = (
    "the first line names the columns: case, and image or one column for each of the model's "
    "channels; series is optional; paths count from the table's own folder"
)


def read_cases(path: str | Path, spec: ModelSpec) -> tuple[Case, ...]:
    """The cases that a CSV file lists.

    Parameters
    ----------
    path : str or Path
        UTF-8, with commas, semicolons or tabs between the cells. Columns: ``case`` (or ``case_id``,
        ``id``), and ``image``, or one named after each of the model's channels; ``series`` where
        files hold several. Other columns are for people. Relative paths count from its own folder.
    spec : ModelSpec
        Whose channels the columns are.

    Returns
    -------
    tuple of Case
        In the table's order; that an image is there is found out when its turn comes.

    Raises
    ------
    ReadError
        When the file is no such table; every line that is wrong is named by its number.
    """
    path = Path(path)
    header, rows = _rows(path)
    columns = _columns(path, header, spec)
    cases: list[Case] = []
    problems: list[str] = []
    seen: dict[str, int] = {}
    for line, row in rows:
        name = row.get(columns[CASE], "")
        wrong = _name_problem(name, seen)
        missing = [column for key, column in columns.items() if key not in (CASE, SERIES)
                   and not row.get(column)]  # fmt: skip
        wrong += [f"no path under {column!r}" for column in missing]
        if None in row:
            wrong.append("more cells than the first line has columns")
        if wrong:
            problems.append(f"line {line}: {'; '.join(wrong)}")
            continue
        seen[name.casefold()] = line
        cases.append(Case(name, _images(row, columns, path.parent)))
    if problems:
        more = len(problems) - MOST_TOLD
        told = [*problems[:MOST_TOLD], *([f"and {more} more lines"] if more > 0 else [])]
        raise ReadError("; ".join(told), source=path, hint=FORM)
    if not cases:
        raise ReadError("lists no case", source=path, hint=FORM)
    return tuple(cases)


def _rows(path: Path) -> tuple[list[str], list[tuple[int, dict[str | None, str]]]]:
    """The names of the columns, and each line that is not empty with its number."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ReadError("is no text in UTF-8", source=path, hint="save it as CSV UTF-8") from error
    except OSError as error:
        raise ReadError(f"cannot be read: {error.strerror or error}", source=path) from error
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(DELIMITERS, key=first.count)
    stream = io.StringIO(text, newline="")
    table = csv.DictReader(stream, delimiter=delimiter, skipinitialspace=True)
    try:
        header = [name.strip() for name in table.fieldnames or ()]
        table.fieldnames = header
        rows = [
            (table.line_num, {k: _plain(v) for k, v in row.items()})
            for row in table
            if any(_plain(value) for value in row.values())
        ]
    except csv.Error as error:
        raise ReadError(f"line {table.line_num}: {error}", source=path, hint=FORM) from error
    return header, rows


def _plain(value: str | list[str] | None) -> str:
    return "".join(value).strip() if value else ""


def _columns(path: Path, header: Sequence[str], spec: ModelSpec) -> dict[str, str]:
    """Which column is what, by the header's names: case, series, image or the model's channels."""
    by_name = {name.casefold(): name for name in header if name}
    if len(by_name) < len([name for name in header if name]):
        raise ReadError("line 1: two columns have the same name", source=path, hint=FORM)
    case = next((by_name[name] for name in CASE_NAMES if name in by_name), None)
    if case is None:
        raise ReadError(
            f"line 1: no column is called {CASE!r}, only {', '.join(header) or 'nothing'}",
            source=path,
            hint=FORM,
        )
    columns = {CASE: case}
    if SERIES in by_name:
        columns[SERIES] = by_name[SERIES]
    channels = [channel.name for channel in spec.channels]
    there = [name for name in channels if name.casefold() in by_name]
    if len(there) == len(channels):
        return columns | {name: by_name[name.casefold()] for name in channels}
    if len(channels) == 1 and IMAGE in by_name:
        return columns | {IMAGE: by_name[IMAGE]}
    wanted = [name for name in channels if name not in there]
    raise ReadError(
        f"line 1: {spec.title} needs a column for {', '.join(wanted)}; "
        f"the columns are {', '.join(header)}",
        source=path,
        hint=FORM,
    )


def _name_problem(name: str, seen: Mapping[str, int]) -> list[str]:
    if not name:
        return ["the case has no name"]
    if name != safe_id(name):
        return [f"the case's name {name!r} cannot name a folder"]
    if name.casefold() in seen:
        return [f"case {name!r} is on line {seen[name.casefold()]} already"]
    return []


def _images(
    row: Mapping[str | None, str], columns: Mapping[str, str], folder: Path
) -> tuple[ImageSource, ...]:
    series = row.get(columns.get(SERIES, "")) or None
    return tuple(
        ImageSource((folder / Path(row[column]).expanduser(),), series, "" if key == IMAGE else key)
        for key, column in columns.items()
        if key not in (CASE, SERIES)
    )
