"""The whole road of one case through a classifier: read, find lesions, classify, write."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_medcnn.app.analysis import READING, WRITING, ReadCase
from napari_medcnn.app.case import Case, one_volume
from napari_medcnn.app.case_folder import (
    RUN,
    require_own_results,
    require_writable,
    rewriting,
)
from napari_medcnn.app.case_lesions import lesions_of
from napari_medcnn.app.case_options import DEFAULT_OPTIONS, CaseOptions
from napari_medcnn.app.case_request import request_of
from napari_medcnn.app.case_run import followed, input_name, record_of
from napari_medcnn.app.volume_reference import fingerprint
from napari_medcnn.core.classification import Classification, Unit
from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.events import Done, Fallback, Job, JobControl, Progress
from napari_medcnn.core.lesion import LesionTable
from napari_medcnn.core.volume import Volume
from napari_medcnn.models.spec import ModelSpec

if TYPE_CHECKING:
    from napari_medcnn.inference.classifier import Classifier

CLASSES_CSV, CLASSES_JSON = "classes.csv", "classes.json"

CLASSIFICATION_FILES = (CLASSES_CSV, CLASSES_JSON, RUN)
"""What a run writes; the record is written last."""


@dataclass(frozen=True)
class Parts:
    """What of a case is classified.

    Parameters
    ----------
    unit : {"volume", "slice", "lesion"}
        See :func:`~napari_medcnn.inference.classify.classify`.
    axis : int
        Of ``(z, y, x)``, along which a network of pictures sees slices.
    labels : Path, optional
        A label map of the lesions; of ``unit="lesion"`` this or `finder`.
    finder : ModelSpec, optional
        A model that segments, which finds the lesions.
    """

    unit: Unit = "volume"
    axis: int = 0
    labels: Path | None = None
    finder: ModelSpec | None = None

    def __post_init__(self) -> None:
        sources = sum(source is not None for source in (self.labels, self.finder))
        if sources != (self.unit == "lesion"):
            raise InputMismatch(
                "lesions come from a label map or from a model that segments, one of them"
                if self.unit == "lesion"
                else f"a label map and a model that finds lesions mean nothing for a {self.unit}",
                hint="give labels or a model that segments together with the unit lesion",
            )


@dataclass(frozen=True, eq=False)
class ClassifiedCase:
    """What came out of one case, and where it was written.

    Parameters
    ----------
    folder : Path
        Holds :data:`CLASSIFICATION_FILES`.
    volume : Volume
        The image; the first one for a model of several channels.
    classification : Classification
        Its classes.
    seconds : dict
        Time by stage.
    """

    folder: Path
    volume: Volume
    classification: Classification
    seconds: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The result for programs: where it is, its classes and findings."""
        from napari_medcnn.report.classes import class_records

        return {
            "name": self.volume.name,
            "folder": str(self.folder),
            "findings": [finding.to_json() for finding in self.volume.findings],
            "classes": class_records(self.classification),
            "calibrated": self.classification.calibrated,
            "seconds": self.seconds,
        }


def classify_case(
    case: Case,
    spec: ModelSpec,
    out_dir: str | Path,
    parts: Parts = Parts(),
    options: CaseOptions = DEFAULT_OPTIONS,
    *,
    control: JobControl | None = None,
    loaded: Classifier | None = None,
) -> Job:
    """Read a case, classify it or its parts and write everything into a folder.

    Parameters
    ----------
    case : Case
        A file or folder with one volume; for a model of several channels one each.
    spec : ModelSpec
        A model that classifies.
    out_dir : str or Path
        The case's folder; made if needed. Results of the same images and model are replaced.
    parts : Parts
        What gets a class.
    options : CaseOptions
        Of these `run`, `overwrite` and, of lesions, `min_volume_mm3` apply.
    control : JobControl, optional
        Cancels, pauses and resumes.
    loaded : Classifier, optional
        Keeps the network for the next case.

    Yields
    ------
    Event
        Of reading, of the models and of writing; ``Done(ClassifiedCase)`` at last.

    Raises
    ------
    ReadError, GeometryError, InputMismatch, ModelError, WriteError, Cancelled
        As reading, classifying and writing do.
    """
    from napari_medcnn.inference.classify import classify
    from napari_medcnn.report.peak_memory import peak_memory_gb, restart_peak

    control = control or JobControl()
    require_writable(Path(out_dir))
    yield Progress(READING, 0, 1)
    read = _read(case, spec, Path(out_dir), options)
    yield Progress(READING, 1, 1)

    restart_peak()
    fallbacks: list[Fallback] = []
    lesions: LesionTable | None = None
    if parts.unit == "lesion":
        source = (parts.labels, parts.finder, options.run, options.min_volume_mm3)
        finding = lesions_of(read.volumes[0], *source, control)
        lesions = yield from followed(finding, read.clock, fallbacks)
    job = classify(
        read.volumes,
        spec,
        unit=parts.unit,
        axis=parts.axis,
        lesions=lesions,
        options=options.run,
        control=control,
        loaded=loaded,
    )
    found: Classification = yield from followed(job, read.clock, fallbacks)
    peak = peak_memory_gb()
    control.checkpoint()
    yield Progress(WRITING, 0, 1)
    result = ClassifiedCase(read.folder, read.volumes[0], found)
    result = replace(result, seconds=_write(result, read, parts, tuple(fallbacks), peak))
    yield Progress(WRITING, 1, 1)
    yield Done(result)


def _read(case: Case, spec: ModelSpec, folder: Path, options: CaseOptions) -> ReadCase:
    """The case's images; a picture without a scale is as good as any, for nothing is measured."""
    from napari_medcnn.report.run_record import StageClock

    clock = StageClock()
    with clock.stage(READING):
        volumes = tuple(one_volume(image) for image in case.ordered_for(spec))
        if not options.overwrite:
            require_own_results(folder, spec.id, [fingerprint(v) for v in volumes])
    return ReadCase(case, folder, volumes, request_of(case, spec, options), clock)


def _write(
    result: ClassifiedCase,
    read: ReadCase,
    parts: Parts,
    fallbacks: tuple[Fallback, ...],
    peak: float | None,
) -> dict[str, float]:
    """Write a case's files, the record last, and return the seconds by stage."""
    from napari_medcnn.report.classes import write_classes_csv, write_classes_json

    found, clock = result.classification, read.clock
    lesions_of = parts.finder.id if parts.finder else parts.labels and parts.labels.name
    images = [fingerprint(volume) for volume in read.volumes]
    with rewriting(read.folder, input_name(read.volumes), found.model.id, images):
        with clock.stage(WRITING):
            write_classes_csv(found, read.folder / CLASSES_CSV)
            write_classes_json(found, read.folder / CLASSES_JSON, result.volume)
        record_of(
            read.volumes,
            found.model,
            {**found.parameters, "lesions_of": lesions_of},
            clock,
            fallbacks,
            peak_memory_gb=peak,
            request=read.request.to_json(),
        ).write(read.folder / RUN)
    return clock.seconds
