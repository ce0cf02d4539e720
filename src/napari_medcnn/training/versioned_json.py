"""JSON files of frozen dataclasses that say what they are, and in which schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from napari_medcnn.core.atomic import write_json
from napari_medcnn.core.errors import ReadError
from napari_medcnn.training.strict_json import parse_record

_Record = TypeVar("_Record")


def read_versioned(
    path: Path, kind: type[_Record], format_name: str, schema: int, what: str
) -> _Record:
    """The record of a file whose ``format`` and ``schema`` are these.

    Parameters
    ----------
    path : Path
        The file.
    kind : type
        The class of the record: every other key of the file is one of its fields.
    format_name, schema : str, int
        What the file has to say of itself.
    what : str
        What it is, for people: ``"data set"``.

    Raises
    ------
    ReadError
        When it cannot be read, is no JSON, is something else or newer, or a field is wrong.
    """
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise ReadError(
            f"cannot be opened: {error.strerror or error}", source=path, hint="check the path"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ReadError(f"is no JSON: {error}", source=path) from error
    if not isinstance(content, dict) or content.pop("format", None) != format_name:
        raise ReadError(
            f"is no {what} of this program", source=path, hint=f'"format" has to be "{format_name}"'
        )
    found = content.pop("schema", None)
    if found != schema:
        raise ReadError(
            f"is a {what} of schema {found}; this version reads {schema}",
            source=path,
            hint="update the program",
        )
    return parse_record(json.dumps(content), kind, path)


def write_versioned(path: Path, content: dict[str, Any], format_name: str, schema: int) -> None:
    """Write a record's fields under its format and schema, atomically.

    Raises
    ------
    WriteError
        When the file cannot be written.
    """
    write_json(path, {"format": format_name, "schema": schema, **content})
