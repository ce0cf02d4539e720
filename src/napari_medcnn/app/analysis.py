"""The whole road of one case: read, compute, write. What the command and the batch run.

The three parts are functions of their own, so that a batch can read the next case and write the
last one while a model computes. A case's folder counts as done when it holds ``run.json``, which is
written last: what an aborted run leaves behind cannot be taken for a result.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_medcnn.app.case import Case, Inputs, case_of, one_volume, require_measurable
from napari_medcnn.app.case_folder import require_own_results, require_writable
from napari_medcnn.app.case_options import DEFAULT_OPTIONS, CaseOptions, region_within
from napari_medcnn.app.case_request import Request, request_of
from napari_medcnn.app.case_run import followed
from napari_medcnn.app.volume_reference import fingerprint
from napari_medcnn.core.events import Done, Event, Fallback, Job, JobControl, Progress
from napari_medcnn.core.lesion import LesionTable
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.models.spec import ModelSpec

if TYPE_CHECKING:
    from napari_medcnn.inference.loaded import LoadedModel
    from napari_medcnn.report.run_record import StageClock

READING, MEASURING, WRITING = "reading image", "measuring", "writing"
"""The stages beside the model's own."""


@dataclass(frozen=True, eq=False)
class ReadCase:
    """A case whose images are in memory.

    Parameters
    ----------
    case : Case
        Which one.
    folder : Path
        Where its results go.
    volumes : tuple of Volume
        Its images in the order of the model's channels.
    request : Request
        What was asked of it.
    clock : StageClock
        What it took so far.
    """

    case: Case
    folder: Path
    volumes: tuple[Volume, ...]
    request: Request
    clock: StageClock


@dataclass(frozen=True, eq=False)
class ComputedCase:
    """A case with its label map, not yet measured.

    Parameters
    ----------
    read : ReadCase
        Its images.
    segmentation : Segmentation
        On the grid of the first.
    fallbacks : tuple of Fallback
        What went otherwise than planned.
    peak_memory_gb : float or None
        Largest resident memory of the process while the model ran, in 10^9 bytes.
    """

    read: ReadCase
    segmentation: Segmentation
    fallbacks: tuple[Fallback, ...] = ()
    peak_memory_gb: float | None = None


@dataclass(frozen=True, eq=False)
class CaseResult:
    """What came out of one case, and where it was written.

    Parameters
    ----------
    folder : Path
        Holds ``labels.nii.gz``, ``lesions.csv``, ``lesions.json``, ``overlay.png``, ``run.json``.
    volume : Volume
        The image; the first one for a model of several channels.
    segmentation : Segmentation
        On its grid.
    table : LesionTable
        The lesions.
    seconds : dict
        Time by stage.
    """

    folder: Path
    volume: Volume
    segmentation: Segmentation
    table: LesionTable
    seconds: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The result for programs: where it is, its lesions and findings."""
        from napari_medcnn.report.tables import lesion_records

        return {
            "name": self.volume.name,
            "folder": str(self.folder),
            "findings": [finding.to_json() for finding in self.volume.findings],
            "lesions": lesion_records(self.table),
            "dropped_count": self.table.dropped_count,
            "min_volume_mm3": self.table.min_volume_mm3,
            "seconds": self.seconds,
        }


def analyse(
    inputs: Inputs | Case,
    spec: ModelSpec,
    out_dir: str | Path,
    options: CaseOptions = DEFAULT_OPTIONS,
    *,
    control: JobControl | None = None,
    series: str | None = None,
) -> Job:
    """Read a case, segment it, measure its lesions and write everything into a folder.

    Parameters
    ----------
    inputs : path or sequence of paths, or Case
        A file or folder with one volume; for a model of several channels one each, in its order.
    spec : ModelSpec
        The model.
    out_dir : str or Path
        The case's folder; made if needed. Results of the same images and model are replaced.
    options : CaseOptions
        How the model runs and what is written.
    control : JobControl, optional
        Cancels, pauses and resumes.
    series : str, optional
        Which volume of the input, where there are several.

    Yields
    ------
    Event
        Of reading, of the model, of measuring and writing; ``Done(CaseResult)`` at last.

    Raises
    ------
    ReadError, InputMismatch, ModelError, WriteError, Cancelled
        As reading, segmenting and writing do.
    """
    control = control or JobControl()
    folder = Path(out_dir)
    case = inputs if isinstance(inputs, Case) else case_of(inputs, series=series)
    require_writable(folder)

    yield Progress(READING, 0, 1)
    read = read_case(case, spec, folder, options)
    yield Progress(READING, 1, 1)

    computed = yield from compute_case(read, spec, options, control)

    control.checkpoint()
    yield Progress(MEASURING, 0, 1)
    result = measure_case(computed, options)
    yield Progress(MEASURING, 1, 1)

    control.checkpoint()
    yield Progress(WRITING, 0, 1)
    result = write_case(computed, result, options)
    yield Progress(WRITING, 1, 1)
    yield Done(result)


def read_case(case: Case, spec: ModelSpec, folder: Path, options: CaseOptions) -> ReadCase:
    """Read a case's images and check that they may be measured and their results written.

    Raises
    ------
    ReadError, InputMismatch
        When an image cannot be read, or must not be measured unseen.
    WriteError
        When the folder holds the results of another case or model.
    """
    from napari_medcnn.report.run_record import StageClock

    clock = StageClock()
    with clock.stage(READING):
        request = request_of(case, spec, options)
        volumes = tuple(one_volume(image) for image in case.ordered_for(spec))
        for volume in volumes:
            require_measurable(volume, options.run.accept_findings)
        if not options.overwrite:
            require_own_results(folder, spec.id, [fingerprint(v) for v in volumes])
    return ReadCase(case, folder, volumes, request, clock)


def compute_case(
    read: ReadCase,
    spec: ModelSpec,
    options: CaseOptions,
    control: JobControl,
    loaded: LoadedModel | None = None,
) -> Generator[Event, None, ComputedCase]:
    """Run the model on a case that was read; yields the run's events and returns its label map.

    Parameters
    ----------
    loaded : LoadedModel, optional
        The model's network where it is kept for many cases.
    """
    from napari_medcnn.inference.segment import segment
    from napari_medcnn.report.peak_memory import peak_memory_gb, restart_peak

    restart_peak()
    region = region_within(options.run.region, read.volumes[0].geometry.shape)
    wanted = replace(options.of_model(), region=region)
    fallbacks: list[Fallback] = []
    job = segment(read.volumes, spec, control, wanted, loaded)
    segmentation = yield from followed(job, read.clock, fallbacks)
    return ComputedCase(read, segmentation, tuple(fallbacks), peak_memory_gb())


def measure_case(computed: ComputedCase, options: CaseOptions) -> CaseResult:
    """Find and measure the lesions of a label map."""
    from napari_medcnn.imaging.lesions import find_lesions

    read, segmentation = computed.read, computed.segmentation
    volume = read.volumes[0]
    with read.clock.stage(MEASURING):
        advised = segmentation.advised_min_volume_mm3
        smallest = advised if options.min_volume_mm3 is None else options.min_volume_mm3
        table = find_lesions(
            segmentation,
            volume,
            min_volume_mm3=smallest,
            accept_blocking=options.run.accept_findings,
        )
    return CaseResult(read.folder, volume, segmentation, table)


def write_case(computed: ComputedCase, result: CaseResult, options: CaseOptions) -> CaseResult:
    """Write a case's files, the record last; an earlier run's record goes first.

    Raises
    ------
    WriteError
        When a file cannot be written; the folder then holds no record.
    """
    from napari_medcnn.app.case_files import write_results

    return replace(result, seconds=write_results(computed, result, options))
