"""The user's folder of models: a new one takes its place when it is complete, an old one leaves."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_medcnn.core.errors import ModelError
from napari_medcnn.models.registry import SHIPPED, find_model, look_through, user_models_folder

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def check_name(name: str) -> str:
    """A model's name, if a folder can be called so everywhere and no model is.

    Raises
    ------
    ModelError
        When it cannot, or another model has it.
    """
    if not _NAME.fullmatch(name):
        raise ModelError(
            f"{name!r} is no name for a model",
            hint="up to 64 letters, digits, dots, dashes and underscores; state one with --name",
        )
    taken = {spec.id.casefold() for spec in look_through().models}
    folder = user_models_folder()
    taken |= {p.name.casefold() for p in folder.iterdir()} if folder.is_dir() else set()
    if name.casefold() in taken:
        raise ModelError(
            f"there is a model called {name} already",
            hint="remove it first (medcnn models remove), or state another name with --name",
        )
    return name


def plain_name(text: str) -> str:
    """`text` as a name: what no folder is called everywhere becomes an underscore."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._-")[:64] or "model"


@contextmanager
def staging() -> Iterator[Path]:
    """A hidden folder among the user's models to build one in; gone at the end."""
    root = user_models_folder()
    try:
        folder = root / f".importing-{uuid.uuid4().hex}"
        folder.mkdir(parents=True)
    except OSError as error:
        raise ModelError(
            f"the folder of models cannot be written: {error.strerror or error}", source=root
        ) from error
    try:
        yield folder
    except OSError as error:
        raise ModelError(f"cannot be copied: {error.strerror or error}", source=root) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish(folder: Path, name: str) -> Path:
    """Give a finished folder its name; nobody ever sees a part of it."""
    target = user_models_folder() / check_name(name)
    folder.rename(target)
    return target


def remove_model(name: str) -> Path:
    """Delete a model of the user's; returns where it was.

    Raises
    ------
    ModelError
        When there is none of that name, or it came with the package or lies elsewhere.
    """
    folder = user_models_folder() / name
    if not (_NAME.fullmatch(name) and folder.is_dir()):
        folder = find_model(name).path  # by its id, where that is not the folder's name
    if folder.parent == SHIPPED:
        raise ModelError(f"{name} came with the package and stays", source=folder)
    if folder.parent != user_models_folder():
        raise ModelError("only models in the user's own folder are removed", source=folder)
    doomed = folder.with_name(f".removed-{uuid.uuid4().hex}")
    try:
        folder.rename(doomed)
        shutil.rmtree(doomed)
    except OSError as error:
        raise ModelError(f"cannot be removed: {error.strerror or error}", source=folder) from error
    return folder
