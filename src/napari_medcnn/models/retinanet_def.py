"""The detection network that a bundle describes: a RetinaNet on a residual network's pyramid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_medcnn.core.errors import ModelError
from napari_medcnn.models.config import Config
from napari_medcnn.models.detection_vocabulary import (
    BACKBONES,
    FEATURE_EXTRACTOR,
    NETWORK,
    NETWORK_ARGUMENTS,
)
from napari_medcnn.models.vocabulary import class_name

_LAYERS = (1, 2, 3, 4)
_WITHOUT_EFFECT = ("pretrained", "progress")
_PLAIN = (bool, int, float, str, type(None))


def read_retinanet(config: Config, key: str) -> dict[str, Any]:
    """The network at `key`: its arguments, those of its pyramid and of its backbone.

    Returns
    -------
    dict
        ``_target_``, ``in_channels``, ``num_classes``, ``num_anchors``, ``size_divisible`` (x, y,
        z), ``returned_layers`` and ``backbone``, all plain values.

    Raises
    ------
    ModelError
        When it is another network, works in other than three dimensions, or asks for more.
    """
    network = config.value(key)
    if class_name(network, key) != NETWORK:
        raise ModelError(f"{key} asks for {network['_target_']}; a detector takes a {NETWORK}")
    _only(network, NETWORK_ARGUMENTS, key)
    extractor = _component(network, "feature_extractor", key, {FEATURE_EXTRACTOR})
    backbone = _component(extractor, "backbone", f"{key}#feature_extractor", set(BACKBONES))
    if {network.get("spatial_dims"), extractor.get("spatial_dims")} != {3}:
        raise ModelError(f"{key}: only networks of volumes are supported (spatial_dims 3)")
    layers = extractor.get("returned_layers", [1, 2, 3])
    if not isinstance(layers, list | tuple) or not layers or not set(layers) <= set(_LAYERS):
        raise ModelError(f"{key}: returned_layers is {layers!r}; some of 1, 2, 3, 4 are expected")
    if extractor.get("pretrained_backbone") or backbone.get("pretrained"):
        raise ModelError(f"{key}: weights of a pretrained backbone are not fetched, refused")
    return {
        "_target_": NETWORK,
        "in_channels": _count(backbone.get("n_input_channels", 3), f"{key}: n_input_channels"),
        "num_classes": _count(network.get("num_classes"), f"{key}: num_classes"),
        "num_anchors": _count(network.get("num_anchors"), f"{key}: num_anchors"),
        "size_divisible": sizes(network.get("size_divisible", 1), f"{key}: size_divisible"),
        "returned_layers": [int(layer) for layer in layers],
        "backbone": _backbone(backbone, f"{key}#feature_extractor#backbone"),
    }


def sizes(value: Any, place: str) -> tuple[int, int, int]:
    """Three positive whole numbers, of three or of one.

    Raises
    ------
    ModelError
        When it is something else.
    """
    values = list(value) if isinstance(value, list | tuple) else [value] * 3
    if len(values) != 3:
        raise ModelError(f"{place} has {len(values)} values, three are expected")
    x, y, z = (_count(v, place) for v in values)
    return x, y, z


def _backbone(component: Mapping[str, Any], place: str) -> dict[str, Any]:
    name = class_name(component, place)
    _only(component, frozenset(BACKBONES[name]), place)
    given = {k: v for k, v in component.items() if not k.startswith("_")}
    for argument, value in given.items():
        if not _is_plain(value):
            raise ModelError(f"{place}: {argument} of {name} takes plain values only")
    kept = {k: v for k, v in given.items() if k not in _WITHOUT_EFFECT}
    return {"_target_": name, **kept, "spatial_dims": 3}


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_is_plain(inner) for inner in value)
    if isinstance(value, Mapping):  # of an activation or a norm: ("relu", {"inplace": True})
        return all(isinstance(k, str) and _is_plain(v) for k, v in value.items())
    return isinstance(value, _PLAIN)


def _component(owner: Mapping[str, Any], key: str, place: str, known: set[str]) -> Any:
    component = owner.get(key)
    name = class_name(component, f"{place}#{key}")
    if name not in known:
        raise ModelError(
            f"{place}#{key} asks for {name}, which is not in the table",
            hint=f"known here: {', '.join(sorted(known))}",
        )
    return component


def _only(component: Mapping[str, Any], known: frozenset[str], place: str) -> None:
    unknown = sorted(k for k in component if not k.startswith("_") and k not in known)
    if unknown:
        raise ModelError(f"{place}: the arguments {', '.join(unknown)} are not supported")


def _count(value: Any, place: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ModelError(f"{place} is {value!r}, not a positive whole number")
    return value
