"""What of a model's specification is read in another way where a bundle classifies.

Such a bundle says so under ``medcnn`` of its metadata: ``task`` is ``"classification"`` and
``classes`` names the network's outputs in their order. Optional are ``activation`` (``"softmax"``,
or ``"sigmoid"`` where several classes may hold at once), ``calibration`` (the temperature by which
its logits are divided) and ``patch`` (``{"size": [z, y, x], "spacing_mm": [z, y, x]}``: what it
sees around a lesion). The configuration's own steps decide; the metadata must agree with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from napari_medcnn.core.errors import ModelError
from napari_medcnn.core.segmentation import Label
from napari_medcnn.models.card import distinct_colour, section
from napari_medcnn.models.config import Config
from napari_medcnn.models.network_def import read_classifier
from napari_medcnn.models.spec import Activation, NetworkKind, Patch, Postprocessing, Step
from napari_medcnn.models.steps import Windows, flat, read_preprocessing
from napari_medcnn.models.vocabulary import (
    CLASSIFIER_POSTPROCESSING,
    OUTPUT_ARGUMENTS,
    SAVING,
    arguments,
    class_name,
)

_DIMENSIONS = {"EfficientNetBN": 2}
"""Of networks whose class has a default; the others' is 3."""

_SAME = 1e-6
"""Two temperatures that differ by a smaller share are the same, written with fewer digits."""


def is_classification(metadata: Mapping[str, Any]) -> bool:
    """Whether the metadata call a bundle one that tells classes apart."""
    return section(metadata, "medcnn").get("task") == "classification"


def classification_parts(
    config: Config, metadata: Mapping[str, Any], kind: NetworkKind = "monai"
) -> tuple[dict[str, Any], Windows]:
    """The fields of a :class:`ModelSpec` that a classifier decides, and what its network sees.

    Raises
    ------
    ModelError
        When something is outside the supported subset, or contradicts itself.
    """
    if kind != "monai":
        raise ModelError(f"a model that classifies is not read from a file of the kind {kind}")
    network = read_classifier(config)
    network = {"spatial_dims": _DIMENSIONS.get(network["_target_"], 3), **network}
    if network["spatial_dims"] not in (2, 3):
        raise ModelError(f"the network works in {network['spatial_dims']} dimensions, not 2 or 3")
    own = section(metadata, "medcnn")
    activation, temperature = read_activation(config)
    _agree(own, activation, temperature)
    patch = _patch(own, network["spatial_dims"])
    steps, _ = read_preprocessing(config)
    z, y, x = stated_size(steps) or ((0, 0, 0) if patch is None else patch.size)
    return {
        "task": "classification",
        "network": network,
        "labels": _classes(own, network, activation),
        "activation": activation,
        "temperature": temperature,
        "patch": patch,
        "postprocessing": Postprocessing("argmax" if activation == "softmax" else "threshold"),
    }, Windows(roi_size=(x, y, z), overlap=0.0)


def read_activation(config: Config) -> tuple[Activation, float]:
    """What makes probabilities of logits, and the temperature by which these are divided before.

    A temperature T stands in a bundle as MONAI's ``ScaleIntensityd`` without bounds and with the
    factor ``1/T - 1``, before the activation.

    Raises
    ------
    ModelError
        When the steps are others, or in another order.
    """
    activation: Activation | None = None
    temperature = 1.0
    for place, component in flat(config, "postprocessing"):
        name = class_name(component, place)
        if name in SAVING:
            continue
        given = arguments(component, CLASSIFIER_POSTPROCESSING, place)
        if name == "ScaleIntensityd":
            if activation is not None or temperature != 1.0:
                raise ModelError(f"{place}: logits are scaled once, before the activation")
            temperature = _temperature(given, place)
        elif name == "Activationsd":
            if activation is not None or bool(given.get("sigmoid")) == bool(given.get("softmax")):
                raise ModelError(f"{place}: one of sigmoid and softmax is expected, once")
            activation = "sigmoid" if given.get("sigmoid") else "softmax"
    if activation is None:
        raise ModelError("the postprocessing has no activation (sigmoid or softmax)")
    return activation, temperature


def stated_size(steps: Sequence[Step]) -> tuple[int, int, int] | None:
    """The size ``(z, y, x)`` to which steps bring every image; None where none of them does."""
    for step in reversed(steps):
        stated = step.arguments.get("spatial_size")
        if step.target in ("Resized", "ResizeWithPadOrCropd") and isinstance(stated, list | tuple):
            x, y, z = (int(n) for n in (*stated, 1)[:3])
            return z, y, x
    return None


def _temperature(given: Mapping[str, Any], place: str) -> float:
    factor = given.get("factor")
    if given.get("minv", 0.0) is not None or given.get("maxv", 1.0) is not None:
        raise ModelError(
            f"{place}: logits are multiplied (minv and maxv null), not brought to 0..1"
        )
    if not isinstance(factor, int | float) or factor <= -1:
        raise ModelError(f"{place}: the factor {factor} makes no temperature above 0")
    return 1.0 / (1.0 + factor)


def _agree(own: Mapping[str, Any], activation: Activation, temperature: float) -> None:
    """Refuse metadata that say something else than the configuration does."""
    if own.get("activation", activation) != activation:
        raise ModelError(
            f"medcnn.activation is {own['activation']!r}, the postprocessing ends in {activation}"
        )
    stated = section(own, "calibration").get("temperature", 1.0)
    if not isinstance(stated, int | float) or abs(stated / temperature - 1) > _SAME:
        raise ModelError(
            f"medcnn.calibration states the temperature {stated}, the postprocessing "
            f"{temperature:.6g}"
        )


def _classes(
    own: Mapping[str, Any], network: Mapping[str, Any], activation: Activation
) -> tuple[Label, ...]:
    names = [str(name) for name in own.get("classes") or ()]
    count = next((network[name] for name in OUTPUT_ARGUMENTS if name in network), None)
    if count != len(names):
        raise ModelError(f"the network has {count} outputs, medcnn.classes names {len(names)}")
    if len(set(names)) < len(names):
        raise ModelError(f"medcnn.classes names a class twice: {', '.join(names)}")
    if activation == "softmax" and len(names) < 2:
        raise ModelError("the likeliest of one class is always the same; use a sigmoid")
    return tuple(Label(n, name, distinct_colour(n - 1)) for n, name in enumerate(names, start=1))


def _patch(own: Mapping[str, Any], dimensions: int) -> Patch | None:
    stated = own.get("patch")
    if stated is None:
        return None
    try:
        z, y, x = (int(n) for n in stated["size"])
        spacing = stated.get("spacing_mm")
        patch = Patch((z, y, x), None if spacing is None else _lengths(spacing))
        if min(patch.size) < 1 or (dimensions == 2 and z != 1):
            raise ValueError(patch.size)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            'medcnn.patch is {"size": [z, y, x], "spacing_mm": [z, y, x]} with z 1 for pictures, '
            f"not {stated}"
        ) from error
    return patch


def _lengths(values: Any) -> tuple[float, float, float]:
    z, y, x = (float(value) for value in values)
    if not min(z, y, x) > 0:
        raise ValueError(values)
    return z, y, x
