"""The public Python interface to models: list them, plan and run them, ask why they answered so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_medcnn.core.classification import Classification, Unit
    from napari_medcnn.core.detection import Detections
    from napari_medcnn.core.events import Event, JobControl
    from napari_medcnn.core.explanation import Explanation, Method
    from napari_medcnn.core.lesion import LesionTable
    from napari_medcnn.core.segmentation import Segmentation
    from napari_medcnn.core.volume import Volume
    from napari_medcnn.inference.explain_target import Region
    from napari_medcnn.inference.plan import InferencePlan
    from napari_medcnn.models.spec import ModelSpec

DEFAULT_MODEL = "flair_lesions"


def list_models() -> list[ModelSpec]:
    """The models at hand: those that ship and those in the user's folder.

    Examples
    --------
    >>> import napari_medcnn as mc
    >>> "flair_lesions" in [model.id for model in mc.list_models()]
    True
    """
    from napari_medcnn.models.registry import list_models as list_them

    return list_them()


def load_model(name_or_path: str | Path) -> ModelSpec:
    """What a model is and where it lies; its weights are loaded when it runs.

    Parameters
    ----------
    name_or_path : str or Path
        A model's id, or the folder of a MONAI Bundle.

    Raises
    ------
    ModelError
        When there is no such model, or its folder is incomplete or unsafe.

    Examples
    --------
    >>> import napari_medcnn as mc
    >>> [label.name for label in mc.load_model("flair_lesions").labels]
    ['white-matter lesion']
    """
    from napari_medcnn.models.registry import find_model

    return find_model(name_or_path)


def plan(
    volume: Volume | Sequence[Volume],
    model: str | Path | ModelSpec = DEFAULT_MODEL,
    **options: Any,
) -> InferencePlan:
    """How a model would run on an image: grid, windows, memory, time, warnings. Nothing is run.

    Takes and raises what :func:`segment` does, beside `Cancelled`.

    Examples
    --------
    >>> import napari_medcnn as mc
    >>> (volume,) = mc.read(mc.sample_path("flair_baseline"))
    >>> mc.plan(volume, "flair_lesions").windows > 0
    True
    """
    from napari_medcnn.inference.forecast import forecast
    from napari_medcnn.inference.options import RunOptions

    return forecast(volume, _spec(model), RunOptions(**options))


def segment(
    volume: Volume | Sequence[Volume],
    model: str | Path | ModelSpec = DEFAULT_MODEL,
    *,
    on_event: Callable[[Event], None] | None = None,
    control: JobControl | None = None,
    **options: Any,
) -> Segmentation:
    """Segment an image; returns when it is done.

    Parameters
    ----------
    volume : Volume or sequence of Volume
        The image; for a model of several channels one volume each, in the model's order.
    model : str, Path or ModelSpec
        As for :func:`load_model`.
    on_event : callable, optional
        Called with every event: progress, messages, fallbacks.
    control : JobControl, optional
        Cancels, pauses and resumes from another thread.
    **options
        What a run may be told, each field of :class:`~napari_medcnn.inference.options.RunOptions`:
        ``device``, ``threshold``, ``accept_findings``, ``threads``, ``region`` and more.

    Returns
    -------
    Segmentation
        On the image's own grid.

    Raises
    ------
    InputMismatch
        When the image does not fit the model.
    ModelError
        When the model cannot be loaded.
    Cancelled
        When `control` was cancelled.

    Examples
    --------
    >>> import napari_medcnn as mc
    >>> (volume,) = mc.read(mc.sample_path("flair_baseline"))
    >>> segmentation = mc.segment(volume, "flair_lesions", threads=1)
    >>> segmentation.geometry == volume.geometry
    True
    """
    from napari_medcnn.core.events import run_to_end
    from napari_medcnn.core.segmentation import Segmentation
    from napari_medcnn.inference.options import RunOptions
    from napari_medcnn.inference.segment import segment as segment_job

    job = segment_job(volume, _spec(model), control, RunOptions(**options))
    return run_to_end(job, Segmentation, on_event)


def detect(
    volume: Volume | Sequence[Volume],
    model: str | Path | ModelSpec,
    *,
    on_event: Callable[[Event], None] | None = None,
    control: JobControl | None = None,
    **options: Any,
) -> Detections:
    """Find objects in an image as boxes with scores, by a model that detects.

    Takes and raises what :func:`segment` does; ``threshold`` is the score from which a box counts.

    Examples
    --------
    >>> import napari_medcnn as mc
    >>> (volume,) = mc.read(mc.sample_path("flair_baseline"))
    >>> mc.detect(volume, "flair_lesions")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    napari_medcnn.core.errors.ModelError: ... draws no boxes (choose a model that detects)
    """
    from napari_medcnn.core.detection import Detections
    from napari_medcnn.core.events import run_to_end
    from napari_medcnn.inference.detect import detect as detect_job
    from napari_medcnn.inference.options import RunOptions

    job = detect_job(volume, _spec(model), control, RunOptions(**options))
    return run_to_end(job, Detections, on_event)


def classify(
    volume: Volume | Sequence[Volume],
    model: str | Path | ModelSpec,
    *,
    unit: Unit = "volume",
    axis: int = 0,
    lesions: LesionTable | None = None,
    on_event: Callable[[Event], None] | None = None,
    control: JobControl | None = None,
    **options: Any,
) -> Classification:
    """Tell classes of an image, its slices or its lesions apart, by a model that classifies.

    Takes and raises what :func:`segment` does. `unit` and `axis` (of ``(z, y, x)``) say what gets a
    class, see :func:`napari_medcnn.inference.classify.classify`; `lesions` are those of
    :func:`lesions`, needed for the unit ``"lesion"``.

    Examples
    --------
    >>> import napari_medcnn as mc
    >>> (volume,) = mc.read(mc.sample_path("flair_baseline"))
    >>> mc.classify(volume, "flair_lesions")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    napari_medcnn.core.errors.ModelError: ... tells no classes apart (choose one that classifies)
    """
    from napari_medcnn.core.classification import Classification
    from napari_medcnn.core.events import run_to_end
    from napari_medcnn.inference.classify import classify as classify_job
    from napari_medcnn.inference.options import RunOptions

    job = classify_job(
        volume,
        _spec(model),
        unit=unit,
        axis=axis,
        lesions=lesions,
        options=RunOptions(**options),
        control=control,
    )
    return run_to_end(job, Classification, on_event)


def explain(
    volume: Volume | Sequence[Volume],
    model: str | Path | ModelSpec = DEFAULT_MODEL,
    *,
    method: Method = "gradcam",
    target: str | None = None,
    layer: str | None = None,
    region: Region | None = None,
    axis: int = 0,
    slice_index: int | None = None,
    lesions: LesionTable | None = None,
    lesion: int | None = None,
    on_event: Callable[[Event], None] | None = None,
    control: JobControl | None = None,
    **options: Any,
) -> Explanation:
    """A map on the image of what spoke for a class, by a model that classifies or segments.

    Parameters
    ----------
    volume, model, on_event, control
        As for :func:`segment`.
    method : str
        ``"gradcam"``, ``"gradcam++"``, ``"occlusion"`` or ``"integrated_gradients"``.
    target : str, optional
        The class; a classifier's likeliest one by default, a segmentation's only one.
    layer : str, optional
        For Grad-CAM and Grad-CAM++; the usual one by default.
    region : mask or box, optional
        Of a segmentation: over which voxels the score is averaged, as an array ``(z, y, x)`` or as
        start and stop of a box. By default where the model itself sees the class.
    axis, slice_index : int
        Of a model of pictures: the slice of a volume that is explained, along ``(z, y, x)``.
    lesions : LesionTable, optional
        Those of :func:`lesions`, for a model that sees patches around lesions.
    lesion : int, optional
        The id of the lesion that such a model's answer is explained for.
    **options
        Each field of :class:`~napari_medcnn.inference.explain_options.ExplainOptions`: ``device``,
        ``threads``, ``baseline``, ``check_seeds`` and more.

    Returns
    -------
    Explanation
        Its ``array`` lies on the image's own grid.

    Raises
    ------
    InputMismatch
        When the image does not fit the model, or there is no such class, layer, region, slice or
        lesion.
    ModelError, ConsentNeeded, OutOfMemory, Cancelled
        As :func:`segment` does.

    Examples
    --------
    >>> import napari_medcnn as mc
    >>> (volume,) = mc.read(mc.sample_path("flair_baseline"))
    >>> found = mc.explain(volume, "flair_lesions", threads=1)
    >>> found.array.shape == volume.geometry.shape, found.label
    (True, 'white-matter lesion')
    """
    from napari_medcnn.app.case_lesions import LesionChoice
    from napari_medcnn.app.explanation_case import ExplanationRequest, explain_volumes
    from napari_medcnn.core.events import JobControl, run_to_end
    from napari_medcnn.core.explanation import Explanation
    from napari_medcnn.core.volume import Volume
    from napari_medcnn.inference.explain_options import ExplainOptions

    volumes = (volume,) if isinstance(volume, Volume) else tuple(volume)
    request = ExplanationRequest(
        method,
        target,
        layer,
        options=ExplainOptions(**options),
        picture=None if slice_index is None else (axis, slice_index),
        lesion=None if lesion is None else LesionChoice(lesion, axis),
    )
    control = control or JobControl()
    job = explain_volumes(volumes, _spec(model), request, region, control, lesions)
    return run_to_end(job, Explanation, on_event)


def _spec(model: str | Path | ModelSpec) -> ModelSpec:
    return load_model(model) if isinstance(model, (str, Path)) else model
