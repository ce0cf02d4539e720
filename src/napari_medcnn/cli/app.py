"""The ``medcnn`` command's root: its groups, and how errors reach the shell."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from napari_medcnn.cli import (
    classify,
    convert,
    dataset,
    deidentify,
    demo,
    detect,
    evaluate,
    explain,
    export,
    followup,
    inspect,
    lesions,
    models,
    pacs,
    prognosis,
    segment,
    train,
)
from napari_medcnn.cli.output import fail
from napari_medcnn.core.errors import Cancelled, MedcnnError
from napari_medcnn.report.notice import RESEARCH_USE_NOTICE

INTERRUPTED = 130  # the shell's convention for Ctrl-C

cli = typer.Typer(
    name="medcnn",
    help=f"Find and measure lesions in CT and MRI.\n\n{RESEARCH_USE_NOTICE}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
cli.command("demo")(demo.demo)
cli.command("inspect")(inspect.inspect)
cli.command("convert")(convert.convert)
cli.command("deidentify")(deidentify.deidentify)
cli.add_typer(models.group, name="models")
cli.add_typer(dataset.group, name="dataset")
cli.add_typer(pacs.group, name="pacs")
cli.command("segment")(segment.segment)
cli.command("detect")(detect.detect)
cli.command("classify")(classify.classify)
cli.command("explain")(explain.explain)
cli.command("train")(train.train)
cli.command("evaluate")(evaluate.evaluate)
cli.command("lesions")(lesions.lesions)
cli.command("followup")(followup.followup)
cli.add_typer(prognosis.group, name="prognosis")
cli.command("export")(export.export)


def _show_version(wanted: bool) -> None:
    if wanted:
        from napari_medcnn import __version__

        typer.echo(__version__)
        raise typer.Exit


@cli.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Options of the command as a whole."""


def run() -> None:
    """Run the command; every expected failure becomes one line and exit code 1."""
    try:
        cli()
    except Cancelled:
        fail("cancelled")
        sys.exit(INTERRUPTED)
    except MedcnnError as error:
        fail(str(error))
        sys.exit(1)
