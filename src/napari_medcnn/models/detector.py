"""How the outputs of a detection network become boxes: the detector's part of a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

BoxCoordinates = Literal["centres", "edges"]
"""What the number 0 means along an axis of a box: the first voxel's centre, or its outer face."""


@dataclass(frozen=True)
class Detector:
    """The settings of MONAI's ``RetinaNetDetector``, as a bundle states them.

    Parameters
    ----------
    anchors : dict
        The anchor generator's class (``_target_``) and arguments, sizes in voxels of the network's
        grid along ``(x, y, z)``.
    score_threshold : float
        Boxes with less are dropped.
    candidates_per_level : int
        How many boxes of each level of the feature pyramid are looked at, the highest scores first.
    nms_overlap : float
        Of two boxes of a class that overlap by more (intersection over union), the better one
        stays.
    most_boxes : int
        Of an image.
    apply_sigmoid : bool
        Whether the network's outputs are logits rather than scores.
    coder_weights : tuple of float
        By which the network's six box regressions are divided.
    size_divisible : tuple of int
        Sizes ``(x, y, z)`` of the network's input are filled up to multiples of it.
    always_windows : bool
        Slide the window over images that are smaller than it, too.
    box_coordinates : {"centres", "edges"}
        What 0 means along an axis of a box.
    class_key, box_key : str
        Names of the network's outputs.
    """

    anchors: dict[str, Any]
    score_threshold: float = 0.05
    candidates_per_level: int = 1000
    nms_overlap: float = 0.5
    most_boxes: int = 300
    apply_sigmoid: bool = True
    coder_weights: tuple[float, ...] = (1.0,) * 6
    size_divisible: tuple[int, int, int] = (1, 1, 1)
    always_windows: bool = False
    box_coordinates: BoxCoordinates = "centres"
    class_key: str = "classification"
    box_key: str = "box_regression"
