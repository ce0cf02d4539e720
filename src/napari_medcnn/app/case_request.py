"""What was asked of a case, kept in its record: whether a folder holds exactly that already."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from napari_medcnn.app.case import Case, stamp
from napari_medcnn.app.case_folder import FILES, RUN, map_files
from napari_medcnn.app.case_options import CaseOptions
from napari_medcnn.models.spec import ModelSpec

_PLACES = ("path", "weights", "members", "metadata", "description", "one_liner", "licence",
           "intended_use", "listed", "title")  # fmt: skip
"""Fields of a model that say where it lies or what people read: they change no result."""


@dataclass(frozen=True)
class Request:
    """Which files, which model and which options: what decides a case's result.

    Parameters
    ----------
    inputs : str
        :func:`~napari_medcnn.app.case.stamp` of the image files.
    model : dict
        Id, version, and the hash of weights and settings.
    options : dict
        :meth:`CaseOptions.deciding`.
    """

    inputs: str
    model: Mapping[str, str]
    options: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """As the record keeps it."""
        return {"inputs": self.inputs, "model": dict(self.model), "options": dict(self.options)}


class Standing(Enum):
    """What a case's folder holds, measured by a request."""

    NEW = "new"
    DONE = "done"
    TOUCHED = "touched"
    """All equal but the files' times: the voxels tell whether it is done."""
    CHANGED = "changed"


@dataclass(frozen=True)
class Earlier:
    """What is known of an earlier run into a folder; `reason` says what changed since."""

    standing: Standing
    reason: str = ""
    fingerprints: tuple[str, ...] = ()


def request_of(case: Case, spec: ModelSpec, options: CaseOptions) -> Request:
    """What is asked now.

    Raises
    ------
    ReadError
        When an image's file is not there.
    InputMismatch
        When the images do not fit the model's channels.
    ModelError
        When the model's weights cannot be read.
    """
    return Request(stamp(case.ordered_for(spec)), model_stamp(spec), options.deciding())


def model_stamp(spec: ModelSpec) -> dict[str, str]:
    """The model's id and version, and one hash of its weights and of everything it is run with."""
    from napari_medcnn.models.weights import sha256

    digest = hashlib.sha256()
    for file in spec.weight_files:
        files = sorted(p for p in file.rglob("*") if p.is_file()) if file.is_dir() else [file]
        for weights in files:
            digest.update(sha256(weights).encode())
    settings = {name: value for name, value in asdict(spec).items() if name not in _PLACES}
    digest.update(json.dumps(settings, sort_keys=True, default=repr).encode())
    return {"id": spec.id, "version": spec.version, "sha256": digest.hexdigest()}


def earlier_run(folder: Path, request: Request) -> Earlier:
    """Whether a folder holds what `request` asks for, by its record; nothing is computed."""
    try:
        record = json.loads((folder / RUN).read_text(encoding="utf-8"))
        asked = record.get("request") or {}
        options, model = dict(asked.get("options", {})), dict(asked.get("model", {}))
        fingerprints = tuple(record["input_fingerprints"])
        inputs = str(asked.get("inputs", ""))
    except FileNotFoundError:
        return Earlier(Standing.NEW)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        # Whose it is, and whether it may be replaced, is decided before writing.
        return Earlier(Standing.CHANGED, "its record cannot be read")
    reason = (
        _model_change(model, request.model)
        or _option_change(options, request.options)
        or _missing_files(folder, request.options)
    )
    if reason:
        return Earlier(Standing.CHANGED, reason, fingerprints)
    if inputs != request.inputs:
        return Earlier(Standing.TOUCHED, "its image files changed", fingerprints)
    return Earlier(Standing.DONE, "done before", fingerprints)


def _model_change(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    if not before:
        return "it was made by a version that did not keep what was asked"
    if before.get("version") != now["version"]:
        return f"the model changed from version {before.get('version')} to {now['version']}"
    return "" if dict(before) == dict(now) else "the model changed"


def _option_change(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    plain = json.loads(json.dumps(now))
    changes = [
        f"{name.replace('_', ' ')} from {_word(before.get(name))} to {_word(value)}"
        for name, value in plain.items()
        if before.get(name) != value
    ]
    return f"options changed: {', '.join(changes)}" if changes else ""


def _missing_files(folder: Path, options: Mapping[str, Any]) -> str:
    wanted: Sequence[str] = (
        *FILES,
        *map_files(probability=options["probability"], uncertainty=options["uncertainty"]),
    )
    gone = [name for name in wanted if not (folder / name).is_file()]
    return f"{', '.join(gone)} was missing" if gone else ""


def _word(value: Any) -> str:
    return "none" if value in (None, []) else str(value)
