"""Connected components of a label map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import cc3d
import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.geometry import Index

MAX_COMPONENTS = 20_000
"""No reader could look at so many lesions. An image taken for a label map falls into some million
parts, which would be measured for hours."""

Box: TypeAlias = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Component:
    """One connected component, cut out.

    Parameters
    ----------
    number : int
        Its value in the array of components.
    label : int
        The label that it has in the label map.
    voxel_count : int
        Number of its voxels.
    box : tuple of slice
        Its bounding box ``(z, y, x)`` in the array.
    mask : numpy.ndarray
        Its voxels in that box.
    """

    number: int
    label: int
    voxel_count: int
    box: Box
    mask: npt.NDArray[np.bool_]

    @property
    def start(self) -> Index:
        """First index of the bounding box."""
        z, y, x = (int(part.start) for part in self.box)
        return z, y, x

    @property
    def stop(self) -> Index:
        """Index behind the last one of the bounding box."""
        z, y, x = (int(part.stop) for part in self.box)
        return z, y, x


def cut_out_components(
    labels: npt.NDArray[Any], min_voxel_count: float = 0
) -> tuple[list[Component], int]:
    """Every connected component (26 neighbours) of a label map cut out, the largest first.

    Parameters
    ----------
    labels : numpy.ndarray
        ``(z, y, x)`` label map, unsigned integers or booleans, 0 is background. A component never
        joins two labels, even where they touch.
    min_voxel_count : float
        Components of fewer voxels are counted but not cut out.

    Returns
    -------
    list of Component, int
        The components, and how many smaller ones were left out.

    Raises
    ------
    InputMismatch
        When more than :data:`MAX_COMPONENTS` are to be cut out.
    """
    whole = foreground_box(labels)
    if whole is None:
        return [], 0
    # Lesions fill a small part of a scan: labelling their common box alone saves most of the time.
    inside = np.ascontiguousarray(labels[whole])
    numbered = cc3d.connected_components(inside, connectivity=26, out_dtype=np.uint32)
    statistics = cc3d.statistics(numbered, no_slice_conversion=True)
    counts = statistics["voxel_counts"]
    wanted = np.flatnonzero(counts >= min_voxel_count)
    wanted = wanted[wanted > 0]
    if len(wanted) > MAX_COMPONENTS:
        raise InputMismatch(
            f"the label map has {len(wanted)} separate parts; more than {MAX_COMPONENTS} are not "
            "measured one by one",
            hint="is it an image rather than a label map? If not, set a minimum volume",
        )
    found = []
    for number in wanted.tolist():
        local = _box(statistics["bounding_boxes"][number])
        mask = numbered[local] == number
        label = int(inside[local][mask][0])
        found.append(Component(number, label, int(counts[number]), _shifted(local, whole), mask))
    left_out = len(counts) - 1 - len(wanted)
    return sorted(found, key=lambda c: (-c.voxel_count, c.number)), left_out


def foreground_box(array: npt.NDArray[Any]) -> Box | None:
    """The smallest box ``(z, y, x)`` that holds every voxel other than 0; None without any."""
    # The largest value is found several times faster than whether any differs from 0.
    planes = array.max(axis=(1, 2)) > 0
    if not planes.any():
        return None
    z = _span(planes)
    y = _span(array[z].max(axis=(0, 2)) > 0)
    x = _span(array[z, y].max(axis=(0, 1)) > 0)
    return z, y, x


def _span(present: npt.NDArray[np.bool_]) -> slice:
    where = np.flatnonzero(present)
    return slice(int(where[0]), int(where[-1]) + 1)


def _box(bounds: npt.NDArray[Any]) -> Box:
    """Half-open slices of cc3d's bounds: first and last index of one axis after the other."""
    z, y, x = (slice(int(a), int(b) + 1) for a, b in bounds.reshape(3, 2))
    return z, y, x


def _shifted(local: Box, whole: Box) -> Box:
    z, y, x = (
        slice(int(part.start + outer.start), int(part.stop + outer.start))
        for part, outer in zip(local, whole, strict=True)
    )
    return z, y, x
