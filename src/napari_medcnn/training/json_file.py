"""JSON files of frozen dataclasses: a format, a schema, and errors that name file and field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from napari_medcnn.core.errors import ReadError

_Kind = TypeVar("_Kind")


def read_head(path: Path, format_name: str, schema: int, what: str) -> dict[str, Any]:
    """The content of a file of this format and schema, without these two.

    Parameters
    ----------
    path : Path
        The file.
    format_name, schema : str, int
        What its ``format`` and ``schema`` have to be.
    what : str
        What it is, for people: ``"data set"``.

    Raises
    ------
    ReadError
        When it cannot be read, is no JSON, is something else or newer.
    """
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise ReadError(
            f"cannot be opened: {error.strerror or error}", source=path, hint="check the path"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ReadError(f"is no JSON: {error}", source=path) from error
    if not isinstance(content, dict) or content.get("format") != format_name:
        raise ReadError(
            f"is no {what} of this program", source=path, hint=f'"format" has to be "{format_name}"'
        )
    if content.get("schema") != schema:
        raise ReadError(
            f"is a {what} of schema {content.get('schema')}; this version reads {schema}",
            source=path,
            hint="update the program",
        )
    return {name: value for name, value in content.items() if name not in ("format", "schema")}


def parsed(adapter: TypeAdapter[_Kind], content: Any, path: Path, what: str) -> _Kind:
    """The dataclass of what a file holds; every type is as stated, nothing is converted.

    Raises
    ------
    ReadError
        With the first wrong field.
    """
    try:
        return adapter.validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ReadError(f"the {what} is wrong at {where}: {first['msg']}", source=path) from error
