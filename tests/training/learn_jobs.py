"""Jobs of no files at all: enough for networks, losses and optimisers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_medcnn.training.job import (
    NetworkChoice,
    Optimisation,
    Preprocessing,
    Sampling,
    TrainJob,
)
from napari_medcnn.training.manifest import Manifest, Split, Task, TrainCase


def job_of(
    task: Task = "segmentation",
    network: str = "unet",
    dimensions: int = 3,
    patch: tuple[int, int, int] = (16, 16, 16),
    *,
    channels: tuple[str, ...] = ("image",),
    classes: tuple[str, ...] = ("a", "b"),
    seed: int = 0,
    optimisation: dict[str, Any] | None = None,
    spacing_mm: tuple[float, float, float] | None = None,
    **choice: Any,
) -> TrainJob:
    """A job for `network`; `choice` are further fields of its `NetworkChoice`."""
    case = TrainCase("case", tuple(Path(f"{name}.nii") for name in channels))
    loss = "dice_ce" if task == "segmentation" else "cross_entropy"
    return TrainJob(
        name="job",
        title="A job",
        manifest=Manifest("data", task, channels, classes, (case,)),
        split=Split(("case",), ("other",)),
        preprocessing=Preprocessing(
            spacing_mm=spacing_mm, size=patch if task == "classification" else None
        ),
        network=NetworkChoice(network, dimensions, **choice),
        sampling=Sampling(patch),
        optimisation=Optimisation(**{"loss": loss, **(optimisation or {})}),
        seed=seed,
    )
