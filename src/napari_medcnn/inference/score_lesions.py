"""A classifier as the second stage: a score for each lesion, and an operating point on it.

A model that segments proposes lesions; one that classifies patches says for each how likely it is
one (``classify(unit="lesion")``). Who keeps those from a score on has fewer false positives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from napari_medcnn.core.classification import Classification
from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.lesion import LesionTable
from napari_medcnn.core.scored import passing


def lesion_scores(
    table: LesionTable, classification: Classification, class_name: str
) -> dict[int, float]:
    """The probability of one class for each lesion of a table, by its id.

    Raises
    ------
    InputMismatch
        When the classification is none of this table's lesions, or knows no such class.
    """
    if classification.unit != "lesion" or classification.volume_id != table.volume_id:
        raise InputMismatch("what was classified are not the lesions of this image")
    if class_name not in classification.classes:
        raise InputMismatch(
            f"the model knows no class {class_name!r}",
            hint=f"its classes: {', '.join(classification.classes)}",
        )
    values = classification.of_class(class_name)
    scores = {item.number: float(p) for item, p in zip(classification.items, values, strict=True)}
    missing = sorted({lesion.id for lesion in table.lesions} - scores.keys())
    if missing:
        raise InputMismatch(
            f"lesion {', '.join(map(str, missing))} was not classified",
            hint="classify the lesions again after an edit",
        )
    return {lesion.id: scores[lesion.id] for lesion in table.lesions}


def at_operating_point(
    table: LesionTable, scores: Mapping[int, float], threshold: float
) -> LesionTable:
    """The lesions whose score is at least `threshold`, under the ids that they had.

    Parameters
    ----------
    table : LesionTable
        Stays as it is.
    scores : mapping
        By the lesion's id, e.g. of :func:`lesion_scores`.
    threshold : float
        The operating point, 0..1.

    Raises
    ------
    KeyError
        When a lesion has no score.
    """
    stays = passing({lesion.id: scores[lesion.id] for lesion in table.lesions}, threshold)
    kept = tuple(lesion for lesion in table.lesions if lesion.id in stays)
    stay = np.zeros(int(table.id_map.max(initial=0)) + 1, dtype=np.uint32)
    for lesion in kept:
        stay[lesion.id] = lesion.id
    return replace(table, lesions=kept, id_map=stay[table.id_map])
