"""Let a job start from a model that there is: what its network asks for, knows, and can bear."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from napari_medcnn.training.job import Preprocessing, TrainJob
from napari_medcnn.training.origin import Origin, read_origin

RATE_SHARE = 0.1
"""Of the rate from scratch: weights that know much already are changed, not thrown away."""

HIGHEST_RATE = {"adam": 1e-4, "adamw": 1e-4, "sgd": 1e-3}
"""Beyond it a few dozen steps on one case were enough to forget most of what a model knew."""


def starting_from(job: TrainJob, bundle: Path) -> TrainJob:
    """The job with a bundle's network, weights and preprocessing, at a low rate.

    A segmentation's patch shows as many millimetres as before, in voxels of the bundle's grid, but
    no more than the bundle's window, rounded up to what fits the network; a classification takes
    the bundle's size of images.

    Raises
    ------
    ModelError
        When the bundle does not fit the job.
    """
    from napari_medcnn.training.networks import network_definition, required_multiple

    origin = read_origin(bundle, job.manifest.task)
    network = replace(job.network, start_from=bundle, arguments={}, dimensions=origin.dimensions)
    classifies = job.manifest.task == "classification"
    patch = origin.window if classifies else _patch(job, origin)
    started = replace(
        job,
        network=network,
        preprocessing=Preprocessing(
            spacing_mm=origin.spacing_mm, size=patch if classifies else None, steps=origin.steps
        ),
        sampling=replace(job.sampling, patch=patch),
        optimisation=replace(job.optimisation, rate=_rate(job)),
        # What stronger changes teach takes longer than a fine-tuning lasts.
        augmentation="none" if job.augmentation == "none" else "light",
    )
    if classifies:
        return started
    multiple = required_multiple(network_definition(started))
    z, y, x = (-(-n // of) * of for n, of in zip(patch, multiple, strict=True))
    return replace(started, sampling=replace(started.sampling, patch=(z, y, x)))


def started_text(job: TrainJob) -> str:
    """What `starting_from` changed, for people."""
    steps = ", ".join(step.target for step in job.preprocessing.steps) or "none"
    z, y, x = job.sampling.patch
    return (
        f"preprocessing: that of the model that it starts from ({steps})\n"
        f"sampling.patch: {z} × {y} × {x} voxels of that model's grid\n"
        f"optimisation.rate: {job.optimisation.rate:g}, low, to change what is known and not to "
        "forget it\n"
        f"augmentation: {job.augmentation}, for the same reason"
    )


def _rate(job: TrainJob) -> float:
    share: float = job.optimisation.rate * RATE_SHARE
    return min(share, HIGHEST_RATE[job.optimisation.optimiser])


def _patch(job: TrainJob, origin: Origin) -> tuple[int, int, int]:
    """The job's field of view in the bundle's voxels, within the bundle's window."""
    patch: tuple[int, int, int] = job.sampling.patch
    if job.preprocessing.spacing_mm is not None and origin.spacing_mm is not None:
        pairs = zip(patch, job.preprocessing.spacing_mm, origin.spacing_mm, strict=True)
        # A spacing of 0 stands for the image's own along that axis.
        z, y, x = (round(n * old / new) if new > 0 else n for n, old, new in pairs)
        patch = z, y, x
    z, y, x = (
        min(n, window) if window else n for n, window in zip(patch, origin.window, strict=True)
    )
    return (1 if origin.dimensions == 2 else max(z, 1)), max(y, 1), max(x, 1)
