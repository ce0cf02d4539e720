from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_medcnn.core.errors import (
    ConsentNeeded,
    InputMismatch,
    ModelError,
)
from napari_medcnn.core.events import (
    Done,
    Event,
    Message,
    Progress,
    run_to_end,
)
from napari_medcnn.core.geometry import AxisMap, Geometry
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.core.volume import Finding, FrameAxis, Severity, Volume
from napari_medcnn.inference.segment import segment
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.models.spec import Channel, ModelSpec
from napari_medcnn.models.weights import sha256
from tests.bundle_factory import make_bundle
from tests.inference.conftest import SHAPE, from_file, run, smooth_image

ALL_AXES = [
    AxisMap(order, flip)  # type: ignore[arg-type]
    for order in itertools.permutations(range(3))
    for flip in itertools.product((False, True), repeat=3)
]


def test_a_segmentation_lies_on_the_volumes_grid_with_names_model_and_probability(
    phantom: Volume, spec: ModelSpec
) -> None:
    found = run(phantom, spec)
    np.testing.assert_array_equal(found.array, phantom.array > 0.5)
    assert found.array.dtype == np.uint8
    assert found.geometry == phantom.geometry
    assert found.volume_id == phantom.id
    assert [label.name for label in found.labels] == ["bright"]
    assert found.model is not None
    assert found.model.weights_sha256 == sha256(spec.weights)
    assert found.probability is not None
    assert found.probability.dtype == np.float16
    assert found.probability[3, 5, 15] > 0.999
    assert found.probability[0, 0, 0] < 0.001
    assert found.parameters["windows"] == 12
    assert run(phantom, replace(spec, min_lesion_volume_mm3=9.0)).advised_min_volume_mm3 == 9.0
    assert set(found.parameters["seconds"]) == {
        "reading model",
        "preparing image",
        "measuring the machine",
        "network",
        "finishing",
    }


@pytest.mark.parametrize("orientation", ["RAS", None])
def test_in_all_48_axis_orders_of_the_file_the_mask_lies_on_the_bright_voxels(
    phantom: Volume, tmp_path: Path, orientation: str | None
) -> None:
    spec = read_bundle(
        make_bundle(
            tmp_path / "bright",
            orientation=orientation,
            spacing=(1.0, 1.0, 1.0) if orientation else None,
            roi=(24, 24, 24),
        )
    )
    for axes in ALL_AXES:
        volume = from_file(phantom.array, phantom.geometry, axes)
        found = run(volume, spec)
        np.testing.assert_array_equal(found.array, volume.array > 0.5)
        assert found.array.sum() == (phantom.array > 0.5).sum()
        assert found.geometry.is_close(volume.geometry)


@pytest.mark.parametrize("orientation", ["LPS", "ASL", "IRP"])
def test_the_networks_own_orientation_does_not_move_the_mask(
    phantom: Volume, tmp_path: Path, orientation: str
) -> None:
    spec = read_bundle(make_bundle(tmp_path / "bright", orientation=orientation, roi=(8, 12, 16)))
    np.testing.assert_array_equal(run(phantom, spec).array, phantom.array > 0.5)


def test_a_sphere_on_an_oblique_anisotropic_grid_is_found_in_its_place(tmp_path: Path) -> None:
    spec = read_bundle(make_bundle(tmp_path / "bright", spacing=(1.0, 1.0, 1.0), roi=(32, 32, 32)))
    angle = np.deg2rad(25)
    turn = np.array(
        [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]
    )
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([0.7, 0.9, 2.5])[:, ::-1]
    affine[:3, 3] = (11.0, -70.0, 33.0)
    geometry = Geometry((16, 40, 50), affine)
    centre = geometry.index_to_lps((7.3, 21.2, 24.6))
    lps = geometry.index_to_lps(np.stack(np.indices(geometry.shape), -1))
    distance = np.linalg.norm(lps - centre, axis=-1)
    volume = Volume(np.clip(10.5 - distance, 0, 1).astype(np.float32), geometry, modality="MR")
    found = run(volume, spec).array > 0
    expected = distance <= 10.0
    dice = 2 * (found & expected).sum() / (found.sum() + expected.sum())
    assert dice > 0.95
    middle = geometry.index_to_lps(np.argwhere(found).mean(0))
    assert np.linalg.norm(middle - centre) < 0.2


def test_classes_of_a_softmax_model_keep_their_values(tmp_path: Path) -> None:
    spec = read_bundle(
        make_bundle(
            tmp_path / "ladder",
            classes=("low", "middle", "high"),
            thresholds=(0.25, 0.5, 0.75),
            activation="softmax",
            spacing=None,
        )
    )
    array = smooth_image(SHAPE)
    volume = Volume(array, Geometry.from_spacing(SHAPE, (2.0, 1.0, 1.0)), modality="MR")
    found = run(volume, spec)
    far = np.min(np.abs(array[..., None] - [0.25, 0.5, 0.75]), -1) > 1e-4
    expected = np.digitize(array, [0.25, 0.5, 0.75])
    np.testing.assert_array_equal(found.array[far], expected[far])
    assert set(np.unique(found.array)) == {0, 1, 2, 3}


def test_overlapping_sigmoid_classes_become_the_likeliest(tmp_path: Path) -> None:
    spec = read_bundle(
        make_bundle(tmp_path / "two", classes=("a", "b"), thresholds=(0.3, 0.6), spacing=None)
    )
    array = smooth_image(SHAPE)
    volume = Volume(array, Geometry.from_spacing(SHAPE, (1.0, 1.0, 1.0)), modality="MR")
    found = run(volume, spec)
    np.testing.assert_array_equal(found.array > 0, array >= 0.3)


def test_logits_that_can_not_be_followed_back_are_refused(tmp_path: Path, phantom: Volume) -> None:
    again = {"_target_": "Spacingd", "keys": "image", "pixdim": [1.4, 1.4, 1.4]}
    spec = read_bundle(
        make_bundle(tmp_path / "twice", spacing=(2.0, 2.0, 2.0), extra_steps=(again,))
    )
    assert not run(phantom, spec).parameters["streamed"]
    logits = replace(spec, postprocessing=replace(spec.postprocessing, interpolate="logits"))
    with pytest.raises(ModelError, match="brings logits back"):
        run(phantom, logits)


def test_a_threshold_of_the_users_replaces_the_models(tmp_path: Path, phantom: Volume) -> None:
    bright = int((phantom.array > 0.5).sum())
    spec = read_bundle(make_bundle(tmp_path / "a", thresholds=(0.99,), spacing=None))
    assert run(phantom, spec).array.sum() == bright  # p is sigmoid(1) = 0.73 at 1.0
    found = run(phantom, spec, threshold=0.8)
    assert found.array.sum() == 0
    assert found.parameters["threshold"] == 0.8
    soft = read_bundle(
        make_bundle(tmp_path / "b", thresholds=(1.01,), activation="softmax", spacing=None)
    )
    assert run(phantom, soft).array.sum() == 0  # p is 0.27, the background's 0.73
    assert run(phantom, soft, threshold=0.2).array.sum() == bright


def test_channels_are_brought_together_by_geometry_not_by_shape(
    tmp_path: Path, phantom: Volume
) -> None:
    spec = read_bundle(make_bundle(tmp_path / "two", channels=2, spacing=None))
    other = Geometry.from_spacing((9, 12, 30), (2.0, 2.0, 1.0), (-44.0, 13.0, 58.0))
    second = Volume(np.ones(other.shape, np.float32), other, name="t2", modality="MR")
    events: list[Event] = []
    found = run_to_end(segment([phantom, second], spec), Segmentation, events.append)
    np.testing.assert_array_equal(found.array, phantom.array > 0.5)
    assert any(isinstance(e, Message) and "t2 was resampled" in e.text for e in events)
    # In the other order the first channel is the resampled one: same place, other grid.
    spec_back = run([second, phantom], read_bundle(make_bundle(tmp_path / "b", channels=2)))
    assert spec_back.array.shape == other.shape


def test_channels_of_another_place_are_refused(tmp_path: Path, phantom: Volume) -> None:
    spec = read_bundle(make_bundle(tmp_path / "two", channels=2))
    far = Geometry.from_spacing(SHAPE, (1.0, 1.0, 1.0), (400.0, 0.0, 0.0))
    with pytest.raises(InputMismatch, match="share no voxel"):
        run([phantom, Volume(phantom.array, far, name="other")], spec)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"array": np.zeros((1, 19, 22), np.float32)}, "single picture"),
        ({"array": np.zeros((2, *SHAPE), np.float32), "frames": FrameAxis("time")}, "2 frames"),
        ({"spacing_known": False}, "voxel size is unknown"),
        (
            {"findings": (Finding("gap", Severity.BLOCKING, "slices are missing"),)},
            "slices",
        ),
    ],
)
def test_images_that_do_not_fit_are_refused_with_a_way_out(
    phantom: Volume, spec: ModelSpec, change: dict[str, object], message: str
) -> None:
    fields = {"array": phantom.array, **change}
    shape = np.shape(fields["array"])[-3:]
    geometry = Geometry.from_spacing(shape, (1.0, 1.0, 1.0))  # type: ignore[arg-type]
    with pytest.raises(InputMismatch, match=message) as caught:
        run(Volume(geometry=geometry, **fields), spec)  # type: ignore[arg-type]
    assert caught.value.hint


def test_the_wrong_number_of_channels_is_refused(phantom: Volume, spec: ModelSpec) -> None:
    with pytest.raises(InputMismatch, match=r"takes 1 image\(s\) \(image 0\), not 2"):
        run([phantom, phantom], spec)


def test_accepted_findings_are_on_record(phantom: Volume, spec: ModelSpec) -> None:
    finding = Finding("missing-slices", Severity.BLOCKING, "slices are missing")
    found = run(replace(phantom, findings=(finding,)), spec, accept_findings=True)
    assert found.parameters["accepted_findings"] == ["missing-slices"]


def test_a_brain_mask_that_is_no_brains_needs_the_users_yes(tmp_path: Path) -> None:
    """An ellipsoid of some 530 mL: half a brain, or the wrong thing."""
    axes = [np.linspace(-1.7, 1.7, n) for n in (40, 50, 40)]
    radius = np.sqrt(sum(a**2 for a in np.meshgrid(*axes, indexing="ij")))
    head = np.where(radius < 1, 100.0, 0.0).astype(np.float32)
    grid = Geometry.from_spacing(head.shape, (4.0, 4.0, 4.0))
    step = {"_target_": "napari_medcnn.inference.transforms.BrainMaskd", "keys": "@image_key"}
    masking = read_bundle(make_bundle(tmp_path / "masking", roi=(32, 32, 32), extra_steps=(step,)))
    with pytest.raises(ConsentNeeded, match="whole brains have 700 to 2200 mL"):
        run(Volume(head, grid, modality="MR"), masking)
    found = run(Volume(head, grid, modality="MR"), masking, accept_findings=True)
    assert found.parameters["accepted_findings"] == ["implausible-brain-mask"]


@pytest.mark.parametrize(
    ("modality", "air", "warned"), [("", -1000, True), ("", -40, False), ("CT", -1000, False)]
)
def test_a_ct_without_a_stated_modality_is_doubted_by_a_model_for_mr(
    phantom: Volume, spec: ModelSpec, modality: str, air: float, warned: bool
) -> None:
    """NIfTI names no modality, so the plan cannot know; where it is named, the plan warns."""
    for_mr = replace(spec, channels=(Channel("FLAIR", "MR"),))
    phantom.array[0] = air
    events: list[Event] = []
    run_to_end(segment(replace(phantom, modality=modality), for_mr), Segmentation, events.append)
    warnings = [e.text for e in events if isinstance(e, Message) and e.level == "warning"]
    assert any("as CT has in air" in text for text in warnings) is warned


def test_voxels_without_a_number_count_as_zero_and_it_is_said(
    phantom: Volume, spec: ModelSpec
) -> None:
    phantom.array[0, 0, :3] = np.nan
    events: list[Event] = []
    found = run_to_end(segment(phantom, spec), Segmentation, events.append)
    assert Message("3 voxels hold no number and count as 0", "warning") in events
    assert found.array[0, 0, :3].sum() == 0


def test_another_modality_is_warned_about(phantom: Volume, tmp_path: Path) -> None:
    spec = read_bundle(make_bundle(tmp_path / "ct", modality="CT"))
    events = list(segment(phantom, spec))
    assert any(isinstance(e, Message) and "is MR; " in e.text for e in events)


def test_progress_counts_every_window_and_ends_complete(phantom: Volume, spec: ModelSpec) -> None:
    events = list(segment(phantom, spec))
    stages: dict[str, list[Progress]] = {}
    for event in events:
        if isinstance(event, Progress):
            stages.setdefault(event.stage, []).append(event)
    assert list(stages) == ["reading model", "preparing image", "network", "finishing"]
    assert [p.done for p in stages["network"]] == list(range(13))
    assert all(steps[-1].done == steps[-1].total for steps in stages.values())
    assert stages["network"][5].eta_s is not None
    assert isinstance(events[-1], Done)
