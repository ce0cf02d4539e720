"""One case as the network sees it: its image, its truth, and where each class has voxels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import Cancelled, InputMismatch, MedcnnError, ReadError
from napari_medcnn.core.events import Event, JobControl, Message
from napari_medcnn.core.volume import Severity, Volume
from napari_medcnn.training.job import TrainJob
from napari_medcnn.training.label_on_grid import label_on_grid, label_values
from napari_medcnn.training.manifest import Manifest, TrainCase
from napari_medcnn.training.steps import spec_of

if TYPE_CHECKING:
    from collections.abc import Generator

    import torch

MAX_FOREGROUND = 20_000
"""Voxels of a class that are remembered as centres of patches; more would not be more varied."""

Voxels: TypeAlias = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class PreparedCase:
    """A case on the network's grid.

    Parameters
    ----------
    id : str
        As in the manifest.
    image : torch.Tensor
        ``(channel, x, y, z)`` float32; bit for bit what inference gives the network.
    label : torch.Tensor or int
        Segmentation: ``(x, y, z)`` int16, 0 the background, 1, 2, ... the manifest's classes.
        Classification: the number of the class.
    foreground : tuple of numpy.ndarray
        Segmentation: for each class up to `MAX_FOREGROUND` of its voxels, ``(n, 3)`` as
        ``(x, y, z)``; without any where the case lacks the class.
    spacing_mm : tuple of float
        Of the network's grid, ``(x, y, z)``.
    notes : tuple of str
        What a careful reader would want to know of the images.
    """

    id: str
    image: torch.Tensor
    label: torch.Tensor | int
    foreground: tuple[Voxels, ...]
    spacing_mm: tuple[float, float, float]
    notes: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        """Main memory that its arrays take."""
        label = 0 if isinstance(self.label, int) else self.label.numel() * 2
        return int(self.image.numel()) * 4 + label + sum(v.nbytes for v in self.foreground)


def prepare_case(job: TrainJob, case: TrainCase, control: JobControl) -> PreparedCase:
    """Read a case and bring it to the network's grid and values.

    Raises
    ------
    MedcnnError
        With the case's name: what cannot be read, images or labels that do not lie on one grid,
        label values that the manifest does not know, a class that it does not have.
    Cancelled
        When the job was cancelled.
    """
    try:
        return _prepared(job, case, control)
    except Cancelled:
        raise
    except MedcnnError as error:
        subject = f"{error.source}: " if error.source else ""
        raise type(error)(f"{subject}{error.what}", source=case.id, hint=error.hint) from error
    except (OSError, ValueError, RuntimeError) as error:
        raise InputMismatch(f"cannot be prepared: {error}", source=case.id) from error


def _prepared(job: TrainJob, case: TrainCase, control: JobControl) -> PreparedCase:
    from napari_medcnn.inference.preprocess import prepare

    volumes = case_volumes(case, job.manifest)
    control.checkpoint()
    spec = spec_of(job)
    prepared, notes = _drained(prepare(volumes, spec, control))
    image = prepared.tensor.contiguous()
    notes += [f.text for v in volumes for f in v.findings if f.severity is Severity.BLOCKING]
    label: torch.Tensor | int
    foreground: tuple[Voxels, ...] = ()
    if job.manifest.task == "classification":
        label = class_index(case, job.manifest)
    else:
        label = label_on_grid(
            label_values(job.manifest, case, volumes[0]), volumes[0], prepared.grid
        )
        foreground = foreground_voxels(label.numpy(), len(job.manifest.classes))
    z, y, x = prepared.grid.spacing
    return PreparedCase(case.id, image, label, foreground, (x, y, z), tuple(dict.fromkeys(notes)))


def case_volumes(case: TrainCase, manifest: Manifest) -> tuple[Volume, ...]:
    """The images of a case, one volume a channel; one file may hold all channels as its frames.

    Raises
    ------
    InputMismatch
        When there are more or fewer images than channels.
    ReadError
        When an image cannot be read, or a file or folder holds several.
    """
    volumes = [_one_volume(path) for path in case.images]
    wanted = len(manifest.channels)
    if len(volumes) == 1 and volumes[0].frames is not None:
        volumes = [volumes[0].frame(n) for n in range(volumes[0].frame_count)]
    if len(volumes) != wanted:
        raise InputMismatch(f"has {len(volumes)} images for {wanted} channels")
    for volume in volumes:
        if volume.frames is not None:
            raise InputMismatch(f"{volume.name} has {volume.frame_count} frames; one is expected")
    return tuple(volumes)


def foreground_voxels(label: npt.NDArray[Any], classes: int) -> tuple[Voxels, ...]:
    """For each class ``1 .. classes`` at most `MAX_FOREGROUND` of its voxels, evenly drawn.

    The same for the same label map, whatever the job's seed, so that runs can share it.
    """
    found = []
    for value in range(1, classes + 1):
        flat = np.flatnonzero(label == value)
        if len(flat) > MAX_FOREGROUND:
            rng = np.random.default_rng([len(flat), value])
            flat = np.sort(rng.choice(flat, MAX_FOREGROUND, replace=False))
        found.append(np.stack(np.unravel_index(flat, label.shape), axis=1).astype(np.int32))
    return tuple(found)


def _one_volume(path: Path) -> Volume:
    from napari_medcnn.io.read import read

    volumes = read(path)
    if len(volumes) > 1:
        names = "; ".join(volume.name for volume in volumes)
        raise ReadError(
            f"holds {len(volumes)} images", source=path, hint=f"name a file or a series: {names}"
        )
    return volumes[0]


def _drained(events: Generator[Event, None, Any]) -> tuple[Any, list[str]]:
    """What a generator of events returns, and the warnings among its events."""
    warnings: list[str] = []
    while True:
        try:
            event = next(events)
        except StopIteration as end:
            return end.value, warnings
        if isinstance(event, Message) and event.level == "warning":
            warnings.append(event.text)


def class_index(case: TrainCase, manifest: Manifest) -> int:
    """The number of a classification case's class among the network's outputs.

    Raises
    ------
    InputMismatch
        When the case has no class, or one that the manifest does not name.
    """
    if case.target not in manifest.classes:
        raise InputMismatch(
            f"its class {case.target!r} is none of {', '.join(manifest.classes)}"
            if case.target is not None
            else "has no class"
        )
    return manifest.classes.index(case.target)
