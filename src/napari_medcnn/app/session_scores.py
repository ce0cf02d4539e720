"""What a session file says of the scores that a classifier gave a result's lesions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from napari_medcnn.core.classification import Classification, Item
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.lesion import Point
from napari_medcnn.core.scored import Scored
from napari_medcnn.core.segmentation import ModelReference


@dataclass(frozen=True)
class ScoresRecord:
    """A classification of lesions and its operating point; the names are those in the JSON.

    Parameters
    ----------
    lesions, centres_lps_mm, probabilities
        One entry a lesion: its id, its centre, and the probability of each of `classes`.

    Raises
    ------
    ValueError
        When the entries do not belong together.
    """

    classes: tuple[str, ...]
    lesions: tuple[int, ...]
    centres_lps_mm: tuple[Point | None, ...]
    probabilities: tuple[tuple[float, ...], ...]
    model: ModelReference
    class_name: str
    revision: int
    threshold: float
    hide_below: bool = False
    axis: int | None = None
    multi_label: bool = False
    calibrated: bool = False
    parameters: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len({len(self.lesions), len(self.centres_lps_mm), len(self.probabilities)}) > 1:
            raise ValueError("not every scored lesion has a centre and probabilities")
        if any(len(row) != len(self.classes) for row in self.probabilities):
            raise ValueError(f"a scored lesion has not {len(self.classes)} probabilities")
        if self.class_name not in self.classes:
            raise ValueError(f"scores of {self.class_name!r}, which is none of the classes")
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"an operating point of {self.threshold}, which is not within 0 to 1")

    @classmethod
    def of(cls, scored: Scored) -> ScoresRecord:
        """The record of scores."""
        found = scored.classification
        return cls(
            classes=found.classes,
            lesions=tuple(item.number for item in found.items),
            centres_lps_mm=tuple(item.centre_lps_mm for item in found.items),
            probabilities=tuple(tuple(row) for row in found.probabilities.tolist()),
            model=found.model,
            class_name=scored.class_name,
            revision=scored.revision,
            threshold=scored.threshold,
            hide_below=scored.hide_below,
            axis=found.axis,
            multi_label=found.multi_label,
            calibrated=found.calibrated,
            parameters=found.parameters,
        )

    def scored(self, volume_id: str, geometry: Geometry) -> Scored:
        """The scores of the record, of lesions in a volume on a grid."""
        shape = (len(self.lesions), len(self.classes))
        found = Classification(
            unit="lesion",
            classes=self.classes,
            items=tuple(map(Item, self.lesions, self.centres_lps_mm)),
            probabilities=np.array(self.probabilities, dtype=np.float32).reshape(shape),
            model=self.model,
            volume_id=volume_id,
            geometry=geometry,
            axis=self.axis,
            multi_label=self.multi_label,
            calibrated=self.calibrated,
            parameters=self.parameters,
        )
        return Scored(found, self.class_name, self.revision, self.threshold, self.hide_below)
