"""How the command talks: results on stdout, progress and errors on stderr.

Only results go to stdout, so that ``--json`` output can be piped to another program while a
person still sees the progress.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from napari_medcnn.core import events
from napari_medcnn.core.lesion import DOUBTFUL_PROBABILITY, Lesion, LesionTable, Measurement
from napari_medcnn.core.volume import Finding, Severity
from napari_medcnn.report.notice import RESEARCH_USE_NOTICE

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

_Result = TypeVar("_Result")
_FINDING_STYLE = {Severity.INFO: "dim", Severity.WARNING: "yellow", Severity.BLOCKING: "bold red"}


def fail(text: str) -> None:
    """One line that says what went wrong."""
    err.print(f"[bold red]error:[/] {escape(text)}", soft_wrap=True)


def warn(text: str) -> None:
    """One line that someone should read, and the command goes on."""
    err.print(f"[yellow]warning:[/] {escape(text)}", soft_wrap=True)


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


def lesion_count(table: LesionTable) -> str:
    """E.g. ``3 lesions``, with those that were too small to be listed."""
    count = len(table.lesions)
    dropped = table.dropped_count
    left_out = f", {dropped} below {table.min_volume_mm3:g} mm³ left out" if dropped else ""
    return f"{count} lesion{'' if count == 1 else 's'}{left_out}"


def lesion_table(table: LesionTable, title: str) -> Table:
    """The lesions for the eye, the largest first; it fits a terminal of 80 columns."""
    view = Table(title=title, title_justify="left", box=SIMPLE_HEAD, header_style="bold")
    several = len({lesion.label for lesion in table.lesions}) > 1
    for heading in ("id", "volume mL", "long × short mm", "3D mm", "p", "centre LPS mm"):
        view.add_column(heading, justify="right", no_wrap=True)
    remarked = several or any(lesion.touches_border for lesion in table.lesions)
    if remarked:
        view.add_column("label" if several else "")
    for lesion in sorted(table.lesions, key=lambda lesion: -(lesion.volume_mm3.value or 0)):
        remarks = [_remarks(lesion, several)] if remarked else []
        view.add_row(*_cells(lesion), *remarks, style="dim" if lesion.is_doubtful else None)
    if any(lesion.is_doubtful for lesion in table.lesions):
        view.caption = f"? doubtful: mean probability under {DOUBTFUL_PROBABILITY:g}"
        view.caption_justify = "left"
    return view


def _remarks(lesion: Lesion, several_labels: bool) -> str:
    remarks = [lesion.label_name] if several_labels else []
    return ", ".join([*remarks, "at edge"] if lesion.touches_border else remarks)


def _cells(lesion: Lesion) -> list[str]:
    long, short = lesion.long_axis_mm, lesion.short_axis_mm
    point = lesion.centroid_lps_mm
    return [
        str(lesion.id),
        with_error(lesion.volume_ml, 1 if (lesion.volume_ml.value or 0) >= 10 else 3),
        f"{plain(long, 1)} × {plain(short, 1)}{_error(long, 1)}",
        with_error(lesion.max_diameter_3d_mm, 1),
        plain(lesion.mean_probability, 2) + ("?" if lesion.is_doubtful else ""),
        "–" if point is None else " ".join(f"{mm:.0f}" for mm in point),
    ]


def with_error(measurement: Measurement, digits: int) -> str:
    """``12.3 ± 0.8``, or a dash where there is no value."""
    return plain(measurement, digits) + _error(measurement, digits)


def plain(measurement: Measurement, digits: int) -> str:
    """The value alone, or a dash."""
    return "–" if measurement.value is None else f"{measurement.value:.{digits}f}"


def _error(measurement: Measurement, digits: int) -> str:
    return "" if measurement.error is None else f" ± {measurement.error:.{digits}f}"
