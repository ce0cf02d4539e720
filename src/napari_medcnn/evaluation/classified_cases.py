"""Run a model that classifies on labelled images, with its network loaded once."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_medcnn.core.atomic import write_text
from napari_medcnn.core.classification import Classification
from napari_medcnn.core.errors import Cancelled, MedcnnError, ModelError
from napari_medcnn.core.events import CaseUpdate, Done, Event, Job, JobControl, Progress
from napari_medcnn.core.volume import Volume
from napari_medcnn.evaluation.answers import Answers, answer_records
from napari_medcnn.evaluation.cases import NOTHING_KEPT, STAGE
from napari_medcnn.inference.classifier import Classifier
from napari_medcnn.inference.classify import classify
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.models.spec import ModelSpec


@dataclass(frozen=True)
class ClassCase:
    """An image with its class.

    Parameters
    ----------
    id, group : str
        Its name, and its patient's.
    load : callable
        Gives the images, one volume a channel in the model's order, and the number of the true
        class among the model's outputs.
    """

    id: str
    group: str
    load: Callable[[], tuple[Sequence[Volume], int]]


@dataclass(frozen=True)
class FailedCase:
    """A case without figures, and why."""

    case: str
    group: str
    reason: str


@dataclass(frozen=True, eq=False)
class ClassifiedCases:
    """What a model said of a set of cases.

    Parameters
    ----------
    answers : Answers, optional
        In the cases' order; None where every case failed.
    seconds : tuple of float
        How long each answered case took, reading included.
    failed : tuple of FailedCase
        Those without an answer.
    """

    answers: Answers | None
    seconds: tuple[float, ...]
    failed: tuple[FailedCase, ...]


def classify_cases(
    spec: ModelSpec,
    cases: Sequence[ClassCase],
    control: JobControl | None = None,
    options: RunOptions = NOTHING_KEPT,
) -> Job:
    """Classify labelled images; a generator of events that ends in ``Done(ClassifiedCases)``.

    A case that cannot be read or run is told and passed by.

    Parameters
    ----------
    spec : ModelSpec
        A model that classifies.
    cases : sequence of ClassCase
        Read one after the other.
    control : JobControl, optional
        Cancels, pauses and resumes.
    options : RunOptions
        How the model is run.

    Raises
    ------
    ModelError
        When the model itself cannot be run.
    Cancelled
        When the job was cancelled.
    """
    control = control or JobControl()
    answered: list[tuple[ClassCase, _Answer]] = []
    failed: list[FailedCase] = []
    with Classifier(spec, options) as loaded:
        for number, case in enumerate(cases):
            yield Progress(STAGE, number, len(cases))
            control.checkpoint()
            yield CaseUpdate(case.id, "computing")
            try:
                answer = yield from _one(case, loaded, control, options)
            except (Cancelled, ModelError):
                raise
            except MedcnnError as reason:
                failed.append(FailedCase(case.id, case.group, str(reason)))
            except (OSError, ValueError, RuntimeError, MemoryError) as reason:
                told = f"{type(reason).__name__}: {reason}"
                failed.append(FailedCase(case.id, case.group, told))
            else:
                answered.append((case, answer))
                yield CaseUpdate(case.id, "done", seconds=answer.seconds)
                continue
            yield CaseUpdate(case.id, "failed", failed[-1].reason)
    yield Progress(STAGE, len(cases), len(cases))
    seconds = tuple(answer.seconds for _, answer in answered)
    yield Done(ClassifiedCases(_together(spec, answered), seconds, tuple(failed)))


def write_answers(path: Path, found: ClassifiedCases) -> None:
    """Write a table of all cases, the worst first, atomically; nothing where all cases failed.

    Raises
    ------
    WriteError
        When the file cannot be written.
    """
    import pandas as pd

    if found.answers is None:
        return
    failed = [(one.case, one.group, one.reason) for one in found.failed]
    frame = pd.DataFrame(answer_records(found.answers, found.seconds, failed))
    write_text(path, frame.to_csv(index=False, lineterminator="\n"))


@dataclass(frozen=True)
class _Answer:
    truth: int
    probabilities: tuple[float, ...]
    seconds: float


def _one(
    case: ClassCase, loaded: Classifier, control: JobControl, options: RunOptions
) -> Generator[Event, None, _Answer]:
    """What the model says of one image; the run's warnings are passed on."""
    start = time.perf_counter()
    volumes, truth = case.load()
    control.checkpoint()
    run = classify(volumes, loaded.spec, options=options, control=control, loaded=loaded)
    for event in run:
        if isinstance(event, Done):
            found: Classification = event.result
            chances = tuple(float(p) for p in found.probabilities[0])
            return _Answer(truth, chances, time.perf_counter() - start)
        if not isinstance(event, Progress):
            yield event
    raise RuntimeError("the run ended without a result")


def _together(spec: ModelSpec, answered: Sequence[tuple[ClassCase, _Answer]]) -> Answers | None:
    if not answered:
        return None
    several = spec.activation == "sigmoid"
    truth = np.array([answer.truth for _, answer in answered], dtype=np.int64)
    return Answers(
        tuple(case.id for case, _ in answered),
        tuple(case.group for case, _ in answered),
        tuple(label.name for label in spec.labels),
        np.eye(len(spec.labels), dtype=np.int64)[truth] if several else truth,
        np.array([answer.probabilities for _, answer in answered]),
        several,
    )
