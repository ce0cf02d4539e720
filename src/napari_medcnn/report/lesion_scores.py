"""Scores of a second stage beside the lesions' figures, as columns and as JSON."""

from __future__ import annotations

from typing import Any

from napari_medcnn.core.scored import Scored

SCORE_COLUMNS = (
    "score", "score_class", "at_operating_point", "operating_point",
    "classifier", "classifier_version", "classifier_sha256", "score_note",
)  # fmt: skip
"""Columns that follow those of the lesions, where a classifier scored them."""


def score_cells(lesion_id: int, scored: Scored, note: str) -> dict[str, Any]:
    """The cells of :data:`SCORE_COLUMNS`; score and mark are None of a lesion without a score.

    Parameters
    ----------
    note : str
        What to know of all scores, see :meth:`~napari_medcnn.core.scored.Scored.doubt`.
    """
    scores, model = scored.scores, scored.classification.model
    has_one = lesion_id in scores
    values = (
        scores.get(lesion_id),
        scored.class_name,
        scores[lesion_id] >= scored.threshold if has_one else None,
        scored.threshold,
        model.id,
        model.version,
        model.weights_sha256,
        note,
    )
    return dict(zip(SCORE_COLUMNS, values, strict=True))


def score_record(scored: Scored, note: str) -> dict[str, Any]:
    """What all scores of a table have in common, JSON-able."""
    model, found = scored.classification.model, scored.classification
    return {
        "classifier": {
            "id": model.id,
            "version": model.version,
            "weights_sha256": model.weights_sha256,
        },
        "class": scored.class_name,
        "operating_point": scored.threshold,
        "calibrated": found.calibrated,
        "note": note,
    }
