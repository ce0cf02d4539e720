"""Which cases of a data set a model is measured on, and their truth in the model's numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.volume import Volume
from napari_medcnn.evaluation.run import Unit
from napari_medcnn.models.spec import ModelSpec
from napari_medcnn.training.label_on_grid import label_values
from napari_medcnn.training.manifest import Manifest, Part, Split, TrainCase
from napari_medcnn.training.prepared_case import case_volumes, class_index


@dataclass(frozen=True)
class CaseChoice:
    """Which cases of a data set a model is measured on.

    Parameters
    ----------
    part : {"train", "validation", "test"}, optional
        Of `split`, or of the parts that the data set's makers gave; None for all cases.
    split : Split, optional
        How the data set was divided; its groups stand for patients where these are unknown.
    """

    part: Part | None = None
    split: Split | None = None


def chosen_cases(manifest: Manifest, choice: CaseChoice) -> tuple[TrainCase, ...]:
    """The cases with truth that were chosen.

    Raises
    ------
    InputMismatch
        When there is none.
    MedcnnError
        When the split names a case that the data set lacks.
    """
    if choice.part is None:
        found = list(manifest.cases)
    elif choice.split is not None:
        found = [manifest.case(name) for name in choice.split.parts[choice.part]]
    else:
        found = [case for case in manifest.cases if case.part == choice.part]
    cases = tuple(case for case in found if manifest.has_truth(case))
    if not cases:
        what = (
            "labelled case" if choice.part is None else f"labelled case of the part {choice.part}"
        )
        raise InputMismatch(
            f"the data set {manifest.name} has no {what}",
            hint="name a split, or evaluate all cases" if choice.part else None,
        )
    return cases


def group_of(case: TrainCase, split: Split | None) -> str:
    """Whose case it is, as far as it is known: its group in the split, its patient, or itself."""
    known = {} if split is None else split.groups
    return known.get(case.id) or case.patient or case.id


def resampled_unit(cases: Sequence[TrainCase], split: Split | None) -> Unit:
    """What :func:`group_of` gives for these cases."""
    if all(case.patient is not None for case in cases):
        return "patients"
    return "groups" if split is not None and split.groups else "cases"


@dataclass(frozen=True)
class CaseLoader:
    """Reads one case when its turn comes, with the truth in the model's numbers.

    Parameters
    ----------
    manifest, case
        The data set, and the case of it.
    values : tuple of int
        See :func:`values_of_model`.
    """

    manifest: Manifest
    case: TrainCase
    values: tuple[int, ...]

    def labels(self) -> tuple[Sequence[Volume], npt.NDArray[Any]]:
        """Images, and the label map with the model's values."""
        volumes = case_volumes(self.case, self.manifest)
        own = label_values(self.manifest, self.case, volumes[0])
        truth = own * 0
        for number, value in enumerate(self.values, start=1):
            truth[own == number] = value
        return volumes, truth

    def target(self) -> tuple[Sequence[Volume], int]:
        """Images, and the number of the class among the model's outputs."""
        truth = self.values[class_index(self.case, self.manifest)]
        return case_volumes(self.case, self.manifest), truth


def values_of_model(spec: ModelSpec, manifest: Manifest) -> tuple[int, ...]:
    """For each class of the data set its label value in the model (or its output's number).

    Classes are found by their names, in any case; a single class is the other's single one.

    Raises
    ------
    InputMismatch
        When the tasks differ, or the model lacks a class.
    """
    if spec.task != manifest.task:
        raise InputMismatch(
            f"{spec.title} is a model of {spec.task}, the data set {manifest.name} is one of "
            f"{manifest.task}"
        )
    own = [(label.name.casefold(), label.value) for label in spec.labels]
    if spec.task == "classification":
        own = [(name, number) for number, (name, _) in enumerate(own)]
    known = dict(own)
    if len(manifest.classes) == len(own) == 1:
        return (own[0][1],)  # whatever the two call it
    strange = [name for name in manifest.classes if name.casefold() not in known]
    if strange:
        names = ", ".join(label.name for label in spec.labels)
        raise InputMismatch(
            f"{spec.title} does not know the class {strange[0]!r} of the data set {manifest.name}",
            hint=f"the model's classes: {names}; `medcnn dataset make --class` renames",
        )
    return tuple(known[name.casefold()] for name in manifest.classes)
