"""``medcnn models``: the models at hand and their cards."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.markdown import Markdown
from rich.table import Table

from napari_medcnn.cli import output
from napari_medcnn.cli.options import JsonOption
from napari_medcnn.models.spec import ModelSpec

group = typer.Typer(help="The models at hand.", no_args_is_help=False, invoke_without_command=True)


@group.callback()
def models(context: typer.Context, as_json: JsonOption = False) -> None:
    """The models at hand; without a subcommand, their list."""
    if context.invoked_subcommand is None:
        list_(as_json)


@group.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List the models."""
    from napari_medcnn.models.registry import look_through

    shelf = look_through()
    found = [spec for spec in shelf.models if spec.listed]
    for problem in shelf.problems:
        output.warn(f"a model was left out: {problem}")
    if as_json:
        output.print_json({"models": [describe(spec) for spec in found]})
        return
    view = Table(header_style="bold")
    for heading in ("model", "version", "input", "what it does", "licence"):
        view.add_column(heading)
    for spec in found:
        channels = ", ".join(f"{c.modality} {c.name}".strip() for c in spec.channels)
        view.add_row(spec.id, spec.version, channels, spec.one_liner, spec.licence)
    output.out.print(view)
    output.print_notice()


@group.command("show")
def show(
    model: Annotated[str, typer.Argument(help="A model's name or folder.")],
    as_json: JsonOption = False,
) -> None:
    """Show a model's card."""
    from napari_medcnn.models.registry import find_model

    spec = find_model(model)
    if as_json:
        output.print_json(describe(spec))
        return
    card = spec.path / "docs" / "README.md"
    text = (
        card.read_text(encoding="utf-8")
        if card.is_file()
        else f"# {spec.title}\n{spec.description}"
    )
    output.out.print(Markdown(text))
    output.print_notice()


def describe(spec: ModelSpec) -> dict[str, Any]:
    """A model's facts, JSON-able."""
    return {
        "id": spec.id,
        "title": spec.title,
        "version": spec.version,
        "path": str(spec.path),
        "one_liner": spec.one_liner,
        "licence": spec.licence,
        "intended_use": spec.intended_use,
        "channels": [asdict(channel) for channel in spec.channels],
        "labels": [asdict(label) for label in spec.labels],
        "spacing_zyx_mm": None if spec.spacing_mm is None else list(spec.spacing_mm),
        "roi_size_zyx": list(spec.roi_size),
    }
