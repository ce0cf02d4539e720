"""What a model takes an image, its slices or its lesions for: classes with probabilities."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.lesion import Point
from napari_medcnn.core.segmentation import ModelReference

Unit: TypeAlias = Literal["volume", "slice", "lesion"]
"""What gets a class: the whole image, each slice along one axis, or each lesion."""

Probabilities: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Item:
    """What was classified, and where it is.

    Parameters
    ----------
    number : int
        Index of the slice, id of the lesion, or 0 for the whole volume.
    centre_lps_mm : Point, optional
        LPS mm ``(x, y, z)`` of its middle; None where the size of voxels is unknown.
    """

    number: int
    centre_lps_mm: Point | None


@dataclass(frozen=True)
class Guess:
    """A class with its probability, 0..1."""

    name: str
    probability: float


@dataclass(frozen=True, eq=False)
class Classification:
    """Probabilities of classes for each item of one image.

    Parameters
    ----------
    unit : {"volume", "slice", "lesion"}
        What the items are.
    classes : tuple of str
        In the order of the network's outputs.
    items : tuple of Item
        Slices in the order of their indices, lesions in that of their ids.
    probabilities : numpy.ndarray
        ``(item, class)`` float32. Each row adds up to 1, unless `multi_label`.
    model : ModelReference
        Which one.
    volume_id : str
        The volume that the items are parts of.
    geometry : Geometry
        Equal to that of the volume.
    axis : int, optional
        Axis of ``(z, y, x)`` along which slices were taken; None for other units, unless a network
        of pictures saw lesions in slices along it.
    multi_label : bool
        Whether several classes may hold at once: each probability stands for itself.
    calibrated : bool
        Whether the probabilities were held against cases, see the model's card.
    parameters : dict
        What the model was run with, JSON-able.

    Raises
    ------
    ValueError
        When the probabilities are not one a class for each item.
    """

    unit: Unit
    classes: tuple[str, ...]
    items: tuple[Item, ...]
    probabilities: Probabilities
    model: ModelReference
    volume_id: str
    geometry: Geometry
    axis: int | None = None
    multi_label: bool = False
    calibrated: bool = False
    parameters: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        wanted = (len(self.items), len(self.classes))
        if self.probabilities.shape != wanted:
            raise ValueError(f"probabilities of the shape {self.probabilities.shape}, not {wanted}")

    def top(self, k: int = 1) -> tuple[tuple[Guess, ...], ...]:
        """For each item its `k` likeliest classes, the likeliest first; all where there are fewer.

        Classes of equal probability keep the order of the network's outputs.
        """
        order = np.argsort(-self.probabilities, axis=1, kind="stable")[:, : max(k, 0)]
        rows = zip(order, self.probabilities, strict=True)
        return tuple(
            tuple(Guess(self.classes[c], float(row[c])) for c in ranked) for ranked, row in rows
        )

    def of_class(self, name: str) -> Probabilities:
        """The probability of one class for each item ``(item,)``: of slices, a curve over them.

        Raises
        ------
        KeyError
            When the model knows no such class.
        """
        if name not in self.classes:
            raise KeyError(name)
        return self.probabilities[:, self.classes.index(name)]

    @property
    def numbers(self) -> npt.NDArray[np.int64]:
        """The number of each item ``(item,)``, beside :meth:`of_class` the other axis of a plot."""
        return np.array([item.number for item in self.items], dtype=np.int64)
