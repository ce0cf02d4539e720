"""Jobs that read what the user chose to open: images, label maps, sessions."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from napari_medcnn.app.result import Result, new_result
from napari_medcnn.app.session_file import SUFFIX
from napari_medcnn.core.errors import GeometryError, MedcnnError, ReadError
from napari_medcnn.core.events import Done, Job, JobControl, Message, Progress
from napari_medcnn.core.volume import Volume

SEGMENTATION_SUFFIX = ".seg.nrrd"


@dataclass(frozen=True, eq=False)
class Opened:
    """What was read."""

    volumes: tuple[Volume, ...] = ()
    results: tuple[Result, ...] = field(default=())


def is_session(path: Path) -> bool:
    """Whether a path is a session file by its name."""
    return path.name.lower().endswith(SUFFIX)


def read_paths(paths: Sequence[Path], known: Iterable[Volume], control: JobControl) -> Job:
    """Read files and folders one after the other; ends in ``Done(Opened)``.

    Parameters
    ----------
    paths : sequence of Path
        Several DICOM files are put together to their series. A ``.seg.nrrd`` file becomes a result
        on the image that it fits.
    known : iterable of Volume
        Images that are open already.
    control : JobControl
        Cancels between two files.

    Raises
    ------
    ReadError
        When none of them can be read. Where some can, the others are told as messages.
    """
    volumes: list[Volume] = []
    results: list[Result] = []
    refused: list[MedcnnError] = []
    known = list(known)
    works = _works(paths)
    for number, work in enumerate(works):
        control.checkpoint()
        yield Progress("reading", number, len(works))
        try:
            if work[0].name.lower().endswith(SEGMENTATION_SUFFIX):
                results.append(_read_segmentation(work[0], [*known, *volumes]))
            else:
                volumes += _read_images(work)
        except MedcnnError as error:
            refused.append(error)
    control.checkpoint()
    if not volumes and not results:
        raise refused[0]
    for refusal in refused:
        yield Message(str(refusal), "warning")
    yield Progress("reading", len(works), len(works))
    yield Done(Opened(tuple(volumes), tuple(results)))


def _works(paths: Sequence[Path]) -> list[tuple[Path, ...]]:
    """What is read together: all DICOM slices, and each other file; label maps come last."""
    from napari_medcnn.io.formats import Format, format_of

    slices = tuple(p for p in paths if p.is_file() and format_of(p) is Format.DICOM)
    together = [slices] if len(slices) > 1 else []
    alone = [(p,) for p in paths if p not in slices or len(slices) == 1]
    alone.sort(key=lambda work: work[0].name.lower().endswith(SEGMENTATION_SUFFIX))
    return [*together, *alone]


def _read_images(work: tuple[Path, ...]) -> list[Volume]:
    from napari_medcnn.io.dicom.series import read_dicom
    from napari_medcnn.io.read import read

    if len(work) == 1:
        return read(work[0])
    # Some scanners export each slice into a folder of its own.
    return read_dicom(work, Path(os.path.commonpath([path.parent for path in work])))


def _read_segmentation(path: Path, volumes: Sequence[Volume]) -> Result:
    from napari_medcnn.io.read import read_segmentation

    for volume in reversed(volumes):
        try:
            segmentation = read_segmentation(path, volume)
        except GeometryError:
            continue  # it may fit another image
        return new_result(segmentation, volume, 0.0, name=path.name)
    raise ReadError(
        "is a segmentation, and fits none of the open images",
        source=path,
        hint="open the image that it belongs to first",
    )
