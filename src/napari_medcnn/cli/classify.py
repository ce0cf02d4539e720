"""``medcnn classify``: classes with probabilities of images, their slices or their lesions."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from napari_medcnn.app.case import Case, cases_of
from napari_medcnn.app.case_options import CaseOptions
from napari_medcnn.app.classification_case import ClassifiedCase, Parts, classify_case
from napari_medcnn.cli import output
from napari_medcnn.cli.options import AcceptFindingsOption, JsonOption, OverwriteOption
from napari_medcnn.cli.run_options import AxisChoice, Precision, case_of_channels
from napari_medcnn.core.classification import Classification
from napari_medcnn.core.errors import Cancelled, MedcnnError, ModelError
from napari_medcnn.inference.options import RunOptions

if TYPE_CHECKING:
    from napari_medcnn.models.spec import ModelSpec

SHOWN = 30
"""Items that are listed; all are written."""


class UnitChoice(StrEnum):
    """What gets a class."""

    VOLUME = "volume"
    SLICE = "slice"
    LESION = "lesion"


def classify(
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[INPUT]...", help="Image files or folders, one a case."),
    ] = None,
    model: Annotated[
        str, typer.Option(help="The name or folder of a model that classifies.", show_default=False)
    ] = "",
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results; a folder a case if several.")
    ] = None,
    unit: Annotated[UnitChoice, typer.Option(help="What gets a class.")] = UnitChoice.VOLUME,
    axis: Annotated[
        AxisChoice, typer.Option(help="Along which a model for pictures sees slices.")
    ] = AxisChoice.Z,
    labels: Annotated[
        Path | None, typer.Option(help="Label map of the lesions, on the image's grid.")
    ] = None,
    lesion_model: Annotated[
        str | None, typer.Option(help="The model that finds the lesions, in place of --labels.")
    ] = None,
    min_volume: Annotated[
        float | None,
        typer.Option(min=0, help="Leave out lesions below this, in mm³ (default: the model's)."),
    ] = None,
    channel: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PATH", help="The image of one channel; repeatable."),
    ] = None,
    series: Annotated[str | None, typer.Option(help="Only this series of a folder.")] = None,
    top: Annotated[int, typer.Option(min=1, help="Classes that are listed of each item.")] = 3,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    precision: Annotated[Precision, typer.Option(help="Of the arithmetic.")] = Precision.AUTO,
    batch: Annotated[int | None, typer.Option(min=1, help="Items at once.")] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of the processor (default: all cores).")
    ] = None,
    accept_findings: AcceptFindingsOption = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Tell classes apart: classes.csv, classes.json and run.json."""
    from napari_medcnn.models.registry import find_model

    if bool(inputs) == bool(channel):
        raise typer.BadParameter("give INPUT, or --channel NAME=PATH for each channel")
    if not model:
        raise typer.BadParameter("--model is needed: the name or folder of a model that classifies")
    if out is None:
        raise typer.BadParameter("--out is needed: the folder for the results")
    spec = find_model(model)
    if spec.task != "classification":
        raise ModelError(f"{spec.title} tells no classes apart", hint="choose one that classifies")
    cases = (case_of_channels(channel, series),) if channel else cases_of(inputs or [], series)
    if labels is not None and len(cases) > 1:
        raise typer.BadParameter("--labels belongs to one image")
    finder = None if lesion_model is None else find_model(lesion_model)
    parts = Parts(unit.value, "zyx".index(axis.value), labels, finder)
    options = CaseOptions(
        run=RunOptions(
            device=device,
            precision=precision.value,
            batch=batch,
            threads=threads,
            accept_findings=accept_findings,
        ),
        min_volume_mm3=min_volume,
        overwrite=overwrite,
    )
    _run(cases, spec, out, parts, options, top, as_json)


def _run(
    cases: tuple[Case, ...],
    spec: ModelSpec,
    out: Path,
    parts: Parts,
    options: CaseOptions,
    top: int,
    as_json: bool,
) -> None:
    """Every case, with the network loaded once; one that fails stops no other."""
    from napari_medcnn.inference.classifier import Classifier

    done, failures = [], []
    with Classifier(spec, options.run) as loaded:
        for case in cases:
            folder = out if len(cases) == 1 else out / case.id
            job = classify_case(case, spec, folder, parts, options, loaded=loaded)
            try:
                result = output.follow(job, ClassifiedCase)
            except Cancelled:
                raise
            except MedcnnError as error:
                failures.append(f"{case.images[0].name}: {error}")
                output.fail(failures[-1])
                continue
            done.append(result)
            if not as_json:
                _show(result, top)
    if as_json:
        output.print_json({"cases": [case.to_json() for case in done], "failures": failures})
    output.print_notice()
    if failures:
        raise typer.Exit(1)


def _show(result: ClassifiedCase, top: int) -> None:
    for finding in result.volume.findings:
        output.print_finding(finding)
    output.out.print(class_table(result.classification, result.volume.name, top))
    output.out.print(f"written to {result.folder}", soft_wrap=True)


def class_table(classification: Classification, name: str, top: int) -> Table:
    """The likeliest classes of each item for the eye."""
    view = Table(title=escape(name), title_justify="left", box=SIMPLE_HEAD, header_style="bold")
    whole = classification.unit == "volume"
    if not whole:
        view.add_column(classification.unit, justify="right", no_wrap=True)
    view.add_column("centre LPS mm", justify="right", no_wrap=True)
    view.add_column("classes")
    rows = list(zip(classification.items, classification.top(top), strict=True))
    for item, guesses in rows[:SHOWN]:
        place = item.centre_lps_mm
        where = "–" if place is None else " ".join(f"{mm:.0f}" for mm in place)
        said = ", ".join(f"{escape(guess.name)} {guess.probability:.3f}" for guess in guesses)
        view.add_row(*([] if whole else [str(item.number)]), where, said)
    notes = [] if classification.calibrated else ["probabilities were not calibrated"]
    if len(rows) > SHOWN:
        notes.insert(0, f"and {len(rows) - SHOWN} more in classes.csv")
    view.caption, view.caption_justify = "; ".join(notes) or None, "left"
    return view
