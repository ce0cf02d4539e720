"""What of a model's specification is read in another way where a bundle detects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_medcnn.core.errors import ModelError
from napari_medcnn.core.segmentation import Label
from napari_medcnn.models.card import distinct_colour, own_labels, section
from napari_medcnn.models.config import Config
from napari_medcnn.models.detector_def import read_detector
from napari_medcnn.models.retinanet_def import read_retinanet
from napari_medcnn.models.spec import NetworkKind, Postprocessing, Step
from napari_medcnn.models.steps import Windows, read_preprocessing

_KEYS = ("network_def", "network")
_GRID = "Spacingd"


def read_steps(config: Config) -> tuple[tuple[Step, ...], str]:
    """The steps before the network.

    Bundles have a switch for data sets that were resampled beforehand, which disables the step that
    does it. Images of users were not; where they were, that step changes nothing.
    """
    steps, key = read_preprocessing(config)
    if any(step.target == _GRID for step in steps):
        return steps, key
    return read_preprocessing(config, frozenset({_GRID}))


def detection_parts(
    config: Config, metadata: Mapping[str, Any], kind: NetworkKind = "monai"
) -> tuple[dict[str, Any], Windows]:
    """The fields of a :class:`ModelSpec` that a detector decides, and its windows.

    Raises
    ------
    ModelError
        When something is outside the supported subset, or contradicts itself.
    """
    if kind != "monai":
        raise ModelError(f"a detector runs with MONAI's RetinaNet only, not with a {kind} file")
    own = section(metadata, "medcnn")
    network = _network(config)
    detector, windows = read_detector(config, network, own.get("box_coordinates"))
    labels = _labels(metadata, network["num_classes"])
    return {
        "task": "detection",
        "network": network,
        "detector": detector,
        "labels": labels,
        "activation": "sigmoid",
        "threshold": detector.score_threshold,
        "postprocessing": Postprocessing("threshold"),
    }, windows


def _network(config: Config) -> dict[str, Any]:
    for key in _KEYS:
        if key in config and isinstance(config.raw(key), Mapping):
            return read_retinanet(config, key)
    raise ModelError("the configuration has no network_def")


def _labels(metadata: Mapping[str, Any], count: int) -> tuple[Label, ...]:
    """The classes, from 1 on: MONAI's class 0 is the first, for a detector has no background."""
    own = section(metadata, "medcnn").get("labels")
    values = set(range(1, count + 1))
    if own:
        return own_labels(own, values, count)
    outputs = section(metadata, "network_data_format", "outputs")
    first = next((v for v in outputs.values() if isinstance(v, Mapping)), {})
    names = {str(k): str(v) for k, v in section(first, "channel_def").items()}
    if names and len(names) != count:
        raise ModelError(f"the network has {count} classes, the metadata names {len(names)}")
    alone = "object" if count == 1 else ""
    return tuple(
        Label(v, names.get(str(v - 1), alone or f"class {v}"), distinct_colour(v - 1))
        for v in sorted(values)
    )
