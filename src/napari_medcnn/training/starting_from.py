"""Let a job start from a model that there is, with what the model's network asks for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from napari_medcnn.training.job import TrainJob


def starting_from(job: TrainJob, bundle: Path) -> TrainJob:
    """The job with the network and the weights of a bundle, its patch rounded up to fit.

    Raises
    ------
    ModelError
        When the bundle does not fit the job.
    """
    from napari_medcnn.training.networks import network_definition, required_multiple

    started = replace(job, network=replace(job.network, start_from=bundle, arguments={}))
    multiple = required_multiple(network_definition(started))
    z, y, x = (-(-n // of) * of for n, of in zip(job.sampling.patch, multiple, strict=True))
    return replace(started, sampling=replace(job.sampling, patch=(z, y, x)))
