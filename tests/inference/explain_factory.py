"""Small models to explain: a classifier and a segmenter whose decisive voxels are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_medcnn.core.events import Event, Job, run_to_end
from napari_medcnn.core.explanation import Explanation
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.segmentation import Label
from napari_medcnn.core.volume import Volume
from napari_medcnn.models.spec import Channel, ModelSpec, Postprocessing, Step
from tests.inference.conftest import smooth_image

SPACING = (2.0, 1.0, 1.5)
SHAPE = (10, 20, 14)
SPOT = (slice(3, 5), slice(12, 15), slice(4, 6))
"""What is bright in :func:`spotted`."""


class Detector(torch.nn.Module):
    """Two classes from one convolution: ``bright`` is the sum of what lies above 1, ``dark`` not.

    In place on purpose: loaded networks compute so, and hooks cannot follow it there.
    """

    def __init__(self, dimensions: int = 3, *, dense: bool = False) -> None:
        super().__init__()
        kind = torch.nn.Conv3d if dimensions == 3 else torch.nn.Conv2d
        self.features = torch.nn.Sequential(kind(1, 2, 1), torch.nn.ReLU(inplace=True))
        self.head = kind(2, 2, 1, bias=False)
        self.dense = dense
        with torch.no_grad():
            self.features[0].weight[:] = torch.tensor([1.0, -1.0]).reshape(2, 1, *[1] * dimensions)
            self.features[0].bias[:] = torch.tensor([-1.0, 1.0])
            self.head.weight[:] = torch.eye(2).reshape(2, 2, *[1] * dimensions)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        voxels: torch.Tensor = self.head(self.features(images))
        return voxels if self.dense else voxels.flatten(2).sum(2)


def spec_of(task: Any = "classification", **fields: Any) -> ModelSpec:
    """The description of a model with classes ``bright`` and ``dark`` on 1.2 mm voxels in RAS."""
    labels = (Label(1, "bright"), Label(2, "dark"))
    spec = ModelSpec(
        id="spots",
        title="Spots",
        version="1",
        path=Path(),
        weights=Path(),
        task=task,
        channels=(Channel("image", "MR"),),
        labels=labels,
        activation="sigmoid",
        network={},
        preprocessing=(
            Step("Orientationd", {"keys": "image", "axcodes": "RAS"}),
            Step("Spacingd", {"keys": "image", "pixdim": (1.2, 1.2, 1.2), "mode": "bilinear"}),
        ),
        roi_size=(0, 0, 0) if task == "classification" else (8, 12, 8),
        postprocessing=Postprocessing("threshold"),
    )
    return replace(spec, **fields)


def spotted(geometry: Geometry | None = None) -> Volume:
    """Values below 1 but for one spot of 3."""
    geometry = geometry or Geometry.from_spacing(SHAPE, SPACING, (-12.0, 5.0, 40.0))
    array = smooth_image(SHAPE) * 0.5
    array[SPOT] = 3.0
    return Volume(array, geometry, modality="MR")


def explained(job: Job) -> tuple[Explanation, list[Event]]:
    """The result of a job, and all that it said."""
    events: list[Event] = []
    return run_to_end(job, Explanation, events.append), events


def spot_mask() -> np.ndarray:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[SPOT] = True
    return mask
