"""A folder for each class, with the images of that class in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from napari_medcnn.core.errors import ReadError
from napari_medcnn.training.manifest import Manifest, Part, TrainCase
from napari_medcnn.training.sources.entries import entries_of

PART_FOLDERS: dict[str, Part] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
"""What data sets call the folders of their parts."""

_MOST_FILES_OF_A_CASE = 8

_BETWEEN = "__"
"""Joins folders and file in a case's id, which has no slashes."""


def class_folders(folder: Path, *, name: str = "", modality: str = "") -> Manifest:
    """A data set of ``CLASS/image`` or ``train/CLASS/image`` and ``test/CLASS/image``.

    Parameters
    ----------
    folder : Path
        The folder of the classes, or of the parts. Images are files, or folders with the DICOM
        slices of a series. Classes come in alphabetical order.
    name : str
        Of the data set; by default the folder's.
    modality : str
        DICOM's term of the images.

    Raises
    ------
    ReadError
        When there are not at least two classes with images.
    """
    root = folder.absolute()
    parts = parts_of(root)
    found = [
        case
        for part, below in (parts.items() if parts else [(None, root)])
        for case in _cases(below, root, part)
    ]
    classes = sorted({str(case.target) for case in found}, key=lambda name: (name.lower(), name))
    if len(classes) < 2:
        raise ReadError(
            f"has {len(classes)} folders with images: no classes to tell apart, and no labels",
            source=folder,
            hint="a folder for each class, or label maps in a folder labels beside images",
        )
    if _are_cases(found):
        raise ReadError(
            "holds the same few files in each folder: these are cases and no classes",
            source=folder,
            hint="list them in a CSV file",
        )
    return Manifest(
        name=name or root.name,
        task="classification",
        channels=("image",),
        classes=tuple(classes),
        cases=tuple(found),
        modality=modality,
    )


def parts_of(folder: Path) -> dict[Part, Path]:
    """The folders of parts in a folder, by their names.

    Raises
    ------
    ReadError
        When two are of the same part.
    """
    found: dict[Part, Path] = {}
    for below in folders_in(folder):
        part = PART_FOLDERS.get(below.name.casefold())
        if part is None:
            continue
        if part in found:
            raise ReadError(
                f"has two folders for {part}: {found[part].name} and {below.name}", source=folder
            )
        found[part] = below
    return found


def folders_in(folder: Path) -> Sequence[Path]:
    """The folders directly in a folder, but the hidden ones."""
    return sorted(
        path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
    )


def _cases(folder: Path, root: Path, part: Part | None) -> Iterator[TrainCase]:
    for of_class in folders_in(folder):
        for entry in entries_of(of_class):
            folders = of_class.relative_to(root).parts
            yield TrainCase(
                id=_BETWEEN.join((*folders, entry.name)),
                images=(entry.path,),
                target=of_class.name,
                part=part,
            )


def _are_cases(found: Sequence[TrainCase]) -> bool:
    """Whether folders are cases: each holds one image, or a few that are called alike in all."""
    names: dict[tuple[Part | None, str | None], set[str]] = {}
    for case in found:
        names.setdefault((case.part, case.target), set()).add(case.images[0].name)
    sets = list(names.values())
    alike = all(inside == sets[0] for inside in sets) and len(sets[0]) <= _MOST_FILES_OF_A_CASE
    return alike or all(len(inside) == 1 for inside in sets)
