"""What a classifier says of lesions that another model found: scores, and the operating point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from napari_medcnn.core.classification import Classification

USUAL_THRESHOLD = 0.5

EDITED = "Lesions were edited since they were classified: classify them again"
NOT_CALIBRATED = "The probabilities are not calibrated"


def passing(scores: Mapping[int, float], threshold: float) -> frozenset[int]:
    """The ids whose score is at least `threshold`, the operating point 0..1."""
    return frozenset(number for number, score in scores.items() if score >= threshold)


@dataclass(frozen=True, eq=False)
class Scored:
    """A classification of a result's lesions.

    Parameters
    ----------
    classification : Classification
        Of the unit ``"lesion"``.
    class_name : str
        The class whose probability is the score.
    revision : int
        That of the result when it was classified.
    threshold : float
        The operating point, 0..1.
    hide_below : bool
        Whether lesions below it are hidden in the table; nothing is deleted.
    """

    classification: Classification
    class_name: str
    revision: int
    threshold: float = USUAL_THRESHOLD
    hide_below: bool = False

    @property
    def scores(self) -> dict[int, float]:
        """By the lesion's id."""
        values = self.classification.of_class(self.class_name)
        items = self.classification.items
        return {item.number: float(p) for item, p in zip(items, values, strict=True)}

    @property
    def passed(self) -> frozenset[int]:
        """Ids of the lesions at the operating point or above."""
        return passing(self.scores, self.threshold)

    def doubt(self, revision: int) -> str:
        """What to know of all scores of a result that is at `revision` now; empty for nothing."""
        if revision != self.revision:
            return EDITED
        return "" if self.classification.calibrated else NOT_CALIBRATED
