"""``medcnn deidentify``: DICOM without the patient's identity, and a report of the changes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from napari_medcnn.cli import output
from napari_medcnn.cli.options import JsonOption
from napari_medcnn.io.deidentify.options import Dates, Options


def deidentify(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A DICOM file or folder.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder outside of IN.")],
    key: Annotated[
        Path | None,
        typer.Option(help="Secret key file, made if missing: the same key, the same pseudonyms."),
    ] = None,
    dates: Annotated[
        Dates, typer.Option(help="Shift a patient's dates by one secret number of days, or remove.")
    ] = Dates.SHIFT,
    keep_patient_characteristics: Annotated[
        bool, typer.Option(help="Keep sex, age, size and weight (needed for SUV).")
    ] = False,
    keep_device_identity: Annotated[
        bool, typer.Option(help="Keep serial numbers and station names.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """De-identify DICOM by PS3.15 Annex E; pixels are not changed and not searched for text."""
    from napari_medcnn.io.deidentify.job import deidentify as job
    from napari_medcnn.io.deidentify.report import Report

    options = Options(
        dates=dates,
        keep_patient_characteristics=keep_patient_characteristics,
        keep_device_identity=keep_device_identity,
        key_file=key,
    )
    report = output.follow(job(source, out, options), Report)
    if as_json:
        output.print_json({**report.to_json(), "out": str(out)})
        return
    # The list of attributes is long and stands in the file.
    brief = report.summary().split("\nChanges by attribute:")[0]
    output.out.print(escape(brief.strip()), soft_wrap=True)
    output.out.print(f"{len(report.changes)} kinds of changes; written to {escape(str(out))}",
                     soft_wrap=True)  # fmt: skip
