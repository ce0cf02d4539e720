"""What the user chooses of a registration."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.lesion import Point
from napari_medcnn.core.registration import RegistrationKind

Region: TypeAlias = Literal["auto", "brain", "body", "all"]
Start: TypeAlias = Literal["auto", "header"]


@dataclass(frozen=True)
class RegistrationOptions:
    """How two images of one patient are registered.

    Parameters
    ----------
    kind : RegistrationKind
        RIGID keeps every distance and is right for heads; AFFINE also stretches; BSPLINE bends
        smoothly, for bodies, and may hide growth: look at what it did.
    region : {"auto", "brain", "body", "all"}
        What guides it: the brain of a head scan, the body, or every voxel. "auto" takes the brain
        where one is found in both images, else the body.
    start : {"auto", "header"}
        "auto" tries many positions; "header" trusts the images' own, as in studies of one session.
    finest_mm : float
        Resolution of the last step. A finer one than 2 mm costs much and gains little: a
        position is found to a part of a voxel.
    control_point_mm : float
        Distance of the control points of a B-spline.
    landmarks : tuple of pairs of points
        The same place in the fixed and the moving image, LPS mm; they judge and do not guide.
    seed : int
        Of the sampling: the same seed gives the same result.
    accept_blocking : bool
        The user's yes to findings that forbid measuring.

    Raises
    ------
    InputMismatch
        When a length is out of its range.
    """

    kind: RegistrationKind = RegistrationKind.RIGID
    region: Region = "auto"
    start: Start = "auto"
    finest_mm: float = 2.0
    control_point_mm: float = 40.0
    landmarks: tuple[tuple[Point, Point], ...] = ()
    seed: int = 1
    accept_blocking: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.finest_mm <= 8:
            raise InputMismatch(f"the finest resolution is 1 to 8 mm, not {self.finest_mm:g}")
        if not 10 <= self.control_point_mm <= 200:
            raise InputMismatch(
                f"control points lie 10 to 200 mm apart, not {self.control_point_mm:g}"
            )

    def to_json(self) -> dict[str, Any]:
        """The settings as a JSON-able dict, without the landmarks."""
        settings = asdict(self)
        del settings["landmarks"]
        return {**settings, "kind": self.kind.value, "landmark_count": len(self.landmarks)}
