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


def read_paths(
    paths: Sequence[Path],
    known: Iterable[Volume],
    control: JobControl,
    *,
    selected: Volume | None = None,
) -> Job:
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
    selected : Volume, optional
        The open image that the user looks at: of several that a label map fits, it gets it, unless
        the file names another or one was read with it.

    Raises
    ------
    ReadError
        When none of them can be read. Where some can, the others are told as messages.
    """
    volumes: list[Volume] = []
    results: list[Result] = []
    refused: list[MedcnnError] = []
    notes: list[str] = []
    known = list(known)
    works = _works(paths)
    for number, work in enumerate(works):
        control.checkpoint()
        yield Progress("reading", number, len(works))
        try:
            if _holds_segments(work[0]):
                fitting = _in_question(known, volumes, selected)
                found, note = _read_segmentations(work[0], fitting)
                results += found
                notes += note
            else:
                volumes += _read_images(work)
        except MedcnnError as error:
            refused.append(error)
    control.checkpoint()
    if not volumes and not results:
        raise refused[0]
    for refusal in refused:
        yield Message(str(refusal), "warning")
    for text in notes:
        yield Message(text, "warning")
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


def _in_question(
    known: Sequence[Volume], volumes: Sequence[Volume], selected: Volume | None
) -> list[Volume]:
    """Images that a label map may be of, the likeliest first."""
    chosen = [v for v in known if selected is not None and v.id == selected.id]
    return [*reversed(volumes), *chosen, *(v for v in reversed(known) if v not in chosen)]


def _read_segmentations(path: Path, volumes: Sequence[Volume]) -> tuple[list[Result], list[str]]:
    """A file's label maps on the first image that fits, and what to say about that choice."""
    from napari_medcnn.io.dicom_objects.read import referenced_series
    from napari_medcnn.io.read import read_segmentations

    series = referenced_series(path)
    # Images of one examination often share a grid: the one that the file names comes first.
    named = [v for v in volumes if v.source.series.partition("#")[0] in series]
    for volume in [*named, *(v for v in volumes if v not in named)]:
        try:
            found = read_segmentations(path, volume)
        except GeometryError:
            continue  # it may fit another image
        names = [path.name, *(f"{path.name} {number}" for number in range(2, len(found) + 1))]
        results = [
            new_result(segmentation, volume, 0.0, name=name)
            for segmentation, name in zip(found, names, strict=True)
        ]
        return results, [] if volume in named else _choice(path, volume, volumes)
    raise ReadError(
        "is a segmentation, and fits none of the open images",
        source=path,
        hint="open the image that it belongs to first",
    )


def _choice(path: Path, volume: Volume, volumes: Sequence[Volume]) -> list[str]:
    """Which of several images on one grid got the label map, and how to choose another."""
    others = [v.name for v in volumes if v is not volume and v.geometry.is_close(volume.geometry)]
    if not others:
        return []
    text = (
        f"{path.name} does not tell its image and was put on {volume.name}; it also fits "
        f"{', '.join(others)}. To choose, remove it, select the image in the layer list and open "
        "the file again"
    )
    return [text]
