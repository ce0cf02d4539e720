"""How well a predicted lesion mask fits the truth: by voxel and by lesion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cc3d
import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

MIN_LESION_MM3 = 10.0
MIN_IOU = 0.1

Mask = npt.NDArray[Any]


@dataclass(frozen=True)
class Score:
    """Figures of one prediction.

    Attributes
    ----------
    dice : float
        Over all voxels.
    recall, precision : float
        Share of the true, and of the predicted, lesions that have a partner. Lesions are
        26-connected components of at least 10 mm3; partners are one to one, by the assignment of
        the largest sum of IoU, and share at least 0.1 of their union. NaN where there is none.
    touched : float
        Share of the true lesions of which any voxel was predicted.
    truths, predictions, matched : int
        Number of lesions.
    merged : int
        Predicted lesions that touch more than one true lesion.
    truth_ml, predicted_ml : float
        Volume of all voxels.
    """

    dice: float
    recall: float
    precision: float
    touched: float
    truths: int
    predictions: int
    matched: int
    merged: int
    truth_ml: float
    predicted_ml: float


def score(prediction: Mask, truth: Mask, voxel_mm3: float) -> Score:
    """Compare two masks on one grid."""
    prediction, truth = prediction != 0, truth != 0
    volume = int(prediction.sum()) + int(truth.sum())
    found, true = (components(mask, voxel_mm3) for mask in (prediction, truth))
    overlap = overlaps(found, true)
    matched = match(overlap, np.bincount(found.ravel())[1:], np.bincount(true.ravel())[1:])
    predictions, truths = overlap.shape
    return Score(
        dice=2 * int((prediction & truth).sum()) / volume if volume else float("nan"),
        recall=matched / truths if truths else float("nan"),
        precision=matched / predictions if predictions else float("nan"),
        touched=_share_touched(true, prediction, truths),
        truths=truths,
        predictions=predictions,
        matched=matched,
        merged=int(((overlap > 0).sum(1) > 1).sum()),
        truth_ml=float(truth.sum() * voxel_mm3 / 1000),
        predicted_ml=float(prediction.sum() * voxel_mm3 / 1000),
    )


def components(mask: Mask, voxel_mm3: float) -> npt.NDArray[np.int64]:
    """Components (26 neighbours) of at least 10 mm3, numbered from 1."""
    labels = cc3d.connected_components(mask.astype(np.uint8), connectivity=26)
    sizes = np.bincount(labels.ravel())
    kept = sizes * voxel_mm3 >= MIN_LESION_MM3
    kept[0] = False
    numbers = np.zeros(sizes.size, dtype=np.int64)
    numbers[kept] = np.arange(1, int(kept.sum()) + 1)
    return numbers[labels]


def overlaps(found: npt.NDArray[np.int64], true: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Common voxels of each predicted (row) and true (column) lesion."""
    rows, columns = int(found.max(initial=0)), int(true.max(initial=0))
    joint = np.bincount(
        (found * (columns + 1) + true).ravel(), minlength=(rows + 1) * (columns + 1)
    )
    return joint.reshape(rows + 1, columns + 1)[1:, 1:]


def match(overlap: npt.NDArray[np.int64], found_sizes: Mask, true_sizes: Mask) -> int:
    """Number of one-to-one partners with an IoU of at least 0.1."""
    if overlap.size == 0:
        return 0
    iou = overlap / (found_sizes[:, None] + true_sizes[None, :] - overlap)
    iou[iou < MIN_IOU] = 0
    rows, columns = linear_sum_assignment(iou, maximize=True)
    return int((iou[rows, columns] >= MIN_IOU).sum())


def _share_touched(true: npt.NDArray[np.int64], prediction: Mask, truths: int) -> float:
    if truths == 0:
        return float("nan")
    return (np.unique(true[prediction & (true > 0)]).size) / truths
