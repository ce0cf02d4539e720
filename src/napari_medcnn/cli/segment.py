"""``medcnn segment``: a model on one case or many; labels, lesions and a record of the run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_medcnn.app.analysis import CaseResult, analyse
from napari_medcnn.app.case import Case, case_of, cases_of
from napari_medcnn.app.case_options import CaseOptions
from napari_medcnn.app.dicom_export import DicomKind
from napari_medcnn.cli import output
from napari_medcnn.cli.options import AcceptFindingsOption, JsonOption, OverwriteOption
from napari_medcnn.cli.run_options import (
    Backend,
    Mirror,
    Precision,
    case_of_channels,
    region_of,
)
from napari_medcnn.core.errors import Cancelled, InputMismatch, MedcnnError
from napari_medcnn.inference.options import RunOptions

if TYPE_CHECKING:
    from napari_medcnn.app.batch_outcome import BatchResult
    from napari_medcnn.models.spec import ModelSpec


def segment(
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[INPUT]...",
            help="Image files or folders, one a case; of one folder, every image below it.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results; a folder a case if several.")
    ] = None,
    model: Annotated[str, typer.Option(help="A model's name or folder.")] = "flair_lesions",
    cases: Annotated[
        Path | None,
        typer.Option(help="CSV of cases: columns case, and image or one a channel."),
    ] = None,
    channel: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PATH", help="The image of one channel; repeatable."),
    ] = None,
    series: Annotated[str | None, typer.Option(help="Only this series of a folder.")] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say how the model would run, and end.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    backend: Annotated[
        Backend, typer.Option(help="What runs the network; auto: the fastest that agrees.")
    ] = Backend.AUTO,
    precision: Annotated[Precision, typer.Option(help="Of the arithmetic.")] = Precision.AUTO,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of the processor (default: all cores).")
    ] = None,
    mirror: Annotated[
        Mirror, typer.Option(help="Mirrored windows: as the model asks, never, or all axes.")
    ] = Mirror.MODEL,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="In place of the model's own.")
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(metavar="Z:Z,Y:Y,X:X", help="Only this part of the image, in voxels."),
    ] = None,
    min_volume: Annotated[
        float | None,
        typer.Option(min=0, help="Leave out lesions below this, in mm³ (default: the model's)."),
    ] = None,
    probability: Annotated[
        bool, typer.Option("--probability", help="Write probability.nii.gz too.")
    ] = False,
    uncertainty: Annotated[
        bool, typer.Option("--uncertainty", help="Write entropy.nii.gz (and variance) too.")
    ] = False,
    accept_findings: AcceptFindingsOption = False,
    dicom: Annotated[
        list[DicomKind] | None,
        typer.Option(help="Write this DICOM object too, beside the source; repeatable."),
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Run cases again that are done.")
    ] = False,
    failed_only: Annotated[
        bool, typer.Option("--failed-only", help="Only the cases that failed in the last run.")
    ] = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Segment cases: labels.nii.gz, lesions.csv, lesions.json, overlay.png and run.json.

    Cases that are done are skipped when the command runs again; several end in summary.csv.
    """
    from napari_medcnn.models.registry import find_model

    if sum(bool(way) for way in (inputs, cases, channel)) != 1:
        raise typer.BadParameter("give INPUT, or --cases, or --channel NAME=PATH for each channel")
    if out is None and not plan:
        raise typer.BadParameter("--out is needed: the folder for the results")
    options = CaseOptions(
        run=RunOptions(
            device=device,
            backend=backend.value,
            precision=precision.value,
            threads=threads,
            mirror=mirror.value,
            threshold=threshold,
            region=region_of(region),
            accept_findings=accept_findings,
        ),
        min_volume_mm3=min_volume,
        dicom=tuple(kind.value for kind in dicom or []),
        probability=probability,
        uncertainty=uncertainty,
        overwrite=overwrite,
    )
    spec = find_model(model)
    chosen = _cases(inputs or [], cases, channel or [], series, spec, out)
    if plan:
        from napari_medcnn.cli.plans import show_plans

        show_plans(chosen, spec, options, as_json)
    elif out is not None and len(chosen) == 1 and cases is None:
        _run_one(chosen[0], spec, out, options, restart, as_json)
    elif out is not None:
        _run_many(chosen, spec, out, options, restart, failed_only, as_json)


def _cases(
    inputs: list[Path],
    table: Path | None,
    channels: list[str],
    series: str | None,
    spec: ModelSpec,
    out: Path | None,
) -> tuple[Case, ...]:
    """The cases that the user named, in one of the ways there are."""
    if table is not None:
        from napari_medcnn.app.batch_csv import read_cases

        return read_cases(table, spec)
    if channels:
        return (case_of_channels(channels, series),)
    if len(inputs) == 1 and inputs[0].is_dir() and series is None:
        return _below(inputs[0], spec, out)
    return cases_of(inputs, series)


def _below(folder: Path, spec: ModelSpec, out: Path | None) -> tuple[Case, ...]:
    """Every image below a folder; a folder with one is a case itself."""
    from napari_medcnn.app.batch_folder import FoundCases, find_cases

    job = find_cases(folder, without=[] if out is None else [out])
    found = output.follow(job, FoundCases)
    if len(found.cases) == 1:
        return (case_of(folder),)
    if len(spec.channels) > 1:
        raise InputMismatch(
            f"{spec.title} takes {len(spec.channels)} images a case, and a folder does not tell "
            "which belong together",
            source=folder,
            hint="list the cases with --cases, or give one with --channel NAME=PATH",
        )
    for note in found.notes:
        output.warn(note)
    return found.cases


def _run_one(
    case: Case, spec: ModelSpec, out: Path, options: CaseOptions, restart: bool, as_json: bool
) -> None:
    """One case, straight into the folder; its lesions are listed."""
    from napari_medcnn.app.case_request import Standing, earlier_run, request_of

    earlier = earlier_run(out, request_of(case, spec, options))
    if earlier.standing is Standing.DONE and not restart:
        from napari_medcnn.app.batch_outcome import read_outcome
        from napari_medcnn.cli.batch_output import case_json

        outcome = read_outcome(case, out, state="skipped", text=earlier.reason)
        if as_json:
            output.print_json({"cases": [case_json(outcome)], "failures": []})
        output.warn(f"{out} holds this result already; --restart runs the model again")
        return
    if earlier.reason:
        output.warn(f"computing again: {earlier.reason}")
    try:
        result = output.follow(analyse(case, spec, out, options), CaseResult)
    except Cancelled:
        raise
    except MedcnnError as error:
        _fail([_failure(case, error)], as_json)
    except Exception as error:  # noqa: BLE001 - too large or a bug: one line beside the traceback
        output.err.print_exception()
        _fail([f"{_name(case)}: {type(error).__name__}: {error}"], as_json)
    if as_json:
        output.print_json({"cases": [result.to_json()], "failures": []})
    else:
        show_case(result)
    output.print_notice()


def _run_many(
    cases: tuple[Case, ...],
    spec: ModelSpec,
    out: Path,
    options: CaseOptions,
    restart: bool,
    failed_only: bool,
    as_json: bool,
) -> None:
    """Many cases, each into a folder of its own, with a summary of all."""
    from napari_medcnn.app.batch import run_batch
    from napari_medcnn.app.batch_summary import failed_ids
    from napari_medcnn.cli.batch_output import (
        case_json,
        failure_text,
        follow_batch,
        summary_table,
    )

    only = failed_ids(out) if failed_only else None
    job = run_batch(cases, spec, out, None, options, again=restart, only=only)
    result: BatchResult = follow_batch(job)
    failures = [failure_text(outcome) for outcome in result.failures]
    if as_json:
        with_result = [case_json(outcome) for outcome in result.cases if outcome.has_result]
        output.print_json({"cases": with_result, "failures": failures})
    else:
        output.out.print(summary_table(result))
        output.out.print(f"written to {out}", soft_wrap=True)
    output.print_notice()
    if failures:
        raise typer.Exit(1)


def _fail(failures: list[str], as_json: bool) -> None:
    for failure in failures:
        output.fail(failure)
    if as_json:
        output.print_json({"cases": [], "failures": failures})
    raise typer.Exit(1)


def _failure(case: Case, error: MedcnnError) -> str:
    """What went wrong with which case; many errors know neither file nor case."""
    text = str(error)
    return text if _name(case) in text else f"{_name(case)}: {text}"


def _name(case: Case) -> str:
    return case.images[0].name


def show_case(result: CaseResult) -> None:
    """The case's lesions and where its files are."""
    for finding in result.volume.findings:
        output.print_finding(finding)
    title = f"{result.volume.name}: {output.lesion_count(result.table)}"
    output.out.print(output.lesion_table(result.table, title))
    output.out.print(f"written to {result.folder}", soft_wrap=True)
