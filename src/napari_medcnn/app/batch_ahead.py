"""Read the next case and write the last one while a model computes: one ahead, one behind."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from napari_medcnn.app.analysis import (
    CaseResult,
    ComputedCase,
    ReadCase,
    measure_case,
    read_case,
    write_case,
)
from napari_medcnn.app.batch_outcome import CaseOutcome, outcome_of, read_outcome
from napari_medcnn.app.case import Case
from napari_medcnn.app.case_folder import RUN, require_writable
from napari_medcnn.app.case_options import CaseOptions
from napari_medcnn.app.case_request import Earlier, Standing, earlier_run, request_of
from napari_medcnn.app.volume_reference import fingerprint
from napari_medcnn.models.spec import ModelSpec

WAKE_S = 0.05
"""How long a wait lasts before it looks for the user's cancelling."""

LAST_WRITE_S = 2.0
"""How long a batch that ends early lets the case that is just being written finish."""


NOT_ASKED = "not asked for"


@dataclass(frozen=True)
class Wish:
    """What is asked of all cases.

    Parameters
    ----------
    spec : ModelSpec
        The model.
    options : CaseOptions
        How it runs and what is written.
    again : bool
        Compute cases that are done, too.
    only : frozenset of str, optional
        The cases to run; the others stay as they are.
    """

    spec: ModelSpec
    options: CaseOptions
    again: bool = False
    only: frozenset[str] | None = None


@dataclass(frozen=True, eq=False)
class Ready:
    """A case that is to be computed: `read`, and why again if it had been before."""

    read: ReadCase
    reason: str = ""


class Ahead:
    """Cases come out in order, ready to be computed or known to be done; at most one is ahead.

    Parameters
    ----------
    cases, folders : sequence
        What to read, and where each case's results go.
    wish : Wish
        What is asked of all of them.
    """

    def __init__(self, cases: Sequence[Case], folders: Sequence[Path], wish: Wish) -> None:
        self._works = list(zip(cases, folders, strict=True))
        self._wish = wish
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="medcnn-read")
        self._next: Future[Ready | CaseOutcome] | None = None
        self._number = 0

    def begin_next(self) -> None:
        """Read the next case in the background, unless one is ahead or none is left."""
        if self._next is None and self._number < len(self._works):
            case, folder = self._works[self._number]
            self._number += 1
            self._next = self._thread.submit(self._read, case, folder)

    def wait(self) -> bool:
        """Wait a moment; whether the next case is there."""
        self.begin_next()
        assert self._next is not None, "there is no case left"
        return bool(wait([self._next], WAKE_S).done)

    def take(self) -> Ready | CaseOutcome:
        """The next case, for which :meth:`wait` has waited.

        Raises
        ------
        Exception
            Whatever reading raised.
        """
        assert self._next is not None, "nothing is being read"
        future, self._next = self._next, None
        return future.result()

    def close(self) -> None:
        """Leave what is being read; nobody waits for it."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _read(self, case: Case, folder: Path) -> Ready | CaseOutcome:
        wish = self._wish
        if wish.only is not None and case.id not in wish.only:
            there = (folder / RUN).is_file()
            return (
                read_outcome(case, folder, state="skipped", text=NOT_ASKED)
                if there
                else (CaseOutcome(case.id, folder, text=NOT_ASKED))
            )
        require_writable(folder)
        request = request_of(case, wish.spec, wish.options)
        earlier = earlier_run(folder, request)
        if wish.again and earlier.standing is not Standing.NEW:
            earlier = Earlier(Standing.CHANGED, "asked for")
        if earlier.standing is Standing.DONE:
            return read_outcome(case, folder, state="skipped", text=earlier.reason)
        read = read_case(case, wish.spec, folder, wish.options)
        voxels = tuple(fingerprint(volume) for volume in read.volumes)
        if earlier.standing is Standing.TOUCHED and voxels == earlier.fingerprints:
            text = "done before; its files changed, its voxels did not"
            return read_outcome(case, folder, state="skipped", text=text)
        return Ready(read, earlier.reason)


class Behind:
    """Measures and writes one computed case at a time in the background."""

    def __init__(self, options: CaseOptions) -> None:
        self._options = options
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="medcnn-write")
        self._case: tuple[Case, Path] | None = None
        self._future: Future[CaseOutcome] | None = None

    @property
    def case(self) -> tuple[Case, Path] | None:
        """The case that is being written, and where."""
        return self._case

    @property
    def is_finished(self) -> bool:
        """Whether a case was being written and now is."""
        return self._future is not None and self._future.done()

    def begin(self, ready: Ready, computed: ComputedCase) -> None:
        """Measure and write a case; the one before must have been taken."""
        assert self._future is None, "a case is still being written"
        self._case = (ready.read.case, ready.read.folder)
        self._future = self._thread.submit(self._write, ready, computed)

    def wait(self) -> bool:
        """Wait a moment; whether the case is written."""
        return self._future is None or bool(wait([self._future], WAKE_S).done)

    def take(self) -> CaseOutcome:
        """What became of the case, for which :meth:`wait` has waited.

        Raises
        ------
        Exception
            Whatever measuring or writing raised; the next case may come then too.
        """
        assert self._future is not None, "no case is being written"
        future, self._future, self._case = self._future, None, None
        return future.result()

    def close(self) -> None:
        """Let the case that is being written finish, for a moment."""
        if self._future is not None:
            wait([self._future], LAST_WRITE_S)
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _write(self, ready: Ready, computed: ComputedCase) -> CaseOutcome:
        result: CaseResult = measure_case(computed, self._options)
        result = write_case(computed, result, self._options)
        fallbacks = [f"{f.used} instead of {f.wanted}: {f.reason}" for f in computed.fallbacks]
        return outcome_of(ready.read.case, result, fallbacks, ready.reason)
