"""Train a tiny job in torchrun's processes: ``-m tests.training.one_of_several RUN``."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from napari_medcnn.training.job import Ending, Optimisation, Sampling, TrainJob
from napari_medcnn.training.run import train
from tests.training.tiny_run import RESOURCES, tiny_job


def shared_job(data: Path) -> TrainJob:
    """A batch of four, its Dice over the whole batch, two batches a step.

    By SGD: Adam divides by the gradient's size, and so makes large steps of the rounding errors of
    weights that have no gradient, such as a bias before a norm.
    """
    sampling = Sampling((8, 8, 8), batch=4, steps_per_epoch=3, accumulate=2)
    ending = Ending(epochs=2, validate_every=1)
    how = Optimisation(optimiser="sgd", rate=0.02, momentum=0.9, ema_decay=0.9)
    return replace(tiny_job(data), sampling=sampling, ending=ending, optimisation=how)


if __name__ == "__main__":
    run = Path(sys.argv[1])
    for _ in train(shared_job(run.parent / "data"), run, RESOURCES):
        pass
