"""Which form a data set has, and its manifest."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from napari_medcnn.core.errors import MedcnnError, ReadError
from napari_medcnn.core.events import JobControl
from napari_medcnn.training.manifest import (
    FORMAT,
    Manifest,
    Part,
    TrainCase,
    read_manifest,
    require_coherent,
)
from napari_medcnn.training.sources.class_folders import class_folders, folders_in, parts_of
from napari_medcnn.training.sources.classes import classes_in
from napari_medcnn.training.sources.decathlon import decathlon, looks_like_decathlon
from napari_medcnn.training.sources.dicom_patients import with_dicom_patients
from napari_medcnn.training.sources.entries import entries_of
from napari_medcnn.training.sources.folder_pairs import channel_names, folder_pairs, paired_cases
from napari_medcnn.training.sources.table import table

IMAGE_FOLDERS = ("images", "image", "imagestr", "imgs", "img", "scans", "volumes")
LABEL_FOLDERS = ("labels", "label", "labelstr", "masks", "mask", "segmentations", "segs")
"""What data sets call their folders of images and of label maps, in lower case."""

FORMS = (
    "a folder with images/ and labels/, a dataset.json, a CSV file, a folder for each class, or a "
    "data set's file of this program"
)


def manifest_from(source: str | Path, control: JobControl | None = None) -> Manifest:
    """The manifest of a data set of any form, by what lies there.

    Where nothing names patients, those of DICOM images are numbered by the IDs in their headers.

    Parameters
    ----------
    source : str or Path
        A manifest, a ``dataset.json`` or the folder of one, a CSV file, a folder with ``images``
        and ``labels`` (also in ``train`` and ``test``), or a folder for each class.
    control : JobControl, optional
        Cancels while label files are read for their classes.

    Raises
    ------
    ReadError
        When no form fits, and why.
    """
    path = Path(os.path.normpath(Path(source).absolute()))
    if not path.exists():
        raise ReadError("does not exist", source=path, hint="check the path")
    found = _of_folder(path, control) if path.is_dir() else _of_file(path, control)
    require_coherent(found, path)
    return found


def with_patients(manifest: Manifest, pattern: str) -> Manifest:
    r"""The data set with the patient of each case read out of its id.

    Parameters
    ----------
    manifest : Manifest
        The data set.
    pattern : str
        A regular expression found in every id; its first group, or all of it, is the patient:
        ``sub-\d+``, or ``(.+)_slice``.

    Raises
    ------
    MedcnnError
        When it is no regular expression, or an id does not have it.
    """
    try:
        wanted = re.compile(pattern)
    except re.error as error:
        raise MedcnnError(f"is no regular expression: {error}", source=pattern) from error

    def of(case: TrainCase) -> str:
        match = wanted.search(case.id)
        patient = match and (match[1] if wanted.groups else match[0])
        if not patient:
            raise MedcnnError(f"{pattern!r} is not in this id", source=case.id)
        return patient

    return replace(
        manifest, cases=tuple(replace(case, patient=of(case)) for case in manifest.cases)
    )


def _of_file(path: Path, control: JobControl | None) -> Manifest:
    if path.suffix.lower() in (".csv", ".tsv"):
        return with_dicom_patients(table(path, control=control), control)
    if path.suffix.lower() != ".json":
        raise ReadError("is no data set", source=path, hint=f"name {FORMS}")
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ReadError(f"is no JSON: {error}", source=path) from error
    if isinstance(content, dict) and content.get("format") == FORMAT:
        return read_manifest(path)
    if looks_like_decathlon(content):
        return with_dicom_patients(decathlon(path), control)
    raise ReadError(
        f'has neither "format": "{FORMAT}" nor "labels" as a Decathlon\'s dataset.json',
        source=path,
        hint=f"name {FORMS}",
    )


def _of_folder(folder: Path, control: JobControl | None) -> Manifest:
    described = folder / "dataset.json"
    if described.is_file():
        return _of_file(described, control)
    return with_dicom_patients(_undescribed(folder, control), control)


def _undescribed(folder: Path, control: JobControl | None) -> Manifest:
    """A data set by its folders alone."""
    pair = _pair_in(folder)
    if pair:
        return folder_pairs(*pair, control=control)
    pairs_in_parts = {
        part: found for part, below in parts_of(folder).items() if (found := _pair_in(below))
    }
    if pairs_in_parts:
        return _pairs_in_parts(folder, pairs_in_parts, control)
    if any(True for _ in _folders_of_images(folder)):
        return class_folders(folder)
    raise ReadError(
        f"is no data set: it holds {_what_is_in(folder)}", source=folder, hint=f"name {FORMS}"
    )


def _pair_in(folder: Path) -> tuple[Path, Path] | None:
    """The folders of images and of label maps in a folder."""
    by_name = {below.name.casefold(): below for below in folders_in(folder)}
    images = next((by_name[name] for name in IMAGE_FOLDERS if name in by_name), None)
    labels = next((by_name[name] for name in LABEL_FOLDERS if name in by_name), None)
    return (images, labels) if images and labels else None


def _pairs_in_parts(
    folder: Path,
    pairs: dict[Part, tuple[Path, Path]],
    control: JobControl | None,
) -> Manifest:
    """``train/images``, ``train/labels``, ``test/images``, ...; ids tell parts apart."""
    cases = tuple(
        replace(case, id=f"{part}__{case.id}")
        for part, (images, labels) in pairs.items()
        for case in paired_cases(images, labels, part)
    )
    found = classes_in([case.label for case in cases if case.label], control)
    return Manifest(
        name=folder.name,
        task="segmentation",
        channels=channel_names(len(cases[0].images)),
        classes=found.classes,
        values=found.stored_values,
        cases=cases,
    )


def _folders_of_images(folder: Path) -> Iterator[Path]:
    """Folders below one that hold images, as classes do, directly or within parts."""
    for below in folders_in(folder):
        inside = parts_of(folder) and folders_in(below)
        for candidate in inside or (below,):
            if entries_of(candidate):
                yield candidate


def _what_is_in(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    if not names:
        return "nothing"
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
