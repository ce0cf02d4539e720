"""The cases of a folder: every image file and every DICOM series below it."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_medcnn.app.case import Case, ImageSource, plain_name, safe_id
from napari_medcnn.app.case_folder import RUN
from napari_medcnn.core.errors import ReadError
from napari_medcnn.core.events import Done, Job, JobControl, Progress

if TYPE_CHECKING:
    from napari_medcnn.io.dicom.listing import ListedVolume

LOOKING = "looking for cases"
_BETWEEN = "__"
"""Joins the folders above an image in its case's name, which has no slashes."""

_SEGMENTATION = (".seg.nrrd", ".seg.nii.gz")


@dataclass(frozen=True)
class FoundCases:
    """The cases of a folder; `notes` say what was left out."""

    cases: tuple[Case, ...]
    notes: tuple[str, ...] = ()


def find_cases(
    folder: str | Path, control: JobControl | None = None, *, without: Sequence[Path] = ()
) -> Job:
    """Look for the images below a folder; headers are read, pixels are not.

    A case's name is its path below the folder, so that it stays the same when others come or go.
    Folders that hold results (``run.json``) and label maps (``.seg.nrrd``) are no images; pictures
    count only where there is nothing else.

    Parameters
    ----------
    folder : str or Path
        Links out of it are not followed.
    control : JobControl, optional
        Cancels between two steps.
    without : sequence of Path
        Folders below it to leave out, such as that of the results.

    Yields
    ------
    Event
        `Progress`, and ``Done(FoundCases)``.

    Raises
    ------
    ReadError
        When there is no image.
    """
    from napari_medcnn.io.folder import files_in
    from napari_medcnn.io.formats import Format, format_of

    control = control or JobControl()
    root = Path(folder)
    if not root.is_dir():
        raise ReadError("is no folder", source=root, hint="check the path")
    yield Progress(LOOKING, 0, 1)
    found = files_in(root)
    results = _result_folders(found.files, without)
    files = [file for file in found.files if not _lies_below(file, results)]
    kinds: dict[Format | None, list[Path]] = defaultdict(list)
    for number, file in enumerate(files):
        if number % 64 == 0:
            control.checkpoint()
            yield Progress(LOOKING, number, len(files) + 1)
        if not file.name.lower().endswith(_SEGMENTATION):
            kinds[format_of(file)].append(file)
    images = [f for kind in (Format.NIFTI, Format.NRRD, Format.METAIMAGE) for f in kinds[kind]]
    if not images and not kinds[Format.DICOM]:
        images = kinds[Format.PICTURE]
    named = [(_path_id(root, file), file.name, ImageSource((file,))) for file in images]
    notes = [f"{found.escaping} links lead out of the folder and were not followed"] * bool(
        found.escaping
    )
    control.checkpoint()
    yield Progress(LOOKING, len(files), len(files) + 1)
    if kinds[Format.DICOM]:
        series, left_out = _series(kinds[Format.DICOM], root)
        named += series
        notes += left_out
    if not named:
        raise ReadError(
            "; ".join(notes) or f"no image among its {len(files)} files",
            source=root,
            hint="choose the folder that holds the images",
        )
    yield Done(FoundCases(_with_different_names(named), tuple(notes)))


def case_of_series(files: Sequence[Path], title: str, uid: str) -> Case:
    """The case of a series that was chosen by hand: called after `title`, told apart by `uid`."""
    return Case(safe_id(f"{safe_id(title)}_{_mark(uid)}"), (ImageSource(tuple(files)),))


def _series(files: list[Path], root: Path) -> tuple[list[tuple[str, str, ImageSource]], list[str]]:
    from napari_medcnn.io.dicom.listing import list_volumes

    try:
        listing = list_volumes(files, root)
    except ReadError as error:
        return [], [error.what]
    in_folder: dict[Path, int] = defaultdict(int)
    for volume in listing.volumes:
        in_folder[_common(volume)] += 1
    named = []
    for volume in listing.volumes:
        folder = _common(volume)
        name = _path_id(root, folder)
        if in_folder[folder] > 1:
            name = safe_id(f"{name}{_BETWEEN}{safe_id(volume.name)}")
        # Files of one volume alone are read as that volume; its name tells it from its scouts.
        named.append((name, volume.series, ImageSource(volume.files, volume.series)))
    return named, [finding.text for finding in listing.findings]


def _with_different_names(named: list[tuple[str, str, ImageSource]]) -> tuple[Case, ...]:
    """The cases in the order of their names; of equal ones each is marked by what it is."""
    count: dict[str, int] = defaultdict(int)
    for name, _, _ in named:
        count[name.casefold()] += 1
    cases = [
        Case(name if count[name.casefold()] == 1 else f"{name}_{_mark(what)}", (image,))
        for name, what, image in named
    ]
    return tuple(sorted(cases, key=lambda case: case.id))


def _path_id(root: Path, path: Path) -> str:
    relative = path.relative_to(root)
    if not relative.parts:
        return safe_id(plain_name(root))
    return safe_id(_BETWEEN.join((*relative.parts[:-1], plain_name(path))))


def _mark(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=3).hexdigest()


def _common(volume: ListedVolume) -> Path:
    return Path(os.path.commonpath([file.parent for file in volume.files]))


def _result_folders(files: Sequence[Path], without: Sequence[Path]) -> frozenset[Path]:
    ours = {file.parent for file in files if file.name == RUN}
    return frozenset(ours | {path.resolve() for path in without} | set(without))


def _lies_below(file: Path, folders: frozenset[Path]) -> bool:
    return bool(folders) and any(parent in folders for parent in _parents(file))


def _parents(file: Path) -> Iterator[Path]:
    yield from file.parents
    yield from file.resolve().parents
