"""The classes of label maps that nobody named: by their names in the files, or by their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_medcnn.core.errors import MedcnnError, ReadError
from napari_medcnn.core.events import JobControl
from napari_medcnn.core.segmentation import Label
from napari_medcnn.io.dicom_objects.dataset import object_kind
from napari_medcnn.io.label_layers import numbered_label
from napari_medcnn.io.labels import MAX_LABELS, read_labels_alone
from napari_medcnn.io.single_file import read_image
from napari_medcnn.training.reading_ahead import in_order

BACKGROUND = "background"


@dataclass(frozen=True)
class LabelClasses:
    """Names of classes, and the value in the label files of each."""

    classes: tuple[str, ...]
    values: tuple[int, ...]

    @classmethod
    def of(cls, names: Mapping[int, str]) -> LabelClasses:
        """From value to name; the background and its value 0 are left out.

        Raises
        ------
        ReadError
            When nothing but the background is there.
        """
        kept = {value: name for value, name in sorted(names.items()) if value != 0}
        if not kept:
            raise ReadError("the labels hold nothing but background")
        return cls(tuple(kept.values()), tuple(kept))

    @property
    def stored_values(self) -> tuple[int, ...]:
        """What a manifest keeps: nothing where the values are 1, 2, ..."""
        usual = tuple(range(1, len(self.values) + 1))
        return () if self.values == usual else self.values


def classes_in(labels: Sequence[Path], control: JobControl | None = None) -> LabelClasses:
    """The classes that label files hold; all of them are read.

    Raises
    ------
    ReadError
        When one value has two names, or nothing is marked in any of them.
    Cancelled
        When the job was cancelled.
    """
    names: dict[int, str] = {}
    said_by: dict[int, Path] = {}
    results = in_order(_labels_in, labels, control or JobControl())
    for path, found in zip(labels, results, strict=True):
        for label in found:
            known = names.setdefault(label.value, label.name)
            if known != label.name:
                raise ReadError(
                    f"calls value {label.value} {label.name!r}; {said_by[label.value].name} calls "
                    f"it {known!r}",
                    source=path,
                    hint="say which classes there are, or make the files agree",
                )
            said_by.setdefault(label.value, path)
    return LabelClasses.of(names)


def _labels_in(path: Path) -> tuple[Label, ...]:
    """The labels of a file; none where it cannot be read, which the check before training says."""
    try:
        if path.name.lower().endswith(".seg.nrrd") or object_kind(path) is not None:
            return tuple(label for found, _ in read_labels_alone(path) for label in found.labels)
        array = read_image(path).array
    except MedcnnError:
        return ()
    values = np.unique(array)
    if len(values) > MAX_LABELS or not np.array_equal(values, np.abs(np.rint(values))):
        return ()
    return tuple(numbered_label(int(value)) for value in values if value)
