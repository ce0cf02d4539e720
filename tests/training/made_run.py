"""Run folders as a training leaves them, with real weights, without the training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch

from napari_medcnn.training.checkpoint import (
    Checkpoint,
    Standing,
    generator_states,
    write_checkpoint,
)
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
from napari_medcnn.training.moving_average import Average
from napari_medcnn.training.networks import build
from napari_medcnn.training.run_folder import RunFolder, RunState
from tests.training.tiny_run import tiny_job

STANDING = Standing(epoch=4, epochs_planned=5, best=0.75, best_epoch=3, seconds=90.0)


def make_run(folder: Path, job: TrainJob, seed: int = 0, *, best: bool = True) -> RunFolder:
    """A run folder of the job whose network's weights were drawn with `seed`."""
    run = RunFolder(folder)
    run.begin(job)
    run.add_environment(job, Resources(), "cpu", 1)
    write_checkpoint(run.best if best else run.last, checkpoint(job, seed))
    run.write_state(RunState(STANDING, "finished"))
    return run


def checkpoint(job: TrainJob, seed: int = 0) -> Checkpoint:
    """Weights as far from the average's as two runs' are."""
    state = weights(job, seed)
    average = None
    if job.optimisation.ema_decay is not None:
        network = build(job)
        network.load_state_dict(weights(job, seed + 1))
        average = Average(network, job.optimisation.ema_decay).state_dict()
    return Checkpoint(STANDING, state, average, {}, {}, None, generator_states())


def weights(job: TrainJob, seed: int) -> dict[str, torch.Tensor]:
    """Random weights large enough for every class to occur."""
    network = build(replace(job, seed=seed))
    state = {name: value.clone() for name, value in network.state_dict().items()}
    if job.manifest.task == "segmentation":
        network.eval()
        shape = (1, len(job.manifest.channels), *job.sampling.patch[::-1])
        patch = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            logits = network(patch[..., 0] if job.network.dimensions == 2 else patch)
        middle = logits[0].flatten(1).median(1).values
        outputs = [n for n in state if n.endswith("bias") and state[n].shape == middle.shape]
        state[outputs[-1]] -= middle
    return state


def with_test_part(job: TrainJob) -> TrainJob:
    """The job with its last two training cases kept for the test."""
    split = job.split
    return replace(job, split=replace(split, train=split.train[:-2], test=split.train[-2:]))


def hippocampus_job(data: Path, **changes: Any) -> TrainJob:
    """A job on four real cases of the Decathlon's hippocampus."""
    images = sorted((data / "hippocampus" / "images").glob("*.nii.gz"))[:4]
    cases = tuple(
        TrainCase(
            image.name.removesuffix(".nii.gz"),
            (image,),
            None,
            data / "hippocampus" / "labels" / image.name,
        )
        for image in images
    )
    ids = [case.id for case in cases]
    job = TrainJob(
        name="hippocampus",
        title="Hippocampus",
        manifest=Manifest(
            "Hippocampus",
            "segmentation",
            ("MRI",),
            ("anterior", "posterior"),
            cases,
            "MR",
            licence="CC-BY-SA 4.0",
        ),
        split=Split((ids[0], ids[1]), (ids[2],), (ids[3],), groups={n: n for n in ids}),
        preprocessing=Preprocessing(spacing_mm=(1.0, 1.2, 0.9)),
        network=NetworkChoice("unet", arguments={"channels": [8, 16], "strides": [2]}),
        sampling=Sampling((16, 24, 24), batch=1, steps_per_epoch=2),
        optimisation=Optimisation(ema_decay=None),
        ending=Ending(epochs=2),
    )
    return replace(job, **changes)


def picture_job(folder: Path, **changes: Any) -> TrainJob:
    """A classification of bright and dark pictures by the classic CNN."""
    folder.mkdir(parents=True, exist_ok=True)
    cases = []
    for number in range(12):
        rng = np.random.default_rng(number)
        kind = ("dark", "middle", "bright")[number % 3]
        level = {"dark": 40, "middle": 120, "bright": 200}[kind]
        picture = rng.normal(level, 10, (30, 26)).clip(0, 255).astype(np.uint8)
        path = folder / f"{number}.png"
        sitk.WriteImage(sitk.GetImageFromArray(picture), str(path))
        cases.append(TrainCase(str(number), (path,), f"p{number}", None, kind))
    ids = [case.id for case in cases]
    job = TrainJob(
        name="brightness",
        title="Brightness",
        manifest=Manifest(
            "pictures", "classification", ("grey",), ("bright", "dark", "middle"), tuple(cases)
        ),
        split=Split(tuple(ids[:3]), tuple(ids[3:6]), tuple(ids[6:])),
        preprocessing=Preprocessing(size=(1, 20, 20), normalisation="range", clip=(0, 255)),
        network=NetworkChoice("classic_cnn", dimensions=2),
        sampling=Sampling((1, 20, 20), batch=3, steps_per_epoch=2),
        optimisation=Optimisation(loss="cross_entropy"),
        ending=Ending(epochs=1, metric="accuracy"),
    )
    return replace(job, **changes)


__all__ = ["checkpoint", "hippocampus_job", "make_run", "picture_job", "tiny_job", "with_test_part"]
