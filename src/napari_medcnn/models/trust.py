"""Which programs the user trusts: files, by their SHA-256, in one list of the user's own.

TorchScript and ``torch.export`` files are programs. TorchScript may write files as soon as it is
loaded (a ``__setstate__`` that calls ``torch.save``), and loading a ``.pt2`` file unpickles
constants and example inputs without restriction. Neither is opened before the user said yes to
exactly this file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from napari_medcnn.core.atomic import write_json
from napari_medcnn.core.errors import ConsentNeeded, ReadError
from napari_medcnn.core.user_folders import config_folder

WHAT_IT_MAY_DO = {
    "torchscript": "TorchScript is a program: as soon as it is loaded it may read and write files",
    "exported": "a .pt2 file is a program: loading it unpickles objects, which may run any code",
}


def trust_list() -> Path:
    """The file that holds what the user trusts; outside of the folders that models come to."""
    return config_folder() / "trusted_models.json"


def is_trusted(sha256: str) -> bool:
    """Whether the user said yes to the file of this hash.

    Raises
    ------
    ReadError
        When the list is there and cannot be read.
    """
    return sha256 in _trusted()


def remember(sha256: str, name: str) -> None:
    """Trust the file of this hash from now on; `name` is for people who read the list."""
    write_json(trust_list(), {"trusted": {**_trusted(), sha256: name}})


def require(sha256: str, kind: str, source: Path) -> None:
    """Let pass only what the user trusts.

    Raises
    ------
    ConsentNeeded
        When nobody said yes to this file.
    """
    if not is_trusted(sha256):
        raise ConsentNeeded(
            f"{WHAT_IT_MAY_DO[kind]}. Nothing of it was run",
            source=source,
            hint="import it with --trust if you know where it comes from",
        )


def _trusted() -> dict[str, Any]:
    path = trust_list()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise ReadError("cannot be read", source=path, hint="correct or delete it") from error
    trusted = content.get("trusted") if isinstance(content, dict) else None
    if not isinstance(trusted, dict):
        raise ReadError("is no list of trusted models", source=path, hint="correct or delete it")
    return trusted
