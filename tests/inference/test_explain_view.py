"""What the network sees: where the window lies, what it is filled up with, and where maps go."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.inference.explain_view import views_of, window_of
from tests.inference.explain_factory import spec_of

SPEC = spec_of("segmentation", roi_size=(8, 6, 10))  # z, y, x: the window is 10 x 6 x 8
SHAPE = (30, 20, 6)
NOTHING = ("constant", -7.0)


def region(*where: tuple[int, int, int]) -> np.ndarray:
    weights = np.zeros(SHAPE, dtype=np.float32)
    for voxel in where:
        weights[voxel] = 1.0
    return weights


def test_the_window_has_the_region_in_its_middle_and_stays_on_the_grid() -> None:
    assert window_of(SHAPE, SPEC, region((15, 10, 3))) == (((10, 20), (7, 13), (-1, 7)), 1.0)
    assert window_of(SHAPE, SPEC, region((0, 19, 0)))[0] == ((0, 10), (14, 20), (-1, 7))
    assert window_of(SHAPE, SPEC, region((12, 10, 3), (19, 10, 3))) == (
        ((11, 21), (7, 13), (-1, 7)),
        1.0,
    )
    whole = replace(SPEC, roi_size=(0, 0, 0))
    assert window_of(SHAPE, whole, region((1, 1, 1)))[0] == ((0, 30), (0, 20), (0, 6))
    assert window_of(SHAPE, SPEC, None)[0] == ((0, 30), (0, 20), (0, 6))


def test_a_region_that_is_too_wide_gives_its_largest_part() -> None:
    wide = region((2, 2, 2), (25, 15, 3), (26, 15, 3), (25, 16, 3))
    spans, share = window_of(SHAPE, SPEC, wide)
    assert share == pytest.approx(3 / 4)
    assert spans[0] == (20, 30)
    with pytest.raises(InputMismatch, match="no voxel"):
        window_of(SHAPE, SPEC, region())


def test_a_view_is_the_windows_voxels_filled_up_where_the_image_ends() -> None:
    tensor = torch.arange(2 * np.prod(SHAPE), dtype=torch.float32).reshape(2, *SHAPE)
    weights = region((15, 10, 3), (15, 11, 3))
    spans, _ = window_of(SHAPE, SPEC, weights)
    (view,) = views_of(tensor, spans, weights, slice_axis=None, padding=NOTHING)
    assert view.image.shape == (1, 2, 10, 6, 8)
    (_, _), (a, b), _ = spans
    torch.testing.assert_close(view.image[0, :, :, :, 1:7], tensor[:, 10:20, a:b])
    assert (view.image[0, :, :, :, [0, 7]] == -7).all()
    assert view.weights is not None
    assert view.weights.shape == (10, 6, 8)
    assert view.weights[5, 10 - a, 4] == view.weights[5, 11 - a, 4] == 0.5
    into = np.zeros(SHAPE, dtype=np.float32)
    view.put(view.image[0, 0], into)
    np.testing.assert_array_equal(into[10:20, a:b], tensor[0, 10:20, a:b])
    assert np.count_nonzero(into) == 10 * 6 * 6


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_pictures_are_slices_along_the_axis_that_the_network_does_not_know(axis) -> None:
    tensor = torch.randn(1, *SHAPE)
    weights = region((15, 10, 3), (15, 10, 4), (15, 11, 3), (16, 10, 3))
    spec = replace(SPEC, roi_size=tuple(1 if a == 2 - axis else 0 for a in range(3)))
    spans, share = window_of(SHAPE, spec, weights)
    assert (spans, share) == (tuple((0, n) for n in SHAPE), 1.0)
    views = list(views_of(tensor, spans, weights, slice_axis=axis, padding=NOTHING))
    assert len(views) == 2  # slices with a voxel of the region
    assert sum(view.share for view in views) == pytest.approx(1)
    assert sorted(view.share for view in views) == [0.25, 0.75]
    into = np.zeros(SHAPE, dtype=np.float32)
    for view in views:
        assert view.weights is not None
        assert float(view.weights.sum()) == pytest.approx(1)
        view.put(view.image[0, 0], into)
    kept = sorted({v[axis] for v in np.argwhere(weights)})
    np.testing.assert_array_equal(np.take(into, kept, axis), np.take(tensor[0].numpy(), kept, axis))
    every = list(views_of(tensor, spans, None, slice_axis=axis, padding=NOTHING))
    assert len(every) == SHAPE[axis]
    assert every[0].share == pytest.approx(1 / SHAPE[axis])
