"""A network that a bundle brings as a program of its own: run only after trust in these files.

Trusted is a set of files: the bundle's Python files and its configuration for inference, by
one hash. Only the network's class is taken from them; the steps before and after it stay those of
the table.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from napari_medcnn.core.errors import ConsentNeeded, ModelError
from napari_medcnn.models.trust import is_trusted
from napari_medcnn.models.weights import sha256

_lock = threading.Lock()


def own_files(folder: Path) -> tuple[Path, ...]:
    """The Python files of the bundle in `folder`."""
    files = (path for path in folder.rglob("*.py") if path.is_file())
    return tuple(sorted(f for f in files if not _hidden(f.relative_to(folder))))


def fingerprint(folder: Path) -> str:
    """One SHA-256 of all that trust is about: own files and configuration, with their places."""
    configs = sorted((folder / "configs").glob("inference.*"))
    lines = "".join(
        f"{sha256(file)}  {file.relative_to(folder).as_posix()}\n"
        for file in (*own_files(folder), *configs)
    )
    return hashlib.sha256(lines.encode()).hexdigest()


def is_own(target: str, folder: Path) -> bool:
    """Whether a class is one of the bundle's own files, and no installed package is called so."""
    top = target.partition(".")[0]
    if not top.isidentifier() or "." not in target or top in sys.stdlib_module_names:
        return False
    here = (folder / top).is_dir() or (folder / f"{top}.py").is_file()
    return here and _not_installed(top)


def own_network(target: str, folder: Path) -> dict[str, Any]:
    """How a network of the bundle's own is described in a specification.

    Raises
    ------
    ModelError
        When nobody trusts these files; says which they are.
    """
    digest = fingerprint(folder)
    if not is_trusted(digest):
        names = ", ".join(f.relative_to(folder).as_posix() for f in own_files(folder)[:10])
        raise ModelError(
            f"network_def asks for {target}, a program of the bundle's own. Nothing of it was run",
            hint=f"look at {names or 'its files'}, then import it with --trust",
        )
    return {"_target_": target, "_own_": digest}


def build_own(folder: Path, description: dict[str, Any], arguments: dict[str, Any]) -> Any:
    """An object of the bundle's own class.

    Raises
    ------
    ConsentNeeded
        When the files are no longer those that the user trusts.
    ModelError
        When the class is not there or fails.
    """
    target: str = description["_target_"]
    if fingerprint(folder) != description["_own_"] or not is_trusted(description["_own_"]):
        raise ConsentNeeded(
            "the model's own programs are not those that you trust. Nothing of them was run",
            source=folder,
            hint="import it again with --trust if you know who changed them",
        )
    module, _, name = target.rpartition(".")
    with _importing_from(folder, target.partition(".")[0]):
        try:
            return getattr(importlib.import_module(module), name)(**arguments)
        except Exception as error:  # it is the bundle's own program and raises anything
            raise ModelError(
                f"the bundle's own network {target} fails: {type(error).__name__}: {error}",
                source=folder,
            ) from error


@contextmanager
def _importing_from(folder: Path, top: str) -> Iterator[None]:
    """Let modules below `top` come from `folder`, and leave no trace of it for other bundles."""
    with _lock:
        compiled = sys.dont_write_bytecode
        sys.path.insert(0, str(folder))
        sys.dont_write_bytecode = True
        importlib.invalidate_caches()
        try:
            yield
        finally:
            sys.dont_write_bytecode = compiled
            sys.path.remove(str(folder))
            for name in [n for n in sys.modules if n == top or n.startswith(f"{top}.")]:
                del sys.modules[name]


def _not_installed(top: str) -> bool:
    if top in sys.modules:
        return False
    try:
        return importlib.util.find_spec(top) is None
    except (ImportError, ValueError):
        return False


def _hidden(path: Path) -> bool:
    return any(part.startswith((".", "__pycache__")) for part in path.parts)
