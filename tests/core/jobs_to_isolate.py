"""Jobs that end in every way there is, for a process of their own."""

from __future__ import annotations

import os
import signal
import time

import numpy as np

from napari_medcnn.core.errors import ReadError
from napari_medcnn.core.events import Done, Job, JobControl, Message, Progress


def doubled(array: np.ndarray, control: JobControl) -> Job:
    os.write(1, b"libraries print what they like\n")
    yield Progress("doubling", 0, 1)
    control.checkpoint()
    yield Done((array * 2, os.getpid()))


def refused(what: str, control: JobControl) -> Job:
    yield Message("looking")
    raise ReadError(what, source="a.nii", hint="look again")


def endless(control: JobControl) -> Job:
    step = 0
    while True:
        control.checkpoint()
        yield Progress("counting", step, 0)
        step += 1
        time.sleep(0.01)


def deaf(control: JobControl) -> Job:
    yield Message("deaf")
    time.sleep(60)


def killed(control: JobControl) -> Job:
    yield Message("about to die")
    os.kill(os.getpid(), signal.SIGKILL)


def crashed(control: JobControl) -> Job:
    yield Message("about to crash")
    os.write(2, b"the library's last words\n")
    os.abort()


def setting(name: str, control: JobControl) -> Job:
    yield Done(os.environ.get(name))
