"""``medcnn export``: a label map as DICOM objects beside its images, or back to NIfTI."""

from __future__ import annotations

import json
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_medcnn.app.dicom_export import write_objects
from napari_medcnn.cli import output
from napari_medcnn.cli.options import AcceptFindingsOption, JsonOption
from napari_medcnn.core.errors import InputMismatch, ReadError

if TYPE_CHECKING:
    from napari_medcnn.core.segmentation import Segmentation
    from napari_medcnn.core.volume import Volume

_LESIONS_JSON = "lesions.json"


class ExportKind(StrEnum):
    """What can be written."""

    SEG = "seg"
    LABELMAP = "labelmap"
    SR = "sr"
    RTSTRUCT = "rtstruct"
    NIFTI = "nifti"
    SLICER = "slicer"


_PLAIN_FILES = {ExportKind.NIFTI: "labels.nii.gz", ExportKind.SLICER: "labels.seg.nrrd"}


def export(
    labels: Annotated[Path, typer.Argument(help="NIfTI, NRRD, .seg.nrrd, DICOM SEG or RTSTRUCT.")],
    source: Annotated[Path, typer.Option(help="The image's files: a folder of DICOM.")],
    out: Annotated[Path, typer.Option(help="Folder for what is written.")],
    kinds: Annotated[
        list[ExportKind] | None,
        typer.Option("--as", help="What to write; repeatable. By default seg."),
    ] = None,
    series: Annotated[str | None, typer.Option(help="Only this series of the folder.")] = None,
    frame: Annotated[int | None, typer.Option(help="Which frame of a series in time.")] = None,
    segment: Annotated[
        list[str] | None, typer.Option(help="Only this segment, by name or number; repeatable.")
    ] = None,
    name: Annotated[
        list[str] | None, typer.Option(help="What a value means, as 1=liver; repeatable.")
    ] = None,
    per_lesion: Annotated[
        bool, typer.Option("--per-lesion", help="A segment for each lesion, not for each label.")
    ] = False,
    min_volume: Annotated[
        float | None,
        typer.Option(
            min=0, help="Leave out lesions below this, in mm³; by default as the run did."
        ),
    ] = None,
    accept_findings: AcceptFindingsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a label map as DICOM: seg, labelmap, sr (a report), rtstruct; or nifti, slicer.

    Names, model and smallest lesion come from lesions.json beside the labels, where medcnn segment
    left one.
    """
    from napari_medcnn.app.case import require_measurable
    from napari_medcnn.imaging.lesions import find_lesions
    from napari_medcnn.io.read import read_segmentation
    from napari_medcnn.io.write import write_segmentation

    kinds = kinds or [ExportKind.SEG]
    volume = _one_frame(source, series, frame)
    if ExportKind.SR in kinds:
        require_measurable(volume, accept_findings)
    segmentation = read_segmentation(labels, volume, segment)
    segmentation = _named(_as_the_run_says(segmentation, labels), name or [])
    smallest = segmentation.advised_min_volume_mm3 if min_volume is None else min_volume
    table = find_lesions(
        segmentation, volume, min_volume_mm3=smallest, accept_blocking=accept_findings
    )
    dicom = [kind.value for kind in kinds if kind not in _PLAIN_FILES]
    written = write_objects(dicom, segmentation, volume, table, out, per_lesion=per_lesion)
    for kind, file in _PLAIN_FILES.items():
        if kind in kinds:
            written.append(write_segmentation(segmentation, volume, out / file))
    notes = segmentation.parameters.get("notes", [])
    if as_json:
        output.print_json({"written": [str(path) for path in written], "notes": notes})
        return
    for note in notes:
        output.err.print(note, soft_wrap=True)
    for path in written:
        output.out.print(str(path), soft_wrap=True)
    output.print_notice()


def _one_frame(source: Path, series: str | None, frame: int | None) -> Volume:
    from napari_medcnn.app.case import one_volume

    volume = one_volume(source, series)
    if volume.frames is None:
        return volume
    if frame is None or not 0 <= frame < volume.frame_count:
        raise InputMismatch(
            f"has {volume.frame_count} frames ({volume.frames.name})",
            source=source,
            hint=f"choose one with --frame 0 to {volume.frame_count - 1}",
        )
    return volume.frame(frame)


def _as_the_run_says(segmentation: Segmentation, labels: Path) -> Segmentation:
    """A label map of numbers with names, colours, model and limit of the run that wrote it."""
    from napari_medcnn.core.segmentation import Label, ModelReference

    record = labels.with_name(_LESIONS_JSON)
    is_numbers = labels.name.endswith((".nii.gz", ".nii")) and record.is_file()
    if not is_numbers:
        return segmentation
    try:
        said = json.loads(record.read_text(encoding="utf-8"))
        known = {
            int(item["value"]): Label(int(item["value"]), str(item["name"]), _rgb(item["colour"]))
            for item in said["labels"]
        }
        model = said["model"] and ModelReference(
            str(said["model"]["id"]),
            str(said["model"]["version"]),
            str(said["model"]["weights_sha256"]),
        )
        parameters = {
            **segmentation.parameters,
            "advised_min_volume_mm3": float(said["min_volume_mm3"]),
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReadError(
            "is no table of lesions that this program wrote",
            source=record,
            hint="move it away, or give names with --name",
        ) from error
    named = tuple(known.get(label.value, label) for label in segmentation.labels)
    return replace(segmentation, labels=named, model=model or None, parameters=parameters)


def _rgb(colour: list[float]) -> tuple[float, float, float]:
    red, green, blue = colour
    return float(red), float(green), float(blue)


def _named(segmentation: Segmentation, names: list[str]) -> Segmentation:
    given = {}
    for text in names:
        value, _, meaning = text.partition("=")
        if not value.strip().isdecimal() or not meaning.strip():
            raise InputMismatch(f"--name {text!r} is not like 1=liver")
        given[int(value)] = meaning.strip()
    labels = tuple(
        replace(label, name=given.get(label.value, label.name)) for label in segmentation.labels
    )
    return replace(segmentation, labels=labels)
