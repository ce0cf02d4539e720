"""``medcnn prognosis``: features of lesions, and survival models made and applied with them."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from napari_medcnn.cli import output
from napari_medcnn.cli.options import AcceptFindingsOption, JsonOption
from napari_medcnn.core.errors import MedcnnError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_medcnn.followup.survival_model import Prediction, SurvivalModel

group = typer.Typer(
    help="Features of lesions, and survival models. No model ships: see the documentation.",
    no_args_is_help=True,
)

RowOption = Annotated[
    str, typer.Option("--row", metavar="COLUMN", help="What rows are called (default: lines).")
]


@group.command("features")
def features(
    labels: Annotated[Path, typer.Argument(help="NIfTI, NRRD, .seg.nrrd, DICOM SEG or RTSTRUCT.")],
    image: Annotated[Path, typer.Argument(help="The image that it belongs to.")],
    out: Annotated[Path, typer.Option(help="A CSV file: one row a lesion.")],
    bin_width: Annotated[
        float, typer.Option(min=1e-9, help="Of histogram and texture, in the image's unit.")
    ] = 25.0,
    texture: Annotated[
        bool, typer.Option("--texture", help="Texture, too (needs the extra `texture`).")
    ] = False,
    series: Annotated[str | None, typer.Option(help="Only this series of a folder.")] = None,
    segment: Annotated[
        list[str] | None,
        typer.Option(help="Only this segment, by name or number; repeatable."),
    ] = None,
    accept_findings: AcceptFindingsOption = False,
) -> None:
    """Write shape and intensity features of every lesion, as the IBSI defines them."""
    from napari_medcnn.app.case import one_volume, require_measurable
    from napari_medcnn.followup.features import (
        feature_records,
        lesion_features,
        write_features_csv,
    )
    from napari_medcnn.imaging.lesions import find_lesions
    from napari_medcnn.io.read import read_segmentation

    volume = one_volume(image, series)
    require_measurable(volume, accept_findings)
    segmentation = read_segmentation(labels, volume, segment)
    table = find_lesions(segmentation, volume, accept_blocking=accept_findings)
    records = feature_records(
        table,
        lambda lesion: lesion_features(
            lesion,
            table,
            volume,
            bin_width=bin_width,
            texture=texture,
            accept_blocking=accept_findings,
        ),
    )
    write_features_csv(records, out)
    output.out.print(f"{output.lesion_count(table)}: {out}", soft_wrap=True, markup=False)
    output.print_notice()


@group.command("fit")
def fit(
    table: Annotated[Path, typer.Argument(help="A CSV file: one row a patient or lesion.")],
    time: Annotated[str, typer.Option(metavar="COLUMN", help="Time to event or last contact.")],
    event: Annotated[str, typer.Option(metavar="COLUMN", help="1: it happened then, 0: not yet.")],
    out: Annotated[Path, typer.Option(help="The model's file, JSON.")],
    feature: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="May be used; repeatable (default: all others)."),
    ] = None,
    patient: Annotated[
        str, typer.Option(metavar="COLUMN", help="Whose row it is (default: one row each).")
    ] = "",
    row: RowOption = "",
    horizon: Annotated[
        float | None, typer.Option(help="Time of calibration (default: median of the events).")
    ] = None,
    folds: Annotated[int, typer.Option(min=2, help="Of the cross-validation.")] = 5,
    repeats: Annotated[int, typer.Option(min=1, help="Of the cross-validation.")] = 10,
    groups: Annotated[int, typer.Option(min=2, help="Of the calibration.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Of folds and resamples.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Fit a Cox model to features and outcomes, and say how good it is on rows it had not seen."""
    from napari_medcnn.core.events import JobControl
    from napari_medcnn.followup.survival_file import write_model
    from napari_medcnn.followup.survival_fit import FitOptions, fit_survival
    from napari_medcnn.followup.survival_model import SurvivalModel
    from napari_medcnn.followup.survival_table import OutcomeColumns, read_outcomes

    if out.exists() and not overwrite:
        raise MedcnnError("is there already", source=out, hint="--overwrite replaces it")
    columns = OutcomeColumns(time, event, tuple(feature or ()), patient, row)
    outcomes = read_outcomes(table, columns)
    options = FitOptions(horizon, folds, repeats, groups, seed)
    model = output.follow(fit_survival(outcomes, options, JobControl()), SurvivalModel)
    write_model(out, model)
    if as_json:
        output.print_json({"out": str(out), **asdict(model)})
        return
    _print_model(model)
    output.out.print(f"written to {out}", soft_wrap=True, markup=False)
    output.print_notice()


@group.command("apply")
def apply(
    model: Annotated[Path, typer.Argument(help="A file of `prognosis fit`.")],
    table: Annotated[Path, typer.Argument(help="A CSV file with the model's features.")],
    out: Annotated[Path | None, typer.Option(help="A CSV file for the predictions.")] = None,
    row: RowOption = "",
    horizon: Annotated[
        float | None, typer.Option(help="Time of the risk (default: the model's).")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Predict risks; rows outside of what the model was fitted to are refused, each by its name.

    Refused rows do not stop the others. The exit code is 1 when none was predicted.
    """
    from napari_medcnn.followup.survival_file import read_model
    from napari_medcnn.followup.survival_model import predict
    from napari_medcnn.followup.survival_table import read_features

    fitted = read_model(model)
    predictions = predict(fitted, read_features(table, fitted.features, row), horizon)
    records = [asdict(prediction) for prediction in predictions]
    if out is not None:
        from napari_medcnn.report.tables import write_records

        write_records(records, list(records[0]), out)
    for text in fitted.warnings:
        output.warn(f"of the model: {text}")
    for prediction in predictions:
        if prediction.refused:
            output.warn(f"refused: {prediction.refused}")
    if as_json:
        output.print_json({"model": str(model), "predictions": records})
    else:
        output.out.print(_prediction_table(predictions))
    output.print_notice()
    if all(prediction.refused for prediction in predictions):
        raise typer.Exit(1)


def _print_model(model: SurvivalModel) -> None:
    terms = _table("feature", "hazard ratio", "range", "p proportional")
    for term in model.terms:
        low, high = (term.coefficient + sign * 1.96 * term.standard_error for sign in (-1, 1))
        terms.add_row(
            term.name,
            f"{_exp(term.coefficient)} ({_exp(low)} to {_exp(high)})",
            f"{term.lowest:g} to {term.highest:g}",
            f"{term.proportional_p:.3f}",
        )
    output.out.print(f"{model.rows} rows of {model.patients} patients, {model.events} events")
    output.out.print(terms)
    order = model.concordance
    interval = "" if order.low is None else f" ({order.low:.3f} to {order.high:.3f})"
    note = f"; {order.note}" if order.note else ""
    output.out.print(
        f"C-index, {order.repeats} × {order.folds}-fold cross-validation: "
        f"{order.estimate:.3f}{interval}{note}; on the rows it was fitted to: {order.apparent:.3f}",
        soft_wrap=True,
    )
    told = model.calibration
    output.out.print(
        f"calibration slope: {told.slope:.2f} ({told.slope_low:.2f} to {told.slope_high:.2f})"
    )
    shares = _table(f"until {model.horizon:g}", "rows", "predicted", "seen")
    for number, part in enumerate(told.groups, start=1):
        seen = "–" if part.seen is None else f"{part.seen:.3f} ({part.low:.3f} to {part.high:.3f})"
        shares.add_row(f"group {number}", str(part.rows), f"{part.said:.3f}", seen)
    output.out.print(shares)


def _prediction_table(predictions: Sequence[Prediction]) -> Table:
    view = _table("row", "hazard ratio", f"risk until {predictions[0].horizon:g}", "median time")
    for one in predictions:
        figures: list[Any] = [one.hazard_ratio, one.risk, one.median_time]
        cells = ["–" if figure is None else f"{figure:.3f}" for figure in figures]
        view.add_row(one.row, *(["refused", "", ""] if one.refused else cells))
    return view


def _table(*headings: str) -> Table:
    view = Table(box=SIMPLE_HEAD, header_style="bold")
    for number, heading in enumerate(headings):
        view.add_column(heading, justify="right" if number else "left", no_wrap=True)
    return view


def _exp(value: float) -> str:
    return f"{math.exp(value):.3f}"
