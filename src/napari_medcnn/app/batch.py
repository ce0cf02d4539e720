"""A model over many cases: loaded once, reading and writing beside it, no case stops the others.

What is done is skipped when the batch starts again, because a case's record says what was asked of
it. All that a killed batch loses is the case that it was at.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_medcnn.app.analysis import ComputedCase, compute_case
from napari_medcnn.app.batch_ahead import Ahead, Behind, Ready, Wish
from napari_medcnn.app.batch_eta import BatchClock
from napari_medcnn.app.batch_outcome import BatchResult, CaseOutcome, failure_of
from napari_medcnn.app.batch_summary import write_summary
from napari_medcnn.app.case import Case
from napari_medcnn.app.case_folder import require_writable
from napari_medcnn.app.case_options import DEFAULT_OPTIONS, CaseOptions
from napari_medcnn.app.case_request import model_stamp
from napari_medcnn.core.errors import Cancelled, MedcnnError, WriteError
from napari_medcnn.core.events import (
    CaseUpdate,
    Done,
    Event,
    Fallback,
    Job,
    JobControl,
    Message,
    Progress,
)
from napari_medcnn.models.spec import ModelSpec

if TYPE_CHECKING:
    from napari_medcnn.inference.loaded import LoadedModel

CASES = "cases"
"""The stage whose progress is that of the whole batch."""

SUMMARY_EVERY_S = 5.0
"""How old the summary of a running batch gets: of thousands of cases, it takes a while to write."""


def run_batch(
    cases: Sequence[Case],
    spec: ModelSpec,
    out_dir: str | Path,
    control: JobControl | None = None,
    options: CaseOptions = DEFAULT_OPTIONS,
    *,
    again: bool = False,
    only: Collection[str] | None = None,
) -> Job:
    """Run a model on many cases, each into a folder of its own.

    Parameters
    ----------
    cases : sequence of Case
        With different ids.
    spec : ModelSpec
        The model.
    out_dir : str or Path
        Gets a folder a case, ``summary.csv``, ``summary.json`` and ``all_lesions.csv``.
    control : JobControl, optional
        Cancels within a window, pauses and resumes.
    options : CaseOptions
        How each case is run and what is written of it.
    again : bool
        Compute cases that are done, too.
    only : collection of str, optional
        The ids of the cases to run, such as :func:`failed_ids`; the others stand in the summary as
        they are.

    Yields
    ------
    Event
        `CaseUpdate` at each step of a case, failures included; `Progress` of the stage
        :data:`CASES` with the time left of the whole, and of the model's own stages; messages and
        fallbacks with their case; at last ``Done(BatchResult)``.

    Raises
    ------
    MedcnnError
        When two cases have the same id, or there is none.
    ModelError
        When the model cannot be loaded.
    WriteError
        When nothing can be written into `out_dir`.
    Cancelled
        When the batch was cancelled; what is done stays, and the summary tells it.
    """
    _require_different(cases)
    model_stamp(spec)  # a model without weights is no case's fault
    require_writable(Path(out_dir))
    wish = Wish(spec, options, again, None if only is None else frozenset(only))
    batch = _Batch(cases, Path(out_dir), control or JobControl(), wish)
    with batch:
        yield from batch.events()
        result = batch.result()
        write_summary(result)
    yield Done(result)


class _Batch:
    """A batch on its way."""

    def __init__(
        self,
        cases: Sequence[Case],
        out_dir: Path,
        control: JobControl,
        wish: Wish,
    ) -> None:
        self._cases, self._out, self._control = tuple(cases), out_dir, control
        self._spec, self._options = wish.spec, wish.options
        folders = [out_dir / case.id for case in cases]
        self._outcomes = {
            case.id: CaseOutcome(case.id, folder)
            for case, folder in zip(cases, folders, strict=True)
        }
        self._ahead = Ahead(self._cases, folders, wish)
        self._behind = Behind(wish.options)
        self._clock = BatchClock(len(cases))
        self._began = self._summarised = time.perf_counter()
        self._kept = contextlib.ExitStack()
        self._loaded: LoadedModel | None = None

    def __enter__(self) -> None:
        self._ahead.begin_next()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._ahead.close()
        self._behind.close()
        self._kept.close()
        if kind is None:
            return
        if self._behind.is_finished:
            list(self._written())
        # What ended the batch is what the user must know, even where the summary fails as well.
        with contextlib.suppress(MedcnnError):
            write_summary(self.result())

    def result(self) -> BatchResult:
        """How far the batch is."""
        seconds = round(time.perf_counter() - self._began, 3)
        return BatchResult(self._out, self._spec.id, tuple(self._outcomes.values()), seconds)

    def events(self) -> Iterator[Event]:
        """All cases one after the other."""
        yield self._clock.progress(CASES)
        for case in self._cases:
            yield CaseUpdate(case.id, "reading")
            while not self._ahead.wait():
                self._control.checkpoint()
                yield from self._written()
            self._control.checkpoint()
            try:
                found = self._ahead.take()
            except Exception as error:  # noqa: BLE001 - whatever it is, the other cases go on
                found = failure_of(case, self._outcomes[case.id].folder, error)
            self._ahead.begin_next()
            if isinstance(found, CaseOutcome):
                yield from self._settle(found)
            else:
                yield from self._compute(found)
            del found
        yield from self._until_written()

    def _compute(self, ready: Ready) -> Iterator[Event]:
        case = ready.read.case
        yield CaseUpdate(case.id, "computing", ready.reason)
        self._clock.begin_case()
        try:
            computed = yield from self._followed(ready)
        except Cancelled:
            raise
        except Exception as error:  # noqa: BLE001 - too large or a bug: the other cases go on
            yield from self._settle(failure_of(case, ready.read.folder, error))
            return
        yield from self._until_written()
        self._behind.begin(ready, computed)
        yield CaseUpdate(case.id, "writing")

    def _followed(self, ready: Ready) -> Generator[Event, None, ComputedCase]:
        """The model's events, told with their case, and the whole batch's progress among them."""
        case = ready.read.case.id
        loaded = self._loaded_model()
        job = compute_case(ready.read, self._spec, self._options, self._control, loaded)
        while True:
            try:
                event = next(job)
            except StopIteration as end:
                computed: ComputedCase = end.value
                return computed
            match event:
                case Progress():
                    self._clock.note(event)
                    yield event
                case Message(text, level):
                    yield Message(f"{case}: {text}", level)
                case Fallback(reason=reason):
                    yield replace(event, reason=f"{case}: {reason}")
                case _:
                    yield event
            yield from self._written()
            if self._clock.is_due:
                yield self._clock.progress(CASES)

    def _loaded_model(self) -> LoadedModel:
        """The model for all cases; a batch in which all is done needs none, and no torch."""
        if self._loaded is None:
            from napari_medcnn.inference.loaded import load_model

            model = load_model(self._spec, self._options.of_model())
            self._loaded = self._kept.enter_context(model)
        return self._loaded

    def _until_written(self) -> Iterator[Event]:
        while not self._behind.wait():
            self._control.checkpoint()
        yield from self._written()

    def _written(self) -> Iterator[Event]:
        """Take the case that has been written, if there is one."""
        if not self._behind.is_finished or self._behind.case is None:
            return
        case, folder = self._behind.case
        try:
            outcome = self._behind.take()
        except Exception as error:  # noqa: BLE001 - whatever it is, the other cases go on
            outcome = failure_of(case, folder, error)
        yield from self._settle(outcome)

    def _settle(self, outcome: CaseOutcome) -> Iterator[Event]:
        self._outcomes[outcome.case] = outcome
        self._clock.end_case(outcome)
        yield outcome.update()
        yield self._clock.progress(CASES)
        now = time.perf_counter()
        if now - self._summarised > SUMMARY_EVERY_S:
            self._summarised = now
            try:
                write_summary(self.result())
            except WriteError as error:
                yield Message(f"the summary so far: {error}", "warning")


def _require_different(cases: Sequence[Case]) -> None:
    if not cases:
        raise MedcnnError("there are no cases", hint="name images, a folder of them, or a table")
    seen: set[str] = set()
    for case in cases:
        if case.id.casefold() in seen:
            raise MedcnnError(
                "two cases have this name, so that their results would share a folder",
                source=case.id,
            )
        seen.add(case.id.casefold())
