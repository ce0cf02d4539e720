"""Explanations as a job: what each method says of a known network, and where its map lies."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_medcnn.core.errors import Cancelled, ConsentNeeded, InputMismatch, OutOfMemory
from napari_medcnn.core.events import Fallback, JobControl, Message, Progress
from napari_medcnn.core.explanation import METHODS
from napari_medcnn.core.geometry import AxisMap, Geometry
from napari_medcnn.core.volume import Finding, Severity
from napari_medcnn.inference.explain import explain
from napari_medcnn.inference.explain_options import ExplainOptions
from napari_medcnn.io.read import read
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.models.spec import Patch
from tests.bundle_factory import make_bundle
from tests.classification_factory import picture_classifier, volume_classifier
from tests.inference.conftest import from_file, smooth_image, write_nifti
from tests.inference.explain_factory import (
    SHAPE,
    SPACING,
    SPOT,
    Detector,
    explained,
    spec_of,
    spot_mask,
    spotted,
)

CPU = ExplainOptions(device="cpu", batch=8, steps=8, occluder_mm=4.0)


@pytest.mark.parametrize("method", METHODS)
def test_a_classifiers_map_peaks_where_its_evidence_lies(method) -> None:
    volume = spotted()
    found, events = explained(
        explain(volume, spec_of(), method=method, target="Bright", options=CPU, network=Detector())
    )
    assert found.geometry == volume.geometry
    assert found.array.dtype == np.float32
    peak = np.unravel_index(found.array.argmax(), SHAPE)
    assert all(s.start - 1 <= p <= s.stop for p, s in zip(peak, SPOT, strict=True))
    assert found.label == "bright"
    assert (found.layer is None) == (method in ("occlusion", "integrated_gradients"))
    assert found.window == ((0, 0, 0), SHAPE)
    steps = [e for e in events if isinstance(e, Progress) and e.stage == "explaining"]
    assert steps[-1].done == steps[-1].total > 1
    assert [e.done for e in steps] == sorted(e.done for e in steps)


def test_the_values_of_a_map_are_what_they_are_said_to_be() -> None:
    """On the image's own grid; the network is linear above 1, so that all is known."""
    spec = spec_of(preprocessing=())
    volume = spotted()
    by_path, _ = explained(
        explain(
            volume,
            spec,
            method="integrated_gradients",
            target="bright",
            options=replace(CPU, baseline="zero", steps=256),
            network=Detector(),
        )
    )
    voxels = 2 * 3 * 2
    assert by_path.score == pytest.approx(voxels * (3.0 - 1.0))
    assert by_path.array.sum() == pytest.approx(by_path.score, rel=1e-2)  # completeness
    np.testing.assert_allclose(by_path.array[~spot_mask()], 0, atol=1e-6)
    hidden, _ = explained(
        explain(
            volume,
            spec,
            method="occlusion",
            target="bright",
            options=replace(CPU, baseline="minimum", occluder_mm=0.1),
            network=Detector(),
        )
    )
    np.testing.assert_allclose(hidden.array, np.where(spot_mask(), 2.0, 0.0), atol=1e-4)


def test_the_likeliest_class_is_explained_where_none_is_named() -> None:
    found, _ = explained(explain(spotted(), spec_of(), options=CPU, network=Detector()))
    assert found.label == "dark"  # thousands of voxels below 1


def all_axis_orders() -> list[AxisMap]:
    return [
        AxisMap(order, flip)
        for order in itertools.permutations(range(3))
        for flip in itertools.product((False, True), repeat=3)
    ]


@pytest.mark.parametrize("method", ["gradcam", "integrated_gradients"])
def test_the_map_lies_on_the_image_in_all_48_orientations(tmp_path, method) -> None:
    """Written by nibabel in every axis order and direction; compared in the patient's space."""
    straight = Geometry.from_spacing(SHAPE, SPACING, (-12.0, 5.0, 40.0))
    image = spotted()
    maps = []
    for number, axes in enumerate(all_axis_orders()):
        stored = from_file(image.array, straight, axes)
        (volume,) = read(write_nifti(stored, tmp_path / f"{number}.nii"))
        found, _ = explained(
            explain(
                volume, spec_of(), method=method, target="bright", options=CPU, network=Detector()
            )
        )
        assert found.geometry == volume.geometry
        assert volume.geometry.is_close(straight)
        maps.append(found.array)
        in_file, grid = volume.on_source_grid(found.array)
        assert in_file.shape == grid.shape == straight.reordered(axes).shape
    assert len(maps) == 48
    for other in maps[1:]:
        np.testing.assert_allclose(other, maps[0], atol=1e-4 * maps[0].max())
    peak = np.unravel_index(maps[0].argmax(), SHAPE)
    assert all(s.start <= p < s.stop for p, s in zip(peak, SPOT, strict=True))


def test_on_a_turned_grid_the_map_lies_on_the_image_too() -> None:
    angle = np.deg2rad(20)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    straight = Geometry.from_spacing(SHAPE, SPACING)
    volume = spotted(Geometry(SHAPE, turn @ straight.affine))
    found, _ = explained(
        explain(volume, spec_of(), target="bright", options=CPU, network=Detector())
    )
    peak = np.unravel_index(found.array.argmax(), SHAPE)
    assert all(s.start <= p < s.stop for p, s in zip(peak, SPOT, strict=True))


def test_a_network_of_pictures_explains_each_slice_by_itself() -> None:
    found, _ = explained(
        explain(
            spotted(),
            spec_of(preprocessing=()),
            target="bright",
            options=CPU,
            network=Detector(2),
        )
    )
    np.testing.assert_array_equal(found.array > 0, spot_mask())
    assert found.parameters["views"] == SHAPE[0]
    assert found.score == pytest.approx(2 * 3 * 2 * (3.0 - 1.0) / SHAPE[0])


def test_a_segmentations_score_is_the_mean_over_its_region() -> None:
    spec, network = spec_of("segmentation", preprocessing=()), Detector(dense=True)
    box = ((3, 12, 4), (5, 15, 6))
    of_box, _ = explained(
        explain(spotted(), spec, target="bright", region=box, options=CPU, network=network)
    )
    of_mask, _ = explained(
        explain(spotted(), spec, target="bright", region=spot_mask(), options=CPU, network=network)
    )
    assert of_box.score == of_mask.score == pytest.approx(2.0)
    assert (of_box.region, of_mask.region) == ("a box", "a given mask")
    np.testing.assert_array_equal(of_box.array, of_mask.array)
    # the window of 8 x 12 x 8 voxels around the spot
    start, stop = of_box.window
    assert tuple(b - a for a, b in zip(start, stop, strict=True)) == (8, 12, 8)
    outside = np.ones(SHAPE, dtype=bool)
    outside[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = False
    assert not of_box.array[outside].any()
    assert of_box.array[SPOT].min() > 0


def test_a_region_larger_than_the_window_is_told() -> None:
    region = spot_mask()
    region[9, :2, :2] = True
    region[0, 19, 13] = True
    found, events = explained(
        explain(
            spotted(),
            spec_of("segmentation", preprocessing=()),
            target="bright",
            region=region,
            options=CPU,
            network=Detector(dense=True),
        )
    )
    notes = [e.text for e in events if isinstance(e, Message) and e.level == "warning"]
    assert notes == ["the window of the network holds 71% of the region"]
    assert found.parameters["region_in_window"] == pytest.approx(12 / 17)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle"), thresholds=(0.9,), spacing=None)


def test_a_bundle_is_explained_where_it_sees_its_class_itself(bundle) -> None:
    spec = read_bundle(bundle)
    volume = spotted()
    found, _ = explained(explain(volume, spec, method="integrated_gradients", options=CPU))
    assert found.label == "bright"
    assert found.region == "where the model sees bright"
    assert found.model.weights_sha256
    assert found.score > 0
    inside = found.array[spot_mask()].sum()
    assert inside > 0.8 * found.array.clip(0).sum()
    again, _ = explained(explain(volume, spec, method="integrated_gradients", options=CPU))
    np.testing.assert_array_equal(again.array, found.array)  # the loaded network was left alone


def test_what_cannot_be_explained_is_refused_with_a_way_out(bundle) -> None:
    spec = read_bundle(bundle)
    dark = replace(spotted(), array=np.zeros(SHAPE, dtype=np.float32))
    cases = [
        ({"model": spec}, dark, "finds no bright"),
        ({"model": spec, "target": "grey"}, spotted(), "its classes: bright"),
        ({"model": spec, "layer": "nowhere"}, spotted(), "layers of this network"),
        ({"model": spec, "region": np.ones((2, 2, 2))}, spotted(), "does not fit"),
        ({"model": spec, "region": np.zeros(SHAPE)}, spotted(), "empty"),
        ({"model": spec, "region": ((50, 0, 0), (60, 5, 5))}, spotted(), "empty"),
        ({"model": spec, "method": "magic"}, spotted(), "no method"),
        ({"model": spec_of(), "region": np.ones(SHAPE)}, spotted(), "classifies whole images"),
        ({"model": spec_of("detection")}, spotted(), "draws boxes"),
        ({"model": replace(spec_of(), patch=Patch((8, 8, 8)))}, spotted(), "sees patches"),
        ({"model": spec_of("segmentation")}, spotted(), "name one of them: bright, dark"),
        (
            {"model": spec_of(), "target": "bright", "network": Detector(dense=True)},
            spotted(),
            "an answer for each voxel",
        ),
    ]
    for arguments, volume, words in cases:
        with pytest.raises(InputMismatch, match=words):
            explained(explain(volume, options=CPU, **arguments))
    blocked = replace(spotted(), findings=(Finding("odd", Severity.BLOCKING, "odd"),))
    with pytest.raises(ConsentNeeded):
        explained(explain(blocked, spec, options=CPU))


@pytest.mark.parametrize("method", METHODS)
def test_a_job_ends_within_a_step_when_cancelled(method) -> None:
    control = JobControl()
    passes: list[int] = []
    network = Detector()
    network.register_forward_hook(lambda *_: passes.append(1))  # its copies have it too
    job = explain(
        spotted(),
        spec_of(),
        method=method,
        target="bright",
        options=replace(CPU, batch=1),
        control=control,
        network=network,
    )
    for event in job:
        if isinstance(event, Progress) and (event.stage, event.done) == ("explaining", 1):
            control.cancel()
            before = len(passes)
            with pytest.raises(Cancelled):
                list(job)
    assert len(passes) == before


def test_a_job_that_nobody_follows_any_more_ends_its_thread() -> None:
    import threading

    job = explain(
        spotted(), spec_of(), method="occlusion", target="bright", options=CPU, network=Detector()
    )
    next(e for e in job if isinstance(e, Progress) and e.stage == "explaining")
    assert any(thread.name == "explaining" for thread in threading.enumerate())
    job.close()
    assert not any(thread.name == "explaining" for thread in threading.enumerate())


class Greedy(Detector):
    """Has memory for so many images at once, counting what gradients need."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if len(images) > self.room:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: 8 bytes")
        return super().forward(images)


def test_less_memory_means_smaller_batches_and_none_is_told_clearly() -> None:
    def job(room: int):
        return explain(
            spotted(),
            spec_of(),
            method="integrated_gradients",
            target="bright",
            options=CPU,
            network=Greedy(room),
        )

    small, events = explained(job(2))
    used = [e.used for e in events if isinstance(e, Fallback)]
    assert used == ["4", "2"]
    plenty, _ = explained(job(8))
    np.testing.assert_allclose(small.array, plenty.array, atol=1e-4)
    with pytest.raises(OutOfMemory, match="memory did not suffice") as told:
        explained(job(0))
    assert "occlusion" in (told.value.hint or "")


def test_a_network_that_fails_midway_fails_the_job() -> None:
    class Broken(Detector):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if len(images) > 1:
                raise ValueError("broken inside")
            return super().forward(images)

    job = explain(
        spotted(), spec_of(), method="occlusion", target="bright", options=CPU, network=Broken()
    )
    with pytest.raises(ValueError, match="broken inside"):
        explained(job)


def test_the_check_tells_maps_of_the_weights_from_maps_of_the_image() -> None:
    checked = replace(CPU, check_seeds=(0, 1, 2), check_cascade=True)
    found, events = explained(
        explain(spotted(), spec_of(), target="bright", options=checked, network=Detector())
    )
    assert found.check is not None
    whole = [t for t in found.check.trials if t.layers == "all"]
    assert [t.seed for t in whole] == [0, 1, 2]
    assert [t.layers for t in found.check.trials[3:]] == ["from head on"]
    assert {e.stage for e in events if isinstance(e, Progress)} >= {"checking 1", "checking 4"}
    assert "sanity_check" in found.to_json()


def test_the_map_of_a_picture_has_one_slice_and_lies_on_it() -> None:
    grid = Geometry.from_spacing((1, 20, 14), SPACING)
    image = smooth_image((1, 20, 14)) * 0.5
    image[0, 12:15, 4:6] = 3.0
    volume = from_file(image, grid)
    found, _ = explained(
        explain(
            volume, spec_of(preprocessing=()), target="bright", options=CPU, network=Detector(2)
        )
    )
    assert found.array.shape == (1, 20, 14)
    np.testing.assert_array_equal(found.array > 0, image > 1)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_classifiers_as_a_training_exports_them_are_explained(tmp_path, dimensions) -> None:
    make = picture_classifier if dimensions == 2 else volume_classifier
    spec = read_bundle(make(tmp_path))
    array = smooth_image((1, 15, 17) if dimensions == 2 else (9, 17, 15)) * 255
    grid = Geometry.from_spacing(array.shape, (2.0, 1.0, 1.0))
    volume = from_file(array, grid, modality="")
    for method in METHODS:
        found, _ = explained(
            explain(volume, spec, method=method, target=spec.labels[1].name, options=CPU)
        )
        assert found.array.shape == array.shape
        assert found.model.id == spec.id
        assert found.region == "the whole image"
        assert np.isfinite(found.array).all()
        assert np.isfinite(found.score)
