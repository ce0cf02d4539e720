"""Classes of images and slices are those of MONAI's own runner of the bundle's steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from napari_medcnn.core.errors import Cancelled, InputMismatch, ModelError
from napari_medcnn.core.events import Event, Fallback, JobControl, Message, Progress, run_to_end
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.core.volume import FrameAxis, Volume
from napari_medcnn.inference.classifier import Classifier
from napari_medcnn.inference.classify import STAGE, classify
from napari_medcnn.inference.segment import segment
from napari_medcnn.io.read import read
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.models.spec import ModelSpec
from tests.classification_factory import (
    exported,
    picture_classifier,
    sigmoid,
    volume_classifier,
    with_temperature,
)
from tests.inference.classifying import (
    AGREEMENT,
    CPU,
    by_monai,
    classified,
    lesions_of,
    scan,
    written,
)
from tests.training.made_run import picture_job

FRAMES = FrameAxis("time")
PATCH = {"size": [8, 10, 6], "spacing_mm": [2.0, 1.0, 1.5]}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return picture_classifier(tmp_path_factory.mktemp("flat"))


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return volume_classifier(
        tmp_path_factory.mktemp("deep"), lambda about: about.update(patch=PATCH)
    )


def test_a_volume_gets_the_probabilities_of_monais_own_runner(
    volumes: Path, tmp_path: Path
) -> None:
    file = written(scan().array, tmp_path / "scan.nii.gz", (1.5, 1.0, 2.0))
    (volume,) = read(file)
    found = classified(volume, replace(read_bundle(volumes), patch=None))
    expected = by_monai(volumes, file)
    np.testing.assert_allclose(found.probabilities[0], expected, atol=AGREEMENT)
    assert expected.max() - expected.min() > 0.01, "the classes differ, so that order matters"
    middle = volume.geometry.index_to_lps([(n - 1) / 2 for n in volume.geometry.shape])
    assert found.items[0].centre_lps_mm == pytest.approx(tuple(middle))
    assert found.classes == ("bright", "dark", "middle")


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_picture_gets_them_too(pictures: Path, tmp_path: Path, suffix: str) -> None:
    grey = np.random.default_rng(3).integers(0, 255, (30, 26), dtype=np.uint8)
    file = written(grey, tmp_path / f"picture{suffix}")
    (volume,) = read(file)
    found = classified(volume, read_bundle(pictures))
    # MONAI's readers give a picture two axes; the steps ask for three.
    stored = written(volume.array, tmp_path / "picture.nii.gz")
    np.testing.assert_allclose(found.probabilities[0], by_monai(pictures, stored), atol=AGREEMENT)
    assert found.items[0].centre_lps_mm is None
    assert not found.calibrated


def test_a_picture_in_colour_is_classified_by_its_grey_values(
    pictures: Path, tmp_path: Path
) -> None:
    grey = np.random.default_rng(4).integers(0, 255, (30, 26), dtype=np.uint8)
    (plain,) = read(written(grey, tmp_path / "grey.png"))
    colour = sitk.GetImageFromArray(np.repeat(grey[..., None], 3, axis=2), isVector=True)
    sitk.WriteImage(colour, str(tmp_path / "colour.png"))
    (coloured,) = read(tmp_path / "colour.png")
    spec = read_bundle(pictures)
    np.testing.assert_allclose(
        classified(coloured, spec).probabilities, classified(plain, spec).probabilities, atol=1e-2
    )


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_slice_is_classified_as_the_picture_that_is_seen_of_it(
    pictures: Path, tmp_path: Path, axis: int
) -> None:
    volume = scan((13, 15, 14))
    spec = read_bundle(pictures)
    found = classified(volume, spec, unit="slice", axis=axis)
    assert found.probabilities.shape == (volume.geometry.shape[axis], 3)
    index = 4
    plane = np.take(volume.array, index, axis=axis)
    seen = plane if axis == 0 else plane[::-1]  # superior is up
    grid = Geometry.from_spacing((1, *seen.shape), (1.0, 1.0, 1.0))
    alone = classified(Volume(seen[None], grid), spec)
    np.testing.assert_allclose(found.probabilities[index], alone.probabilities[0], atol=AGREEMENT)
    centre = [(n - 1) / 2 for n in volume.geometry.shape]
    centre[axis] = index
    expected = tuple(volume.geometry.index_to_lps(centre))
    assert found.items[index].centre_lps_mm == pytest.approx(expected)
    assert (found.axis, found.items[index].number) == (axis, index)


def test_channels_are_one_image_each_or_the_frames_of_one(tmp_path: Path) -> None:
    job = picture_job(tmp_path / "pictures")
    cases = tuple(replace(case, images=case.images * 2) for case in job.manifest.cases)
    both = replace(job, manifest=replace(job.manifest, channels=("a", "b"), cases=cases))
    spec = read_bundle(exported(tmp_path, both))
    first, second = scan((5, 15, 14)), scan((5, 15, 14), seed=1)
    found = classified([first, second], spec, unit="slice")
    swapped = classified([second, first], spec, unit="slice")
    assert np.abs(found.probabilities - swapped.probabilities).max() > 10 * AGREEMENT
    frames = np.stack([first.array, second.array])
    together = classified(Volume(frames, first.geometry, frames=FRAMES), spec, unit="slice")
    np.testing.assert_array_equal(together.probabilities, found.probabilities)
    with pytest.raises(InputMismatch, match=r"takes 2 image\(s\) \(a, b\), not 1"):
        classified(first, spec, unit="slice")


def test_the_probabilities_of_a_batch_are_those_of_one_after_the_other(pictures: Path) -> None:
    volume, spec = scan((11, 15, 14)), read_bundle(pictures)
    together = classified(volume, spec, unit="slice")
    alone = classified(volume, spec, unit="slice", options=replace(CPU, batch=1))
    np.testing.assert_allclose(together.probabilities, alone.probabilities, atol=AGREEMENT)
    np.testing.assert_array_equal(together.numbers, np.arange(11))


def test_a_temperature_is_that_of_monais_runner(tmp_path: Path) -> None:
    about, how = with_temperature(2.5)
    bundle = picture_classifier(tmp_path, about, how)
    spec = read_bundle(bundle)
    assert spec.temperature == pytest.approx(2.5)
    stored = written(scan((1, 24, 20)).array, tmp_path / "picture.nii.gz")
    (volume,) = read(stored)
    found = classified(volume, spec)
    assert found.calibrated
    np.testing.assert_allclose(found.probabilities[0], by_monai(bundle, stored), atol=AGREEMENT)
    sharper = classified(volume, replace(spec, temperature=1.0))
    assert sharper.probabilities.max() > found.probabilities.max()


def test_several_classes_may_hold_at_once(tmp_path: Path) -> None:
    bundle = picture_classifier(
        tmp_path, lambda about: about.update(activation="sigmoid"), how=sigmoid
    )
    stored = written(scan((1, 24, 20)).array, tmp_path / "picture.nii.gz")
    (volume,) = read(stored)
    found = classified(volume, read_bundle(bundle))
    assert found.multi_label
    np.testing.assert_allclose(found.probabilities[0], by_monai(bundle, stored), atol=AGREEMENT)
    assert found.probabilities.sum() != pytest.approx(1.0, abs=1e-3)


def test_progress_goes_from_nothing_to_all_and_a_message_comes_once(pictures: Path) -> None:
    volume = scan((40, 15, 14))
    volume.array[:, 0, 0] = np.nan
    events: list[Event] = []
    classified(volume, read_bundle(pictures), events, unit="slice", options=replace(CPU, batch=16))
    steps = [e.done for e in events if isinstance(e, Progress) and e.stage == STAGE]
    assert steps == [0, 16, 32, 40]
    assert len([e for e in events if isinstance(e, Message)]) == 1


def test_a_job_is_cancelled_between_two_slices(pictures: Path) -> None:
    control = JobControl()
    job = classify(
        scan((40, 15, 14)), read_bundle(pictures), unit="slice", control=control, options=CPU
    )
    with pytest.raises(Cancelled):
        for event in job:
            if isinstance(event, Progress) and event.stage == STAGE and event.done:
                control.cancel()


def test_a_model_that_stays_loaded_is_opened_once(pictures: Path) -> None:
    spec = read_bundle(pictures)
    with Classifier(spec, CPU) as loaded:
        network = loaded.network()
        first = classified(scan((4, 15, 14)), spec, unit="slice", loaded=loaded)
        assert loaded.network() is network
        again = classified(scan((4, 15, 14)), spec, unit="slice", loaded=loaded)
    np.testing.assert_array_equal(first.probabilities, again.probabilities)
    with pytest.raises(ValueError, match="is loaded"):
        classified(scan(), replace(spec, title="other"), loaded=loaded, unit="slice")


def test_where_memory_ends_batches_become_smaller(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, run = read_bundle(pictures), Classifier._run

    def narrow(self: Classifier, images: Any, control: JobControl) -> torch.Tensor:
        if self.batch > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return run(self, images, control)

    volume = scan((9, 15, 14))
    expected = classified(volume, spec, unit="slice")
    monkeypatch.setattr(Classifier, "_run", narrow)
    events: list[Event] = []
    found = classified(volume, spec, events, unit="slice", options=replace(CPU, batch=8))
    assert [e.used for e in events if isinstance(e, Fallback)] == ["batches of 4", "batches of 2"]
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=AGREEMENT)
    assert found.parameters["batch"] == 2


def test_weights_that_are_no_numbers_are_told(tmp_path: Path) -> None:
    bundle = picture_classifier(tmp_path)
    weights = bundle / "models" / "model.pt"
    state = torch.load(weights, weights_only=True)
    state["head.bias"][0] = torch.nan
    torch.save(state, weights)
    with pytest.raises(ModelError, match="no numbers"):
        classified(scan((1, 15, 14)), read_bundle(bundle))


def test_an_image_of_a_size_that_the_network_does_not_take_is_told(tmp_path: Path) -> None:
    bundle = picture_classifier(tmp_path, how=lambda c: c["preprocessing"]["transforms"].pop(2))
    with pytest.raises(ModelError, match="does not take an image of 14 × 15 × 1 voxels"):
        classified(scan((1, 15, 14)), read_bundle(bundle))


def test_what_does_not_fit_is_refused_with_what_to_do(
    pictures: Path, volumes: Path, tmp_path: Path
) -> None:
    flat, deep = read_bundle(pictures), read_bundle(volumes)
    one, many = scan((1, 15, 14)), scan()
    table = lesions_of(many, (4, 12, 9))
    refused: list[tuple[Any, ModelSpec, dict[str, Any], str]] = [
        (many, flat, {}, r"pictures, this is a volume of 9 slices.*--unit slice"),
        (one, deep, {}, "classifies volumes, this is a single picture"),
        (many, deep, {"unit": "slice"}, "classifies volumes, not slices"),
        ([many, many], deep, {}, r"takes 1 image\(s\) \(grey\), not 2"),
        (many, deep, {}, "knows patches around lesions, and never saw a whole volume"),
        (many, deep, {"unit": "lesion"}, "no lesions to classify"),
        (scan(), deep, {"unit": "lesion", "lesions": table}, "of another volume"),
        (many, flat, {"unit": "slice", "axis": 3}, "no axis 3"),
    ]
    for volume, spec, how, reason in refused:
        with pytest.raises(InputMismatch, match=reason):
            classified(volume, spec, **how)
    with pytest.raises(ModelError, match="how much it sees around a lesion"):
        classified(many, flat, unit="lesion", lesions=table)
    unknown = replace(many, spacing_known=False)
    with pytest.raises(InputMismatch, match="voxel size is unknown"):
        classified(unknown, deep, unit="lesion", lesions=table)
    film = Volume(np.zeros((3, *many.array.shape)), many.geometry, frames=FRAMES)
    with pytest.raises(InputMismatch, match="3 frames"):
        classified(film, replace(deep, patch=None))
    with pytest.raises(InputMismatch, match="medcnn classify"):
        run_to_end(segment(many, deep, options=CPU), Segmentation)
