"""``medcnn convert``: DICOM and other files to NIfTI, with what was noticed beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_medcnn.cli import output
from napari_medcnn.cli.options import JsonOption


def convert(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="An image file or folder.")],
    target: Annotated[
        Path, typer.Argument(metavar="OUT", help="A folder, or one file that ends in .nii.gz.")
    ],
    series: Annotated[str | None, typer.Option(help="Only this series.")] = None,
    as_stored: Annotated[
        bool,
        typer.Option(
            "--as-stored", help="Interpolate nothing: tilted stacks sheared, uneven ones in parts."
        ),
    ] = False,
    suv: Annotated[
        bool, typer.Option("--suv", help="PET as SUV by body weight where its tags allow it.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write each volume found as NIfTI; NAME.json beside it holds findings, never identity."""
    from napari_medcnn.io.convert import convert as convert_files

    written = convert_files(source, target, series, resample=not as_stored, suv=suv)
    if as_json:
        output.print_json({"written": [str(path) for path in written]})
        return
    for path in written:
        output.out.print(str(path), soft_wrap=True)
