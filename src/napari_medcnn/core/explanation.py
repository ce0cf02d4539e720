"""Why a network answered as it did: a map on the image, and whether the map can be believed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import GeometryError
from napari_medcnn.core.geometry import Geometry, Index
from napari_medcnn.core.segmentation import ModelReference

Method = Literal["gradcam", "gradcam++", "occlusion", "integrated_gradients"]

METHODS: tuple[Method, ...] = ("gradcam", "gradcam++", "occlusion", "integrated_gradients")
"""In the order in which they are offered."""

MEANING: dict[Method, str] = {
    "gradcam": "importance of the layer's features for the score, without a unit, never negative",
    "gradcam++": "importance of the layer's features for the score, without a unit, never negative",
    "occlusion": "by how much the score falls when what lies here is hidden; negative: it rises",
    "integrated_gradients": "what a voxel adds to the score, compared with an image of one value",
}
"""What the values of a map are."""


@dataclass(frozen=True)
class Agreement:
    """How alike two maps are.

    Parameters
    ----------
    spearman : float, optional
        Rank correlation of all voxels, -1..1; None where one map has a single value.
    ssim : float, optional
        Structural similarity of both maps, each scaled to 0..1; None where it does not exist.
    undefined : str
        Why a figure is None.
    """

    spearman: float | None
    ssim: float | None
    undefined: str = ""


@dataclass(frozen=True)
class Randomised:
    """The map of a network with fresh weights beside the true one.

    `layers` says which weights were fresh, `seed` from where.
    """

    layers: str
    seed: int
    agreement: Agreement


@dataclass(frozen=True)
class SanityCheck:
    """Whether a map hangs on what the network has learnt (Adebayo et al. 2018, arXiv:1810.03292).

    Parameters
    ----------
    trials : tuple of Randomised
        The maps of networks with fresh weights.
    depends_on_weights : bool, optional
        False where fresh weights give nearly the same map, so that it shows the image and not the
        network; None where no trial could be compared.
    reason : str
        The verdict in words.
    """

    trials: tuple[Randomised, ...]
    depends_on_weights: bool | None
    reason: str

    def to_json(self) -> dict[str, Any]:
        """The check as a JSON-able dict."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Explanation:
    """A map of what in an image spoke for a class.

    Parameters
    ----------
    array : numpy.ndarray
        ``(z, y, x)`` float32, as :data:`MEANING` says; 0 outside of `window`.
    geometry : Geometry
        Equal to that of the volume.
    volume_id : str
        The volume that it belongs to.
    method : Method
        How it was made.
    label : str
        The class that is explained.
    score : float
        The explained number: the class's logit, of a segmentation its mean over the region.
    region : str
        What the score is of, in words.
    model : ModelReference
        Whose answer it is.
    layer : str, optional
        The network's layer that was looked into; None for methods that look at the input alone.
    window : tuple of (start, stop)
        The box ``(z, y, x)`` of the volume's voxels that the network saw.
    check : SanityCheck, optional
        None where nobody asked for it.
    parameters : dict
        What it was made with, JSON-able.

    Raises
    ------
    GeometryError
        When the array does not have the grid's shape.
    """

    array: npt.NDArray[np.float32]
    geometry: Geometry
    volume_id: str
    method: Method
    label: str
    score: float
    region: str
    model: ModelReference
    window: tuple[Index, Index]
    layer: str | None = None
    check: SanityCheck | None = None
    parameters: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.array.shape != self.geometry.shape:
            raise GeometryError(
                f"a map of {self.array.shape} does not fit a grid of {self.geometry.shape}"
            )

    def to_json(self) -> dict[str, Any]:
        """All but the voxels, JSON-able."""
        return {
            "method": self.method,
            "meaning": MEANING[self.method],
            "class": self.label,
            "score": self.score,
            "score_of": self.region,
            "layer": self.layer,
            "window_zyx": [list(corner) for corner in self.window],
            "sanity_check": None if self.check is None else self.check.to_json(),
            **self.parameters,
        }
