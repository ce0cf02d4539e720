"""Maps of errors agree with the figures: voxel by voxel, and lesion by lesion."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from napari_medcnn.core.errors import GeometryError
from napari_medcnn.evaluation.error_map import (
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    TRUE_POSITIVE,
    lesion_errors,
    voxel_errors,
)
from napari_medcnn.evaluation.lesion_wise import match_lesions
from napari_medcnn.imaging.components import cut_out_components


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_voxels_are_counted_as_scikit_learn_does(share: float) -> None:
    rng = np.random.default_rng(0)
    prediction, truth = rng.random((4, 9, 8)) < share, rng.random((4, 9, 8)) < 0.4
    errors = voxel_errors(prediction, truth.astype(np.uint8) * 7)
    table = metrics.confusion_matrix(truth.ravel(), prediction.ravel(), labels=[False, True])
    (tn, fp), (fn, tp) = table.tolist()
    assert np.bincount(errors.ravel(), minlength=4).tolist() == [tn, tp, fp, fn]
    assert errors.dtype == np.uint8


def test_each_lesion_has_one_value_and_missed_ones_show() -> None:
    truth = np.zeros((3, 20, 20), np.uint8)
    truth[1, 2:6, 2:6] = truth[1, 2:6, 12:16] = 1
    prediction = np.zeros_like(truth)
    prediction[1, 2:6, 3:7] = prediction[1, 14:17, 14:17] = 1
    prediction[1, 5:6, 15:20] = 1
    errors = lesion_errors(prediction, truth, 1.0)
    assert (errors[1, 2:6, 3:7] == TRUE_POSITIVE).all(), "the whole lesion is a hit"
    assert errors[1, 2, 2] == 0, "the edge that a found lesion misses is no lesion of its own"
    assert (errors[1, 14:17, 14:17] == FALSE_POSITIVE).all()
    assert (errors[1, 2:5, 12:16] == FALSE_NEGATIVE).all()
    assert errors[1, 5, 15] == FALSE_POSITIVE


@pytest.mark.parametrize("seed", range(6))
def test_numbers_of_lesions_are_those_of_the_figures(seed: int) -> None:
    rng = np.random.default_rng(seed)
    prediction, truth = rng.random((5, 30, 30)) < 0.03, rng.random((5, 30, 30)) < 0.03
    truth |= prediction & (rng.random(truth.shape) < 0.5)
    figures = match_lesions(prediction, truth, 1.0)
    errors = lesion_errors(prediction, truth, 1.0)

    def count(value: int) -> int:
        return len(cut_out_components((errors == value).astype(np.uint8))[0])

    assert count(TRUE_POSITIVE) == figures.matched
    assert count(FALSE_POSITIVE) == figures.false_positives
    assert set(np.unique(errors)) <= {0, 1, 2, 3}


def test_small_components_are_no_lesions_and_empty_masks_no_errors() -> None:
    mask = np.zeros((3, 6, 6), np.uint8)
    mask[1, 1, 1] = 1
    assert not lesion_errors(mask, mask, 1.0, min_volume_mm3=2).any()
    assert (lesion_errors(mask, mask * 0, 1.0) == FALSE_POSITIVE * mask).all()
    assert (lesion_errors(mask * 0, mask, 1.0) == FALSE_NEGATIVE * mask).all()
    assert not voxel_errors(mask * 0, mask * 0).any()


def test_two_grids_are_refused() -> None:
    with pytest.raises(GeometryError):
        voxel_errors(np.ones((1, 2, 3)), np.ones((1, 3, 2)))
    with pytest.raises(GeometryError):
        lesion_errors(np.ones((1, 2, 3)), np.ones((1, 3, 2)), 1.0)
