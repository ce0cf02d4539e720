"""Run a job again and again in children that are killed at random moments, until one ends.

``python -m tests.training.killed_run FOLDER KILLS EPOCHS SEED``: first a run that is left alone, in
``FOLDER/whole``, then the killed one, in ``FOLDER/pieces``; prints how often it was killed.
Libraries are imported once, and each child is forked from here.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

import napari_medcnn.training.losses
import napari_medcnn.training.moving_average
import napari_medcnn.training.networks  # noqa: F401 - imported before the children are forked
from napari_medcnn.training.job import Ending, TrainJob
from napari_medcnn.training.run import resume, train
from napari_medcnn.training.run_folder import RunFolder
from tests.training.tiny_run import RESOURCES, tiny_job

SHORTEST_S, LONGEST_S = 0.05, 1.5


def child(job: TrainJob, run: Path) -> int:
    """Begin or go on with the run in a child; its process id."""
    process = os.fork()
    if process:
        return process
    events = resume(run, RESOURCES) if RunFolder(run).is_run else train(job, run, RESOURCES)
    for _ in events:
        pass
    os._exit(0)


def finish(job: TrainJob, run: Path) -> None:
    """Leave a child alone until it ends."""
    _, status = os.waitpid(child(job, run), 0)
    if status:
        sys.exit(f"the child ended with {status}")


def main(folder: Path, kills: int, epochs: int, seed: int) -> None:
    job = tiny_job(folder / "data", ending=Ending(epochs=epochs, validate_every=5))
    finish(job, folder / "whole")
    moments, done = random.Random(seed), 0
    while done < kills:
        process = child(job, folder / "pieces")
        time.sleep(moments.uniform(SHORTEST_S, LONGEST_S))
        os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        if not os.WIFSIGNALED(status):
            break  # it had ended before
        done += 1
    finish(job, folder / "pieces")
    print(done, flush=True)  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
