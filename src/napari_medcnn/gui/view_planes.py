"""Which way up a plane is shown, and what lies at the edges of a view; plain numpy.

Axes are numbered as in an array: 0 = z (Superior), 1 = y (Posterior), 2 = x (Left). Directions are
unit vectors in LPS ``(x, y, z)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.geometry import FloatArray

Orientation: TypeAlias = tuple[str, str, str]
"""Where displayed axes grow to on the screen: depth, vertical, horizontal, in napari's words."""

COMPOUND_LETTER_COMPONENT = 0.38
"""A turned 3D view names a second direction from this share of it on: the sine of 22.5 degrees."""

_AXES = (0, 1, 2)


class Plane(StrEnum):
    """The three planes of the body."""

    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"

    @property
    def order(self) -> tuple[int, int, int]:
        """Axes as (sliced, vertical, horizontal) of the view that is the right way up."""
        return _ORDERS[self]

    @property
    def sliced(self) -> int:
        """The axis that is scrolled through."""
        return self.order[0]

    @property
    def rows_grow_down(self) -> bool:
        """Whether the vertical axis grows downwards on the screen."""
        return _VERTICAL[self.order[1], self.order[2]] == "down"


_NEXT = (Plane.SAGITTAL, Plane.AXIAL, Plane.CORONAL)
_ORDERS = {Plane.AXIAL: (0, 1, 2), Plane.CORONAL: (1, 0, 2), Plane.SAGITTAL: (2, 0, 1)}

# The horizontal axis always grows to the right. The first three are the views of the radiological
# convention: axial from the feet with Anterior up, coronal from the front and sagittal from the
# patient's left with Superior up. The others are the same views lying on their side: turned, as
# the user asked for by transposing, but never mirrored.
_VERTICAL = {
    (1, 2): "down",
    (0, 2): "up",
    (0, 1): "up",
    (2, 1): "up",
    (2, 0): "down",
    (1, 0): "down",
}

# Of the axis that is not in the plane; follows from the above and the body's right-handed LPS.
_DEPTH = ("away", "away", "towards")


def orientation_of(vertical: int, horizontal: int) -> Orientation:
    """How the plane of two axes is shown the right way up.

    The same serves in 3D for ``(depth, vertical, horizontal)``: the picture is then seen from the
    same side and not mirrored.
    """
    (depth,) = set(_AXES) - {vertical, horizontal}
    return _DEPTH[depth], _VERTICAL[vertical, horizontal], "right"


def after_roll(before: tuple[int, ...], after: tuple[int, ...]) -> Plane | None:
    """The plane to show when the axes were rolled, None when they were changed in another way.

    Rolling walks axial, sagittal, coronal. Taken literally it would show planes on their side.
    """
    if len(before) != 3 or tuple(np.roll(before, 1)) != after:
        return None
    return _NEXT[before[0]]


@dataclass(frozen=True)
class Edges:
    """Directions to which the four edges of a view lie, as unit vectors in LPS."""

    right: FloatArray
    up: FloatArray

    def named(self) -> dict[str, FloatArray]:
        """The directions by edge."""
        return {"left": -self.right, "right": self.right, "top": self.up, "bottom": -self.up}


def plane_edges(
    vertical: int, horizontal: int, orientation: Orientation, axes: FloatArray
) -> Edges:
    """Edges of a 2D view.

    Parameters
    ----------
    vertical, horizontal : int
        The displayed axes.
    orientation : tuple of str
        As it is, right or wrong.
    axes : numpy.ndarray
        3x3, ``Geometry.direction``: column `a` is axis `a` in LPS.
    """
    up = axes[:, vertical] * (1 if orientation[1] == "up" else -1)
    right = axes[:, horizontal] * (1 if orientation[2] == "right" else -1)
    return Edges(right, up)


def edges_in_3d(
    displayed: tuple[int, int, int],
    orientation: Orientation,
    view: npt.ArrayLike,
    up: npt.ArrayLike,
    axes: FloatArray,
) -> Edges:
    """Edges of a 3D view.

    Parameters
    ----------
    displayed : tuple of int
        Axes as (depth, vertical, horizontal).
    orientation : tuple of str
        As it is; a mirroring one gives the edges of the mirrored picture.
    view, up : array-like
        The camera's directions, along `displayed`.
    axes : numpy.ndarray
        3x3, ``Geometry.direction``.
    """
    # napari's cross product is to the right in its default orientation; each flip turns it over.
    default = ("towards", "down", "right")
    flips = sum(now != was for now, was in zip(orientation, default, strict=True))
    right = np.cross(np.asarray(view, float), np.asarray(up, float)) * (-1) ** flips
    to_lps = axes[:, list(displayed)]
    return Edges(to_lps @ right, to_lps @ np.asarray(up, float))


def closest_direction(vector: FloatArray) -> tuple[str, float]:
    """The letter of R, L, A, P, S, I closest to a direction in LPS, and the degrees to it."""
    row = int(np.abs(vector).argmax())
    cosine = min(1.0, float(abs(vector[row]) / np.linalg.norm(vector)))
    return _letter(row, vector[row]), float(np.degrees(np.arccos(cosine)))


def compound_direction(vector: FloatArray) -> str:
    """Letters of an LPS direction, largest share first, e.g. ``"LA"`` for left and forward."""
    unit = vector / np.linalg.norm(vector)
    rows = [row for row in np.argsort(-np.abs(unit)) if abs(unit[row]) >= COMPOUND_LETTER_COMPONENT]
    return "".join(_letter(int(row), unit[row]) for row in rows)


def obliqueness(axes: FloatArray) -> float:
    """Largest angle in degrees between an axis of the grid and the closest one of the patient."""
    return max(closest_direction(axes[:, axis])[1] for axis in _AXES)


def _letter(row: int, value: float) -> str:
    return ("RL", "AP", "IS")[row][int(value > 0)]
