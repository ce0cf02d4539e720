"""How a batch shows on the terminal: two bars while it runs, a line a case, a table at the end."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table

from napari_medcnn.app.batch import CASES
from napari_medcnn.app.batch_outcome import BatchResult, CaseOutcome
from napari_medcnn.app.case_folder import LESIONS_CSV
from napari_medcnn.cli import output
from napari_medcnn.core import events

_STYLES = {"done": "green", "skipped": "dim", "failed": "bold red", "waiting": "yellow"}


def follow_batch(job: events.Job) -> BatchResult:
    """Run a batch to its end, with its progress on stderr."""
    columns = (
        TextColumn("{task.description:>24}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=output.err, transient=True) as progress:
        screen = _Screen(progress)
        return events.run_to_end(job, BatchResult, screen.show)


def summary_table(result: BatchResult) -> Table:
    """A line a case."""
    counts = ", ".join(f"{count} {state}" for state, count in result.counts.items())
    cases = "1 case" if len(result.cases) == 1 else f"{len(result.cases)} cases"
    view = Table(
        title=f"{cases}: {counts}; {result.lesions} lesions in {_time(result.seconds)}",
        title_justify="left",
        box=SIMPLE_HEAD,
        header_style="bold",
    )
    view.add_column("case", overflow="fold")
    view.add_column("")
    for heading in ("lesions", "mL", "longest mm", "time"):
        view.add_column(heading, justify="right", no_wrap=True)
    for outcome in result.cases:
        style = _STYLES.get(outcome.state, "")
        view.add_row(
            escape(outcome.case),
            f"[{style}]{outcome.state}[/]",
            _number(outcome.lesions, 0),
            _number(outcome.volume_ml, 2),
            _number(outcome.longest_mm, 1),
            _time(outcome.seconds),
        )
        for fallback in outcome.fallbacks:
            view.add_row(f"  [yellow]{escape(fallback)}[/]")
    return view


class _Screen:
    """The two bars: the whole batch, and the stage of the case that is being computed."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._whole: TaskID = progress.add_task(CASES, total=1, left="")
        self._stage: TaskID = progress.add_task("", total=1, left="", visible=False)

    def show(self, event: events.Event) -> None:
        """Show an event."""
        match event:
            case events.Progress(stage, done, total, eta_s) if stage == CASES:
                left = "" if eta_s is None or done == total else f"about {_time(eta_s)} left"
                self._progress.update(self._whole, completed=done, total=total, left=left)
            case events.Progress(stage, done, total):
                self._progress.update(
                    self._stage, description=stage, completed=done, total=total, visible=True
                )
            case events.CaseUpdate():
                self._case(event)
            case events.Message(text, level):
                style = "yellow" if level == "warning" else "dim"
                self._progress.print(f"[{style}]{escape(text)}[/]", soft_wrap=True)
            case events.Fallback(wanted, used, reason):
                text = f"{used} instead of {wanted}: {reason}"
                self._progress.print(f"[yellow]{escape(text)}[/]", soft_wrap=True)

    def _case(self, update: events.CaseUpdate) -> None:
        name = escape(update.case)
        match update.state:
            case "done":
                count = f"{update.lesions} lesion{'' if update.lesions == 1 else 's'}"
                text = f"[green]done[/] {name}: {count}, {_time(update.seconds)}"
            case "skipped":
                text = f"[dim]skipped {name}: {escape(update.text)}[/]"
            case "failed":
                text = f"[bold red]error:[/] {name}: {escape(update.text)}"
            case "computing" if update.text:
                text = f"[yellow]again[/] {name}: {escape(update.text)}"
            case _:
                return
        self._progress.print(text, soft_wrap=True)


def failure_text(outcome: CaseOutcome) -> str:
    """What went wrong with which case."""
    return outcome.text if outcome.case in outcome.text else f"{outcome.case}: {outcome.text}"


def case_json(outcome: CaseOutcome) -> dict[str, Any]:
    """A case for programs, with its lesions as its table has them."""
    import pandas as pd

    rows = pd.read_csv(outcome.folder / LESIONS_CSV).astype(object)
    lesions = rows.where(rows.notna(), None).to_dict("records")
    return {"name": outcome.case, **outcome.to_json(), "lesions": lesions}


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
