"""What the training cases are like: sizes, spacings, intensities and classes, measured."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.events import Done, Job, JobControl, Progress
from napari_medcnn.core.volume import Volume
from napari_medcnn.training.label_on_grid import label_values
from napari_medcnn.training.manifest import Manifest, Split, Task, TrainCase
from napari_medcnn.training.prepared_case import case_volumes
from napari_medcnn.training.strict_json import read_record, write_record

STAGE = "measuring cases"

VOXELS_PER_CASE = 10_000
"""So many voxels of a case count for the intensities: enough for percentiles, and all cases count
alike however large they are."""

LOW_PERCENTILE, HIGH_PERCENTILE = 0.5, 99.5
"""Between them lies what a CT is clipped to (Isensee et al. 2021)."""


@dataclass(frozen=True)
class CaseFacts:
    """One training case.

    Parameters
    ----------
    id : str
        As in the manifest.
    shape : tuple of int
        ``(z, y, x)`` as read.
    spacing_mm : tuple of float
        ``(z, y, x)``.
    zero_share : float
        Share of voxels that are exactly 0 in every channel, as outside of a stripped brain.
    class_voxels : tuple of int
        Segmentation: voxels of each of the manifest's classes.
    target : str, optional
        Classification: the class.
    """

    id: str
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    zero_share: float
    class_voxels: tuple[int, ...] = ()
    target: str | None = None


@dataclass(frozen=True)
class Intensities:
    """Values of one channel, drawn alike often from every case.

    Of a segmentation they are those of the foreground; of the whole images where there is none.
    """

    channel: str
    mean: float
    std: float
    minimum: float
    percentile_00_5: float
    median: float
    percentile_99_5: float
    maximum: float


@dataclass(frozen=True)
class Fingerprint:
    """A data set as its training cases show it.

    Parameters
    ----------
    task : {"segmentation", "classification"}
        The manifest's.
    classes : tuple of str
        The manifest's.
    cases : tuple of CaseFacts
        The cases that teach, in the order of the split; no others were looked at.
    intensities : tuple of Intensities
        One a channel.
    seed : int
        Of the split; the voxels were drawn with it.
    """

    task: Task
    classes: tuple[str, ...]
    cases: tuple[CaseFacts, ...]
    intensities: tuple[Intensities, ...]
    seed: int

    @property
    def median_shape(self) -> tuple[float, float, float]:
        """``(z, y, x)`` in voxels."""
        return _medians([case.shape for case in self.cases])

    @property
    def median_spacing_mm(self) -> tuple[float, float, float]:
        """``(z, y, x)``."""
        return _medians([case.spacing_mm for case in self.cases])

    @property
    def class_volumes_mm3(self) -> dict[str, tuple[float, ...]]:
        """Segmentation: the volume of each class in every case that has it."""
        sizes = [float(np.prod(case.spacing_mm)) for case in self.cases]
        return {
            name: tuple(
                case.class_voxels[number] * size
                for case, size in zip(self.cases, sizes, strict=True)
                if case.class_voxels[number]
            )
            for number, name in enumerate(self.classes)
            if self.task == "segmentation"
        }

    @property
    def class_cases(self) -> dict[str, int]:
        """How many training cases have each class."""
        if self.task == "segmentation":
            return {name: len(volumes) for name, volumes in self.class_volumes_mm3.items()}
        return {name: sum(c.target == name for c in self.cases) for name in self.classes}

    @property
    def foreground_share(self) -> float:
        """Segmentation: share of all voxels that belong to a class."""
        voxels = sum(int(np.prod(case.shape)) for case in self.cases)
        return sum(sum(case.class_voxels) for case in self.cases) / voxels


def measure(manifest: Manifest, split: Split, control: JobControl) -> Job:
    """Measure the cases that teach; the job ends in ``Done(Fingerprint)``.

    Validation and test cases are not opened: nothing of them enters the choices for a training.
    The same manifest and split give the same figures.

    Raises
    ------
    MedcnnError
        When a case cannot be read or its label does not fit; the error names it.
    Cancelled
        When the job was cancelled.
    """
    if not split.train:
        raise MedcnnError("no case teaches", source=manifest.name, hint="make a split first")
    facts: list[CaseFacts] = []
    drawn: list[npt.NDArray[np.float32]] = []
    foreground: list[npt.NDArray[np.float32]] = []
    begin = time.perf_counter()
    yield Progress(STAGE, 0, len(split.train))
    for number, name in enumerate(split.train):
        control.checkpoint()
        rng = np.random.default_rng([split.seed, number])
        measured = _measured(manifest, manifest.case(name), rng)
        facts.append(measured.facts)
        (foreground if measured.of_foreground else drawn).append(measured.values)
        done = number + 1
        eta_s = (time.perf_counter() - begin) / done * (len(split.train) - done)
        yield Progress(STAGE, done, len(split.train), eta_s)
    values = np.concatenate(foreground or drawn, axis=1)
    intensities = tuple(
        _intensities(name, channel) for name, channel in zip(manifest.channels, values, strict=True)
    )
    yield Done(Fingerprint(manifest.task, manifest.classes, tuple(facts), intensities, split.seed))


def write_fingerprint(fingerprint: Fingerprint, path: str | Path) -> None:
    """Write it as JSON, atomically.

    Raises
    ------
    WriteError
        When the file cannot be written.
    """
    write_record(path, fingerprint)


def read_fingerprint(path: str | Path) -> Fingerprint:
    """Read it from JSON.

    Raises
    ------
    ReadError
        When the file cannot be read, or a field is missing, wrong or unknown.
    """
    return read_record(path, Fingerprint)


@dataclass(frozen=True, eq=False)
class _Measured:
    """A case's facts, and values ``(channel, voxel)`` drawn from its foreground if it has one."""

    facts: CaseFacts
    values: npt.NDArray[np.float32]
    of_foreground: bool


def _measured(manifest: Manifest, case: TrainCase, rng: np.random.Generator) -> _Measured:
    try:
        volumes = case_volumes(case, manifest)
        facts = CaseFacts(
            case.id,
            volumes[0].geometry.shape,
            _rounded(volumes[0].geometry.spacing),
            _zero_share(volumes),
            target=case.target,
        )
        if manifest.task == "classification":
            return _Measured(facts, _drawn(volumes, None, rng), of_foreground=False)
        labels = label_values(manifest, case, volumes[0])
    except MedcnnError as error:
        subject = f"{error.source}: " if error.source and error.source != case.id else ""
        raise type(error)(f"{subject}{error.what}", source=case.id, hint=error.hint) from error
    counts = np.bincount(labels.ravel(), minlength=len(manifest.classes) + 1)[1:]
    inside = np.flatnonzero(labels) if counts.any() else None
    return _Measured(
        replace(facts, class_voxels=tuple(int(count) for count in counts)),
        _drawn(volumes, inside, rng),
        of_foreground=inside is not None,
    )


def _drawn(
    volumes: Sequence[Volume], among: npt.NDArray[np.intp] | None, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Values ``(channel, voxel)`` at the same places of every channel of one grid."""
    from napari_medcnn.inference.preprocess import channels_on_one_grid

    arrays = [channel.ravel() for channel in channels_on_one_grid(volumes)[0]]
    count = arrays[0].size if among is None else among.size
    chosen = rng.choice(count, min(count, VOXELS_PER_CASE), replace=False)
    places = chosen if among is None else among[chosen]
    return np.stack([array[places] for array in arrays]).astype(np.float32)


def _zero_share(volumes: Sequence[Volume]) -> float:
    if any(volume.array.shape != volumes[0].array.shape for volume in volumes):
        return 0.0
    zero = np.ones(volumes[0].array.shape, dtype=bool)
    for volume in volumes:
        zero &= volume.array == 0
    return round(float(zero.mean()), 6)


def _intensities(channel: str, values: npt.NDArray[np.float32]) -> Intensities:
    exact = values.astype(np.float64)
    low, median, high = np.percentile(exact, (LOW_PERCENTILE, 50, HIGH_PERCENTILE))
    figures = (exact.mean(), exact.std(), exact.min(), low, median, high, exact.max())
    return Intensities(channel, *(round(float(figure), 6) for figure in figures))


def _medians(rows: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    z, y, x = (float(value) for value in np.median(np.asarray(rows, dtype=float), axis=0))
    return z, y, x


def _rounded(spacing_mm: Sequence[float]) -> tuple[float, float, float]:
    """Without the last digits, in which files of one scanner differ."""
    z, y, x = (round(float(value), 5) for value in spacing_mm)
    return z, y, x
