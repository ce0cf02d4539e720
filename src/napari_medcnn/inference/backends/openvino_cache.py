"""Converted networks on disk: a second run needs neither torch's network nor the conversion."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from napari_medcnn.core.errors import ReadError
from napari_medcnn.core.user_folders import cache_folder
from napari_medcnn.inference.backends.openvino_runtime import openvino, version
from napari_medcnn.models.spec import ModelSpec
from napari_medcnn.models.weights import sha256

KEPT_BYTES = 4e9
"""Of all converted networks together; those used longest ago go first."""

_FORM = 2
"""Counts changes of how networks are converted, so that none of an older form is taken."""

_MODEL, _WEIGHTS, _MANIFEST = "model.xml", "model.bin", "manifest.json"


def key_of(spec: ModelSpec, shape: tuple[int, ...]) -> str:
    """The name of what `spec` is converted to for windows of `shape` ``(batch, channel, x, y, z)``.

    Raises
    ------
    ModelError
        When the weights cannot be read.
    """
    described = [spec.kind, spec.network, spec.slice_axis, spec.activation]
    told = [_FORM, version(), sha256(spec.weights), *described, list(shape)]
    text = json.dumps(told, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def load(key: str) -> Any | None:
    """The converted network of that name; None where there is none, or it is damaged."""
    folder = cache_folder("openvino") / key
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        for name in (_MODEL, _WEIGHTS):
            if manifest[name] != sha256(folder / name):
                raise ReadError("has changed since it was written", source=folder / name)
        os.utime(folder / _MANIFEST)
        return openvino().Core().read_model(folder / _MODEL)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError, ReadError, RuntimeError):
        shutil.rmtree(folder, ignore_errors=True)
        return None


def store(key: str, model: Any) -> bool:
    """Keep `model` under that name; False where the disk does not let us.

    It is written into a folder beside its own, which takes its name when complete.
    """
    root = cache_folder("openvino")
    try:
        root.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=root))
    except OSError:
        return False
    try:
        openvino().save_model(model, temporary / _MODEL, compress_to_fp16=False)
        names = (_MODEL, _WEIGHTS)
        manifest = {name: sha256(temporary / name) for name in names}
        (temporary / _MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
        for name in (*names, _MANIFEST):
            with (temporary / name).open("rb+") as stream:
                os.fsync(stream.fileno())
        temporary.replace(root / key)
    except (OSError, RuntimeError):
        # Another process may have been faster: what it wrote is as good.
        return (root / key / _MANIFEST).is_file()
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    _make_room(root, key)
    return True


def _make_room(root: Path, kept: str) -> None:
    """Remove what was used longest ago until the rest is no larger than allowed."""
    with contextlib.suppress(OSError):
        entries = sorted(root.glob(f"*/{_MANIFEST}"), key=lambda path: -path.stat().st_mtime)
        total = 0.0
        for manifest in entries:
            total += sum(file.stat().st_size for file in manifest.parent.iterdir())
            if total > KEPT_BYTES and manifest.parent.name != kept:
                shutil.rmtree(manifest.parent, ignore_errors=True)
