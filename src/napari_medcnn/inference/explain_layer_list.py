"""The layers of a model that can be explained, to choose from before an image is prepared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_medcnn.core.events import Done, Job, JobControl, Progress
from napari_medcnn.inference.run_frame import READING
from napari_medcnn.models.spec import ModelSpec

if TYPE_CHECKING:
    import torch

USUAL_EXTENT = 64
"""Voxels along an axis of which a model says nothing; names of layers do not depend on it."""


def layers_of(model: ModelSpec, control: JobControl | None = None) -> Job:
    """The layers that Grad-CAM can look into; ends in ``Done`` with a tuple of `Layer`.

    The network runs once on an empty image of the model's own window, on the CPU.

    Raises
    ------
    ModelError
        When the model cannot be loaded.
    Cancelled
        When the job was cancelled, which is looked at between loading and running.
    """
    from napari_medcnn.inference.explain_layers import explainable_layers, opened

    control = control or JobControl()
    yield Progress(READING, 0, 1)
    network, hidden = opened(model, "cpu")
    control.checkpoint()
    yield Progress(READING, 1, 1)
    yield Done(explainable_layers(network, _empty(model, hidden), model.task))


def _empty(model: ModelSpec, hidden: int | None) -> torch.Tensor:
    """An image ``(1, channel, x, y[, z])`` of zeros."""
    import torch

    sizes = [size or USUAL_EXTENT for size in reversed(model.roi_size)]
    seen = [size for axis, size in enumerate(sizes) if axis != hidden]
    return torch.zeros(1, len(model.channels), *seen)
