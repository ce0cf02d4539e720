"""What a model is taught with: cases with their images, truth and patients, as a JSON file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

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
        One file or folder a channel, in the manifest's order of channels.
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
