"""The network that a bundle describes: its class and arguments, held against the table."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from napari_medcnn.core.errors import ModelError
from napari_medcnn.models.config import Config
from napari_medcnn.models.expressions import ArrayFunction, StoredFile, StoredValue
from napari_medcnn.models.own_code import is_own, own_network
from napari_medcnn.models.vocabulary import (
    CLASSIFIERS,
    FORMER_ARGUMENTS,
    NETWORK_PARTS,
    NETWORKS,
    OTHER_TASKS,
    OUR_CLASSIFIERS,
    OUR_NETWORKS,
    arguments,
    class_name,
)

_KEYS = ("network_def", "network")
"""`network` is usually an expression that moves `network_def` to a device."""


_OTHER_OUTPUTS = ("probabilities", "object", "labels", "boxes", "classes")
_ONLY = "only models that segment are supported"


def read_network(config: Config, folder: Path, slices: bool = False) -> dict[str, Any]:
    """The class and arguments of a bundle's network, and of the parts that it is built of.

    Parameters
    ----------
    config : Config
        Of the bundle.
    folder : Path
        The bundle's; files that arguments are read from lie below it.
    slices : bool
        Whether the inferer hands over one slice after the other, as a network of pictures needs.

    Raises
    ------
    ModelError
        When the network is another one or none of segmentation, or its arguments ask for more
        than plain values.
    """
    for key in _KEYS:
        if key not in config or not config.raw(key) or isinstance(config.raw(key), str):
            continue
        raw = config.raw(key)
        target = raw.get("_target_") if isinstance(raw, Mapping) else None
        if isinstance(target, str) and is_own(target, folder):
            own = own_network(target, folder)
            return {**_checked(config.value(key), target, key, folder), **own}
        name = class_name(raw, key)
        if name not in NETWORKS:
            raise ModelError(
                f"{key} asks for the network {raw['_target_']}, which is not in the table",
                hint=f"known networks: {', '.join(sorted(NETWORKS))}",
            )
        network = config.value(key)
        dimensions = network.get("spatial_dims", 3)
        if dimensions != (2 if slices else 3):
            raise ModelError(
                "the network works on pictures; only volumes are supported, or an inferer that "
                "goes from slice to slice"
                if dimensions == 2
                else f"the network works in {dimensions} dimensions, the inferer does not"
            )
        return _checked(network, name, key, folder)
    raise ModelError("the configuration has no network_def")


def read_classifier(config: Config) -> dict[str, Any]:
    """The class and arguments of a network that tells classes of images apart.

    Raises
    ------
    ModelError
        When the network is another one, or its arguments ask for more than plain values.
    """
    for key in _KEYS:
        if key in config and isinstance(config.raw(key), Mapping):
            name = class_name(config.raw(key), key)
            given = arguments(config.value(key), CLASSIFIERS, key)
            if any(isinstance(v, ArrayFunction | StoredFile | StoredValue) for v in _leaves(given)):
                raise ModelError(f"{key}: {name} takes plain values only")
            target = f"{OUR_NETWORKS}.{name}" if name in OUR_CLASSIFIERS else name
            return {"_target_": target, **given}
    raise ModelError("the configuration has no network_def")


def refuse_other_tasks(config: Config, metadata: Mapping[str, Any]) -> None:
    """Let pass what segments, going by the network's class and by what the metadata says.

    Raises
    ------
    ModelError
        When the model classifies, detects, makes or registers images.
    """
    for key in _KEYS:
        raw = config.raw(key) if key in config else None
        target = raw.get("_target_") if isinstance(raw, Mapping) else None
        name = str(target or "").rpartition(".")[2]
        if name in OTHER_TASKS:
            raise ModelError(f"this model {OTHER_TASKS[name]} ({name}); {_ONLY}")
    outputs = metadata.get("network_data_format", {})
    outputs = outputs.get("outputs", {}) if isinstance(outputs, Mapping) else {}
    for output in outputs.values() if isinstance(outputs, Mapping) else ():
        kind = str(output.get("type", "image")) if isinstance(output, Mapping) else "image"
        if kind in _OTHER_OUTPUTS:
            raise ModelError(f"this model gives {kind}; {_ONLY}")


def stored_files(network: Mapping[str, Any], folder: Path) -> tuple[Path, ...]:
    """The files below a bundle's `folder` that its network's arguments are read from."""
    paths = {
        Path(os.path.normpath(folder / value.path))
        for value in _leaves(network)
        if isinstance(value, StoredValue)
    }
    return tuple(sorted(paths))


def _checked(component: Mapping[str, Any], name: str, key: str, folder: Path) -> dict[str, Any]:
    """A component as the table knows it: its class by name, and arguments that still exist."""
    dropped = FORMER_ARGUMENTS.get(name, frozenset())
    given = {
        argument: _part(value, f"{key}#{argument}", folder)
        for argument, value in component.items()
        if not argument.startswith("_") and argument not in dropped
    }
    for value in _leaves(given):
        if isinstance(value, ArrayFunction | StoredFile):
            raise ModelError(f"{key}: {name} takes plain values only")
        if isinstance(value, StoredValue):
            path = Path(os.path.normpath(folder / value.path))
            if not path.is_relative_to(folder):
                raise ModelError(f"{key} reads a file outside the model's folder, refused: {path}")
    return {"_target_": name, **given}


def _part(value: Any, key: str, folder: Path) -> Any:
    if not isinstance(value, Mapping) or "_target_" not in value:
        return value
    name = class_name(value, key)
    if name not in NETWORK_PARTS:
        raise ModelError(f"{key} asks for {value['_target_']}, which is not in the table")
    return _checked(value, name, key, folder)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield value
