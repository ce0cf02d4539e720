"""What a model or a person marked in a volume."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import GeometryError
from napari_medcnn.core.geometry import Geometry

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Label:
    """A named value of a label map; `colour` is RGB in 0..1."""

    value: int
    name: str
    colour: Colour = (1.0, 0.0, 0.0)


@dataclass(frozen=True)
class ModelReference:
    """Which model made a result, exactly enough to make it again."""

    id: str
    version: str
    weights_sha256: str
    title: str = ""


@dataclass(frozen=True, eq=False)
class Segmentation:
    """A label map on the grid of one volume.

    Parameters
    ----------
    array : numpy.ndarray
        ``(z, y, x)``, unsigned integers; 0 is background.
    geometry : Geometry
        Equal to that of the volume.
    labels : tuple of Label
        Every value that may occur, without the background.
    volume_id : str
        The volume that it belongs to.
    probability : numpy.ndarray, optional
        ``(z, y, x)`` float16: the model's probability of the label at the voxel, and where the
        voxel is background, of the likeliest foreground label.
    uncertainty : dict
        Maps ``(z, y, x)`` float16 in 0..1 by their names, 0 where sure: ``"entropy"`` of the
        classes' probabilities, ``"variance"`` of the answers of several networks or mirrored
        windows. Empty unless asked for.
    model : ModelReference, optional
        None where people drew it.
    parameters : dict
        What the model was run with, JSON-able.
    """

    array: npt.NDArray[Any]
    geometry: Geometry
    labels: tuple[Label, ...]
    volume_id: str
    probability: npt.NDArray[np.float16] | None = None
    uncertainty: dict[str, npt.NDArray[np.float16]] = field(default_factory=dict)
    model: ModelReference | None = None
    parameters: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.array.shape != self.geometry.shape:
            raise GeometryError(
                f"a label map of {self.array.shape} does not fit a grid of {self.geometry.shape}"
            )
        if self.array.dtype.kind != "u":
            raise GeometryError(f"a label map holds unsigned integers, not {self.array.dtype}")
        maps = {"probability": self.probability, **self.uncertainty}
        for name, values in maps.items():
            if values is not None and values.shape != self.array.shape:
                raise GeometryError(f"the {name} map and the label map differ in shape")

    @property
    def advised_min_volume_mm3(self) -> float:
        """The volume below which the model that made it advises against calling it a lesion.

        0 where no model made it or the model advises nothing.
        """
        return float(self.parameters.get("advised_min_volume_mm3", 0.0))

    def label_of(self, value: int) -> Label:
        """The label of a value; one without a name is called after its value."""
        return next((lb for lb in self.labels if lb.value == value), Label(value, f"label {value}"))
