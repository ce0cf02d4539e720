"""``medcnn explain``: a map of what in an image spoke for a class, and whether to believe it."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from napari_medcnn.app.case import case_of
from napari_medcnn.app.case_lesions import LesionChoice
from napari_medcnn.app.explanation_case import ExplainedCase, ExplanationRequest, explain_case
from napari_medcnn.cli import output
from napari_medcnn.cli.options import AcceptFindingsOption, JsonOption, OverwriteOption
from napari_medcnn.cli.run_options import AxisChoice, case_of_channels, region_of
from napari_medcnn.core.geometry import Index
from napari_medcnn.evaluation.localisation import Localisation
from napari_medcnn.inference.explain_options import CHECK_SEEDS, ExplainOptions

if TYPE_CHECKING:
    from napari_medcnn.models.spec import ModelSpec


class ExplanationMethod(StrEnum):
    """How a map is made."""

    GRADCAM = "gradcam"
    GRADCAM_PLUS_PLUS = "gradcam++"
    OCCLUSION = "occlusion"
    INTEGRATED_GRADIENTS = "integrated_gradients"


class Hidden(StrEnum):
    """What stands for "nothing is there"."""

    MEAN = "mean"
    MINIMUM = "minimum"
    ZERO = "zero"


def explain(
    image: Annotated[
        Path | None, typer.Argument(metavar="[INPUT]", help="An image file or a folder.")
    ] = None,
    model: Annotated[
        str, typer.Option(help="A model that classifies or segments: its name or folder.")
    ] = "flair_lesions",
    out: Annotated[Path | None, typer.Option(help="Folder for the map and its record.")] = None,
    method: Annotated[
        ExplanationMethod, typer.Option(help="How the map is made.")
    ] = ExplanationMethod.GRADCAM,
    target: Annotated[
        str | None, typer.Option("--class", metavar="NAME", help="Which class is explained.")
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(help="The layer that Grad-CAM looks into; a wrong name lists them."),
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|Z:Z,Y:Y,X:X",
            help="Of a segmentation: the label map or box whose score is explained "
            "(default: where the model sees the class).",
        ),
    ] = None,
    slice_at: Annotated[
        str | None,
        typer.Option(
            "--slice", metavar="z:N", help="Of a model for pictures: slice N along z, y or x."
        ),
    ] = None,
    lesion: Annotated[
        int | None,
        typer.Option(metavar="N", help="Of a model for patches around lesions: lesion N."),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Label map of the lesions, on the image's grid.")
    ] = None,
    lesion_model: Annotated[
        str | None, typer.Option(help="The model that finds the lesions, in place of --labels.")
    ] = None,
    min_volume: Annotated[
        float | None,
        typer.Option(min=0, help="Leave out lesions below this, in mm³ (default: the model's)."),
    ] = None,
    axis: Annotated[
        AxisChoice, typer.Option(help="Along which a model for pictures sees the lesion's slice.")
    ] = AxisChoice.Z,
    truth: Annotated[Path | None, typer.Option(help="A label map to hold the map against.")] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, help="How far from the truth a peak may lie, in mm.")
    ] = 0.0,
    check: Annotated[
        bool, typer.Option("--check", help="Compare with the maps of fresh weights.")
    ] = False,
    cascade: Annotated[
        bool, typer.Option("--cascade", help="And of weights made fresh layer after layer.")
    ] = False,
    baseline: Annotated[
        Hidden, typer.Option(help="What occlusion hides with, and integrated gradients start at.")
    ] = Hidden.MEAN,
    occluder: Annotated[
        float | None, typer.Option(help="Edge of the cube that hides, in mm.")
    ] = None,
    steps: Annotated[int, typer.Option(min=2, help="Of integrated gradients.")] = 32,
    batch: Annotated[int, typer.Option(min=1, help="Images at once.")] = 4,
    channel: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PATH", help="The image of one channel; repeatable."),
    ] = None,
    series: Annotated[str | None, typer.Option(help="Only this series of a folder.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of the processor (default: all cores).")
    ] = None,
    accept_findings: AcceptFindingsOption = False,
    overwrite: OverwriteOption = False,
    list_layers: Annotated[
        bool, typer.Option("--list-layers", help="Only list the model's layers; needs no image.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Explain a model's answer: explanation.nii.gz, a map on the image, and explanation.json."""
    from napari_medcnn.models.registry import find_model

    if list_layers:
        _list_layers(find_model(model), as_json)
        return
    if (image is None) == (not channel):
        raise typer.BadParameter("give INPUT, or --channel NAME=PATH for each channel")
    if out is None:
        raise typer.BadParameter("--out is needed: the folder for the results")
    if occluder is not None and occluder <= 0:
        raise typer.BadParameter("--occluder needs an edge above 0 mm")
    if lesion is None and (labels is not None or lesion_model is not None):
        raise typer.BadParameter("--lesion N says which of the lesions is explained")
    request = ExplanationRequest(
        method=method.value,
        target=target,
        layer=layer,
        region=_region(region),
        truth=truth,
        tolerance_mm=tolerance,
        options=ExplainOptions(
            device=device,
            threads=threads,
            batch=batch,
            baseline=baseline.value,
            occluder_mm=occluder,
            steps=steps,
            check_seeds=CHECK_SEEDS if check or cascade else (),
            check_cascade=cascade,
            accept_findings=accept_findings,
        ),
        overwrite=overwrite,
        picture=_slice(slice_at),
        lesion=None
        if lesion is None
        else LesionChoice(
            lesion,
            "zyx".index(axis.value),
            labels,
            None if lesion_model is None else find_model(lesion_model),
            min_volume,
        ),
    )
    if image is not None:
        case = case_of(image, series=series)
    else:
        case = case_of_channels(channel or [], series)
    result = output.follow(explain_case(case, find_model(model), out, request), ExplainedCase)
    if as_json:
        output.print_json(result.to_json())
    else:
        show(result)
    output.print_notice()


def _list_layers(spec: ModelSpec, as_json: bool) -> None:
    from napari_medcnn.inference.explain_layer_list import layers_of

    layers = output.follow(layers_of(spec), tuple)
    if as_json:
        output.print_json({"layers": [asdict(layer) for layer in layers]})
        return
    for layer in layers:
        size = " x ".join(str(n) for n in layer.shape)
        usual = ", the usual one" if layer.is_default else ""
        output.out.print(escape(f"{layer.name} ({size}{usual})"), soft_wrap=True)


def _region(text: str | None) -> Path | tuple[Index, Index] | None:
    """A file where there is one of that name, else a box."""
    if text is None:
        return None
    path = Path(text).expanduser()
    if path.exists() or ":" not in text:
        return path
    return region_of(text)


def _slice(text: str | None) -> tuple[int, int] | None:
    """Axis of ``(z, y, x)`` and index."""
    if text is None:
        return None
    axis, _, index = text.partition(":")
    if axis not in ("z", "y", "x") or not index.isdecimal():
        raise typer.BadParameter(f"--slice {text}: write it as z:80, y:80 or x:80")
    return "zyx".index(axis), int(index)


def show(result: ExplainedCase) -> None:
    """The explanation in words."""
    found = result.explanation
    looked = f", layer {found.layer}" if found.layer else ""
    lines = [
        f"{result.volume.name}: {found.method} of {found.label}{looked}",
        f"score {found.score:.3g}, {found.region}",
        *([f"fresh weights: {found.check.reason}"] if found.check else []),
        *_against_truth(result.localisation),
        f"written to {result.folder}",
    ]
    for line in lines:
        output.out.print(escape(line), soft_wrap=True)


def _against_truth(found: Localisation | None) -> list[str]:
    if found is None:
        return []
    if found.hit is None or found.distance_mm is None or found.iou is None:
        return [f"truth: {found.undefined}"]
    where = "in it" if found.distance_mm == 0 else f"{found.distance_mm:.1f} mm from it"
    energy = "–" if found.energy is None else f"{found.energy:.0%}"
    inside = f"{energy} of the map lie inside ({found.mask_share:.1%} by chance)"
    return [f"truth: the peak lies {where}; {inside}; overlap (IoU) {found.iou:.2f}"]
