"""``medcnn models``: the models at hand, their cards, and bringing in others."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markdown import Markdown
from rich.markup import escape
from rich.table import Table

from napari_medcnn.cli import output
from napari_medcnn.cli.options import JsonOption
from napari_medcnn.core.errors import ModelError
from napari_medcnn.models.spec import ModelSpec
from napari_medcnn.models.trust import WHAT_IT_MAY_DO

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
    view.add_column("model", no_wrap=True)
    for heading in ("version", "input", "what it does", "licence"):
        view.add_column(heading)
    for spec in found:
        channels = ", ".join(f"{c.modality} {c.name}".strip() for c in spec.channels)
        name = f"{escape(spec.id)}\n[dim]{spec.task}[/]"
        view.add_row(name, spec.version, channels, spec.one_liner, spec.licence)
    output.out.print(view)
    output.print_notice()


@group.command("show")
def show(
    model: Annotated[str, typer.Argument(help="A model's name or folder.")],
    as_json: JsonOption = False,
) -> None:
    """Show a model's card, its licence, and what it wants to run."""
    from napari_medcnn.models.registry import find_model

    try:
        spec = find_model(model)
    except ModelError:
        _print_wishes(model)
        raise
    if as_json:
        output.print_json(describe(spec))
        return
    card = spec.path / "docs" / "README.md"
    text = (
        card.read_text(encoding="utf-8", errors="replace")
        if card.is_file()
        else f"# {spec.title}\n{spec.description}"
    )
    output.out.print(Markdown(text))
    output.out.print(_facts(spec))
    output.print_notice()


def _facts(spec: ModelSpec) -> Table:
    """What the program itself knows of a model, beside the makers' text."""
    view = Table(show_header=False, box=None)
    view.add_column(style="bold")
    view.add_column()
    labels = ", ".join(f"{label.value} {label.name}" for label in spec.labels)
    rows = {
        "name": f"{spec.id} {spec.version}".strip(),
        "input": ", ".join(f"{c.modality} {c.name}".strip() for c in spec.channels),
        "labels": labels,
        "gives": _GIVES[spec.task],
        "network": f"{spec.network.get('_target_', 'a whole program')} ({spec.kind})",
        "licence": spec.licence or "not stated",
        "intended use": spec.intended_use or "not stated",
        "runs": _what_runs(spec),
        "folder": str(spec.path),
    }
    for name, text in rows.items():
        view.add_row(name, escape(text))
    return view


_GIVES = {
    "segmentation": "a label map",
    "detection": "boxes with scores (medcnn detect)",
    "classification": "classes with probabilities (medcnn classify)",
}


def _what_runs(spec: ModelSpec) -> str:
    if "_own_" in spec.network:
        return "Python files of the bundle's own, which you trust"
    return WHAT_IT_MAY_DO.get(spec.kind, "nothing but the network that is named above")


def _print_wishes(model: str) -> None:
    """What a bundle wants that is refused: all of it, not only the first."""
    from napari_medcnn.models.importing.review import wants

    folder = Path(model).expanduser()
    try:
        wishes = wants(folder) if folder.is_dir() else ()
    except ModelError:
        return
    for wish in wishes:
        output.warn(wish)


@group.command("add")
def add(
    source: Annotated[str, typer.Argument(help="A folder, file or address (https).")],
    name: Annotated[str | None, typer.Option(help="What to call it.")] = None,
    sha256: Annotated[str | None, typer.Option(help="What the file must have.")] = None,
    trust: Annotated[
        bool,
        typer.Option(
            "--trust", help="Run what is a program: TorchScript, .pt2, a bundle's own files."
        ),
    ] = False,
    network: Annotated[
        str | None,
        typer.Option(help='Of a checkpoint: UNet, or UNet:{"channels": [16, 32]}.'),
    ] = None,
    card: Annotated[
        Path | None, typer.Option(help="The model's card; by default the JSON file beside it.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Bring a model into your folder of models: checked, copied, and nothing of it run."""
    from napari_medcnn.models.importing.job import import_model

    job = import_model(source, name=name, sha256=sha256, trust=trust, network=network, card=card)
    spec = output.follow(job, ModelSpec)
    if as_json:
        output.print_json(describe(spec))
        return
    output.out.print(_facts(spec))
    output.print_notice()


@group.command("remove")
def remove(
    model: Annotated[str, typer.Argument(help="A model's name.")],
) -> None:
    """Delete a model from your folder of models."""
    from napari_medcnn.models.importing.placing import remove_model

    output.out.print(f"removed {escape(str(remove_model(model)))}", soft_wrap=True)


@group.command("verify")
def verify(
    model: Annotated[str, typer.Argument(help="A model's name or folder.")],
    as_json: JsonOption = False,
) -> None:
    """Load a model's network, hold it against its card, and print its hash."""
    from napari_medcnn.models.registry import find_model
    from napari_medcnn.models.verify import Verified
    from napari_medcnn.models.verify import verify as check

    spec = find_model(model)
    hashes = output.follow(check(spec), Verified).hashes
    if as_json:
        output.print_json({"id": spec.id, "weights": hashes})
        return
    for file, digest in hashes.items():
        output.out.print(f"{digest}  {escape(file)}", soft_wrap=True)


def describe(spec: ModelSpec) -> dict[str, Any]:
    """A model's facts, JSON-able."""
    return {
        "id": spec.id,
        "title": spec.title,
        "version": spec.version,
        "path": str(spec.path),
        "kind": spec.kind,
        "task": spec.task,
        "one_liner": spec.one_liner,
        "licence": spec.licence,
        "intended_use": spec.intended_use,
        "channels": [asdict(channel) for channel in spec.channels],
        "labels": [asdict(label) for label in spec.labels],
        "spacing_zyx_mm": None if spec.spacing_mm is None else list(spec.spacing_mm),
        "roi_size_zyx": list(spec.roi_size),
    }
