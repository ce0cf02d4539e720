"""Detection: the boxes of MONAI's own detector, in the patient's millimetres."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from napari_medcnn.core.detection import Detections
from napari_medcnn.core.errors import Cancelled, InputMismatch, ModelError, OutOfMemory
from napari_medcnn.core.events import Event, Fallback, JobControl, Progress, run_to_end
from napari_medcnn.core.geometry import AxisMap, Geometry
from napari_medcnn.core.volume import Volume
from napari_medcnn.inference import box_windows
from napari_medcnn.inference.detect import detect
from napari_medcnn.inference.detect_plan import resolve_detection
from napari_medcnn.inference.forecast import forecast
from napari_medcnn.inference.memory import Machine
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.inference.plan import facts_of
from napari_medcnn.inference.segment import segment
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.models.networks import build_network, load_network
from napari_medcnn.models.spec import ModelSpec
from tests.detection_factory import make_detector
from tests.inference.conftest import from_file, smooth_image, write_nifti

ON_CPU = RunOptions(device="cpu", threads=2)


@pytest.fixture(scope="module")
def chest(shared_data: Path) -> Volume:
    """A crop of a real chest CT through lung, heart and spine."""
    from napari_medcnn.io.read import read

    folder = shared_data / "chest_ct" / "dicom"
    if not folder.is_dir():
        pytest.skip(f"no chest CT in {shared_data}")
    (volume,) = read(folder)[:1]
    z, y, x = (n // 2 for n in volume.geometry.shape)
    start, size = (z - 7, y - 30, x - 60), (14, 40, 44)
    part = tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))
    return Volume(
        volume.array[part].copy(),
        volume.geometry.cropped(start, size),
        name="chest",
        modality="CT",
        unit="HU",
    )


def by_the_book(spec: ModelSpec, image: Path) -> dict[str, npt.NDArray[Any]]:
    """Boxes as MONAI's detector draws them, brought to LPS by MONAI's own transform."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MONAI's readers and defaults, not ours to mend
        return _by_the_book(spec, image)


def _by_the_book(spec: ModelSpec, image: Path) -> dict[str, npt.NDArray[Any]]:
    from monai.apps.detection.networks.retinanet_detector import RetinaNetDetector
    from monai.bundle import ConfigParser
    from monai.transforms import Compose

    parser = ConfigParser()
    parser.read_config(str(spec.path / "configs" / "inference.json"))
    for key in ("backbone", "feature_extractor", "network_def"):
        parser[key] = None  # built by ourselves: MONAI needs torchvision to look into its ResNet
    network = build_network(spec)
    network.load_state_dict(torch.load(spec.weights, weights_only=True))
    detector = RetinaNetDetector(network, parser.get_parsed_content("anchor_generator"))
    assert spec.detector is not None
    x, y, z = reversed(spec.roi_size)
    detector.set_target_keys(box_key="box", label_key="label")
    detector.set_box_selector_parameters(
        score_thresh=spec.detector.score_threshold,
        topk_candidates_per_level=1000,
        nms_thresh=0.22,
        detections_per_img=300,
    )
    detector.set_sliding_window_inferer(
        roi_size=(x, y, z), overlap=0.25, sw_batch_size=1, mode=spec.blend, device="cpu"
    )
    detector.eval()
    case = parser.get_parsed_content("preprocessing")({"image": str(image)})
    use_inferer = case["image"].numel() >= x * y * z
    with torch.inference_mode():
        found = detector([case["image"].as_tensor()], use_inferer=use_inferer)[0]
    after = Compose(parser.get_parsed_content("postprocessing").transforms[:2])
    world = after({**found, "image": case["image"]})
    return {
        "voxels": found["box"].numpy(),
        "lps": world["box"].numpy(),
        "scores": found["label_scores"].numpy(),
        "labels": found["label"].numpy(),
    }


def found_in(volume: Volume, spec: ModelSpec, options: RunOptions = ON_CPU) -> Detections:
    return run_to_end(detect(volume, spec, options=options), Detections)


def extents(found: Detections) -> npt.NDArray[np.float64]:
    """The smallest box along the patient's axes around each: (n, 6)."""
    corners = np.array([box.corners_lps_mm for box in found.boxes])
    return np.hstack([corners.min(axis=1), corners.max(axis=1)])


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"blend": "gaussian", "classes": 2},
        pytest.param({"roi": (48, 16, 16)}, marks=pytest.mark.slow),
        pytest.param({"roi": (512, 512, 192)}, marks=pytest.mark.slow),
        pytest.param({"spacing_disabled": True}, marks=pytest.mark.slow),
    ],
    ids=["windows", "two-classes-gaussian", "narrow-windows", "whole-image", "switched-spacing"],
)
def test_boxes_and_scores_are_those_of_monais_detector_on_a_real_chest(
    chest: Volume, tmp_path: Path, form: dict[str, Any]
) -> None:
    spec = read_bundle(make_detector(tmp_path / "boxes", **form))
    found = found_in(chest, spec)
    if form.get("spacing_disabled"):  # of images that are on the grid already
        make_detector(tmp_path / "boxes", **{**form, "spacing_disabled": False})
    theirs = by_the_book(spec, write_nifti(chest, tmp_path / "chest.nii.gz"))
    assert len(theirs["scores"]) > 20
    assert len(found.boxes) == len(theirs["scores"])
    np.testing.assert_allclose([b.score for b in found.boxes], theirs["scores"], atol=1e-3)
    # Scores that differ by a rounding may change places: boxes are told apart by where they are.
    ours = np.hstack([extents(found), [[b.label - 1] for b in found.boxes]])
    book = np.hstack([theirs["lps"], theirs["labels"][:, None]])
    apart = np.abs(ours[:, None] - book[None]).max(axis=-1)
    assert sorted(apart.argmin(axis=1)) == list(range(len(book)))
    np.testing.assert_array_less(apart.min(axis=1), 1e-3)
    same = apart.argmin(axis=1)
    np.testing.assert_allclose([b.score for b in found.boxes], theirs["scores"][same], atol=1e-3)


def test_an_image_shifted_by_a_voxel_gives_other_boxes(chest: Volume, tmp_path: Path) -> None:
    spec = read_bundle(make_detector(tmp_path / "boxes"))
    moved = replace(chest, array=np.roll(chest.array, 1, axis=2))
    first, second = extents(found_in(chest, spec)), extents(found_in(moved, spec))
    assert first.shape != second.shape or np.abs(first - second).max() > 0.1


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    """A detector of any image on its own grid, a few windows large."""
    folder = tmp_path_factory.mktemp("detector")

    def change(content: dict[str, Any]) -> None:
        scale = content["preprocessing"]["transforms"][-2]
        scale.update(a_min=0.0, a_max=1.0)

    return read_bundle(make_detector(folder, roi=(32, 32, 16), spacing=None, change=change))


@pytest.fixture(scope="module")
def blobs() -> Volume:
    """Blobs of a few voxels, 32 × 32 × 24 (x, y, z)."""
    geometry = Geometry.from_spacing((24, 32, 32), (1.25, 0.7, 0.7), (5.0, -7.0, 60.0))
    return from_file(smooth_image(geometry.shape), geometry, modality="CT")


def test_the_files_order_of_axes_changes_no_box(blobs: Volume, small: ModelSpec) -> None:
    turned = AxisMap((2, 0, 1), (True, False, True))
    other = from_file(blobs.array, blobs.geometry, turned, modality="CT")
    np.testing.assert_allclose(
        extents(found_in(other, small)), extents(found_in(blobs, small)), atol=1e-3
    )


def test_progress_counts_windows_and_a_cancel_ends_within_one(
    blobs: Volume, small: ModelSpec
) -> None:
    control = JobControl()
    seen: list[Event] = []
    with pytest.raises(Cancelled):
        for event in detect(blobs, small, control, ON_CPU):
            seen.append(event)
            if isinstance(event, Progress) and event.stage == "network" and event.done == 1:
                control.cancel()
    steps = [e for e in seen if isinstance(e, Progress) and e.stage == "network"]
    assert [step.done for step in steps] == [0, 1]
    assert steps[0].total == 2
    network: Any = load_network(small)
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_a_higher_threshold_keeps_the_same_boxes_above_it(blobs: Volume, small: ModelSpec) -> None:
    every = found_in(blobs, small)
    bound = float(np.median([box.score for box in every.boxes]))
    fewer = found_in(blobs, small, replace(ON_CPU, threshold=bound))
    kept = [box.score for box in every.boxes if box.score > bound]
    np.testing.assert_allclose([box.score for box in fewer.boxes], kept, atol=1e-6)
    assert fewer.parameters["score_threshold"] == bound


def test_a_region_keeps_boxes_in_it_and_skips_windows_aside(
    blobs: Volume, small: ModelSpec
) -> None:
    start, stop = (0, 0, 0), (10, 32, 32)
    inside = found_in(blobs, small, replace(ON_CPU, region=(start, stop)))
    assert inside.boxes
    for box in inside.boxes:
        index = blobs.geometry.lps_to_index(box.centre_lps_mm)
        assert (index >= -0.5).all() and (index < np.array(stop) - 0.5).all()


def test_when_memory_ends_a_smaller_window_goes_on_and_says_so(
    blobs: Volume, small: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, ...]] = []
    slide = box_windows.slide

    def narrow(network: Any, image: Any, roi: Any, *rest: Any) -> Any:
        asked.append(tuple(roi))
        if len(asked) == 1:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return (yield from slide(network, image, roi, *rest))

    monkeypatch.setattr(box_windows, "slide", narrow)
    monkeypatch.setattr("napari_medcnn.inference.detect_plan.SMALLEST_WINDOW", 1)
    events = list(detect(blobs, small, options=ON_CPU))
    fallbacks = [event for event in events if isinstance(event, Fallback)]
    assert [(f.wanted, f.used) for f in fallbacks] == [
        ("windows of 32 × 32 × 16", "windows of 32 × 32 × 8")
    ]
    assert asked == [(32, 32, 16), (32, 32, 8)]


def test_when_nothing_smaller_is_left_the_error_is_one_of_memory(
    blobs: Volume, small: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any) -> Any:
        raise MemoryError
        yield

    monkeypatch.setattr(box_windows, "slide", never)
    with pytest.raises(OutOfMemory, match="did not suffice"):
        list(detect(blobs, small, options=ON_CPU))


def test_the_two_kinds_of_models_refuse_each_others_job(blobs: Volume, small: ModelSpec) -> None:
    with pytest.raises(InputMismatch, match="medcnn detect"):
        list(segment(blobs, small))
    with pytest.raises(ModelError, match="draws no boxes"):
        list(detect(blobs, replace(small, task="segmentation", detector=None)))


def test_the_plan_tells_windows_and_memory_before_the_run(blobs: Volume, small: ModelSpec) -> None:
    plan = forecast(blobs, small, ON_CPU)
    assert (plan.windows, plan.roi_size, plan.backend) == (2, (16, 32, 32), "torch")
    assert plan.network_shape == (24, 32, 32)
    large = replace(facts_of(blobs), shape=(400, 512, 512))
    wide = replace(small, roi_size=(192, 512, 512))
    tight = resolve_detection(wide, large, ON_CPU, Machine(resident_bytes=1e9, free_bytes=2e9))
    assert math.prod(tight.roi_size) < 192 * 512 * 512
    assert any("does not fit the free memory" in warning for warning in tight.warnings)
    roomy = resolve_detection(wide, large, ON_CPU, Machine(resident_bytes=1e9, free_bytes=1e12))
    assert (roomy.roi_size, roomy.warnings) == ((192, 512, 512), ())
