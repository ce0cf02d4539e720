"""The whole road of one case to its explanation: read, explain, hold against a mask, write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.app.case import Case, one_volume, require_measurable
from napari_medcnn.app.case_folder import HOW_TO_REPLACE, require_writable
from napari_medcnn.app.case_lesions import LesionChoice
from napari_medcnn.app.case_options import region_within
from napari_medcnn.app.case_run import followed, record_of
from napari_medcnn.app.write_result import write_result
from napari_medcnn.core.atomic import write_json
from napari_medcnn.core.errors import InputMismatch, WriteError
from napari_medcnn.core.events import Done, Fallback, Job, JobControl, Progress
from napari_medcnn.core.explanation import Explanation, Method
from napari_medcnn.core.geometry import Index
from napari_medcnn.core.lesion import LesionTable
from napari_medcnn.core.volume import Volume
from napari_medcnn.inference.explain_options import ExplainOptions
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.models.spec import ModelSpec

if TYPE_CHECKING:
    from napari_medcnn.evaluation.localisation import Localisation
    from napari_medcnn.inference.explain_target import Region

MAP, RECORD = "explanation.nii.gz", "explanation.json"
"""What is written; the record last."""

READING, WRITING = "reading image", "writing"


@dataclass(frozen=True)
class ExplanationRequest:
    """What is to be explained, and how.

    Parameters
    ----------
    method, target, layer
        As for :func:`~napari_medcnn.inference.explain.explain`.
    region : Path or box, optional
        A label map's file, in which all that is not 0 is inside, or start and stop ``(z, y, x)``.
    truth : Path, optional
        A label map to hold the map against.
    tolerance_mm : float
        How far from the truth the map's peak may lie.
    options : ExplainOptions
        Device, baseline, sanity check.
    overwrite : bool
        Replace an explanation that is there.
    picture : tuple of (axis, index), optional
        Of a network of pictures: the one slice of a volume that it sees, along an axis of
        ``(z, y, x)``.
    lesion : LesionChoice, optional
        Of a network that sees patches around lesions.
    """

    method: Method = "gradcam"
    target: str | None = None
    layer: str | None = None
    region: Path | tuple[Index, Index] | None = None
    truth: Path | None = None
    tolerance_mm: float = 0.0
    options: ExplainOptions = field(default_factory=ExplainOptions)
    overwrite: bool = False
    picture: tuple[int, int] | None = None
    lesion: LesionChoice | None = None


@dataclass(frozen=True, eq=False)
class ExplainedCase:
    """What came out, and where it was written.

    Parameters
    ----------
    folder : Path
        Holds :data:`MAP` and :data:`RECORD`.
    volume : Volume
        The image; the first one for a model of several channels.
    explanation : Explanation
        Its map.
    localisation : Localisation, optional
        The map against the truth; None without one.
    """

    folder: Path
    volume: Volume
    explanation: Explanation
    localisation: Localisation | None = None

    def to_json(self) -> dict[str, Any]:
        """The result for programs."""
        return {
            "name": self.volume.name,
            "folder": str(self.folder),
            **self.explanation.to_json(),
            "localisation": None if self.localisation is None else asdict(self.localisation),
        }


def explain_case(
    case: Case,
    spec: ModelSpec,
    out_dir: str | Path,
    request: ExplanationRequest,
    control: JobControl | None = None,
) -> Job:
    """Read a case, explain the model's answer and write the map and a record of it.

    Yields
    ------
    Event
        Of reading, of the explanation and of writing; ``Done(ExplainedCase)`` at last.

    Raises
    ------
    ReadError, InputMismatch, ModelError, GeometryError, WriteError, Cancelled
        As reading, explaining and writing do.
    """
    from napari_medcnn.report.run_record import StageClock

    control = control or JobControl()
    folder = Path(out_dir)
    require_writable(folder)
    _require_empty(folder, request.overwrite)
    clock = StageClock()
    yield Progress(READING, 0, 1)
    with clock.stage(READING):
        volumes = tuple(one_volume(image) for image in case.ordered_for(spec))
        for volume in volumes:
            require_measurable(volume, request.options.accept_findings)
        region = request.region
        if isinstance(region, Path):
            where: Region | None = _mask(region, volumes[0])
        else:
            where = region_within(region, volumes[0].geometry.shape)
        truth = None if request.truth is None else _mask(request.truth, volumes[0])
    yield Progress(READING, 1, 1)
    fallbacks: list[Fallback] = []
    lesions: LesionTable | None = None
    if request.lesion is not None:
        finding = request.lesion.lesions(volumes[0], _run_options(request.options), control)
        lesions = yield from followed(finding, clock, fallbacks)
    job = explain_volumes(volumes, spec, request, where, control, lesions)
    explanation: Explanation = yield from followed(job, clock, fallbacks)
    result = ExplainedCase(folder, volumes[0], explanation)
    if truth is not None:
        result = replace(result, localisation=_held_against(explanation, truth, request))
    control.checkpoint()
    yield Progress(WRITING, 0, 1)
    with clock.stage(WRITING):
        (folder / RECORD).unlink(missing_ok=True)  # it is of the map that goes now
        write_result(explanation, folder / MAP, volumes[0])
    _write_record(result, volumes, request, clock, fallbacks)
    yield Progress(WRITING, 1, 1)
    yield Done(result)


def explain_volumes(
    volumes: Sequence[Volume],
    spec: ModelSpec,
    request: ExplanationRequest,
    region: Region | None,
    control: JobControl,
    lesions: LesionTable | None = None,
) -> Job:
    """Explain the answer for images that were read; ends in ``Done(Explanation)``.

    Parameters
    ----------
    region : mask or box, optional
        What the region of the request stands for, on the grid of the first volume.
    lesions : LesionTable, optional
        The lesions that the request's is one of.

    Raises
    ------
    InputMismatch
        When region, slice and lesion do not go together.
    MedcnnError
        As explaining does.
    """
    from napari_medcnn.inference.explain import explain
    from napari_medcnn.inference.explain_lesion import explain_lesion
    from napari_medcnn.inference.explain_slice import explain_slice

    if sum(part is not None for part in (region, request.picture, request.lesion)) > 1:
        raise InputMismatch(
            "a slice and a patch around a lesion are explained as a whole",
            hint="give a region, a slice or a lesion, one of them",
        )
    how: dict[str, Any] = {
        "method": request.method,
        "target": request.target,
        "layer": request.layer,
        "options": request.options,
        "control": control,
    }
    if request.lesion is not None:
        if lesions is None:
            raise InputMismatch("there are no lesions to explain", hint="give a label map of them")
        number, axis = request.lesion.number, request.lesion.axis
        return explain_lesion(volumes, spec, lesions=lesions, number=number, axis=axis, **how)
    if request.picture is not None:
        axis, index = request.picture
        return explain_slice(volumes, spec, axis=axis, index=index, **how)
    return explain(volumes, spec, region=region, **how)


def _run_options(options: ExplainOptions) -> RunOptions:
    """How a model that finds the lesions runs."""
    return RunOptions(
        device=options.device, threads=options.threads, accept_findings=options.accept_findings
    )


def _require_empty(folder: Path, overwrite: bool) -> None:
    there = [name for name in (MAP, RECORD) if (folder / name).exists()]
    if there and not overwrite:
        raise WriteError(
            f"holds an explanation already ({', '.join(there)})", source=folder, hint=HOW_TO_REPLACE
        )


def _mask(path: Path, volume: Volume) -> npt.NDArray[np.bool_]:
    from napari_medcnn.io.labels import read_segmentation

    mask: npt.NDArray[np.bool_] = read_segmentation(path, volume).array != 0
    return mask


def _held_against(
    explanation: Explanation, truth: npt.NDArray[np.bool_], request: ExplanationRequest
) -> Localisation:
    from napari_medcnn.evaluation.localisation import localise

    return localise(
        explanation.array, truth, explanation.geometry, tolerance_mm=request.tolerance_mm
    )


def _write_record(
    result: ExplainedCase,
    volumes: Sequence[Volume],
    request: ExplanationRequest,
    clock: Any,
    fallbacks: Sequence[Fallback],
) -> None:
    region = request.region
    record = record_of(
        volumes,
        result.explanation.model,
        result.explanation.to_json(),
        clock,
        fallbacks,
        request={
            "method": request.method,
            "class": request.target,
            "layer": request.layer,
            "region": region.name if isinstance(region, Path) else region,
            "slice": None if request.picture is None else list(request.picture),
            "lesion": None if request.lesion is None else request.lesion.to_json(),
            "truth": None if request.truth is None else request.truth.name,
        },
    ).to_json()
    found = None if result.localisation is None else asdict(result.localisation)
    write_json(result.folder / RECORD, {**record, "map": MAP, "localisation": found})
