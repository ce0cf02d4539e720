"""Prepared cases at hand: in main memory within a budget; slow and further ones in shared files."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from napari_medcnn.core.errors import MedcnnError, WriteError
from napari_medcnn.core.events import Done, Job, JobControl, Message, Progress
from napari_medcnn.core.user_folders import cache_folder
from napari_medcnn.inference.memory import free_bytes
from napari_medcnn.training.case_store import (
    StoredCase,
    clean,
    key_of,
    read_stored,
    write_stored,
)
from napari_medcnn.training.job import TrainJob
from napari_medcnn.training.manifest import TrainCase
from napari_medcnn.training.prepared_case import PreparedCase, class_index, prepare_case
from napari_medcnn.training.worker_threads import one_torch_thread, usable_cores

STAGE = "preparing cases"
"""The stage's name in :class:`~napari_medcnn.core.events.Progress`."""

FOLDER = "prepared_cases"
"""Of the user's cache folder."""

LIMIT_BYTES = 50e9
"""What prepared cases may take on disk over all runs before the longest unused are removed."""

SLOW_S = 2.0
"""A case that took longer to prepare goes to a file too: a resumed run need not do it again."""

KEPT_FREE_BYTES = 10e9
"""What such files, which only save time, leave of the disk to everything else."""

_LOOK_S = 0.1
"""How often a waiting job looks whether it was cancelled."""


class CaseCache:
    """The prepared cases of a job; its methods are safe in any thread.

    Cases are float32 in memory and in files alike, so that it changes nothing of what is learnt
    where one lies.

    Parameters
    ----------
    job : TrainJob
        Its manifest and preprocessing.
    directory : Path, optional
        For the files; by default in the user's cache folder.
    budget_bytes : float, optional
        Main memory for cases; by default half of what is free now.
    limit_bytes : float
        What all files in `directory` may take; this job's own always stay.
    workers : int, optional
        Threads that prepare; by default one a core.
    """

    def __init__(
        self,
        job: TrainJob,
        directory: Path | None = None,
        budget_bytes: float | None = None,
        *,
        limit_bytes: float = LIMIT_BYTES,
        workers: int | None = None,
    ) -> None:
        self.job = job
        self._folder = cache_folder(FOLDER) if directory is None else directory
        self._budget = free_bytes() / 2 if budget_bytes is None else budget_bytes
        self._limit = limit_bytes
        self._workers = usable_cores() if workers is None else max(1, workers)
        self._by_id = {case.id: case for case in job.manifest.cases}
        self._cases: dict[str, PreparedCase] = {}
        self._keys: set[str] = set()
        self._held = 0
        self._lock = threading.Lock()
        self._locks = {case: threading.Lock() for case in self._by_id}

    @property
    def held_bytes(self) -> int:
        """Main memory that cases take now, those in files apart."""
        return self._held

    def case(self, case_id: str, control: JobControl | None = None) -> PreparedCase:
        """A case, prepared now if it is not yet.

        Raises
        ------
        MedcnnError
            With the case's name, when it cannot be prepared.
        Cancelled
            When the job was cancelled.
        """
        found = self._cases.get(case_id)
        if found is not None:
            return found
        if case_id not in self._locks:
            raise MedcnnError("is no case of the manifest", source=case_id)
        with self._locks[case_id]:
            if case_id not in self._cases:
                made = self._made(self._by_id[case_id], control or JobControl())
                self._cases[case_id] = made
            return self._cases[case_id]

    def prepare(self, case_ids: Sequence[str], control: JobControl) -> Job:
        """Prepare cases in threads; ends in ``Done`` of this cache.

        The first case that cannot be prepared ends it, with its name.

        Raises
        ------
        MedcnnError
            With the case's name, when one cannot be prepared.
        Cancelled
            When the job was cancelled; threads in the middle of a step end after it.
        """
        waiting = [case for case in dict.fromkeys(case_ids) if case not in self._cases]
        total, started = len(waiting), time.monotonic()
        yield Progress(STAGE, 0, total)
        with _following(control) as inner, _threads(self._workers) as pool:
            pending = {pool.submit(self.case, case, inner) for case in waiting}
            while pending:
                control.checkpoint()
                ready, pending = wait(pending, _LOOK_S, FIRST_COMPLETED)
                _mirror(control, inner)
                for future in ready:
                    made = future.result()
                    yield from (Message(f"{made.id}: {n}", "warning") for n in made.notes)
                if ready:
                    done = total - len(pending)
                    eta = (time.monotonic() - started) / done * len(pending)
                    yield Progress(STAGE, done, total, eta)
        if self._keys:
            clean(self._folder, self._limit, self._keys)
        yield Done(self)

    def _made(self, case: TrainCase, control: JobControl) -> PreparedCase:
        try:
            key = key_of(self.job, case)
        except MedcnnError as error:
            raise type(error)(f"{error.source}: {error.what}", source=case.id) from error
        control.checkpoint()
        stored = read_stored(self._folder, key, mapped=True)
        begun = time.monotonic()
        made = self._opened(case, stored) if stored else prepare_case(self.job, case, control)
        if self._reserve(made.nbytes):
            if stored:
                return _in_memory(made)
            if time.monotonic() - begun > SLOW_S:
                self._keep(key, made)
            return made
        with self._lock:
            self._keys.add(key)
        if stored:
            return made
        control.checkpoint()
        write_stored(self._folder, key, _arrays(made))
        again = read_stored(self._folder, key, mapped=True)
        if again is None:
            raise MedcnnError(
                "its prepared file was damaged while it was written",
                source=case.id,
                hint=f"check the disk that holds {self._folder}",
            )
        return self._opened(case, again)

    def _keep(self, key: str, made: PreparedCase) -> None:
        """Write a case that is in memory to a file, for runs to come, where the disk allows."""
        place = next(p for p in (self._folder, *self._folder.parents) if p.is_dir())
        if shutil.disk_usage(place).free - made.nbytes < KEPT_FREE_BYTES:
            return
        with suppress(WriteError):
            write_stored(self._folder, key, _arrays(made))
            with self._lock:
                self._keys.add(key)

    def _reserve(self, count: int) -> bool:
        with self._lock:
            fits = self._held + count <= self._budget
            self._held += count if fits else 0
            return fits

    def _opened(self, case: TrainCase, stored: StoredCase) -> PreparedCase:
        import torch

        classified = self.job.manifest.task == "classification"
        return PreparedCase(
            case.id,
            torch.from_numpy(stored.image),
            class_index(case, self.job.manifest) if classified else torch.from_numpy(stored.label),
            stored.foreground,
            stored.spacing_mm,
            stored.notes,
        )


def _arrays(case: PreparedCase) -> StoredCase:
    label = np.empty((0, 0, 0), np.int16) if isinstance(case.label, int) else case.label.numpy()
    return StoredCase(case.image.numpy(), label, case.foreground, case.spacing_mm, case.notes)


def _in_memory(case: PreparedCase) -> PreparedCase:
    label = case.label if isinstance(case.label, int) else case.label.clone()
    return PreparedCase(
        case.id, case.image.clone(), label, case.foreground, case.spacing_mm, case.notes
    )


@contextmanager
def _threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that nobody waits for at the end: what they still do ends at its next checkpoint."""
    pool = ThreadPoolExecutor(count, "prepare", initializer=one_torch_thread)
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _following(control: JobControl) -> Iterator[JobControl]:
    """A control of the threads' own, which ends them when the block ends, however it does."""
    inner = JobControl()
    try:
        yield inner
    finally:
        inner.cancel()


def _mirror(control: JobControl, inner: JobControl) -> None:
    if control.is_paused:
        inner.pause()
    else:
        inner.resume()
