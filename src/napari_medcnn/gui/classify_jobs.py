"""Jobs of the dock *Classify*, without Qt: classify an image or its parts, explain an answer."""

from __future__ import annotations

from dataclasses import dataclass, field

from napari_medcnn.app.explanation_case import ExplanationRequest, explain_volumes
from napari_medcnn.app.result import Result, new_result
from napari_medcnn.core.classification import Classification, Unit
from napari_medcnn.core.events import Done, Job, JobControl, Progress
from napari_medcnn.core.lesion import LesionTable
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.models.spec import ModelSpec


@dataclass(frozen=True, eq=False)
class Drawn:
    """A labels layer that is no result yet: its lesions are measured before they are classified.

    `min_volume_mm3` and `name` are those of the result to be.
    """

    segmentation: Segmentation
    min_volume_mm3: float
    name: str


@dataclass(frozen=True, eq=False)
class ClassifyRequest:
    """What the user wants classified.

    Parameters
    ----------
    volumes : tuple of Volume
        One for each of the model's channels, in its order.
    spec : ModelSpec
        A model that classifies.
    unit : {"volume", "slice", "lesion"}
        What gets a class.
    axis : int
        Of ``(z, y, x)``, along which a network of pictures sees slices.
    result_id : str
        Of lesions: the result that they are of; empty for those of `drawn`.
    revision : int
        That of the result when its lesions were handed over.
    lesions : LesionTable, optional
        Those of the result.
    drawn : Drawn, optional
        In their place, lesions that are not measured yet.
    options : RunOptions
        Device and the user's yes to findings.
    """

    volumes: tuple[Volume, ...]
    spec: ModelSpec
    unit: Unit = "volume"
    axis: int = 0
    result_id: str = ""
    revision: int = 0
    lesions: LesionTable | None = None
    drawn: Drawn | None = None
    options: RunOptions = field(default_factory=RunOptions)


@dataclass(frozen=True, eq=False)
class Classified:
    """What came out; `measured` is the result of a layer whose lesions were measured first."""

    classification: Classification
    measured: Result | None = None


@dataclass(frozen=True, eq=False)
class ExplainRequest:
    """What the user wants explained.

    Parameters
    ----------
    volumes : tuple of Volume
        One a channel.
    spec : ModelSpec
        A model that classifies or segments.
    asked : ExplanationRequest
        Method, class, layer, slice or lesion, and options; what names files is unused.
    region : Segmentation, optional
        Of a model that segments: where its score is asked for, in place of its own answer.
    result_id : str
        Of a lesion: the result that it is of.
    lesions : LesionTable, optional
        All lesions of that.
    """

    volumes: tuple[Volume, ...]
    spec: ModelSpec
    asked: ExplanationRequest
    region: Segmentation | None = None
    result_id: str = ""
    lesions: LesionTable | None = None


def classify_image(request: ClassifyRequest, control: JobControl) -> Job:
    """Measure lesions where they are not yet, classify, and end in ``Done(Classified)``."""
    from napari_medcnn.inference.classify import classify

    lesions, measured = request.lesions, None
    if request.drawn is not None:
        yield Progress("measuring lesions", 0, 1)
        measured = new_result(
            request.drawn.segmentation,
            request.volumes[0],
            request.drawn.min_volume_mm3,
            accept_blocking=request.options.accept_findings,
            name=request.drawn.name,
        )
        lesions = measured.table
        control.checkpoint()
        yield Progress("measuring lesions", 1, 1)
    for event in classify(
        request.volumes,
        request.spec,
        unit=request.unit,
        axis=request.axis,
        lesions=lesions,
        options=request.options,
        control=control,
    ):
        yield Done(Classified(event.result, measured)) if isinstance(event, Done) else event


def explain_image(request: ExplainRequest, control: JobControl) -> Job:
    """Explain a model's answer; ends in ``Done(Explanation)``."""
    region = None if request.region is None else request.region.array
    images, asked = request.volumes, request.asked
    return explain_volumes(images, request.spec, asked, region, control, request.lesions)


def list_layers(spec: ModelSpec, control: JobControl) -> Job:
    """The layers of a model that Grad-CAM can look into; ends in ``Done`` with a tuple of them."""
    from napari_medcnn.inference.explain_layer_list import layers_of

    return layers_of(spec, control)
