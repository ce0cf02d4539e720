"""Frozen dataclasses as JSON files: every field checked, unknown ones refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

# The whole of pydantic before Qt: PySide6 looks into every import that follows it, which pydantic's
# lazy modules do not survive, and napari could not start any more.
import pydantic.types  # noqa: F401
from pydantic import TypeAdapter, ValidationError

from napari_medcnn.core.atomic import write_text
from napari_medcnn.core.errors import ReadError

_Record = TypeVar("_Record")
_SHOWN = 5


def read_record(path: str | Path, kind: type[_Record]) -> _Record:
    """The record of class `kind` in a JSON file.

    Raises
    ------
    ReadError
        When the file cannot be read, is no JSON, or a field is missing, wrong or unknown; the
        error names the file and every field.
    """
    source = Path(path)
    try:
        content = source.read_bytes()
    except OSError as error:
        raise ReadError(f"cannot be read: {error.strerror or error}", source=source) from error
    return parse_record(content, kind, source)


def parse_record(content: bytes | str, kind: type[_Record], source: str | Path) -> _Record:
    """The record of class `kind` that JSON text holds; `source` is what errors name.

    Raises
    ------
    ReadError
        As :func:`read_record`.
    """
    try:
        plain = json.loads(content)
    except ValueError as error:
        raise ReadError(f"this is no JSON: {error}", source=source) from error
    try:
        record = TypeAdapter(kind).validate_json(content, strict=True)
    except ValidationError as error:
        told = [
            f"{'.'.join(map(str, one['loc'])) or 'the whole'}: {one['msg']}"
            for one in error.errors(include_url=False)
        ]
        raise ReadError(_joined(told), source=source) from error
    unknown = [f"{place}: no such field" for place in _unknown(record, plain, "")]
    if unknown:
        raise ReadError(_joined(unknown), source=source, hint="is the name spelt right?")
    return record


def record_json(record: Any) -> str:
    """A record as indented JSON text."""
    content: bytes = TypeAdapter(type(record)).dump_json(record, indent=2, ensure_ascii=False)
    return content.decode("utf-8") + "\n"


def write_record(path: str | Path, record: Any) -> None:
    """Write a record atomically.

    Raises
    ------
    WriteError
        When the file cannot be written.
    """
    write_text(path, record_json(record))


def _joined(told: list[str]) -> str:
    more = f"; and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
    return "; ".join(told[:_SHOWN]) + more


def _unknown(record: Any, plain: Any, place: str) -> Iterator[str]:
    """Places of `plain` that no field of `record` took."""
    if is_dataclass(record) and isinstance(plain, dict):
        names = {field.name for field in fields(record)}
        for key, value in plain.items():
            inner = f"{place}.{key}" if place else key
            if key not in names:
                yield inner
            else:
                yield from _unknown(getattr(record, key), value, inner)
    elif isinstance(record, tuple) and isinstance(plain, list):
        for number, (one, value) in enumerate(zip(record, plain, strict=True)):
            yield from _unknown(one, value, f"{place}.{number}")
