"""``medcnn dataset``: make a data set's file, check it, and divide it."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from napari_medcnn.cli import output
from napari_medcnn.cli.options import JsonOption
from napari_medcnn.core.errors import InputMismatch, MedcnnError

if TYPE_CHECKING:
    from napari_medcnn.training.check import Problem
    from napari_medcnn.training.manifest import Manifest, Split

group = typer.Typer(help="Data sets to train on.", no_args_is_help=True)

ManifestArgument = Annotated[Path, typer.Argument(help="A data set's file, of dataset make.")]


@group.command("make")
def make(
    source: Annotated[
        Path,
        typer.Argument(
            help="A folder with images/ and labels/ or with a folder for each class, a "
            "dataset.json, or a CSV file."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The data set's file, e.g. manifest.json.")],
    name: Annotated[str | None, typer.Option(help="Of the data set, for people.")] = None,
    modality: Annotated[str | None, typer.Option(help="CT, MR, ... of all channels.")] = None,
    licence: Annotated[str | None, typer.Option(help="Of the data.")] = None,
    description: Annotated[str | None, typer.Option(help="Of the data, for the card.")] = None,
    class_names: Annotated[
        list[str] | None,
        typer.Option("--class", help="What a label's value means, as 1=tumour; repeatable."),
    ] = None,
    channels: Annotated[
        list[str] | None, typer.Option("--channel", help="A channel's name; in order.")
    ] = None,
    patients: Annotated[
        str | None,
        typer.Option(help=r"Regular expression of the patient in a case's id, as 'sub-\d+'."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a data set's file out of images and labels in any usual form."""
    from napari_medcnn.training.manifest import write_manifest
    from napari_medcnn.training.sources import manifest_from, with_patients

    if out.exists() and not overwrite:
        raise MedcnnError("is already there", source=out, hint="--overwrite replaces it")
    with output.err.status("looking at the files"):
        manifest = manifest_from(source)
    manifest = replace(
        manifest,
        name=name or manifest.name,
        modality=manifest.modality if modality is None else modality.upper(),
        licence=manifest.licence if licence is None else licence,
        description=manifest.description if description is None else description,
        channels=tuple(channels) if channels else manifest.channels,
    )
    manifest = _named(manifest, class_names or [])
    if patients is not None:
        manifest = with_patients(manifest, patients)
    write_manifest(manifest, out)
    if as_json:
        output.print_json({"manifest": str(out), **_summary(manifest)})
        return
    for key, value in _summary(manifest).items():
        output.out.print(f"{key}: {escape(_text(value))}", soft_wrap=True)
    output.out.print(str(out), soft_wrap=True)


@group.command("check")
def check(
    manifest: ManifestArgument,
    split: Annotated[
        Path | None, typer.Option(help="Of dataset split: hold its parts apart.")
    ] = None,
    fold: Annotated[int, typer.Option(help="Which of the split's folds.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """List everything that is wrong with a data set; exit code 1 when training is not possible."""
    from napari_medcnn.training.check import problems
    from napari_medcnn.training.manifest import read_manifest
    from napari_medcnn.training.splits import read_split

    dataset = read_manifest(manifest)
    chosen = None if split is None else read_split(split, dataset, fold)
    found: tuple[Problem, ...] = output.follow(problems(dataset, chosen), tuple)
    errors = sum(problem.severity == "error" for problem in found)
    if as_json:
        output.print_json(
            {
                "cases": len(dataset.cases),
                "errors": errors,
                "problems": [asdict(problem) for problem in found],
            }
        )
    else:
        _print_problems(found)
        warnings = len(found) - errors
        output.out.print(f"{len(dataset.cases)} cases: {errors} errors, {warnings} warnings")
    if errors:
        raise typer.Exit(1)


@group.command("split")
def split_(
    manifest: ManifestArgument,
    out: Annotated[Path, typer.Option(help="The split's file, e.g. split.json.")],
    validation: Annotated[float, typer.Option(help="Share of the cases that choose.")] = 0.2,
    test: Annotated[float, typer.Option(help="Share kept aside to the end.")] = 0.0,
    fold_count: Annotated[
        int | None, typer.Option("--folds", min=2, help="So many splits, for cross-validation.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same split.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Divide a data set by patients, or by images that look alike where patients are unknown."""
    from napari_medcnn.training.grouping import Grouping, group_cases
    from napari_medcnn.training.manifest import read_manifest
    from napari_medcnn.training.splits import folds, make_split, write_splits

    if out.exists() and not overwrite:
        raise MedcnnError("is already there", source=out, hint="--overwrite replaces it")
    dataset = read_manifest(manifest)
    grouping = output.follow(group_cases(dataset), Grouping)
    splits = (
        (make_split(dataset, validation=validation, test=test, seed=seed, grouping=grouping),)
        if fold_count is None
        else folds(dataset, fold_count, test=test, seed=seed, grouping=grouping)
    )
    write_splits(splits, out)
    if as_json:
        said = [{"fold": s.fold, **{p: len(i) for p, i in s.parts.items()}} for s in splits]
        output.print_json({"split": str(out), "splits": said, "notes": list(splits[0].notes)})
        return
    for note in splits[0].notes:
        output.err.print(escape(note), soft_wrap=True)
    output.out.print(_split_table(splits))
    output.out.print(str(out), soft_wrap=True)


def _named(manifest: Manifest, names: list[str]) -> Manifest:
    """The data set with names for values of its labels."""
    if names and manifest.task != "segmentation":
        raise InputMismatch("--class names values of label maps; this data set has none")
    meaning = dict(zip(manifest.label_values, manifest.classes, strict=True))
    for text in names:
        value, _, name = text.partition("=")
        if not value.strip().isdecimal() or not name.strip():
            raise InputMismatch(f"--class {text!r} is not like 1=tumour")
        if int(value) not in meaning:
            known = ", ".join(map(str, meaning))
            raise InputMismatch(f"--class {text!r}: the labels hold only the values {known}")
        meaning[int(value)] = name.strip()
    return replace(manifest, classes=tuple(meaning.values())) if names else manifest


def _summary(manifest: Manifest) -> dict[str, object]:
    patients = {case.patient for case in manifest.cases} - {None}
    parts = Counter(case.part for case in manifest.cases if case.part is not None)
    return {
        "name": manifest.name,
        "task": manifest.task,
        "channels": list(manifest.channels),
        "classes": list(manifest.classes),
        "cases": len(manifest.cases),
        "with truth": sum(map(manifest.has_truth, manifest.cases)),
        "patients": len(patients) or None,
        "parts": dict(parts),
    }


def _text(value: object) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, dict):
        return ", ".join(f"{count} {part}" for part, count in value.items()) or "none given"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _print_problems(found: tuple[Problem, ...]) -> None:
    for problem in found:
        style = "bold red" if problem.severity == "error" else "yellow"
        case = f"{escape(problem.case)}: " if problem.case else ""
        output.out.print(
            f"[{style}]{problem.severity}[/] {case}{escape(problem.text)} [dim]({problem.code})[/]",
            soft_wrap=True,
        )


def _split_table(splits: tuple[Split, ...]) -> Table:
    view = Table(header_style="bold")
    for heading in ("fold", "train", "validation", "test", "groups"):
        view.add_column(heading, justify="right")
    for split in splits:
        counts = [str(len(names)) for names in split.parts.values()]
        view.add_row(str(split.fold), *counts, str(len(set(split.groups.values()))))
    return view
