"""A MONAI Bundle on disk, read without running any of it.

Read are ``configs/metadata.json`` and ``configs/inference.json`` (or ``.yaml``): the keys
``network_def`` (or ``network``), ``preprocessing``, ``inferer``, ``postprocessing`` and the path
of a ``CheckpointLoader``. What of MONAI they may name is in
:mod:`napari_medcnn.models.vocabulary`, which expressions they may hold in
:mod:`napari_medcnn.models.expressions`. This package's own words stand in the metadata under
``medcnn``, all optional: ``id``, ``title``, ``one_liner``, ``licence``, ``labels`` (a list of
``[value, name, [red, green, blue]]`` with colours in 0..1), ``channels`` (a list of ``{"name":
..., "modality": ...}``), ``min_lesion_volume_mm3``, ``listed`` and, of a detector,
``box_coordinates``. A configuration with a ``detector`` (MONAI's RetinaNet) is one that detects.
What a bundle that classifies says is in :mod:`napari_medcnn.models.classification_bundle`.

A model whose network is no class of MONAI's lies in a folder of the same form: there ``medcnn``
also states the ``kind`` of its file, ``weights`` (the file) and ``network`` (``in_channels``,
``out_channels``, ``layout``, ``output``).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_medcnn.core.errors import ModelError
from napari_medcnn.models.card import read_channels, read_labels, section
from napari_medcnn.models.classification_bundle import classification_parts, is_classification
from napari_medcnn.models.config import Config
from napari_medcnn.models.detection_bundle import detection_parts, read_steps
from napari_medcnn.models.detector_def import is_detection
from napari_medcnn.models.network_def import read_network, refuse_other_tasks
from napari_medcnn.models.spec import ModelSpec, NetworkKind, Step
from napari_medcnn.models.steps import (
    Windows,
    read_inferer,
    read_postprocessing,
    read_preprocessing,
)

_CONFIGS = ("inference.json", "inference.yaml", "inference.yml")
_KINDS: tuple[NetworkKind, ...] = ("monai", "torchscript", "exported", "onnx", "saved_model")
_LAYOUTS = ("channels_first", "channels_last")
_OUTPUTS = ("logits", "probabilities")
_WEIGHTS = ("models/model.safetensors", "models/model.pt")


def read_bundle(folder: str | Path, *, need_weights: bool = True) -> ModelSpec:
    """What the bundle in `folder` is and how it is run.

    Parameters
    ----------
    folder : str or Path
        With the folders ``configs`` and ``models``.
    need_weights : bool
        False reads a bundle whose weights are not there (yet).

    Raises
    ------
    ModelError
        When files are missing or cannot be parsed, something is outside the supported subset, or
        network and labels contradict each other.
    """
    folder = Path(os.path.normpath(Path(folder).absolute()))
    config = open_config(folder)
    try:
        return _spec(folder, config, open_metadata(folder), need_weights)
    except ModelError as error:
        if error.source is not None:
            raise
        raise ModelError(error.what, source=config.source, hint=error.hint) from error


def open_config(folder: Path) -> Config:
    """The configuration for inference of the bundle in `folder`, nothing worked out yet.

    Raises
    ------
    ModelError
        When there is none, or it cannot be parsed.
    """
    file = next((p for name in _CONFIGS if (p := folder / "configs" / name).is_file()), None)
    if file is None:
        raise ModelError(
            "no model here: configs/inference.json (or .yaml) is missing",
            source=folder,
            hint="choose the folder of a MONAI Bundle",
        )
    return Config({**_parsed(file), "bundle_root": str(folder)}, file)


def _spec(folder: Path, config: Config, metadata: dict[str, Any], need_weights: bool) -> ModelSpec:
    own = section(metadata, "medcnn")
    kind = _kind(own)
    detects = is_detection(config)
    preprocessing, image_key = (read_steps if detects else read_preprocessing)(config)
    read = _detection if detects else _segmentation
    if is_classification(metadata):
        read = _classification
    parts, windows = read(config, folder, metadata, kind)
    return ModelSpec(
        id=str(own.get("id", folder.name)),
        title=str(own.get("title", metadata.get("name", folder.name))),
        version=str(metadata.get("version", "")),
        path=folder,
        weights=_weights(folder, config, own, kind, need_weights),
        kind=kind,
        channels=read_channels(metadata, parts["network"]),
        preprocessing=preprocessing,
        image_key=image_key,
        roi_size=_reversed(windows.roi_size),
        overlap=windows.overlap,
        blend=windows.blend,
        blend_sigma=windows.blend_sigma,
        padding=windows.padding,
        padding_value=windows.padding_value,
        slice_axis=None if windows.slice_axis is None else 2 - windows.slice_axis,
        window_batch=windows.batch,
        spacing_mm=_spacing(preprocessing),
        axcodes=_axcodes(preprocessing),
        one_liner=str(own.get("one_liner", metadata.get("task", ""))),
        description=str(metadata.get("description", "")),
        licence=_licence(folder, metadata, own),
        intended_use=str(metadata.get("intended_use", "")),
        min_lesion_volume_mm3=float(own.get("min_lesion_volume_mm3", 0.0)),
        listed=bool(own.get("listed", True)),
        metadata=metadata,
        **parts,
    )


def _segmentation(
    config: Config, folder: Path, metadata: Mapping[str, Any], kind: NetworkKind
) -> tuple[dict[str, Any], Windows]:
    """The fields that a segmentation model decides in its own way, and its windows."""
    if kind == "monai":
        refuse_other_tasks(config, metadata)
    windows = read_inferer(config)
    slices = windows.slice_axis is not None
    own = section(metadata, "medcnn")
    network = read_network(config, folder, slices) if kind == "monai" else _program(own)
    activation, threshold, postprocessing = read_postprocessing(config)
    return {
        "network": network,
        "labels": read_labels(metadata, network, postprocessing),
        "activation": activation,
        "threshold": threshold,
        "postprocessing": postprocessing,
    }, windows


def _detection(
    config: Config, folder: Path, metadata: Mapping[str, Any], kind: NetworkKind
) -> tuple[dict[str, Any], Windows]:
    """The same of a model that detects; of its folder nothing is read but the configuration."""
    return detection_parts(config, metadata, kind)


def _classification(
    config: Config, folder: Path, metadata: Mapping[str, Any], kind: NetworkKind
) -> tuple[dict[str, Any], Windows]:
    """The same of a model that tells classes apart."""
    return classification_parts(config, metadata, kind)


def _parsed(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
        if file.suffix == ".json":
            content = json.loads(text)
        else:
            import yaml

            try:
                content = yaml.safe_load(text)
            except yaml.YAMLError as error:
                raise ValueError(str(error)) from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"cannot be read: {error}", source=file) from error
    if not isinstance(content, dict):
        raise ModelError("holds no keys and values", source=file)
    return content


def open_metadata(folder: Path) -> dict[str, Any]:
    """What ``configs/metadata.json`` of the bundle in `folder` says; nothing where there is none.

    Raises
    ------
    ModelError
        When it cannot be parsed.
    """
    file = folder / "configs" / "metadata.json"
    return _parsed(file) if file.is_file() else {}


def _kind(own: Mapping[str, Any]) -> NetworkKind:
    stated = own.get("kind", "monai")
    for kind in _KINDS:
        if stated == kind:
            return kind
    raise ModelError(f"medcnn.kind is {stated!r}, which is none of {', '.join(_KINDS)}")


def _program(own: Mapping[str, Any]) -> dict[str, Any]:
    """What the metadata says of a network that is a whole program."""
    stated = section(own, "network")
    counts = [stated.get(name) for name in ("in_channels", "out_channels")]
    if not all(isinstance(count, int) and count > 0 for count in counts):
        raise ModelError("medcnn.network states no in_channels and out_channels")
    if stated.get("layout", _LAYOUTS[0]) not in _LAYOUTS:
        raise ModelError(f"medcnn.network.layout is none of {', '.join(_LAYOUTS)}")
    if stated.get("output", _OUTPUTS[0]) not in _OUTPUTS:
        raise ModelError(f"medcnn.network.output is none of {', '.join(_OUTPUTS)}")
    return {"layout": _LAYOUTS[0], "output": _OUTPUTS[0], **stated}


def _weights(
    folder: Path, config: Config, own: Mapping[str, Any], kind: NetworkKind, needed: bool
) -> Path:
    stated = _stated_weights(config) if kind == "monai" else [str(own.get("weights", ""))]
    usual = _WEIGHTS if kind == "monai" else ()
    paths = [Path(os.path.normpath(folder / path)) for path in (*stated, *usual)]
    for path in paths:
        if not path.is_relative_to(folder):
            raise ModelError(f"the weights lie outside the model's folder, refused: {path}")
        if path.is_dir() if kind == "saved_model" else path.is_file():
            return path
    if needed:
        raise ModelError(
            "no weights: the model's folder has none", source=paths[0], hint="download them there"
        )
    return paths[0]


def _stated_weights(config: Config) -> list[str]:
    places = ["checkpointloader"]
    if "handlers" in config and isinstance(config.raw("handlers"), list):
        places += [f"handlers#{n}" for n in range(len(config.raw("handlers")))]
    for place in places:
        if place.split("#")[0] not in config:
            continue
        raw = config.raw(place)
        if isinstance(raw, Mapping) and raw.get("_target_") == "CheckpointLoader":
            return [str(config.value(f"{place}#load_path"))]
    return []


def _spacing(steps: tuple[Step, ...]) -> tuple[float, float, float] | None:
    for step in reversed(steps):
        if step.target == "Spacingd":
            pixdim = step.arguments.get("pixdim")
            if not isinstance(pixdim, list | tuple) or len(pixdim) != 3:
                raise ModelError(f"the grid's spacing {pixdim} has not three values")
            x, y, z = (max(0.0, float(value)) for value in pixdim)
            return z, y, x
    return None


def _axcodes(steps: tuple[Step, ...]) -> str:
    for step in reversed(steps):
        if step.target == "Orientationd":
            codes = str(step.arguments.get("axcodes", "RAS")).upper()
            if step.arguments.get("as_closest_canonical"):
                return "RAS"
            if sorted("LPI".find(_OPPOSITE.get(c, c)) for c in codes) != [0, 1, 2]:
                raise ModelError(f"the orientation {codes} does not name three axes")
            return codes
    return ""


_OPPOSITE = {"R": "L", "A": "P", "S": "I"}


def _licence(folder: Path, metadata: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    stated = own.get("licence", metadata.get("license", ""))
    if stated:
        return str(stated)
    file = folder / "LICENSE"
    if not file.is_file():
        return ""
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line.strip() for line in lines if line.strip()), "")


def _reversed(values: tuple[int, int, int]) -> tuple[int, int, int]:
    x, y, z = values
    return z, y, x
