"""``medcnn detect``: a detector on one image; boxes with scores and a record of the run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from napari_medcnn.app.case import Case, case_of
from napari_medcnn.app.case_options import CaseOptions
from napari_medcnn.app.detection_case import DetectedCase, detect_case
from napari_medcnn.cli import output
from napari_medcnn.cli.options import AcceptFindingsOption, JsonOption, OverwriteOption
from napari_medcnn.cli.run_options import Precision, case_of_channels, region_of
from napari_medcnn.core.detection import Detections
from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.inference.options import RunOptions

if TYPE_CHECKING:
    from napari_medcnn.models.spec import ModelSpec

SHOWN = 30
"""Boxes that are listed; all are written."""


def detect(
    image: Annotated[
        Path | None, typer.Argument(metavar="[IMAGE]", help="An image file or a folder.")
    ] = None,
    model: Annotated[
        str, typer.Option(help="The name or folder of a model that detects.", show_default=False)
    ] = "",
    out: Annotated[Path | None, typer.Option(help="Folder for the results.")] = None,
    channel: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PATH", help="The image of one channel; repeatable."),
    ] = None,
    series: Annotated[str | None, typer.Option(help="Only this series of a folder.")] = None,
    threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Score from which a box counts (default: the model's)."),
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say how the model would run, and end.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    precision: Annotated[Precision, typer.Option(help="Of the arithmetic.")] = Precision.AUTO,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of the processor (default: all cores).")
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(
            metavar="Z:Z,Y:Y,X:X", help="Only boxes whose middle lies in this part, in voxels."
        ),
    ] = None,
    accept_findings: AcceptFindingsOption = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Find objects as boxes with scores: boxes.csv, boxes.json, overlay.png and run.json."""
    from napari_medcnn.models.registry import find_model

    if (image is None) == (not channel):
        raise typer.BadParameter("give IMAGE, or --channel NAME=PATH for each channel")
    if not model:
        raise typer.BadParameter("--model is needed: the name or folder of a model that detects")
    if out is None and not plan:
        raise typer.BadParameter("--out is needed: the folder for the results")
    spec = find_model(model)
    _require_detector(spec)
    options = CaseOptions(
        run=RunOptions(
            device=device,
            precision=precision.value,
            threads=threads,
            threshold=threshold,
            region=region_of(region),
            accept_findings=accept_findings,
        ),
        overwrite=overwrite,
    )
    case = case_of_channels(channel, series) if channel else _case(image, series)
    if plan:
        from napari_medcnn.cli.plans import show_plans

        show_plans([case], spec, options, as_json)
    elif out is not None:
        _run(case, spec, out, options, as_json)


def _require_detector(spec: ModelSpec) -> None:
    if spec.task != "detection":
        command = "classify" if spec.task == "classification" else "segment"
        raise InputMismatch(f"{spec.title} draws no boxes", hint=f"medcnn {command} runs it")


def _case(image: Path | None, series: str | None) -> Case:
    if image is None:
        raise ValueError("there is no image")
    return case_of(image, series=series)


def _run(case: Case, spec: ModelSpec, out: Path, options: CaseOptions, as_json: bool) -> None:
    result = output.follow(detect_case(case, spec, out, options), DetectedCase)
    if as_json:
        output.print_json({"cases": [result.to_json()], "failures": []})
    else:
        for finding in result.volume.findings:
            output.print_finding(finding)
        output.out.print(box_table(result.detections, result.volume.name))
        output.out.print(f"written to {result.folder}", soft_wrap=True)
    output.print_notice()


def box_table(detections: Detections, name: str) -> Table:
    """The boxes for the eye, the highest score first; it fits a terminal of 80 columns."""
    count = len(detections.boxes)
    title = f"{escape(name)}: {count} box{'' if count == 1 else 'es'}"
    view = Table(title=title, title_justify="left", box=SIMPLE_HEAD, header_style="bold")
    for heading in ("id", "score", "x × y × z mm", "centre LPS mm"):
        view.add_column(heading, justify="right", no_wrap=True)
    several = len(detections.labels) > 1
    if several:
        view.add_column("label")
    for box in detections.boxes[:SHOWN]:
        z, y, x = box.size_mm
        cells = [
            str(box.id),
            f"{box.score:.3f}",
            f"{x:.1f} × {y:.1f} × {z:.1f}",
            " ".join(f"{mm:.0f}" for mm in box.centre_lps_mm),
        ]
        view.add_row(*cells, *([escape(box.label_name)] if several else []))
    if count > SHOWN:
        view.caption = f"and {count - SHOWN} with lower scores"
        view.caption_justify = "left"
    return view
