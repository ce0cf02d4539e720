"""nnU-Net's ``dataset.json``: channels, labels, and regions that overlap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from napari_medcnn.core.errors import ModelError
from napari_medcnn.core.segmentation import Label
from napari_medcnn.models.card import distinct_colour
from napari_medcnn.models.expressions import ArrayFunction, evaluate
from napari_medcnn.models.spec import Channel, Postprocessing

_MR_NAMES = ("T1", "T2", "FLAIR", "DWI", "ADC", "PD", "MR")


def channels_of(dataset: Mapping[str, Any]) -> tuple[Channel, ...]:
    """The input channels, with the modality where the name tells it.

    Raises
    ------
    ModelError
        When they are not numbered from 0.
    """
    names = dataset.get("channel_names") or dataset.get("modality")
    if not isinstance(names, Mapping) or {str(n) for n in range(len(names))} != names.keys():
        raise ModelError("dataset.json names no channels 0, 1, ...")
    stated = (str(names[str(n)]) for n in range(len(names)))
    return tuple(Channel(name or "image", _modality(name)) for name in stated)


def _modality(name: str) -> str:
    upper = name.upper()
    if upper in ("CT", "PET"):
        return {"CT": "CT", "PET": "PT"}[upper]
    return "MR" if upper.startswith(_MR_NAMES) else ""


def outputs_of(dataset: Mapping[str, Any]) -> tuple[tuple[Label, ...], int, Postprocessing]:
    """The labels, the number of the network's output channels, and how one becomes the other.

    Raises
    ------
    ModelError
        When labels are not consecutive, or regions and their order do not fit each other.
    """
    stated = {str(k): v for k, v in dict(dataset.get("labels") or {}).items() if k != "ignore"}
    if stated.get("background") != 0:
        raise ModelError("dataset.json has no label 'background' of the value 0")
    if any(isinstance(value, list) and len(value) > 1 for value in stated.values()):
        return _regions(stated, dataset.get("regions_class_order"))
    names = {_single(value): name for name, value in stated.items()}
    if sorted(names) != list(range(len(names))) or len(names) < 2:
        raise ModelError(f"the labels {sorted(names)} are not 0, 1, 2, ...")
    labels = tuple(
        Label(value, names[value], distinct_colour(value - 1)) for value in range(1, len(names))
    )
    return labels, len(names), Postprocessing("argmax", interpolate="logits")


def _single(value: Any) -> int:
    return int(value[0] if isinstance(value, list) else value)


def _regions(
    stated: Mapping[str, Any], order: Any
) -> tuple[tuple[Label, ...], int, Postprocessing]:
    regions = [
        (name, {int(v) for v in (value if isinstance(value, list) else [value])})
        for name, value in stated.items()
    ]
    regions = [(name, values) for name, values in regions if values != {0}]
    if not isinstance(order, list) or len(order) != len(regions):
        raise ModelError("regions_class_order does not name one label for each region")
    labels = tuple(
        Label(int(value), _rest(number, regions), distinct_colour(number))
        for number, value in enumerate(order)
    )
    if len({label.value for label in labels} - {0}) != len(labels):
        raise ModelError("regions_class_order names a label twice, or the background")
    after = Postprocessing("threshold", interpolate="logits", combine=painted_over(order))
    return labels, len(regions), after


def _rest(number: int, regions: Sequence[tuple[str, set[int]]]) -> str:
    """What is left of a region when those that are painted over it are taken away."""
    name, values = regions[number]
    parts = [(n, v) for n, v in regions[number + 1 :] if v < values]
    outer = [n for n, v in parts if not any(v < other for _, other in parts)]
    return f"{name} without {', '.join(outer)}" if outer else name


def painted_over(order: Sequence[int]) -> ArrayFunction:
    """The function of thresholded regions that nnU-Net means: later ones are painted over."""
    text = "0"
    for channel, value in enumerate(order):
        text = f"torch.where(x[{channel}] == 1, {int(value)}, {text})"
    function = evaluate(f"lambda x: {text}", "regions_class_order")
    if not isinstance(function, ArrayFunction):
        raise TypeError(f"{text} is no function")
    return function
