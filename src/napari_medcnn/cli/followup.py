"""``medcnn followup``: what became of the lesions of a baseline in a follow-up."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from napari_medcnn.app.case import case_of
from napari_medcnn.app.case_options import CaseOptions
from napari_medcnn.app.dicom_export import DicomKind
from napari_medcnn.app.followup_case import FollowUpRequest, FollowUpResult, followup_case
from napari_medcnn.cli import output
from napari_medcnn.cli.options import AcceptFindingsOption, JsonOption, OverwriteOption
from napari_medcnn.core.change import Change, ChangeRule
from napari_medcnn.core.lesion import Measurement
from napari_medcnn.core.registration import RegistrationKind
from napari_medcnn.followup.registration_options import RegistrationOptions
from napari_medcnn.inference.options import RunOptions


def followup(
    baseline: Annotated[Path, typer.Argument(help="The earlier image: a file or a folder.")],
    follow_up: Annotated[Path, typer.Argument(metavar="FOLLOWUP", help="The later image.")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    model: Annotated[
        str, typer.Option(help="A model that segments, for studies without a label map.")
    ] = "flair_lesions",
    labels: Annotated[
        Path | None, typer.Option("--baseline-labels", help="A label map of the baseline.")
    ] = None,
    later_labels: Annotated[
        Path | None, typer.Option("--followup-labels", help="A label map of the follow-up.")
    ] = None,
    kind: Annotated[
        RegistrationKind, typer.Option(help="What the registration may do.")
    ] = RegistrationKind.RIGID,
    transform: Annotated[
        Path | None,
        typer.Option(help="An ITK transform from baseline to follow-up, in place of registering."),
    ] = None,
    days: Annotated[
        float | None, typer.Option(help="Between the studies (default: as DICOM headers tell).")
    ] = None,
    least_change: Annotated[
        float, typer.Option(min=0, metavar="PERCENT", help="A smaller change is none.")
    ] = ChangeRule().least_percent,
    min_volume: Annotated[
        float | None, typer.Option(min=0, help="Leave out smaller lesions, in mm3.")
    ] = None,
    dicom: Annotated[
        list[DicomKind] | None,
        typer.Option(help="Also write DICOM objects of both studies; repeatable."),
    ] = None,
    series: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="BASELINE FOLLOWUP", help="Which series of each folder."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of the processor (default: all cores).")
    ] = None,
    accept_registration: Annotated[
        bool, typer.Option("--accept-registration", help="Go on although it looks wrong.")
    ] = False,
    accept_findings: AcceptFindingsOption = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Register two studies, match their lesions and measure what changed.

    Writes transform.tfm, matches.csv, change.json, both label maps, report.html and report.pdf.
    """
    from napari_medcnn.models.registry import find_model

    request = FollowUpRequest(
        finder=None if labels and later_labels else find_model(model),
        labels=(labels, later_labels),
        registration=RegistrationOptions(kind=kind, accept_blocking=accept_findings),
        transform=transform,
        rule=ChangeRule(least_percent=least_change),
        days=days,
        options=CaseOptions(
            RunOptions(device, threads=threads, accept_findings=accept_findings),
            min_volume_mm3=min_volume,
            dicom=tuple(one.value for one in dicom or ()),
            overwrite=overwrite,
        ),
        accept_registration=accept_registration,
    )
    first, second = series or (None, None)
    cases = case_of(baseline, series=first), case_of(follow_up, series=second)
    result = output.follow(followup_case(*cases, out, request), FollowUpResult)
    if as_json:
        output.print_json(result.to_json())
    else:
        show(result)
    output.print_notice()


def show(result: FollowUpResult) -> None:
    """The follow-up as a table."""
    found = result.found
    output.out.print(_table(found.change))
    quality = found.registration.quality
    moved = f"moved by {quality.shift_mm:.1f} mm, turned by {quality.rotation_deg:.1f} degrees"
    lines = [
        f"new or enlarging: {found.change.new_and_enlarging}",
        f"registration ({found.registration.kind.value}): {moved}; overlap {quality.overlap:.3f}",
        f"written to {result.folder}",
    ]
    for line in lines:
        output.out.print(escape(line), soft_wrap=True)


def _table(change: Change) -> Table:
    table = Table(title=f"{len(change.lesions)} lesions")
    for head in ("before", "after", "change", "mL before", "mL after", "difference", "confidence"):
        table.add_column(head, justify="left" if head in ("before", "after", "change") else "right")
    for lesion in change.lesions:
        sides = (lesion.before, lesion.after)
        volumes = ["" if one is None else _ml(one.volume_mm3) for one in sides]
        link = lesion.link
        table.add_row(
            *(" ".join(str(key.lesion_id) for key in keys) for keys in (link.before, link.after)),
            lesion.kind.value,
            *volumes,
            _ml(lesion.difference_mm3),
            "" if link.confidence is None else f"{link.confidence:.2f}",
        )
    return table


def _ml(found: Measurement) -> str:
    if found.value is None:
        return ""
    error = "" if found.error is None else f" ± {found.error / 1000:.2f}"
    return f"{found.value / 1000:.2f}{error}"
