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
        Several DICOM files are put together to their series. A ``.seg.nrrd`` file, a DICOM
        segmentation or a structure set becomes a result on the image that it was made on or fits;
        several results where segments overlap.
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
            if _holds_segments(work[0]):
                results += _read_segmentations(work[0], [*known, *volumes])
            else:
                volumes += _read_images(work)
        except MedcnnError as error:
            refused.append(error)
    control.checkpoint()
    if not volumes and not results:
        raise refused[0]
    for refusal in refused:
        yield Message(str(refusal), "warning")
    for result in results:
        for note in result.segmentation.parameters.get("notes", ()):
            yield Message(f"{result.name}: {note}", "warning")
    yield Progress("reading", len(works), len(works))
    yield Done(Opened(tuple(volumes), tuple(results)))


def _works(paths: Sequence[Path]) -> list[tuple[Path, ...]]:
    """What is read together: all DICOM slices, and each other file; label maps come last."""
    from napari_medcnn.io.formats import Format, format_of

    marked = [p for p in paths if p.is_file() and _holds_segments(p)]
    slices = tuple(
        p for p in paths if p not in marked and p.is_file() and format_of(p) is Format.DICOM
    )
    together = [slices] if len(slices) > 1 else []
    alone = [(p,) for p in paths if p not in marked and (p not in slices or len(slices) == 1)]
    return [*together, *alone, *((p,) for p in marked)]


def _holds_segments(path: Path) -> bool:
    from napari_medcnn.io.dicom_objects.dataset import object_kind

    return path.name.lower().endswith(SEGMENTATION_SUFFIX) or object_kind(path) is not None


def _read_images(work: tuple[Path, ...]) -> list[Volume]:
    from napari_medcnn.io.dicom.series import read_dicom
    from napari_medcnn.io.read import read

    if len(work) == 1:
        return read(work[0])
    # Some scanners export each slice into a folder of its own.
    return read_dicom(work, Path(os.path.commonpath([path.parent for path in work])))


def _read_segmentations(path: Path, volumes: Sequence[Volume]) -> list[Result]:
    from napari_medcnn.io.dicom_objects.read import referenced_series
    from napari_medcnn.io.read import read_segmentations

    series = referenced_series(path)
    # Images of one examination often share a grid: the one that the file names comes first.
    named = [v for v in reversed(volumes) if v.source.series.partition("#")[0] in series]
    for volume in [*named, *(v for v in reversed(volumes) if v not in named)]:
        try:
            found = read_segmentations(path, volume)
        except GeometryError:
            continue  # it may fit another image
        names = [path.name, *(f"{path.name} {number}" for number in range(2, len(found) + 1))]
        return [
            new_result(segmentation, volume, 0.0, name=name)
            for segmentation, name in zip(found, names, strict=True)
        ]
    raise ReadError(
        "is a segmentation, and fits none of the open images",
        source=path,
        hint="open the image that it belongs to first",
    )
