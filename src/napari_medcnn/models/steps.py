"""From the lines of a bundle's configuration to what is done before, around and after a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from napari_medcnn.core.errors import ModelError
from napari_medcnn.models.config import Config
from napari_medcnn.models.expressions import ArrayFunction
from napari_medcnn.models.spec import Activation, Blend, Postprocessing, Step
from napari_medcnn.models.vocabulary import (
    CLEANUP,
    INFERERS,
    LOADING,
    POSTPROCESSING,
    PREPROCESSING,
    SAVING,
    arguments,
    class_name,
)

_BLENDS: Mapping[str, Blend] = {"constant": "constant", "gaussian": "gaussian"}
_PADDINGS = ("constant", "reflect", "replicate", "circular")


@dataclass(frozen=True)
class Windows:
    """A bundle's inferer; `roi_size` and `slice_axis` in the network's own axis order.

    A size of 0 stands for the whole axis; `slice_axis` is that of slice after slice, if any.
    """

    roi_size: tuple[int, int, int] = (0, 0, 0)
    overlap: float = 0.25
    blend: Blend = "constant"
    blend_sigma: float = 0.125
    padding: str = "constant"
    padding_value: float = 0.0
    batch: int = 1
    slice_axis: int | None = None


def read_preprocessing(
    config: Config, even_disabled: frozenset[str] = frozenset()
) -> tuple[tuple[Step, ...], str]:
    """The steps before the network, loading left out, and the key of the image.

    Parameters
    ----------
    even_disabled : frozenset of str
        Classes of steps that count although a switch of the configuration disables them.

    Raises
    ------
    ModelError
        When a step is unknown, or asks for what is not supported.
    """
    steps = []
    image_key = "image"
    for place, component in flat(config, "preprocessing", even_disabled):
        name = class_name(component, place)
        if name in SAVING:
            continue
        if name in LOADING:
            image_key = _single(component.get("keys", image_key), f"{place}#keys")
            continue
        steps.append(Step(name, arguments(component, PREPROCESSING, place)))
    return tuple(steps), image_key


def read_inferer(config: Config) -> Windows:
    """How the bundle lays windows over the image.

    Raises
    ------
    ModelError
        When the inferer is another one, or a value makes no sense.
    """
    component = config.value("inferer")
    given = arguments(component, INFERERS, "inferer")
    name = class_name(component, "inferer")
    if name == "SimpleInferer":
        return Windows(overlap=0.0)
    return windows_of(given, in_slices=name == "SliceInferer")


def windows_of(given: Mapping[str, Any], *, in_slices: bool = False) -> Windows:
    """The windows of a sliding window's arguments.

    Raises
    ------
    ModelError
        When a value makes no sense.
    """
    default = Windows()
    try:
        slice_axis = int(given.get("spatial_dim", 0)) if in_slices else None
        windows = Windows(
            roi_size=_sizes(given.get("roi_size", 0), slice_axis),
            overlap=float(_single(given.get("overlap", default.overlap), "inferer#overlap")),
            blend=_BLENDS[str(given.get("mode", default.blend)).lower()],
            blend_sigma=float(_single(given.get("sigma_scale", 0.125), "inferer#sigma_scale")),
            padding=str(given.get("padding_mode", default.padding)).lower(),
            padding_value=float(given.get("cval", 0.0)),
            batch=int(given.get("sw_batch_size", 1)),
            slice_axis=slice_axis,
        )
    except (LookupError, TypeError, ValueError) as error:
        raise ModelError(f"the inferer's values make no sense: {error}") from error
    sound = windows.batch >= 1 and windows.padding in _PADDINGS
    if not 0 <= windows.overlap < 1 or not sound:
        raise ModelError(f"the inferer's values make no sense: {given}")
    return windows


def read_postprocessing(config: Config) -> tuple[Activation, float, Postprocessing]:
    """Activation, threshold and what makes labels of probabilities.

    Raises
    ------
    ModelError
        When the steps are unknown or in an order that is not supported.
    """
    found = _After()
    for place, component in flat(config, "postprocessing"):
        name = class_name(component, place)
        if name not in SAVING and name not in LOADING:
            given = arguments(component, POSTPROCESSING, place)
            found.add(name, {k: _unwrapped(v) for k, v in given.items()}, place)
    return found.finished()


class _After:
    """Collects the steps after the network, and minds their order."""

    def __init__(self) -> None:
        self.activation: Activation | None = None
        self.threshold = 0.5
        self.discretise: str | None = None
        self.inverted = False
        self.labels_first = False
        self.interpolate: Literal["probabilities", "logits"] = "probabilities"
        self.nearest = False
        self.combine: ArrayFunction | None = None
        self.cleanup: list[Step] = []

    def add(self, name: str, given: dict[str, Any], place: str) -> None:
        """Take in one step."""
        if name == "Activationsd":
            self._activate(given, place)
        elif name == "AsDiscreted":
            self._discretise(given, place)
        elif name == "Invertd":
            self._invert(given, place)
        elif name == "Lambdad":
            function = given.get("func")
            if not isinstance(function, ArrayFunction) or self.discretise != "threshold":
                raise ModelError(f"{place}: a function may only combine thresholded classes")
            self.combine = function
        elif name in CLEANUP:
            self.cleanup.append(Step(name, given))

    def _activate(self, given: dict[str, Any], place: str) -> None:
        if self.discretise or bool(given.get("sigmoid")) == bool(given.get("softmax")):
            raise ModelError(f"{place}: one of sigmoid and softmax comes first")
        if self.inverted:
            self.interpolate = "logits"
        self.activation = "sigmoid" if given.get("sigmoid") else "softmax"

    def _discretise(self, given: dict[str, Any], place: str) -> None:
        threshold = given.get("threshold")
        if self.discretise or bool(given.get("argmax")) == (threshold is not None):
            raise ModelError(f"{place}: labels are made once, by argmax or by a threshold")
        self.discretise = "threshold" if threshold is not None else "argmax"
        self.threshold = 0.5 if threshold is None else float(threshold)

    def _invert(self, given: dict[str, Any], place: str) -> None:
        if self.inverted or self.cleanup or self.combine:
            raise ModelError(
                f"{place}: going back to the image's grid at this place is unsupported"
            )
        self.inverted = True
        self.labels_first = self.discretise is not None
        self.nearest = bool(given.get("nearest_interp", True))  # MONAI's own default

    def finished(self) -> tuple[Activation, float, Postprocessing]:
        """All of it, checked against each other."""
        if self.activation is None:
            if self.discretise != "argmax":
                raise ModelError("the postprocessing has no activation (sigmoid or softmax)")
            if self.inverted and not self.labels_first:
                self.interpolate = "logits"
            self.activation = "softmax"  # changes no argmax, and gives a probability
        discretise = self.discretise or ("argmax" if self.activation == "softmax" else "threshold")
        if discretise == "threshold" and self.activation == "softmax":
            raise ModelError("a threshold after softmax is unsupported; argmax is expected")
        return (
            self.activation,
            self.threshold,
            Postprocessing(
                "threshold" if discretise == "threshold" else "argmax",
                self.labels_first,
                self.nearest,
                self.interpolate,
                self.combine,
                tuple(self.cleanup),
            ),
        )


def flat(
    config: Config, key: str, even_disabled: frozenset[str] = frozenset()
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The steps under `key` with their places, nested `Compose` opened, disabled ones left out."""
    if key not in config:
        raise ModelError(f"the configuration has no {key}")
    yield from _opened(config.value(key), key, even_disabled)


def _opened(
    component: Any, place: str, even_disabled: frozenset[str]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(component, list):
        for number, inner in enumerate(component):
            yield from _opened(inner, f"{place}#{number}", even_disabled)
        return
    name = class_name(component, place)
    if component.get("_disabled_") and name not in even_disabled:
        return
    if name == "Compose":
        if component.get("lazy") or component.get("overrides"):
            raise ModelError(f"{place}: lazy resampling is not supported")
        inner_steps = component.get("transforms", [])
        yield from _opened(inner_steps, f"{place}#transforms", even_disabled)
        return
    yield place, component


def _unwrapped(value: Any) -> Any:
    return value[0] if isinstance(value, list | tuple) and len(value) == 1 else value


def _single(value: Any, place: str) -> Any:
    value = _unwrapped(value)
    if isinstance(value, list | tuple):
        if any(other != value[0] for other in value[1:]) or not value:
            raise ModelError(f"{place}: several different values are unsupported")
        return value[0]
    return value


def _sizes(value: Any, slice_axis: int | None) -> tuple[int, int, int]:
    """A window's three sizes; along the axis of slices it is one voxel."""
    if slice_axis is not None and slice_axis not in (0, 1, 2):
        raise ValueError(f"there is no axis {slice_axis}")
    if value is None or isinstance(value, int):
        value = [value] * (3 if slice_axis is None else 2)
    value = list(value)
    if slice_axis is not None and len(value) == 2:
        value.insert(slice_axis, 1)
    if len(value) != 3:
        raise ModelError(
            f"the model works on {len(value)}-dimensional windows; only volumes are supported"
        )
    a, b, c = (max(0, int(n or 0)) for n in value)
    return a, b, c
