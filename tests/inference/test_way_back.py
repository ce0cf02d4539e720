"""The way to the network's grid and back is MONAI's, on any image and any chain of its steps."""

from __future__ import annotations

import copy
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_medcnn.core.events import JobControl
from napari_medcnn.core.geometry import AxisMap, Geometry
from napari_medcnn.core.volume import Volume
from napari_medcnn.inference.preprocess import Prepared, file_order, prepare
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.models.spec import ModelSpec, Step
from tests.bundle_factory import make_bundle
from tests.inference.conftest import from_file, smooth_image
from tests.inference.streaming import brought_back, ended, ties


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    return read_bundle(make_bundle(tmp_path_factory.mktemp("bundle")))


def step(name: str, **arguments: Any) -> Step:
    return Step(name, {"keys": "image", **arguments})


def by_monai(volume: Volume, steps: tuple[Step, ...]) -> tuple[Any, Any]:
    """The image on the network's grid, and MONAI's own way back for values on it."""
    import monai.transforms
    from monai.data import MetaTensor
    from monai.transforms.utils import convert_applied_interp_mode

    grid = file_order(volume)
    stored = volume.source.axes.inverse().apply(volume.array).transpose(2, 1, 0)
    image = MetaTensor(
        torch.from_numpy(np.ascontiguousarray(stored, dtype=np.float32))[None],
        affine=torch.from_numpy(grid.to_ras_affine()),
    )
    made = [getattr(monai.transforms, s.target)(**s.arguments) for s in steps]
    forward = monai.transforms.Compose(made)
    case = forward({"image": image})

    def back(values: np.ndarray, *, nearest: bool) -> np.ndarray:
        # As Invertd does it.
        history = copy.deepcopy(case["image"].applied_operations)
        if nearest:
            history = convert_applied_interp_mode(history, mode="nearest", align_corners=None)
        there = MetaTensor(
            torch.from_numpy(values.copy()),
            meta=copy.deepcopy(case["image"].meta),
            applied_operations=history,
        )
        return np.asarray(forward.inverse({"image": there})["image"])

    return case["image"], back


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    shape = draw(st.tuples(*[st.integers(5, 14)] * 3))
    spacing = draw(st.tuples(*[st.sampled_from([0.7, 1.0, 1.3, 2.5])] * 3))
    geometry = Geometry.from_spacing(shape, spacing, draw(st.tuples(*[st.floats(-90, 90)] * 3)))
    if draw(st.booleans()):
        angle = np.deg2rad(draw(st.floats(-20, 20)))
        turn = np.eye(4)
        turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        geometry = Geometry(shape, turn @ geometry.affine)
    order = draw(st.permutations(range(3)))
    flip = draw(st.tuples(*[st.booleans()] * 3))
    grid = [
        step(
            "Orientationd", axcodes=draw(st.sampled_from(["RAS", "LPS", "ASL", "IRP"])), labels=None
        )
    ]
    if draw(st.booleans()):
        pixdim = draw(st.tuples(*[st.sampled_from([0.9, 1.0, 1.7, -1.0])] * 3))
        grid.append(
            step(
                "Spacingd",
                pixdim=pixdim,
                mode=draw(st.sampled_from(["bilinear", "nearest"])),
                align_corners=draw(st.booleans()),
            )
        )
    grid = list(draw(st.permutations(grid)))
    sizes = st.tuples(*[st.integers(3, 18)] * 3)
    shaping = st.one_of(
        st.builds(
            lambda m: step("CropForegroundd", source_key="image", margin=m, allow_smaller=False),
            st.integers(0, 2),
        ),
        st.builds(lambda k: step("DivisiblePadd", k=k), st.integers(2, 6)),
        st.builds(lambda s: step("SpatialPadd", spatial_size=s), sizes),
        st.builds(lambda s: step("CenterSpatialCropd", roi_size=s), sizes),
        st.builds(lambda b: step("BorderPadd", spatial_border=b), st.integers(0, 3)),
        st.builds(lambda s: step("ResizeWithPadOrCropd", spatial_size=s), sizes),
    )
    return {
        "geometry": geometry,
        "axes": AxisMap(tuple(order), flip),
        "steps": (*grid, *draw(st.lists(shaping, max_size=2))),
        "seed": draw(st.integers(0, 50)),
    }


def volume_of(case: dict[str, Any]) -> Volume:
    """Positive in a box inside, so that a crop to the foreground has something to cut.

    Negative around it: beside zeros MONAI interpolates to 1e-15, which its crop keeps.
    """
    shape = case["geometry"].shape
    array = smooth_image(shape, case["seed"]) + 0.5
    array[:1], array[:, -2:], array[:, :, :2] = -0.25, -0.25, -0.25
    return from_file(array, case["geometry"], case["axes"])


def prepared_by(volume: Volume, spec: ModelSpec, steps: tuple[Step, ...]) -> Prepared:
    changed = replace(spec, preprocessing=steps)
    return ended(prepare([volume], changed, JobControl()))[0]


@settings(max_examples=25)
@given(cases())
def test_forth_and_back_values_go_as_monais_own_inverse_takes_them(
    spec: ModelSpec, case: dict[str, Any]
) -> None:
    """With the nearest voxel, ties excepted: rounding noise decides where they go."""
    volume = volume_of(case)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MONAI's, of its own defaults
        expected, back = by_monai(volume, case["steps"])
        prepared = prepared_by(volume, spec, case["steps"])
        assert prepared.way_back is not None
        tie = ties(prepared_by(volume, spec, tuple(linear(s) for s in case["steps"])))
        assert tuple(prepared.tensor.shape) == tuple(expected.shape)
        nearest_forth = any(s.arguments.get("mode") == "nearest" for s in case["steps"])
        if not nearest_forth:
            np.testing.assert_allclose(prepared.tensor, expected.as_tensor(), atol=2e-5)
        values = np.random.default_rng(case["seed"]).random((2, *expected.shape[1:]), np.float32)
        for nearest in (True, False):
            ours = brought_back(values, prepared.way_back, nearest=nearest)
            theirs = back(values, nearest=nearest)
            excepted = tie if nearest or nearest_forth else np.zeros_like(tie)
            assert ours.shape == theirs.shape
            np.testing.assert_allclose(ours[:, ~excepted], theirs[:, ~excepted], atol=2e-5)


def linear(of: Step) -> Step:
    """The same grid, positions not rounded."""
    known = of.arguments
    return Step(of.target, known | {"mode": "bilinear"} if "mode" in known else known)


TURNED = Geometry(
    (9, 10, 11),
    np.array([[0.2, 0, 0.98, 3], [0, 1.2, 0, 4], [2.0, 0, -0.098, 5], [0, 0, 0, 1.0]]),
)


@pytest.mark.parametrize(
    "steps",
    [
        (step("Spacingd", pixdim=(1.1, 1.3, 0.9)), step("Spacingd", pixdim=(0.8, 1.7, 1.2))),
        (step("Spacingd", pixdim=(1.1, 1.3, 0.9), diagonal=True),),
        (step("Spacingd", pixdim=(1.1, 1.3, 0.9), padding_mode="zeros"),),
    ],
    ids=["twice", "turned", "filled with zeros"],
)
def test_what_bends_or_interpolates_twice_goes_the_long_way_and_agrees_with_monai(
    spec: ModelSpec, steps: tuple[Step, ...]
) -> None:
    volume = from_file(smooth_image(TURNED.shape), TURNED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected, back = by_monai(volume, steps)
        prepared = prepared_by(volume, spec, steps)
        assert prepared.way_back is None
        assert prepared.to_source is not None
        np.testing.assert_allclose(prepared.tensor, expected.as_tensor(), atol=2e-5)
        values = np.random.default_rng(0).random((1, *expected.shape[1:]), np.float32)
        ours = prepared.to_source(torch.from_numpy(values), False)
        theirs = back(values, nearest=False).transpose(0, 3, 2, 1)
    np.testing.assert_allclose(ours, volume.source.axes.apply(theirs), atol=2e-5)


def test_rounded_direction_cosines_still_count_as_straight_and_agree_with_monai(
    spec: ModelSpec,
) -> None:
    """Files hold direction cosines with six digits, so that no two axes are at right angles."""
    angle = np.deg2rad(17.3)
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    affine = np.eye(4)
    affine[:3, :3] = np.round(turn, 6) @ np.diag([0.9, 0.9, 4.0])
    affine[0, 2] += 4e-6
    volume = from_file(smooth_image((12, 40, 44)), Geometry((12, 40, 44), affine[:, [2, 1, 0, 3]]))
    steps = (step("Spacingd", pixdim=(1.3, 1.3, 2.0)),)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected, back = by_monai(volume, steps)
        prepared = prepared_by(volume, spec, steps)
    assert prepared.way_back is not None
    np.testing.assert_allclose(prepared.tensor, expected.as_tensor(), atol=1e-3)
    values = expected.as_tensor().numpy()
    ours = brought_back(values, prepared.way_back)
    np.testing.assert_allclose(ours, back(values, nearest=False), atol=1e-3)


def test_a_grid_that_differs_by_less_than_monai_notices_is_left_as_it_is(spec: ModelSpec) -> None:
    geometry = Geometry.from_spacing((7, 8, 9), (1.0004, 0.9997, 1.0), (3.0, 4.0, 5.0))
    volume = from_file(
        smooth_image(geometry.shape), geometry, AxisMap((1, 0, 2), (True, False, True))
    )
    steps = (
        step("Spacingd", pixdim=(1.0, 1.0, 1.0)),
        step("Orientationd", axcodes="RAS", labels=None),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected, _ = by_monai(volume, steps)
        prepared = prepared_by(volume, spec, steps)
    assert prepared.way_back is not None
    assert all((line == np.rint(line)).all() for line in prepared.way_back.positions)
    np.testing.assert_array_equal(prepared.tensor, expected.as_tensor())
