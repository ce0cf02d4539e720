"""``medcnn evaluate``: a model on a labelled data set; figures, curves and cases, worst first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_medcnn.cli import output
from napari_medcnn.cli.evaluation_tables import (
    classes_table,
    comparison_table,
    froc_table,
    overall_table,
    segmentation_table,
    worst_table,
)
from napari_medcnn.cli.options import AcceptFindingsOption, JsonOption
from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.events import CaseUpdate, Job, Message

if TYPE_CHECKING:
    from napari_medcnn.app.evaluation_data import CaseChoice
    from napari_medcnn.evaluation.comparison import Comparison
    from napari_medcnn.evaluation.run import EvaluationRun
    from napari_medcnn.training.manifest import Manifest

PARTS = ("all", "train", "validation", "test")


def evaluate(
    model: Annotated[str, typer.Argument(help="Name of a model of the list, or its folder.")],
    data: Annotated[
        Path,
        typer.Option(
            "--data", "--manifest", help="A data set's file, or anything that `dataset make` takes."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for tables and figures.")],
    part: Annotated[
        str, typer.Option(help="Of the data set: all, train, validation or test.")
    ] = "all",
    split: Annotated[
        Path | None, typer.Option(help="Of `dataset split`: says which cases a part has.")
    ] = None,
    fold: Annotated[int, typer.Option(min=0, help="Of the split's folds.")] = 0,
    against: Annotated[
        str | None, typer.Option(metavar="MODEL", help="A second model, on the same cases.")
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, help="Of the normalised surface distance, in mm.")
    ] = 1.0,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Of the probability; a low one lets the FROC curve go further."
        ),
    ] = None,
    lesion_wise: Annotated[
        bool, typer.Option("--lesion-wise/--no-lesion-wise", help="Count whole lesions, too.")
    ] = True,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of the processor (default: all cores).")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the intervals' resamples.")] = 0,
    report: Annotated[
        bool, typer.Option("--report/--no-report", help="Write report.html and report.pdf, too.")
    ] = True,
    accept_findings: AcceptFindingsOption = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an evaluation in the folder.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure a model on a labelled data set, and compare it with a second one where asked to.

    Cases that fail are told and do not stop the others. The exit code is 1 when none was measured.
    """
    from napari_medcnn.app.evaluation_files import write_evaluation
    from napari_medcnn.app.evaluation_run import compare_runs, evaluate_model
    from napari_medcnn.evaluation.cases import NOTHING_KEPT, Rules
    from napari_medcnn.evaluation.run import EvaluationRun
    from napari_medcnn.models.registry import find_model

    if part not in PARTS:
        raise typer.BadParameter(f"{part!r} is no part: {', '.join(PARTS)}")
    if (out / "figures.json").exists() and not overwrite:
        raise MedcnnError(
            "an evaluation is there already", source=out, hint="--overwrite replaces it"
        )
    specs = [find_model(name) for name in (model, against) if name is not None]
    manifest, choice = _data(data, part, split, fold)
    options = replace(
        NOTHING_KEPT,
        device=device,
        threads=threads,
        threshold=threshold,
        accept_findings=accept_findings,
    )
    rules = Rules(tolerance_mm=tolerance, lesion_wise=lesion_wise)
    runs = []
    for spec in specs:
        events = evaluate_model(spec, manifest, choice, rules=rules, options=options, seed=seed)
        runs.append(output.follow(_told(events), EvaluationRun))
    compared = (runs[1], compare_runs(*runs, seed=seed)) if len(runs) > 1 else None
    write_evaluation(out, runs[0], compared)
    if report:
        from napari_medcnn.report.evaluation_report import write_report

        with output.err.status("writing the report"):
            write_report(out, runs[0], cards=specs, against=compared)
    if as_json:
        import json

        # What was written is what is said, the comparison included.
        content = json.loads((out / "figures.json").read_text(encoding="utf-8"))
        output.print_json({"out": str(out), **content})
        return
    _print(runs[0])
    if compared is not None:
        _print_comparison(runs, compared[1])
    output.out.print(f"written to {out}", soft_wrap=True, markup=False)
    output.print_notice()


def _data(source: Path, part: str, split: Path | None, fold: int) -> tuple[Manifest, CaseChoice]:
    """The data set, and which of its cases."""
    from napari_medcnn.app.evaluation_data import CaseChoice
    from napari_medcnn.training.sources import manifest_from
    from napari_medcnn.training.splits import read_split

    with output.err.status("looking at the files"):
        manifest = manifest_from(source)
        parts = None if split is None else read_split(split, manifest, fold)
    return manifest, CaseChoice(None if part == "all" else part, parts)  # type: ignore[arg-type]


def _told(events: Job) -> Job:
    """The same events, with a line for each case that failed."""
    for event in events:
        if isinstance(event, CaseUpdate) and event.state == "failed":
            yield Message(f"{event.case}: {event.text}", "warning")
        yield event


def _print(run: EvaluationRun) -> None:
    from napari_medcnn.evaluation.run import ClassificationResult

    whose = {
        "patients": f" of {run.patients} patients",
        "groups": f" in {run.patients} groups of the split (patients are not known)",
        "cases": " (patients are not known: if several are of one, the intervals are too narrow)",
    }[run.resampled]
    failed = f", {len(run.failed)} failed" if run.failed else ""
    output.out.print(
        f"{run.model.title or run.model.id}: {run.cases} cases{whose}{failed}",
        soft_wrap=True,
        markup=False,
    )
    if isinstance(run.result, ClassificationResult):
        output.out.print(overall_table(run.result))
        output.out.print(classes_table(run.result.figures))
        for text in run.result.figures.undefined:
            output.out.print(text, soft_wrap=True, markup=False)
    else:
        output.out.print(segmentation_table(run.result.summary))
        if run.result.froc:
            output.out.print(froc_table(run.result.froc))
        output.out.print(worst_table(run.result.table))


def _print_comparison(runs: list[EvaluationRun], compared: Comparison) -> None:
    first, second = (run.model.title or run.model.id for run in runs)
    output.out.print(comparison_table(compared, first, second))
    if compared.mcnemar is not None:
        test = compared.mcnemar
        output.out.print(
            f"right with the first model alone: {test.only_first} cases, with the second alone: "
            f"{test.only_second}; McNemar's exact test: p = {test.p_value:.3g}"
            f"{f' ({test.note})' if test.note else ''}",
            soft_wrap=True,
            markup=False,
        )
