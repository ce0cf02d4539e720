"""The preprocessing that a bundle's network knows, as a training job takes it over."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_medcnn.core.errors import MedcnnError, ModelError
from napari_medcnn.models.classification_bundle import stated_size
from napari_medcnn.models.spec import Step
from napari_medcnn.models.vocabulary import PREPROCESSING, arguments

IMAGE = "image"
"""The name of the image in a job's steps."""

_WITHOUT_EFFECT = frozenset({"EnsureTyped", "ToTensord"})
"""Steps that change no value: images are float32 tensors all the way."""


def taken_over(steps: Sequence[Step], image_key: str, source: Path) -> tuple[Step, ...]:
    """A bundle's steps with the image's name in a job, their arguments as JSON holds them.

    Raises
    ------
    ModelError
        When an argument cannot be written down; `source` is the bundle.
    """
    taken = []
    for step in steps:
        if step.target in _WITHOUT_EFFECT:
            continue
        plain = {name: _plain(name, value, image_key) for name, value in step.arguments.items()}
        try:
            plain = json.loads(json.dumps(plain))
        except (TypeError, ValueError) as error:
            raise ModelError(
                f"its step {step.target} cannot be taken over: {error}", source=source
            ) from error
        taken.append(Step(step.target, plain))
    return tuple(taken)


def size_of(steps: Sequence[Step], source: Path) -> tuple[int, int, int]:
    """The size ``(z, y, x)`` to which a classifier's steps bring every image.

    Raises
    ------
    ModelError
        When none of them does.
    """
    size = stated_size(steps)
    if size is None:
        raise ModelError("its preprocessing brings images to no stated size", source=source)
    return size


def step_problem(step: Step) -> str | None:
    """What is wrong with a job's step, which may come from anybody's file; None for a sound one."""
    try:
        arguments({"_target_": step.target, **step.arguments}, PREPROCESSING, step.target)
    except MedcnnError as error:
        return str(error)
    return None


def _plain(name: str, value: Any, image_key: str) -> Any:
    if name in ("keys", "source_key"):
        return _renamed(value, image_key)
    if name == "dtype" and value is not None:
        # A class of numpy, a dtype of numpy or of torch: all of them end in the usual name.
        return str(value).removeprefix("torch.") if not isinstance(value, type) else value.__name__
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return dict(value) if isinstance(value, Mapping) else value


def _renamed(keys: Any, image_key: str) -> Any:
    if isinstance(keys, str):
        return IMAGE if keys == image_key else keys
    names = [IMAGE if key == image_key else key for key in keys]
    return names[0] if len(names) == 1 else names
