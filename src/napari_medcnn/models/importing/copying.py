"""Copy what belongs to a model, in pieces so that it can be cancelled, and no link out of it."""

from __future__ import annotations

from pathlib import Path

from napari_medcnn.core.errors import ModelError
from napari_medcnn.core.events import JobControl
from napari_medcnn.models.importing.limits import MAX_FILES, MAX_UNPACKED_BYTES

_CHUNK = 1 << 22
_TEXTS = (".json", ".yaml", ".yml", ".md", ".txt", ".rst", ".png", ".jpg", ".jpeg", "")
"""Of documentation and configuration; programs are never copied, as they are never run."""


def copy_file(source: Path, target: Path, root: Path, control: JobControl) -> None:
    """Copy one file that lies in `root`, links followed.

    Raises
    ------
    ModelError
        When it is a link to somewhere else.
    Cancelled
        When the job was cancelled.
    """
    if not source.resolve().is_relative_to(root.resolve()):
        raise ModelError("is a link out of the model's folder, refused", source=source)
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as reader, target.open("xb") as writer:
        while chunk := reader.read(_CHUNK):
            control.checkpoint()
            writer.write(chunk)


def copy_folder(source: Path, target: Path, control: JobControl) -> None:
    """Copy a folder of plain files.

    Raises
    ------
    ModelError
        When it holds a link out of it, or far too much.
    """
    files = [path for path in source.rglob("*") if path.is_file()]
    if len(files) > MAX_FILES or sum(f.stat().st_size for f in files) > MAX_UNPACKED_BYTES:
        raise ModelError("holds far too much for a model", source=source)
    for file in files:
        copy_file(file, target / file.relative_to(source), source, control)


def copy_texts(source: Path, target: Path, control: JobControl) -> None:
    """Copy a model's texts: configuration, documentation and licence, where they are."""
    found = [*source.glob("LICEN[CS]E*"), *source.glob("licen[cs]e*")]
    for folder in ("configs", "docs"):
        found += list((source / folder).rglob("*"))[:MAX_FILES]
    for file in found:
        if file.is_file() and file.suffix.lower() in _TEXTS:
            copy_file(file, target / file.relative_to(source), source, control)
