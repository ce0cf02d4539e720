"""How the command talks: results on stdout, progress and errors on stderr.

Only results go to stdout, so that ``--json`` output can be piped to another program while a
person still sees the progress.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from napari_medcnn.core import events
from napari_medcnn.core.lesion import LesionTable, Measurement
from napari_medcnn.core.volume import Finding, Severity
from napari_medcnn.report.notice import RESEARCH_USE_NOTICE

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

_Result = TypeVar("_Result")
_FINDING_STYLE = {Severity.INFO: "dim", Severity.WARNING: "yellow", Severity.BLOCKING: "bold red"}


def fail(text: str) -> None:
    """One line that says what went wrong."""
    err.print(f"[bold red]error:[/] {escape(text)}", soft_wrap=True)


def print_json(content: Any) -> None:
    """One JSON document on stdout."""
    out.print_json(json.dumps(content, allow_nan=False))


def print_finding(finding: Finding) -> None:
    """A finding, coloured by its severity."""
    style = _FINDING_STYLE[finding.severity]
    err.print(f"[{style}]{finding.severity.value}: {escape(finding.text)}[/]", soft_wrap=True)


def print_notice() -> None:
    """The research-use notice, wherever results are shown."""
    err.print(f"[dim]{escape(RESEARCH_USE_NOTICE)}[/]", soft_wrap=True)


def follow(job: events.Job, expected: type[_Result]) -> _Result:
    """Run a job to its end, with a progress bar and its messages on stderr."""
    columns = (
        TextColumn("{task.description:>20}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
    )
    with Progress(*columns, TimeRemainingColumn(), console=err, transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def show(event: events.Event) -> None:
            match event:
                case events.Progress(stage, done, total):
                    if stage not in tasks:
                        tasks[stage] = progress.add_task(stage, total=total)
                    progress.update(tasks[stage], completed=done, total=total)
                case events.Message(text, level):
                    progress.print(
                        f"[{'yellow' if level == 'warning' else 'dim'}]{escape(text)}[/]"
                    )
                case events.Fallback(wanted, used, reason):
                    progress.print(
                        f"[yellow]{escape(used)} instead of {escape(wanted)}: {escape(reason)}[/]"
                    )

        return events.run_to_end(job, expected, show)


def lesion_table(table: LesionTable, title: str) -> Table:
    """The lesions for the eye: the largest first, each figure with the error to expect."""
    view = Table(title=title, title_justify="left", header_style="bold")
    view.add_column("id", justify="right")
    view.add_column("label")
    for heading in ("volume mL", "long × short mm", "max 3D mm", "mean", "p"):
        view.add_column(heading, justify="right")
    view.add_column("centre L, P, S mm", justify="right")
    view.add_column("")
    ordered = sorted(table.lesions, key=lambda lesion: -(lesion.volume_mm3.value or 0))
    for lesion in ordered:
        point = lesion.centroid_lps_mm
        view.add_row(
            str(lesion.id),
            lesion.label_name,
            with_error(lesion.volume_ml, 3),
            f"{with_error(lesion.long_axis_mm, 1)} × {with_error(lesion.short_axis_mm, 1)}",
            with_error(lesion.max_diameter_3d_mm, 1),
            plain(lesion.mean, 1),
            plain(lesion.mean_probability, 2),
            "–" if point is None else ", ".join(f"{v:.1f}" for v in point),
            "touches border" if lesion.touches_border else "",
        )
    return view


def with_error(measurement: Measurement, digits: int) -> str:
    """``12.3 ± 0.8``, or a dash where there is no value."""
    if measurement.value is None:
        return "–"
    error = "" if measurement.error is None else f" ± {measurement.error:.{digits}f}"
    return f"{measurement.value:.{digits}f}{error}"


def plain(measurement: Measurement, digits: int) -> str:
    """The value alone, or a dash."""
    return "–" if measurement.value is None else f"{measurement.value:.{digits}f}"
