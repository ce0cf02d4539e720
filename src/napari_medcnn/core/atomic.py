"""Write files so that a reader sees the old content or the new one, never a part."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from napari_medcnn.core.errors import WriteError


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well.

    The temporary file keeps the full suffix of `path` (``.nii.gz``), because writers choose the
    format by it. On an error the old file stays as it was and the temporary one is removed.

    Raises
    ------
    WriteError
        When the folder or the file cannot be written.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        name = f".{target.name.split('.')[0]}-{uuid.uuid4().hex}{_suffix(target)}"
        temporary = target.parent / name
        # Path.touch and not mkstemp: results are for whoever the user's umask admits.
        temporary.touch(exist_ok=False)
    except OSError as error:
        raise _write_error(target, error) from error
    try:
        yield temporary
        _publish(temporary, target)
    except OSError as error:
        raise _write_error(target, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write `content` to `path` atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | Path, content: str) -> None:
    """Write UTF-8 `content` to `path` atomically."""
    write_bytes(path, content.encode("utf-8"))


def write_json(path: str | Path, content: Any) -> None:
    """Write `content` as indented JSON atomically; NaN and infinity are refused."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _suffix(path: Path) -> str:
    return "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix


def _publish(temporary: Path, target: Path) -> None:
    with temporary.open("rb+") as stream:
        os.fsync(stream.fileno())
    temporary.replace(target)


def _write_error(target: Path, error: OSError) -> WriteError:
    return WriteError(
        f"cannot be written: {error.strerror or error}",
        source=target,
        hint="choose a folder with write permission and free space",
    )
