"""From all logits of an image to its labels by MONAI's own inverse, one class after the other.

The long way round, for the few models whose steps :mod:`~napari_medcnn.inference.reduce` cannot
follow back plane by plane. On the image's grid there are never more than a label map, a probability
and a class in hand.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import ModelError
from napari_medcnn.core.events import Event, JobControl, Progress
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.inference.preprocess import Prepared, ToSource
from napari_medcnn.models.card import channel_values
from napari_medcnn.models.expressions import ArrayFunction
from napari_medcnn.models.spec import Activation, ModelSpec, Step

if TYPE_CHECKING:
    import torch

STAGE = "finishing"
"""The stage's name in :class:`~napari_medcnn.core.events.Progress`."""

Floats = npt.NDArray[np.float32]


def label_map(
    logits: torch.Tensor,
    prepared: Prepared,
    spec: ModelSpec,
    control: JobControl,
    threshold: float | None = None,
) -> Generator[Event, None, tuple[npt.NDArray[Any], npt.NDArray[np.float16]]]:
    """Make labels of logits; a generator of `Progress` that returns labels and probability.

    Parameters
    ----------
    logits : torch.Tensor
        ``(class, x, y, z)`` on the network's grid; overwritten.
    prepared : Prepared
        The way back to the image's grid.
    threshold : float, optional
        Probability from which a voxel is foreground, in place of the model's own rule.

    Returns
    -------
    tuple of numpy.ndarray
        ``(z, y, x)`` unsigned integers, and ``(z, y, x)`` float16: the probability of the label,
        and in the background that of the likeliest class.
    """
    values = channel_values(logits.shape[0], spec.postprocessing)
    to_source = prepared.to_source
    if to_source is None:
        raise ValueError("this image goes back plane by plane")
    _activate(logits, spec.activation)
    total = logits.shape[0]
    yield Progress(STAGE, 0, total)
    rule = spec.threshold if threshold is None else threshold
    by_threshold = spec.postprocessing.discretise == "threshold" or threshold is not None
    if spec.postprocessing.combine is not None:
        labels, probability = yield from _combined(
            _on_image(logits, to_source, spec, control),
            spec.postprocessing.combine,
            values,
            rule,
            total,
        )
    elif spec.postprocessing.labels_first:
        choice = _Choice(values)
        for channel, plane in enumerate(logits):
            control.checkpoint()
            choice.add(channel, plane.numpy())
        labels, probability = _taken_back(choice, to_source, rule if by_threshold else None)
    else:
        choice = _Choice(values)
        for channel, array in enumerate(_on_image(logits, to_source, spec, control)):
            choice.add(channel, array)
            yield Progress(STAGE, channel + 1, total)
        labels, probability = choice.made(rule if by_threshold else None), choice.best
    yield Progress(STAGE, total, total)
    return np.ascontiguousarray(labels), probability.astype(np.float16)


def _activate(logits: torch.Tensor, activation: Activation) -> None:
    """Probabilities in place of logits, without a second copy."""
    import torch

    with torch.inference_mode():
        if activation == "sigmoid":
            logits.sigmoid_()
        else:
            logits.sub_(logits.amax(0, keepdim=True)).exp_()
            logits.div_(logits.sum(0, keepdim=True))


def _on_image(
    probabilities: torch.Tensor, to_source: ToSource, spec: ModelSpec, control: JobControl
) -> Iterator[Floats]:
    """Each class's probability ``(z, y, x)`` on the image's grid."""
    for channel in range(probabilities.shape[0]):
        control.checkpoint()
        yield to_source(probabilities[channel : channel + 1], spec.postprocessing.nearest)[0]


class _Choice:
    """Keeps the likeliest class of each voxel while the classes come by one after the other."""

    def __init__(self, values: dict[int, int]) -> None:
        self._values = values
        self._dtype = np.uint8 if max(values.values(), default=0) <= 255 else np.uint16
        self._background: Floats | None = None
        self._label: npt.NDArray[Any] | None = None
        self._best: Floats | None = None

    @property
    def best(self) -> Floats:
        """The likeliest foreground class's probability."""
        if self._best is None:
            raise ModelError("the network has no foreground class")
        return self._best

    def add(self, channel: int, probability: Floats) -> None:
        """Take in one class."""
        value = self._values.get(channel)
        if value is None:
            self._background = probability
        elif self._best is None or self._label is None:
            self._best = probability.copy()
            self._label = np.full(probability.shape, value, dtype=self._dtype)
        else:
            better = probability > self._best
            np.copyto(self._best, probability, where=better)
            self._label[better] = value

    def made(self, threshold: float | None) -> npt.NDArray[Any]:
        """The label map: against the background class, or from `threshold` on."""
        best, label = self.best, self._label
        if label is None or (threshold is None and self._background is None):
            raise ModelError("a model without a background class needs a threshold")
        if threshold is not None:
            label[best < threshold] = 0
        elif self._background is not None:
            label[best <= self._background] = 0
        return label


def _taken_back(
    choice: _Choice, to_source: ToSource, threshold: float | None
) -> tuple[npt.NDArray[Any], Floats]:
    """Labels made on the network's grid, by the nearest voxel; the probability interpolated."""
    import torch

    labels = choice.made(threshold)
    there = torch.from_numpy(labels.astype(np.float32)[None])
    back = to_source(there, True)[0].round().astype(labels.dtype)
    return back, to_source(torch.from_numpy(choice.best[None]), False)[0]


def _combined(
    classes: Iterable[Floats],
    combine: ArrayFunction,
    values: dict[int, int],
    threshold: float,
    total: int,
) -> Generator[Event, None, tuple[npt.NDArray[Any], Floats]]:
    """Labels of overlapping classes by the bundle's own function, slice by slice."""
    probabilities, thresholded = [], []
    for channel, array in enumerate(classes):
        thresholded.append((array >= threshold).astype(np.uint8))
        probabilities.append(array.astype(np.float16))
        yield Progress(STAGE, channel + 1, total)
    present = np.stack(thresholded)
    labels = np.empty(probabilities[0].shape, dtype=np.uint8)
    for k, plane in enumerate(labels):
        made = combine(present[:, k : k + 1])
        if made.size != plane.size:
            raise ModelError(f"{combine.key} makes {made.shape} of {present[:, k : k + 1].shape}")
        plane[...] = made.reshape(plane.shape)
    best = np.max(probabilities, axis=0).astype(np.float32)
    for channel, value in values.items():
        np.copyto(best, probabilities[channel].astype(np.float32), where=labels == value)
    return labels, best


def cleaned(labels: npt.NDArray[Any], step: Step, geometry: Geometry) -> npt.NDArray[Any]:
    """The label map after one of MONAI's transforms for label maps."""
    import monai.transforms
    import torch
    from monai.data import MetaTensor

    image = MetaTensor(
        torch.from_numpy(labels.astype(np.float32).transpose(2, 1, 0)[None].copy()),
        affine=torch.from_numpy(geometry.to_ras_affine()),
    )
    keys = step.arguments["keys"]
    key = keys[0] if isinstance(keys, list | tuple) else keys
    cleaned = getattr(monai.transforms, step.target)(**step.arguments)({key: image})[key]
    result: npt.NDArray[Any] = np.asarray(cleaned)[0].transpose(2, 1, 0).astype(labels.dtype)
    return result
