"""What is wrong with one training case, found by reading its files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from napari_medcnn.core.errors import GeometryError, InputMismatch, MedcnnError
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.io.label_layers import numbered_label
from napari_medcnn.io.labels import read_segmentation
from napari_medcnn.training.look_alikes import Appearance, appearance_of
from napari_medcnn.training.manifest import Manifest, TrainCase
from napari_medcnn.training.prepared_case import case_volumes
from napari_medcnn.training.split_checks import listed

Severity: TypeAlias = Literal["error", "warning"]


@dataclass(frozen=True)
class Problem:
    """Something that training should not meet.

    Parameters
    ----------
    case : str
        The case's id; ``""`` where it is the data set's or the split's.
    code : str
        Stable, for programs: ``"missing-label"``.
    severity : {"error", "warning"}
        An error has to be mended before training.
    text : str
        One sentence for people.
    """

    case: str
    code: str
    severity: Severity
    text: str


@dataclass(frozen=True, eq=False)
class Examined:
    """What reading a case told.

    Parameters
    ----------
    case : TrainCase
        The case.
    problems : tuple of Problem
        All that is wrong with it.
    classes : frozenset of str
        Which classes it teaches.
    appearance : Appearance, optional
        None where its images cannot be read.
    is_2d : bool, optional
        Whether it is a picture or one slice; None where its images cannot be read.
    """

    case: TrainCase
    problems: tuple[Problem, ...]
    classes: frozenset[str] = frozenset()
    appearance: Appearance | None = None
    is_2d: bool | None = None


def examine(manifest: Manifest, case: TrainCase, *, truth_needed: bool) -> Examined:
    """Read a case's images and truth, and list everything that is wrong with them.

    Parameters
    ----------
    manifest : Manifest
        The data set.
    case : TrainCase
        One of its cases.
    truth_needed : bool
        Whether it is an error, and not only worth a warning, that the case has no truth.
    """
    problems: list[Problem] = []
    if not manifest.has_truth(case):
        what = "label" if manifest.task == "segmentation" else "class"
        severity: Severity = "error" if truth_needed else "warning"
        problems.append(Problem(case.id, f"missing-{what}", severity, f"It has no {what}."))
    try:
        volumes = case_volumes(case, manifest)
    except InputMismatch as error:
        problems.append(_error(case, "channel-count", error))
        return Examined(case, tuple(problems))
    except MedcnnError as error:
        code = "unreadable-image" if _all_exist(case) else "missing-image"
        problems.append(_error(case, code, error))
        return Examined(case, tuple(problems), _named_class(manifest, case))
    problems += _of_images(manifest, case, volumes)
    if manifest.task == "segmentation":
        more, classes = _of_label(manifest, case, volumes[0])
        problems += more
    else:
        classes = _named_class(manifest, case)
    return Examined(
        case, tuple(problems), classes, appearance_of(volumes), all(v.is_2d for v in volumes)
    )


def _of_images(
    manifest: Manifest, case: TrainCase, volumes: tuple[Volume, ...]
) -> Iterator[Problem]:
    for name, volume in zip(manifest.channels, volumes, strict=True):
        array = volume.array
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            count = int(np.count_nonzero(~np.isfinite(array)))
            yield Problem(
                case.id, "non-finite", "error", f"{count} voxels of {name} are not finite."
            )
        elif array.min() == array.max():
            text = f"Every voxel of {name} has the value {array.flat[0]:g}."
            yield Problem(case.id, "constant-image", "warning", text)
        if not volume.geometry.is_close(volumes[0].geometry):
            text = (
                f"{name} is on another grid than {manifest.channels[0]} "
                f"({_difference(volume, volumes[0])}); it will be resampled."
            )
            yield Problem(case.id, "channel-grid", "warning", text)
        for finding in volume.blocking_findings:
            yield Problem(case.id, finding.code, "warning", f"{name}: {finding.text}")


def _of_label(
    manifest: Manifest, case: TrainCase, volume: Volume
) -> tuple[list[Problem], frozenset[str]]:
    """What is wrong with a label map, and which classes it holds."""
    if case.label is None:
        return [], frozenset()
    if not case.label.exists():
        text = f"{case.label}: does not exist."
        return [Problem(case.id, "missing-label", "error", text)], frozenset()
    try:
        label = read_segmentation(case.label, volume)
    except GeometryError as error:
        return [_error(case, "label-geometry", error)], frozenset()
    except MedcnnError as error:
        return [_error(case, "unreadable-label", error)], frozenset()
    name_of = dict(zip(manifest.label_values, manifest.classes, strict=True))
    found = [int(value) for value in np.unique(label.array) if value]
    problems = list(_misnamed(case, label, name_of))
    unknown = [value for value in found if value not in name_of]
    if unknown:
        known = ", ".join(f"{value} {name}" for value, name in name_of.items())
        text = f"The label holds value {listed(map(str, unknown))}; the data set knows {known}."
        problems.append(Problem(case.id, "unknown-value", "error", text))
    if not found:
        problems.append(
            Problem(case.id, "empty-foreground", "warning", "Nothing is marked in its label.")
        )
    return problems, frozenset(name_of[value] for value in found if value in name_of)


def _misnamed(case: TrainCase, label: Segmentation, name_of: dict[int, str]) -> Iterator[Problem]:
    """Values that the label's own file calls otherwise than the data set does."""
    for own in label.labels:
        wanted = name_of.get(own.value)
        is_named = own.name != numbered_label(own.value).name
        if wanted is not None and is_named and own.name.casefold() != wanted.casefold():
            text = f"The label calls value {own.value} {own.name!r}, the data set {wanted!r}."
            yield Problem(case.id, "class-name", "error", text)


def _named_class(manifest: Manifest, case: TrainCase) -> frozenset[str]:
    is_named = manifest.task == "classification" and case.target is not None
    return frozenset({str(case.target)}) if is_named else frozenset()


def _all_exist(case: TrainCase) -> bool:
    return all(path.exists() for path in case.images)


def _difference(volume: Volume, other: Volume) -> str:
    if volume.geometry.shape != other.geometry.shape:
        return f"{volume.geometry.shape} voxels (z, y, x) against {other.geometry.shape}"
    return f"voxels lie up to {volume.geometry.max_distance_mm(other.geometry):.3f} mm apart"


def _error(case: TrainCase, code: str, error: MedcnnError) -> Problem:
    where = "" if error.source in (None, case.id) else f"{error.source}: "
    return Problem(case.id, code, "error", f"{where}{error.what}.")
