"""What a file or folder is that someone wants to import: told by its content, none of it run."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from napari_medcnn.core.errors import ModelError
from napari_medcnn.models.importing.archive import names

SourceKind = Literal[
    "bundle", "archive", "nnunet", "torchscript", "exported", "checkpoint", "onnx", "saved_model"
]

_UNSUPPORTED = {
    ".keras": "save it as a SavedModel folder: model.export('folder')",
    ".h5": "save it as a SavedModel folder: model.export('folder')",
    ".hdf5": "save it as a SavedModel folder: model.export('folder')",
    ".tflite": "use the SavedModel that it was made of",
    ".pb": "give the SavedModel's folder, not the file in it",
    ".engine": "use the bundle that it was made of",
    ".gz": "unpack it and give the folder",
    ".tar": "unpack it and give the folder",
    ".tgz": "unpack it and give the folder",
}
_CONFIGS = ("configs/inference.json", "configs/inference.yaml", "configs/inference.yml")


def recognise(source: Path, name: str = "") -> SourceKind:
    """What kind of model `source` holds; `name` is what it was called where it came from.

    Raises
    ------
    ModelError
        When it is not there, or is none of them.
    """
    if source.is_dir():
        return _folder(source)
    if not source.is_file():
        raise ModelError("is neither a file nor a folder", source=source)
    suffix = Path(name or source.name).suffix.lower()
    if suffix in _UNSUPPORTED:
        raise ModelError(f"{suffix} files are not read", source=source, hint=_UNSUPPORTED[suffix])
    entries = names(source)
    if entries:
        return _zip(entries)
    if suffix == ".onnx":
        return "onnx"
    if suffix in (".safetensors", ".pt", ".pth", ".ckpt", ".bin"):
        return "checkpoint"
    raise ModelError(
        "is no model that this program knows",
        source=source,
        hint="a MONAI Bundle (folder or zip), TorchScript, .pt2, a checkpoint, ONNX, a SavedModel",
    )


def bundle_root(folder: Path) -> Path | None:
    """The folder with ``configs`` in it: `folder`, or the only folder in it, or the first below."""
    for root in (folder, *sorted(p for p in folder.iterdir() if p.is_dir())):
        if any((root / config).is_file() for config in _CONFIGS):
            return root
    return None


def _folder(source: Path) -> SourceKind:
    if (source / "saved_model.pb").is_file():
        return "saved_model"
    if bundle_root(source):
        return "bundle"
    if any(source.rglob("plans.json")):
        return "nnunet"
    raise ModelError(
        "holds no model: neither configs/inference.json nor saved_model.pb nor plans.json",
        source=source,
        hint="give the folder of a MONAI Bundle, a SavedModel or a trained nnU-Net",
    )


def _zip(entries: list[str]) -> SourceKind:
    """PyTorch's files are zip files as well; their entries tell which."""
    parts = [entry.split("/") for entry in entries]
    below = {"/".join(p[1:]) for p in parts} | set(entries)
    if {"serialized_exported_program.json", "archive_format"} & below:
        return "exported"
    if "constants.pkl" in below and any(len(p) > 1 and p[1] == "code" for p in parts):
        return "torchscript"
    if "data.pkl" in below:
        return "checkpoint"
    return "archive"
