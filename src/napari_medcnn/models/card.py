"""What a bundle's metadata says of its inputs and outputs: channels, labels, colours."""

from __future__ import annotations

import colorsys
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from napari_medcnn.core.errors import ModelError
from napari_medcnn.core.segmentation import Colour, Label
from napari_medcnn.models.spec import Channel, Postprocessing
from napari_medcnn.models.vocabulary import INPUT_ARGUMENTS

_MODALITIES = {"MRI": "MR", "PET": "PT", "XRAY": "DX", "X-RAY": "DX", "N/A": ""}
_GOLDEN_RATIO = 0.618033988749895


def read_channels(metadata: Mapping[str, Any], network: Mapping[str, Any]) -> tuple[Channel, ...]:
    """The input channels, from ``medcnn.channels`` or ``network_data_format.inputs``.

    Raises
    ------
    ModelError
        When their number is not the network's.
    """
    own = section(metadata, "medcnn").get("channels")
    stated = _first(section(metadata, "network_data_format", "inputs"))
    stated_count = stated.get("num_channels", 1)
    count = next((network[name] for name in INPUT_ARGUMENTS if name in network), stated_count)
    if own:
        channels = tuple(
            Channel(str(c.get("name", "image")), modality(str(c.get("modality", "")))) for c in own
        )
    else:
        kind = modality(str(stated.get("modality", "")))
        names = section(stated, "channel_def")
        channels = tuple(
            Channel(str(names.get(str(n), f"channel {n}" if count > 1 else "image")), kind)
            for n in range(stated.get("num_channels", count))
        )
    if len(channels) != count:
        raise ModelError(
            f"the metadata names {len(channels)} input channels, the network takes {count}"
        )
    return channels


def modality(name: str) -> str:
    """DICOM's word for a modality as bundles write it."""
    return _MODALITIES.get(name.upper(), name.upper())


def read_labels(
    metadata: Mapping[str, Any], network: Mapping[str, Any], postprocessing: Postprocessing
) -> tuple[Label, ...]:
    """The labels with their values in the label map.

    By argmax, class c has the value c and class 0 is the background; by a threshold, class c has
    the value c + 1, or what the bundle's own function makes of it.

    Raises
    ------
    ModelError
        When labels and the network's output channels disagree.
    """
    stated = _first(section(metadata, "network_data_format", "outputs"))
    count = network.get("out_channels", stated.get("num_channels"))
    if not isinstance(count, int) or count < 1:
        raise ModelError("the network states no number of output channels")
    names = {int(k): str(v) for k, v in section(stated, "channel_def").items()}
    if stated.get("num_channels", count) != count or (names and len(names) != count):
        raise ModelError(
            f"the network has {count} output channels, the metadata names "
            f"{len(names) or stated['num_channels']}"
        )
    values = channel_values(count, postprocessing)
    own = section(metadata, "medcnn").get("labels")
    if own:
        labels = own_labels(own, set(values.values()), count)
        _check_names(labels, {v: names[c] for c, v in values.items() if c in names}, values)
        return labels
    merged: dict[int, str] = {}
    for channel, value in values.items():
        name = names.get(channel, f"label {value}")
        merged[value] = f"{merged[value]} / {name}" if value in merged else name
    return tuple(Label(v, merged[v], distinct_colour(n)) for n, v in enumerate(sorted(merged)))


def distinct_colour(number: int) -> Colour:
    """The `number`-th of a series of colours of which neighbours differ well."""
    hue = (number * _GOLDEN_RATIO) % 1.0
    saturation = (0.85, 0.6)[number // 8 % 2]
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, 0.95)
    return round(red, 3), round(green, 3), round(blue, 3)


def channel_values(count: int, postprocessing: Postprocessing) -> dict[int, int]:
    """The label value of each output channel."""
    if postprocessing.discretise == "argmax":
        if count < 2:
            raise ModelError("the likeliest of one class is always the same; use a threshold")
        return {channel: channel for channel in range(1, count)}
    if postprocessing.combine is None:
        return {channel: channel + 1 for channel in range(count)}
    values = {}
    for channel in range(count):
        alone = np.zeros((count, 1, 1, 1), dtype=np.uint8)
        alone[channel] = 1
        value = int(np.asarray(postprocessing.combine(alone)).ravel()[0])
        if value:
            values[channel] = value
    return values


def own_labels(own: Any, expected: set[int], count: int) -> tuple[Label, ...]:
    """The labels of ``medcnn.labels``, which must have the values `expected`.

    Raises
    ------
    ModelError
        When they have not, or are no such list.
    """
    try:
        labels = tuple(Label(int(value), str(name), _colour(colour)) for value, name, colour in own)
    except (TypeError, ValueError) as error:
        raise ModelError(
            "medcnn.labels is a list of [value, name, [red, green, blue]] with colours in 0..1"
        ) from error
    given = sorted(label.value for label in labels)
    if given != sorted(expected):
        raise ModelError(
            f"medcnn.labels names the values {given}, the network's {count} output channels give "
            f"{sorted(expected)}"
        )
    return labels


def _check_names(
    labels: tuple[Label, ...], stated: Mapping[int, str], values: Mapping[int, int]
) -> None:
    """Refuse labels whose names are another label's in ``channel_def``: one of them is wrong."""
    shared = {v for v in values.values() if list(values.values()).count(v) > 1}
    others = {value: plain(name) for value, name in stated.items() if value not in shared}
    for label in labels:
        elsewhere = [v for v, name in others.items() if name == plain(label.name)]
        if elsewhere and label.value not in elsewhere and label.value in others:
            raise ModelError(
                f"medcnn.labels calls {label.value} {label.name!r}, channel_def "
                f"{stated[label.value]!r}: one of them marks the wrong thing"
            )


def plain(name: str) -> str:
    """A name as it is compared: without case, spaces and punctuation."""
    return re.sub(r"[\W_]+", "", name.casefold())


def _colour(values: Any) -> Colour:
    red, green, blue = (float(value) for value in values)
    if not all(0 <= value <= 1 for value in (red, green, blue)):
        raise ValueError(f"the colour {values} is not in 0..1")
    return red, green, blue


def section(content: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    """The keys and values below `keys`; none where something else or nothing stands there."""
    found: Any = content
    for key in keys:
        found = found.get(key, {}) if isinstance(found, Mapping) else {}
    return found if isinstance(found, Mapping) else {}


def _first(section: Mapping[str, Any]) -> Mapping[str, Any]:
    """The only (or first) named input or output."""
    return next((v for v in section.values() if isinstance(v, Mapping)), {})
