from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor
from scipy.ndimage import gaussian_filter, map_coordinates
from skimage.transform import resize

from napari_medcnn.core.errors import Cancelled, InputMismatch, ModelError
from napari_medcnn.core.events import JobControl
from napari_medcnn.inference.nnunet_grid import (
    Resampling,
    crop_stage,
    nearest_slices,
    resampled_shape,
    resampling_stage,
    slice_axis,
)
from napari_medcnn.inference.nnunet_preprocess import NnunetPreprocessd, nonzero_box
from napari_medcnn.inference.nnunet_resample import resized
from napari_medcnn.inference.nnunet_windows import gaussian, window_starts
from napari_medcnn.inference.way_back import compose

SIZES = st.tuples(*[st.integers(2, 24)] * 3)


@settings(max_examples=25)
@given(old=SIZES, new=SIZES, order=st.sampled_from([0, 1, 3]), seed=st.integers(0, 99))
def test_resizing_gives_what_scikit_image_gives(
    old: tuple[int, int, int], new: tuple[int, int, int], order: int, seed: int
) -> None:
    volume = np.random.default_rng(seed).normal(size=old).astype(np.float32)
    *_, made = resized(torch.from_numpy(volume), new, order, None)
    expected = resize(volume.astype(float), new, order, mode="edge", anti_aliasing=False)
    if order == 0:  # halfway between two voxels either may be taken
        assert np.isin(np.round(made.numpy(), 5), np.round(volume, 5)).all()
    else:
        assert np.allclose(made.numpy(), expected, atol=2e-5)


@pytest.mark.parametrize("slices", [0, 1, 2])
def test_thick_slices_are_resized_each_by_itself_and_the_nearest_is_taken(slices: int) -> None:
    volume = np.random.default_rng(0).normal(size=(6, 7, 8)).astype(np.float32)
    shape = [9, 5, 11]
    *_, made = resized(torch.from_numpy(volume), shape, 3, slices)
    planes = [
        resize(
            plane.astype(float),
            [n for a, n in enumerate(shape) if a != slices],
            3,
            mode="edge",
            anti_aliasing=False,
        )
        for plane in np.moveaxis(volume, slices, 0)
    ]
    old = volume.shape[slices]
    taken = [planes[k] for k in nearest_slices(old, shape[slices])]
    assert np.allclose(made.numpy(), np.stack(taken, slices), atol=2e-5)


@given(old=st.integers(1, 40), new=st.integers(1, 80))
def test_the_nearest_slice_is_that_of_scipy(old: int, new: int) -> None:
    positions = old / new * (np.arange(new) + 0.5) - 0.5
    expected = map_coordinates(np.arange(old), [positions], order=0, mode="nearest")
    assert nearest_slices(old, new) == expected.tolist()


@pytest.mark.parametrize(
    ("old", "new", "force", "axis"),
    [
        ((1.0, 1.0, 1.0), (1.0, 1.0, 1.0), None, None),
        ((5.0, 1.0, 1.0), (1.0, 1.0, 1.0), None, 0),
        ((1.0, 1.0, 1.0), (1.0, 1.0, 3.5), None, 2),
        ((1.0, 4.0, 1.0), (5.0, 1.0, 1.0), None, 1),
        ((0.2, 1.2, 1.2), (1.0, 1.0, 1.0), None, None),
        ((2.0, 1.0, 1.0), (1.0, 1.0, 1.0), True, 0),
        ((9.0, 1.0, 1.0), (1.0, 1.0, 1.0), False, None),
        ((1.0, 1.0, 1.0), (1.0, 1.0, 1.0), True, None),
    ],
)
def test_slices_go_by_themselves_where_they_are_over_three_times_as_thick(
    old: tuple[float, ...], new: tuple[float, ...], force: bool | None, axis: int | None
) -> None:
    assert slice_axis(old, new, Resampling(force_separate_z=force)) == axis


def test_other_orders_across_slices_are_refused() -> None:
    with pytest.raises(ModelError, match="orders 3 and 1"):
        Resampling(3, 1)


@given(size=st.integers(1, 300), window=st.integers(2, 128))
def test_windows_are_spread_evenly_and_cover_the_axis(size: int, window: int) -> None:
    starts = window_starts(size, window, 0.5)
    assert starts[0] == 0
    assert starts[-1] == max(size - window, 0)
    gaps = np.diff(starts)
    assert len(starts) == 1 + math.ceil(max(size - window, 0) / (window / 2))
    if gaps.size:
        assert gaps.max() <= math.ceil(window / 2)
        assert gaps.max() - gaps.min() <= 1


def test_windows_lie_where_nnunet_documents_them() -> None:
    assert window_starts(110, 64, 0.5) == (0, 23, 46)


def test_a_window_is_weighed_by_the_gaussian_with_its_peak_behind_the_middle() -> None:
    window = (8, 12, 16)
    peak = np.zeros(window)
    peak[4, 6, 8] = 1
    expected = gaussian_filter(peak, [1, 1.5, 2], mode="constant")
    expected *= 10 / expected.max()
    weight = gaussian(window)
    assert weight.min() > 0
    large = expected > 1e-3
    assert np.allclose(weight[large], expected[large], rtol=1e-3)
    assert np.unravel_index(weight.argmax(), window) == (4, 6, 8)


def _transform(**changes: object) -> NnunetPreprocessd:
    arguments: dict[str, object] = {
        "transpose_forward": [0, 1, 2],
        "spacing": [2.0, 1.0, 1.0],
        "normalization": ["NoNormalization"],
        "use_mask": [False],
        "intensities": [{}],
        "data": {"order": 1, "force_separate_z": None},
        "logits": {"order": 1, "force_separate_z": None},
    }
    return NnunetPreprocessd("image", **{**arguments, **changes})  # type: ignore[arg-type]


def _image(array_xyz: np.ndarray, affine: np.ndarray) -> MetaTensor:
    return MetaTensor(
        torch.from_numpy(array_xyz.astype(np.float32)), affine=torch.from_numpy(affine)
    )


def test_the_new_affine_puts_every_voxel_where_it_lies_in_the_patient() -> None:
    """A value that grows with the place in the patient keeps to its place."""
    affine = np.array([[0, 0, -2.5, 40], [1.5, 0, 0, -7], [0, 0.75, 0, 3], [0, 0, 0, 1.0]])
    shape = (14, 20, 16)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1)
    place = index @ affine[:3, :3].T + affine[:3, 3]
    values = (place @ [1.0, 2.0, -3.0]) + 500  # linear, and nowhere zero
    values[:2], values[:, -3:] = 0, 0  # an empty border
    transform = _transform(transpose_forward=[1, 2, 0], spacing=[1.0, 1.2, 2.0], data={"order": 1})
    made = transform({"image": _image(values[None], affine)})["image"]
    inner = np.stack(np.meshgrid(*(np.arange(2, n - 2) for n in made.shape[1:]), indexing="ij"), -1)
    matrix = made.affine.numpy()
    there = inner @ matrix[:3, :3].T + matrix[:3, 3]
    expected = (there @ [1.0, 2.0, -3.0]) + 500
    found = made.as_tensor()[0].numpy()[tuple(np.moveaxis(inner, -1, 0))]
    assert np.allclose(found, expected, atol=1e-2)
    assert np.allclose(np.linalg.norm(matrix[:3, :3], axis=0), [1.0, 1.2, 2.0], rtol=0.1)


@pytest.mark.parametrize("forward", [(0, 1, 2), (2, 0, 1), (1, 0, 2)])
def test_the_way_back_leads_each_voxel_to_its_place_on_the_network_grid(
    forward: tuple[int, int, int],
) -> None:
    shape = (9, 12, 10)  # x, y, z
    lengths = [shape[2 - axis] for axis in forward]
    crop = ((1, lengths[0]), (0, lengths[1]), (2, lengths[2] - 2))
    sizes = [stop - start for start, stop in crop]
    stages = (
        crop_stage(shape, forward, crop),
        resampling_stage(sizes, [12, 8, 6], 1, None),
    )
    back = compose(stages, shape)
    assert back is not None
    assert back.axes == tuple(2 - axis for axis in forward)
    for a, (start, stop) in enumerate(crop):
        new, size = (12, 8, 6)[a], stop - start
        expected = np.clip((np.arange(size) + 0.5) * new / size - 0.5, 0, new - 1)
        assert np.allclose(back.positions[a][start:stop], expected, atol=1e-5)
        first, last = back.inside[a]
        outside = (back.positions[a] <= first - 1) | (back.positions[a] >= last)
        assert outside.tolist() == [not start <= n < stop for n in range(len(outside))]


@given(old=st.integers(1, 40), new=st.integers(1, 80))
def test_on_the_way_back_of_thick_slices_a_nearest_one_is_taken(old: int, new: int) -> None:
    stages = (resampling_stage((old, 4, 4), (new, 4, 4), 1, 0),)
    back = compose(stages, (old, 4, 4))
    assert back is not None
    taken = back.positions[0]
    exact = np.clip((np.arange(old) + 0.5) * new / old - 0.5, 0, new - 1)
    assert (taken == np.rint(taken)).all()
    assert np.abs(taken - exact).max() <= 0.5 + 1e-9


def test_halfway_between_two_slices_that_of_scipy_is_taken() -> None:
    for old, new in ((10, 20), (11, 30), (20, 10), (12, 10), (7, 14)):
        back = compose((resampling_stage((old, 4, 4), (new, 4, 4), 1, 0),), (old, 4, 4))
        assert back is not None
        assert back.positions[0].tolist() == nearest_slices(new, old)


def test_what_is_zero_in_every_channel_is_cropped_away() -> None:
    array = np.zeros((2, 6, 7, 8), dtype=np.float32)
    array[0, 2, 3, 4] = -1
    array[1, 4, 3, 6] = 2
    assert nonzero_box(array) == ((2, 5), (3, 4), (4, 7))
    assert nonzero_box(np.zeros((1, 3, 4, 5), np.float32)) == ((0, 3), (0, 4), (0, 5))


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        ("NoNormalization", [10.0, 20.0, 250.0]),
        ("RescaleTo01Normalization", [0.0, 10 / 240, 1.0]),
        ("RGBTo01Normalization", [10 / 255, 20 / 255, 250 / 255]),
        ("CTNormalization", [(15 - 50) / 20, (20 - 50) / 20, (200 - 50) / 20]),
        ("ZScoreNormalization", None),
    ],
)
def test_values_are_normalised_as_the_plans_say(scheme: str, expected: list[float] | None) -> None:
    values = np.array([10.0, 20.0, 250.0]).reshape(1, 3, 1, 1)
    if expected is None:
        expected = ((values - values.mean()) / values.std()).ravel().tolist()
    limits = {"mean": 50.0, "std": 20.0, "percentile_00_5": 15.0, "percentile_99_5": 200.0}
    transform = _transform(normalization=[scheme], intensities=[limits], spacing=[1.0, 1.0, 1.0])
    made = transform({"image": _image(values, np.eye(4))})["image"]
    assert np.allclose(made.numpy().ravel(), expected, atol=1e-5)


def test_normalising_within_the_mask_leaves_the_outside_at_zero() -> None:
    values = np.random.default_rng(0).uniform(5, 9, (1, 6, 6, 6))
    values[0, :3, :3] = 0
    transform = _transform(
        normalization=["ZScoreNormalization"], use_mask=[True], spacing=[1.0, 1.0, 1.0]
    )
    made = transform({"image": _image(values, np.eye(4))})["image"].numpy().transpose(0, 3, 2, 1)
    inside = values != 0
    assert (made[~inside] == 0).all()
    assert abs(made[inside].mean()) < 1e-5
    assert abs(made[inside].std() - 1) < 1e-5


def test_an_image_of_other_channels_or_colours_is_refused() -> None:
    image = _image(np.full((2, 4, 4, 4), 300.0), np.eye(4))
    with pytest.raises(InputMismatch, match="takes 1 channels, the image has 2"):
        _transform()({"image": image})
    colours = _transform(normalization=["RGBTo01Normalization"])
    with pytest.raises(InputMismatch, match="colours from 0 to 255"):
        colours({"image": _image(np.full((1, 4, 4, 4), 300.0), np.eye(4))})
    with pytest.raises(ModelError, match="normalisation MyOwn is not known"):
        _transform(normalization=["MyOwn"])


def test_it_can_be_cancelled() -> None:
    transform = _transform()
    transform.control = JobControl()
    transform.control.cancel()
    with pytest.raises(Cancelled):
        transform({"image": _image(np.ones((1, 4, 4, 4)), np.eye(4))})


def test_the_number_of_voxels_is_rounded_as_python_does() -> None:
    assert resampled_shape((3, 5, 10), (1.5, 1.0, 0.7), (1.0, 2.0, 1.0)) == (4, 2, 7)
