"""Values of a data set as plain Python numbers and texts, None where the file does not tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from napari_medcnn.io.dicom.quick_header import QuickHeader

    Values = Dataset | QuickHeader
    """Whatever gives values by keyword."""


class Lookup:
    """A value by keyword, from the first of several places that has it: frame, shared, file."""

    def __init__(self, places: Sequence[Values]) -> None:
        self._places = places
        # A classic file has no functional groups to look into.
        self._has_groups = len(places) > 1

    def __call__(self, keyword: str, sequence: str = "") -> Any:
        """The value of `keyword`, also inside the functional group `sequence` of each place."""
        for place in self._places:
            inside = first_item(place, sequence) if sequence and self._has_groups else []
            for dataset in (*inside, place):
                value = dataset.get(keyword)
                if value is not None and value != "":
                    return value
        return None


def first_item(dataset: Values, sequence: str) -> list[Dataset]:
    """The first item of a sequence in a list, which is empty without one."""
    items = dataset.get(sequence)
    return [items[0]] if items else []


def values(value: Any) -> list[Any]:
    """A value of any multiplicity as a list."""
    # Bytes are private values of a type that nothing tells.
    if value is None or isinstance(value, bytes) or (isinstance(value, str) and value == ""):
        return []
    return list(value) if hasattr(value, "__iter__") and not isinstance(value, str) else [value]


def floats(value: Any, count: int) -> tuple[float, ...] | None:
    """Exactly `count` finite numbers, or None."""
    numbers = tuple(float(v) for v in values(value))
    return numbers if len(numbers) == count and np.isfinite(numbers).all() else None


def number(value: Any) -> float | None:
    """The first number of a value; None where there is none."""
    found = values(value)
    return float(found[0]) if found else None


def integer(value: Any) -> int | None:
    """The first number of a value as a whole one."""
    found = number(value)
    return None if found is None else int(found)


def private(dataset: Values, group: int, creator: str, element: int) -> Any:
    """The value of a private element by its creator's name, None where it is absent."""
    for slot in range(0x10, 0x20):
        owner = dataset.get((group, slot))
        if owner is not None and str(owner.value).strip().upper().startswith(creator):
            found = dataset.get((group, slot * 0x100 + element))
            return None if found is None else found.value
    return None
