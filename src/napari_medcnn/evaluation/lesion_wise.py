"""Which lesions were found, each counted once, whatever its size.

A lesion is a connected component (26 neighbours). A predicted and a true lesion are partners when
they share at least a stated part of their union (IoU, 0.1 by default); each has one partner at
most, by the assignment with the largest sum of IoU. So one large blob over five lesions finds one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from napari_medcnn.core.errors import GeometryError
from napari_medcnn.imaging.components import cut_out_components

Mask: TypeAlias = npt.NDArray[Any]

MIN_IOU = 0.1
"""Small lesions drawn by two readers often share less than half of their union."""


@dataclass(frozen=True)
class LesionWise:
    """Lesions of one case.

    Parameters
    ----------
    truths, predictions, matched : int
        Numbers of true lesions, of predicted ones, and of pairs of partners.
    touched : int
        True lesions of which at least one voxel was predicted.
    min_iou, min_volume_mm3 : float
        The rule: partners share so much of their union; smaller components are no lesions.
    """

    truths: int
    predictions: int
    matched: int
    touched: int
    min_iou: float = MIN_IOU
    min_volume_mm3: float = 0.0

    @property
    def false_positives(self) -> int:
        """Predicted lesions without a partner."""
        return self.predictions - self.matched

    @property
    def missed(self) -> int:
        """True lesions without a partner."""
        return self.truths - self.matched

    @property
    def sensitivity(self) -> float | None:
        """Share of the true lesions with a partner; None where there is none to find."""
        return self.matched / self.truths if self.truths else None

    @property
    def precision(self) -> float | None:
        """Share of the predicted lesions with a partner; None where none was predicted."""
        return self.matched / self.predictions if self.predictions else None

    @property
    def f1(self) -> float | None:
        """Twice the pairs over the sum of both numbers; None where both are 0."""
        both = self.truths + self.predictions
        return 2 * self.matched / both if both else None


@dataclass(frozen=True, eq=False)
class LesionPairs:
    """Lesions of both masks, numbered, and who is whose partner.

    Parameters
    ----------
    found, true : numpy.ndarray
        ``(z, y, x)`` int32: predicted and true lesions, each numbered from 1 by falling size.
    found_sizes, true_sizes : numpy.ndarray
        Voxels of lesion 1, 2, ...
    partners : tuple of (int, int)
        Numbers of a predicted lesion and of its true one.
    """

    found: npt.NDArray[np.int32]
    true: npt.NDArray[np.int32]
    found_sizes: npt.NDArray[np.int64]
    true_sizes: npt.NDArray[np.int64]
    partners: tuple[tuple[int, int], ...]


def match_lesions(
    prediction: Mask,
    truth: Mask,
    voxel_volume_mm3: float,
    *,
    min_iou: float = MIN_IOU,
    min_volume_mm3: float = 0.0,
) -> LesionWise:
    """Count which lesions of a mask have a partner in the truth.

    Parameters
    ----------
    prediction, truth : numpy.ndarray
        ``(z, y, x)`` on one grid; other than 0 is inside.
    voxel_volume_mm3 : float
        ``Geometry.voxel_volume_mm3``.
    min_iou : float
        Above 0, up to 1.
    min_volume_mm3 : float
        Components below it are no lesions, in neither of the two.

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
    touched = np.unique(pairs.true[(prediction != 0) & (pairs.true > 0)]).size
    return LesionWise(
        truths=len(pairs.true_sizes),
        predictions=len(pairs.found_sizes),
        matched=len(pairs.partners),
        touched=int(touched),
        min_iou=min_iou,
        min_volume_mm3=min_volume_mm3,
    )


def pair_lesions(
    prediction: Mask,
    truth: Mask,
    voxel_volume_mm3: float,
    *,
    min_iou: float = MIN_IOU,
    min_volume_mm3: float = 0.0,
) -> LesionPairs:
    """Find each lesion's partner; parameters and errors as of :func:`match_lesions`."""
    if prediction.shape != truth.shape:
        raise GeometryError(
            f"a prediction of {prediction.shape} voxels, a truth of {truth.shape}: two grids"
        )
    if not 0 < min_iou <= 1:
        raise ValueError(f"partners share more than 0 and at most all of their union: {min_iou}")
    least = min_volume_mm3 / voxel_volume_mm3
    found, found_sizes = _numbered(prediction, least)
    true, true_sizes = _numbered(truth, least)
    partners = _partners(found, found_sizes, true, true_sizes, min_iou)
    return LesionPairs(found, true, found_sizes, true_sizes, tuple(partners))


def _numbered(mask: Mask, least: float) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Lesions numbered from 1, and the number of voxels of each."""
    components, _ = cut_out_components((mask != 0).astype(np.uint8), least)
    numbered = np.zeros(mask.shape, dtype=np.int32)
    for number, component in enumerate(components, start=1):
        numbered[component.box][component.mask] = number
    return numbered, np.array([c.voxel_count for c in components], dtype=np.int64)


def _partners(
    found: npt.NDArray[np.int32],
    found_sizes: npt.NDArray[np.int64],
    true: npt.NDArray[np.int32],
    true_sizes: npt.NDArray[np.int64],
    min_iou: float,
) -> list[tuple[int, int]]:
    """Numbers of partners; lesions that touch no common one are assigned apart from each other."""
    common = (found > 0) & (true > 0)
    pairs, voxels = np.unique(
        np.stack([found[common], true[common]]).astype(np.int64) - 1, axis=1, return_counts=True
    )
    iou = voxels / (found_sizes[pairs[0]] + true_sizes[pairs[1]] - voxels)
    near = iou >= min_iou
    (rows, columns), iou = pairs[:, near], iou[near]
    if not len(iou):
        return []
    nodes = len(found_sizes) + len(true_sizes)
    graph = csr_array((iou, (rows, columns + len(found_sizes))), shape=(nodes, nodes))
    groups = connected_components(graph, directed=False)[1][rows]
    return [
        pair
        for g in np.unique(groups)
        for pair in _assigned(rows[groups == g], columns[groups == g], iou[groups == g])
    ]


def _assigned(
    rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64], iou: npt.NDArray[np.float64]
) -> list[tuple[int, int]]:
    """The pairs of the assignment with the largest sum of IoU, numbered from 1."""
    found, row = np.unique(rows, return_inverse=True)
    true, column = np.unique(columns, return_inverse=True)
    table = np.zeros((len(found), len(true)))
    table[row, column] = iou
    chosen = zip(*linear_sum_assignment(table, maximize=True), strict=True)
    return [(int(found[r]) + 1, int(true[c]) + 1) for r, c in chosen if table[r, c] > 0]
