"""Labels made slab by slab are those that all classes at full size give."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from napari_medcnn.core.events import JobControl
from napari_medcnn.core.geometry import AxisMap, Geometry
from napari_medcnn.core.volume import Volume
from napari_medcnn.inference.preprocess import Prepared, prepare
from napari_medcnn.inference.reduce import reducer
from napari_medcnn.inference.reduce_on_image import OnImageGrid
from napari_medcnn.inference.result_maps import ResultMaps, Wanted
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.models.spec import ModelSpec, Postprocessing, Step
from tests.bundle_factory import make_bundle
from tests.inference.conftest import from_file, smooth_image
from tests.inference.streaming import brought_back, ended, ties

MAP_TOLERANCE = 2e-3
"""Maps are kept in half precision."""


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    return read_bundle(make_bundle(tmp_path_factory.mktemp("bundle")))


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    shape = draw(st.tuples(*[st.integers(4, 11)] * 3))
    spacing = draw(st.tuples(*[st.sampled_from([0.7, 1.0, 1.6])] * 3))
    order, flip = draw(st.permutations(range(3))), draw(st.tuples(*[st.booleans()] * 3))
    grid = [Step("Orientationd", {"keys": "image", "axcodes": "RAS", "labels": None})]
    if draw(st.booleans()):
        pixdim = draw(st.tuples(*[st.sampled_from([0.9, 1.2, 1.7])] * 3))
        grid.append(Step("Spacingd", {"keys": "image", "pixdim": pixdim, "mode": "bilinear"}))
    argmax = draw(st.booleans())
    labels_first = draw(st.booleans())
    low = draw(st.tuples(*[st.integers(0, 3)] * 3))
    return {
        "geometry": Geometry.from_spacing(shape, spacing, (3.0, -4.0, 5.0)),
        "axes": AxisMap(tuple(order), flip),
        "steps": tuple(grid),
        "channels": draw(st.sampled_from([2, 3, 20, 300] if argmax else [1, 2, 7])),
        "after": Postprocessing(
            discretise="argmax" if argmax else "threshold",
            labels_first=labels_first,
            nearest=labels_first or draw(st.booleans()),
            interpolate="probabilities" if labels_first else draw(st.sampled_from(_TRAVELLERS)),
        ),
        "activation": "softmax" if argmax else "sigmoid",
        "axis": draw(st.integers(0, 2)),
        "slab": draw(st.integers(1, 5)),
        "planes": draw(st.sampled_from([0, 1, 3])),
        "region": draw(st.sampled_from([None, (low, tuple(n + 4 for n in low))])),
        "seed": draw(st.integers(0, 99)),
    }


_TRAVELLERS = ["probabilities", "logits"]


@settings(max_examples=60, deadline=None)
@given(case=cases())
def test_labels_and_maps_are_those_of_all_classes_at_full_size(
    spec: ModelSpec, case: dict[str, Any]
) -> None:
    shape = case["geometry"].shape
    volume = from_file(smooth_image(shape, case["seed"]), case["geometry"], case["axes"])
    changed = replace(
        spec,
        preprocessing=case["steps"],
        postprocessing=case["after"],
        activation=case["activation"],
    )
    prepared = ended(prepare([volume], changed, JobControl()))[0]
    assume(prepared.way_back is not None)
    generator = np.random.default_rng(case["seed"])
    size = tuple(prepared.tensor.shape[1:])
    logits = generator.normal(0, 2, (case["channels"], *size)).astype(np.float32)

    maps = reduced(volume, changed, prepared, logits, case)
    labels, best, entropy, unsure = at_once(changed, prepared, logits)
    region = region_slices(case["region"], volume)
    inside = np.zeros(volume.geometry.shape, bool)
    inside[region] = True
    axes = volume.source.axes
    sure = axes.apply(~unsure.transpose(2, 1, 0)) & inside

    np.testing.assert_array_equal(maps.labels[sure], axes.apply(labels.transpose(2, 1, 0))[sure])
    if not case["after"].labels_first:  # otherwise made on the other grid, then interpolated
        for found, expected in ((maps.probability, best), (maps.entropy, entropy)):
            assert found is not None
            there = axes.apply(expected.transpose(2, 1, 0))
            np.testing.assert_allclose(found[sure], there[sure], atol=MAP_TOLERANCE)
    for values in maps.all():
        assert not values[~inside].any()


def test_the_nearest_voxel_of_a_region_lies_in_the_slab_that_was_run(spec: ModelSpec) -> None:
    """Rounding moves the region's first position from 0.78 to 1, but the slab begins at 0."""
    grid = (
        Step("Orientationd", {"keys": "image", "axcodes": "RAS", "labels": None}),
        Step("Spacingd", {"keys": "image", "pixdim": (0.9, 0.9, 0.9), "mode": "bilinear"}),
    )
    case = {"region": ((0, 0, 0), (4, 4, 4)), "axis": 0, "slab": 1, "planes": 0}
    shape = (4, 5, 4)
    geometry = Geometry.from_spacing(shape, (0.7, 0.7, 0.7))
    volume = from_file(smooth_image(shape, 0), geometry, AxisMap((0, 1, 2), (False,) * 3))
    after = Postprocessing("threshold", nearest=True)
    changed = replace(spec, preprocessing=grid, postprocessing=after, activation="sigmoid")
    prepared = ended(prepare([volume], changed, JobControl()))[0]
    logits = np.full((1, *prepared.tensor.shape[1:]), -9, np.float32)
    logits[:, :, 1::2] = 9
    maps = reduced(volume, changed, prepared, logits, case)
    whole = reduced(volume, changed, prepared, logits, case | {"region": None})
    assert len(np.unique(whole.labels)) == 2
    np.testing.assert_array_equal(maps.labels[:4, :4, :4], whole.labels[:4, :4, :4])


def reduced(
    volume: Volume,
    spec: ModelSpec,
    prepared: Prepared,
    logits: npt.NDArray[np.float32],
    case: dict[str, Any],
) -> ResultMaps:
    """The maps of slabs that come one after the other."""
    wanted = Wanted(probability=True, entropy=True)
    maps = ResultMaps(volume, spec, wanted, case["region"])
    maps.labels = maps.labels.astype(np.uint16)
    assert prepared.way_back is not None
    way_back, part = maps.part(prepared.way_back)
    axis = case["axis"]
    sink = reducer(spec, way_back, part, wanted, axis=axis, planes=case["planes"])
    box = way_back.box()
    wanted_logits = logits[(slice(None), *(slice(a, z) for a, z in box))]
    first, last = box[axis]
    for start in range(first, last, case["slab"]):
        stop = min(start + case["slab"], last)
        slab = np.take(wanted_logits, range(start - first, stop - first), axis + 1)
        for _ in sink.take(start, torch.from_numpy(slab)):
            pass
    for _ in sink.finish():
        pass
    return maps


def at_once(
    spec: ModelSpec, prepared: Prepared, logits: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[Any], ...]:
    """Labels, probability, entropy in file order ``(x, y, z)``, and where a label is uncertain."""
    after, way_back = spec.postprocessing, prepared.way_back
    assert way_back is not None
    values = logits.astype(np.float64)
    unsure = ties(prepared) if after.nearest else False
    if after.labels_first:
        labels, _, hair = decided(activated(values, spec), spec)
        both = brought_back(np.stack([labels, hair]).astype(float), way_back, nearest=True)
        return both[0].astype(int), both[1], both[1], (both[1] > 0) | unsure
    travelling = values if after.interpolate == "logits" else activated(values, spec)
    back = brought_back(travelling, way_back, nearest=after.nearest)
    known = brought_back(np.ones((1, *values.shape[1:])), way_back, nearest=after.nearest)[0] > 0
    probabilities = activated(back, spec) if after.interpolate == "logits" else back
    labels, best, hair = decided(probabilities, spec)
    share = np.where(known, entropy_of(probabilities, spec), 0)
    return np.where(known, labels, 0), np.where(known, best, 0), share, hair | unsure


def activated(values: npt.NDArray[np.float64], spec: ModelSpec) -> npt.NDArray[np.float64]:
    if spec.activation == "sigmoid":
        return 1 / (1 + np.exp(-values))
    powers = np.exp(values - values.max(0))
    return powers / powers.sum(0)


def decided(
    probabilities: npt.NDArray[np.float64], spec: ModelSpec
) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Labels, the foreground's largest probability, and where two answers are too near."""
    if spec.postprocessing.discretise == "argmax":
        foreground = probabilities[1:]
        ordered = np.sort(probabilities, 0)
        hair = ordered[-1] - ordered[-2] < 1e-5
        return probabilities.argmax(0), foreground.max(0), hair
    ordered = np.sort(np.concatenate([np.zeros_like(probabilities[:1]), probabilities]), 0)
    best = ordered[-1]
    hair = (best - ordered[-2] < 1e-5) | (np.abs(best - spec.threshold) < 1e-5)
    return np.where(best >= spec.threshold, probabilities.argmax(0) + 1, 0), best, hair


def entropy_of(probabilities: npt.NDArray[np.float64], spec: ModelSpec) -> npt.NDArray[np.float64]:
    def surprise(p: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return -p * np.log(np.clip(p, 1e-300, None))

    if spec.activation == "softmax":
        return surprise(probabilities).sum(0) / np.log(len(probabilities))
    both = surprise(probabilities) + surprise(1 - probabilities)
    share: npt.NDArray[np.float64] = both.max(0) / np.log(2)
    return share


def region_slices(region: Any, volume: Volume) -> tuple[slice, ...]:
    start, stop = region or ((0, 0, 0), volume.geometry.shape)
    return tuple(slice(a, z) for a, z in zip(start, stop, strict=True))


def test_of_three_hundred_classes_a_few_planes_are_held(spec: ModelSpec) -> None:
    shape = (40, 64, 64)
    volume = Volume(smooth_image(shape), Geometry.from_spacing(shape, (1.0, 1.0, 1.0)))
    changed = replace(spec, postprocessing=Postprocessing("argmax"), activation="softmax")
    prepared = ended(prepare([volume], changed, JobControl()))[0]
    assert prepared.way_back is not None
    wanted = Wanted(probability=False)
    maps = ResultMaps(volume, changed, wanted)
    maps.labels = maps.labels.astype(np.uint16)
    way_back, part = maps.part(prepared.way_back)
    sink = reducer(changed, way_back, part, wanted, axis=2, planes=1)
    assert isinstance(sink, OnImageGrid)
    generator = torch.Generator().manual_seed(0)
    for first in range(0, 40, 8):
        slab = torch.randn((300, 64, 64, 8), generator=generator)
        for _ in sink.take(first, slab):
            assert len(sink._planes) <= 3
    assert (maps.labels > 255).any()
