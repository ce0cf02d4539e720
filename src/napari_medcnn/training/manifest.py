"""What a model is taught with: cases with their images, truth and patients, as a JSON file."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from napari_medcnn.core.errors import MedcnnError, ReadError
from napari_medcnn.training.versioned_json import read_versioned, write_versioned

FORMAT = "medcnn-dataset"
SCHEMA = 1

Task = Literal["segmentation", "classification"]
Part = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class TrainCase:
    """One image with its truth.

    Parameters
    ----------
    id : str
        Unique in the manifest.
    images : tuple of Path
        One file or folder a channel, in the manifest's order of channels; or one file whose frames
        are the channels.
    patient : str, optional
        Whose it is; cases of one patient stay on one side of every split. None where unknown.
    label : Path, optional
        The label map of a segmentation case.
    target : str, optional
        The class of a classification case, one of the manifest's `classes`.
    part : {"train", "validation", "test"}, optional
        The part that the data set's makers gave it.
    """

    id: str
    images: tuple[Path, ...]
    patient: str | None = None
    label: Path | None = None
    target: str | None = None
    part: Part | None = None


@dataclass(frozen=True)
class Manifest:
    """A data set.

    Parameters
    ----------
    name : str
        For people, and for the card of what is trained on it.
    task : {"segmentation", "classification"}
        What is to be learnt.
    channels : tuple of str
        Names of the image channels, e.g. ``("FLAIR", "T1c")``.
    modality : str
        DICOM's term of all channels: ``"CT"``, ``"MR"``; ``""`` for another kind of picture.
    classes : tuple of str
        Segmentation: names of the label values 1, 2, ... in their order; the background, 0, is not
        among them. Classification: the classes, in the order of the network's outputs.
    values : tuple of int
        Segmentation: the value in the label files of each of `classes`; empty for 1, 2, ...
    cases : tuple of TrainCase
        At least one.
    licence, description : str
        Of the data; the card quotes them.
    """

    name: str
    task: Task
    channels: tuple[str, ...]
    classes: tuple[str, ...]
    cases: tuple[TrainCase, ...]
    modality: str = ""
    values: tuple[int, ...] = ()
    licence: str = ""
    description: str = ""

    @property
    def label_values(self) -> tuple[int, ...]:
        """The value in the label files of each of `classes`."""
        return self.values or tuple(range(1, len(self.classes) + 1))

    def case(self, id: str) -> TrainCase:  # noqa: A002
        """The case of this id.

        Raises
        ------
        MedcnnError
            When there is none.
        """
        for case in self.cases:
            if case.id == id:
                return case
        raise MedcnnError(f"the data set {self.name} has no such case", source=id)

    def has_truth(self, case: TrainCase) -> bool:
        """Whether the case says what is to be learnt from it."""
        return (case.label if self.task == "segmentation" else case.target) is not None


@dataclass(frozen=True)
class Split:
    """Which cases teach, which choose the best state, and which are kept aside to the end.

    Parameters
    ----------
    train, validation, test : tuple of str
        Ids of cases; disjoint, also by patient.
    seed : int
        What it was drawn with.
    fold, folds : int
        Which of how many folds; ``0, 1`` for a single split.
    groups : dict
        The group of each case id: its patient, or the group of look-alikes where patients are
        unknown. No group stands in two parts.
    notes : tuple of str
        What the card has to say of it, e.g. that patients are unknown.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...] = ()
    seed: int = 0
    fold: int = 0
    folds: int = 1
    groups: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def parts(self) -> dict[Part, tuple[str, ...]]:
        """The ids of each part, by its name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


def read_manifest(path: str | Path) -> Manifest:
    """Read a data set's file; its paths become absolute.

    Raises
    ------
    ReadError
        When it is no such file, of a newer schema, has an unknown or wrong field, or contradicts
        itself; names the file and the field.
    """
    path = Path(path)
    manifest = read_versioned(path, Manifest, FORMAT, SCHEMA, "data set")
    require_coherent(manifest, path)
    return _with_paths(manifest, path.absolute().parent)


def write_manifest(manifest: Manifest, path: str | Path) -> None:
    """Write a data set's file atomically; files below its folder are named from there.

    Raises
    ------
    ReadError
        When the data set contradicts itself.
    WriteError
        When the file cannot be written.
    """
    path = Path(path)
    require_coherent(manifest, path)
    folder = path.absolute().parent
    cases = [_case_json(case, folder) for case in manifest.cases]
    content = asdict(replace(manifest, cases=()))
    del content["cases"]  # they come last, after what a reader wants to know first
    write_versioned(path, {**content, "cases": cases}, FORMAT, SCHEMA)


def require_coherent(manifest: Manifest, source: str | Path | None = None) -> None:
    """Refuse a data set whose parts contradict each other.

    Raises
    ------
    ReadError
        With the first contradiction's field.
    """
    fault = next(_faults(manifest), None)
    if fault is not None:
        field_name, text = fault
        raise ReadError(f"the data set is wrong at {field_name}: {text}", source=source)


def _faults(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Fields that contradict others, with what is wrong with them."""
    for name, entries in (("channels", manifest.channels), ("classes", manifest.classes)):
        if not entries or not all(entry.strip() for entry in entries):
            yield name, "at least one name, none of them empty"
        yield from ((name, f"{twice!r} is there twice") for twice in _repeated(entries))
    if manifest.task == "classification" and len(manifest.classes) < 2:
        yield "classes", "at least two are needed to tell them apart"
    yield from (("values", text) for text in _value_faults(manifest))
    if not manifest.cases:
        yield "cases", "there is none"
    # Many file systems take A and a for the same, and cases name files.
    for twice in _repeated(tuple(case.id.casefold() for case in manifest.cases)):
        yield "cases.id", f"{twice!r} is there twice"
    for number, case in enumerate(manifest.cases):
        if not case.id.strip():
            yield f"cases.{number}.id", "is empty"
        if not case.images:
            yield f"cases.{number}.images", f"{case.id} has no image"
        if case.target is not None and case.target not in manifest.classes:
            known = ", ".join(manifest.classes)
            yield f"cases.{number}.target", f"{case.target!r} of {case.id} is none of {known}"


def _value_faults(manifest: Manifest) -> Iterator[str]:
    values = manifest.values
    if not values:
        return
    if manifest.task == "classification":
        yield "only label maps have values"
    if len(values) != len(manifest.classes):
        yield f"{len(values)} values for {len(manifest.classes)} classes"
    if min(values) < 1:
        yield "values of classes start at 1; 0 is the background"
    yield from (f"{twice} is there twice" for twice in _repeated(values))


def _repeated(entries: tuple[Any, ...]) -> list[Any]:
    return [entry for entry, count in Counter(entries).items() if count > 1]


def _with_paths(manifest: Manifest, folder: Path) -> Manifest:
    """The data set with absolute paths; relative ones start at `folder`."""
    cases = tuple(
        replace(
            case,
            images=tuple(_absolute(path, folder) for path in case.images),
            label=None if case.label is None else _absolute(case.label, folder),
        )
        for case in manifest.cases
    )
    return replace(manifest, cases=cases)


def _absolute(path: Path, folder: Path) -> Path:
    return Path(os.path.normpath(folder / path))


def _case_json(case: TrainCase, folder: Path) -> dict[str, Any]:
    """What is known of a case; the order is that of the fields."""
    content: dict[str, Any] = {
        "id": case.id,
        "images": [_portable(path, folder) for path in case.images],
        "patient": case.patient,
        "label": None if case.label is None else _portable(case.label, folder),
        "target": case.target,
        "part": case.part,
    }
    return {name: value for name, value in content.items() if value is not None}


def _portable(path: Path, folder: Path) -> str:
    whole = Path(os.path.normpath(path.absolute()))
    inside = whole.is_relative_to(folder)
    return (whole.relative_to(folder) if inside else whole).as_posix()
