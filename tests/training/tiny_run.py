"""A data set and a job so small that a run takes a second: bright balls in noise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_medcnn.training.job import (
    Ending,
    NetworkChoice,
    Optimisation,
    Preprocessing,
    Resources,
    Sampling,
    TrainJob,
)
from napari_medcnn.training.manifest import Manifest, Split, TrainCase

SHAPE = (16, 20, 24)
RESOURCES = Resources(device="cpu", threads=1, workers=1, cache_gb=1)


def write_case(folder: Path, number: int) -> TrainCase:
    """A ball of class 1 with a core of class 2, elsewhere in each case."""
    import SimpleITK as sitk

    rng = np.random.default_rng(number)
    image = rng.normal(0, 0.3, SHAPE).astype(np.float32)
    centre = [rng.integers(6, n - 6) for n in SHAPE]
    distance = np.sqrt(sum((g - c) ** 2 for g, c in zip(np.indices(SHAPE), centre, strict=True)))
    label = (distance < 5).astype(np.uint8) + (distance < 3)
    image += label
    paths = folder / f"image_{number}.nii.gz", folder / f"label_{number}.nii.gz"
    for array, path in zip((image, label), paths, strict=True):
        sitk.WriteImage(sitk.GetImageFromArray(array), str(path))
    return TrainCase(f"case_{number}", (paths[0],), f"patient_{number}", paths[1])


def tiny_job(folder: Path, cases: int = 6, **changes: Any) -> TrainJob:
    """A job on freshly written cases, two of which validate; `changes` are fields of it."""
    folder.mkdir(parents=True, exist_ok=True)
    return job_of(tuple(write_case(folder, number) for number in range(cases)), **changes)


def job_of(cases: tuple[TrainCase, ...], **changes: Any) -> TrainJob:
    """A job on these cases."""
    ids = [case.id for case in cases]
    job = TrainJob(
        name="balls",
        title="Balls",
        manifest=Manifest("balls", "segmentation", ("MR",), ("shell", "core"), cases, "MR"),
        split=Split(tuple(ids[2:]), tuple(ids[:2]), groups={c.id: str(c.patient) for c in cases}),
        preprocessing=Preprocessing(),
        network=NetworkChoice(
            "unet", arguments={"channels": [4, 8], "strides": [2], "num_res_units": 1}
        ),
        sampling=Sampling((8, 8, 8), batch=2, steps_per_epoch=3),
        optimisation=Optimisation(rate=1e-2, ema_decay=0.9),
        ending=Ending(epochs=4, validate_every=2),
        augmentation="light",
    )
    return replace(job, **changes)
