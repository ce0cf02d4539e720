"""Where a segmentation is right and wrong: label maps of hits, false alarms and misses."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from napari_medcnn.core.errors import GeometryError
from napari_medcnn.evaluation.lesion_wise import MIN_IOU, pair_lesions

Mask: TypeAlias = npt.NDArray[Any]
ErrorMap: TypeAlias = npt.NDArray[np.uint8]

TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE = 1, 2, 3

NAMES = {
    TRUE_POSITIVE: "true positive",
    FALSE_POSITIVE: "false positive",
    FALSE_NEGATIVE: "false negative",
}
"""What each value of an error map means; 0 is neither predicted nor true."""


def voxel_errors(prediction: Mask, truth: Mask) -> ErrorMap:
    """Each voxel as hit, false alarm or miss.

    Parameters
    ----------
    prediction, truth : numpy.ndarray
        ``(z, y, x)`` on one grid; other than 0 is inside.

    Returns
    -------
    numpy.ndarray
        ``(z, y, x)`` uint8 of :data:`NAMES`.

    Raises
    ------
    GeometryError
        When the arrays differ in shape.
    """
    if prediction.shape != truth.shape:
        raise GeometryError(
            f"a prediction of {prediction.shape} voxels, a truth of {truth.shape}: two grids"
        )
    found, true = prediction != 0, truth != 0
    errors = np.zeros(truth.shape, np.uint8)
    errors[found & true] = TRUE_POSITIVE
    errors[found & ~true] = FALSE_POSITIVE
    errors[true & ~found] = FALSE_NEGATIVE
    return errors


def lesion_errors(
    prediction: Mask,
    truth: Mask,
    voxel_volume_mm3: float,
    *,
    min_iou: float = MIN_IOU,
    min_volume_mm3: float = 0.0,
) -> ErrorMap:
    """Each lesion as a whole: found, false alarm or missed, by the rule of the lesion-wise figures.

    A predicted lesion with a partner is a hit, one without a false alarm, and a true lesion without
    a partner is missed. Where a missed lesion and a false alarm overlap too little to be partners,
    their common voxels show the prediction.

    Parameters
    ----------
    prediction, truth, voxel_volume_mm3, min_iou, min_volume_mm3
        See :func:`~napari_medcnn.evaluation.lesion_wise.match_lesions`.

    Returns
    -------
    numpy.ndarray
        ``(z, y, x)`` uint8 of :data:`NAMES`.

    Raises
    ------
    GeometryError
        When the arrays differ in shape.
    InputMismatch
        When one of them falls into more components than anybody calls lesions.
    """
    pairs = pair_lesions(
        prediction, truth, voxel_volume_mm3, min_iou=min_iou, min_volume_mm3=min_volume_mm3
    )
    hits = np.isin(pairs.found, [found for found, _ in pairs.partners])
    missed = (pairs.true > 0) & ~np.isin(pairs.true, [true for _, true in pairs.partners])
    errors = np.zeros(truth.shape, np.uint8)
    errors[missed] = FALSE_NEGATIVE
    errors[pairs.found > 0] = FALSE_POSITIVE
    errors[hits & (pairs.found > 0)] = TRUE_POSITIVE
    return errors
