"""What classifiers say of the lesions of a viewer's results, and the operating point on it."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, replace

from qtpy.QtCore import QObject, Signal

from napari_medcnn.app.result import Result
from napari_medcnn.core.classification import Classification
from napari_medcnn.gui.viewer_state import ViewerState
from napari_medcnn.inference.score_lesions import passing

USUAL_THRESHOLD = 0.5

_states: weakref.WeakKeyDictionary[ViewerState, LesionScores] = weakref.WeakKeyDictionary()


def scores_of(state: ViewerState) -> LesionScores:
    """The scores of a viewer's lesions, made when they are first asked for."""
    if state not in _states:
        _states[state] = LesionScores(state)
    return _states[state]


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


class LesionScores(QObject):
    """Owns the latest classification of each result's lesions; it goes with the result.

    Scores are not part of a session file: they can be computed again, and are written to files of
    their own.

    Attributes
    ----------
    changed : Signal
        The id of a result whose scores, class or operating point changed.
    """

    changed = Signal(str)

    def __init__(self, state: ViewerState) -> None:
        super().__init__(state)
        self._scored: dict[str, Scored] = {}
        state.session.result_removed.connect(self._on_result_removed)

    def of(self, result_id: str) -> Scored | None:
        """The scores of a result; None where it was not classified."""
        return self._scored.get(result_id)

    def add(self, result: Result, classification: Classification, revision: int) -> Scored:
        """Own a classification of a result's lesions; class and operating point stay if they can.

        A class that is called like one of the result's labels is looked at first, else the last.
        """
        before = self._scored.get(result.id)
        classes = classification.classes
        labels = {label.name.casefold() for label in result.segmentation.labels}
        wanted = {before.class_name} if before is not None else set()
        wanted |= {name for name in classes if name.casefold() in labels}
        name = next((name for name in classes if name in wanted), classes[-1])
        scored = Scored(classification, name, revision)
        if before is not None:
            scored = replace(scored, threshold=before.threshold, hide_below=before.hide_below)
        self._scored[result.id] = scored
        self.changed.emit(result.id)
        return scored

    def change(self, result_id: str, scored: Scored) -> None:
        """Look at another class, or move the operating point."""
        self._scored[result_id] = scored
        self.changed.emit(result_id)

    def _on_result_removed(self, result_id: str) -> None:
        self._scored.pop(result_id, None)
