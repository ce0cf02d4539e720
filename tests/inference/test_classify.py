"""Classes of images, slices and lesions are those of MONAI's own runner of the bundle's steps."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from monai.bundle import ConfigParser

from napari_medcnn.core.classification import Classification
from napari_medcnn.core.errors import Cancelled, InputMismatch, ModelError
from napari_medcnn.core.events import Event, Fallback, JobControl, Message, Progress, run_to_end
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.lesion import LesionTable
from napari_medcnn.core.segmentation import Label, Segmentation
from napari_medcnn.core.volume import FrameAxis, Volume
from napari_medcnn.imaging.lesions import find_lesions
from napari_medcnn.inference.classifier import Classifier
from napari_medcnn.inference.classify import STAGE, classify
from napari_medcnn.inference.options import RunOptions
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
from tests.training.made_run import picture_job

CPU = RunOptions(device="cpu", threads=1)
FRAMES = FrameAxis("time")
AGREEMENT = 1e-5
PATCH = {"size": [8, 10, 6], "spacing_mm": [2.0, 1.0, 1.5]}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return picture_classifier(tmp_path_factory.mktemp("flat"))


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return volume_classifier(
        tmp_path_factory.mktemp("deep"), lambda about: about.update(patch=PATCH)
    )


def classified(
    volume: Volume | list[Volume], spec: ModelSpec, events: list[Event] | None = None, **how: Any
) -> Classification:
    job = classify(volume, spec, **({"options": CPU} | how))
    return run_to_end(job, Classification, None if events is None else events.append)


def by_monai(bundle: Path, file: Path) -> np.ndarray:
    """What the bundle's own steps give for an image file, run by MONAI alone."""
    parser = ConfigParser()
    parser.read_config(str(bundle / "configs" / "inference.json"))
    parser["bundle_root"] = str(bundle)
    parser["device"] = "$torch.device('cpu')"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MONAI's loader, and of a default of Orientationd
        case = parser.get_parsed_content("preprocessing")({"image": str(file)})
    network = parser.get_parsed_content("network")
    parser.get_parsed_content("initialize")
    image = case["image"][None]
    flat = parser["network_def"]["spatial_dims"] == 2
    with torch.inference_mode():
        logits = network.eval()(image[..., 0] if flat else image)[0]
    done = parser.get_parsed_content("postprocessing")({**case, "pred": logits})
    return np.asarray(done["pred"])


def scan(shape: tuple[int, int, int] = (9, 24, 20), seed: int = 0) -> Volume:
    rng = np.random.default_rng(seed)
    array = rng.uniform(0, 255, shape).astype(np.float32)
    return Volume(array, Geometry.from_spacing(shape, (2.0, 1.0, 1.5), (-7.0, 3.0, 11.0)))


def written(array: np.ndarray, file: Path, spacing: tuple[float, ...] = (1, 1, 1)) -> Path:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    sitk.WriteImage(image, str(file))
    return file


def lesions_of(volume: Volume, *centres: tuple[int, int, int]) -> LesionTable:
    """Lesions of 3 x 3 x 3 voxels; the order of their ids is that of their size, else any."""
    drawn = np.zeros(volume.geometry.shape, np.uint8)
    for z, y, x in centres:
        drawn[max(z - 1, 0) : z + 2, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2] = 1
    labels = (Label(1, "lesion"),)
    return find_lesions(Segmentation(drawn, volume.geometry, labels, volume.id), volume)


def test_a_volume_gets_the_probabilities_of_monais_own_runner(
    volumes: Path, tmp_path: Path
) -> None:
    file = written(scan().array, tmp_path / "scan.nii.gz", (1.5, 1.0, 2.0))
    (volume,) = read(file)
    found = classified(volume, read_bundle(volumes))
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


def stored_in_all_ways(volume: Volume, folder: Path) -> Iterator[Volume]:
    """The same image from files whose axes run in each of the 48 orders and directions."""
    image = nib.Nifti1Image(volume.array.transpose(2, 1, 0), volume.geometry.to_ras_affine())
    for number, order in enumerate(itertools.permutations(range(3))):
        for flips in itertools.product((1, -1), repeat=3):
            turned = image.as_reoriented(list(zip(order, flips, strict=True)))
            file = folder / f"{number}{flips}.nii.gz"
            nib.save(turned, file)
            (found,) = read(file)
            yield found


def test_however_an_image_is_stored_its_slices_and_lesions_get_the_same_classes(
    pictures: Path, volumes: Path, tmp_path: Path
) -> None:
    volume, centre = scan((6, 13, 11)), (3, 7, 5)
    flat, deep = read_bundle(pictures), read_bundle(volumes)
    with Classifier(flat, CPU) as loaded:
        slices = classified(volume, flat, unit="slice", axis=1, loaded=loaded)
        lesion = classified(volume, deep, unit="lesion", lesions=lesions_of(volume, centre))
        ways = 0
        for stored in stored_in_all_ways(volume, tmp_path):
            again = classified(stored, flat, unit="slice", axis=1, loaded=loaded)
            np.testing.assert_allclose(again.probabilities, slices.probabilities, atol=AGREEMENT)
            table = lesions_of(stored, centre)
            there = classified(stored, deep, unit="lesion", lesions=table)
            np.testing.assert_allclose(there.probabilities, lesion.probabilities, atol=AGREEMENT)
            expected = pytest.approx(lesion.items[0].centre_lps_mm, abs=1e-3)
            assert there.items[0].centre_lps_mm == expected
            ways += 1
    assert ways == 48


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


def test_a_lesions_patch_is_that_of_the_image_around_its_centre(
    volumes: Path, tmp_path: Path
) -> None:
    # The scan has the patch's spacing, so that its voxels are the patch's, turned to RAS.
    volume, spec = scan(), read_bundle(volumes)
    table = lesions_of(volume, (4, 12, 9), (1, 3, 16))
    found = classified(volume, spec, unit="lesion", lesions=table)
    assert [item.number for item in found.items] == [lesion.id for lesion in table.lesions]
    for row, lesion in enumerate(table.lesions):
        assert found.items[row].centre_lps_mm == lesion.centroid_lps_mm
        patch = around(volume, lesion.anchor_index, (8, 10, 6))
        file = written(patch, tmp_path / f"{lesion.id}.nii.gz", (1.5, 1.0, 2.0))
        expected = by_monai(volumes, file)
        np.testing.assert_allclose(found.probabilities[row], expected, atol=AGREEMENT)
    assert np.abs(np.diff(found.probabilities, axis=0)).max() > 10 * AGREEMENT


def around(volume: Volume, centre: tuple[int, ...], size: tuple[int, int, int]) -> np.ndarray:
    """The voxels around a voxel, by numpy alone; beside the image its smallest value.

    In RAS, x and y run backwards, and of an even size the later voxel is the middle.
    """
    wide = np.pad(volume.array, 20, constant_values=volume.array.min())
    back = (False, True, True)
    starts = [
        c + 20 - (n // 2 if not flip else (n - 1) // 2)
        for c, n, flip in zip(centre, size, back, strict=True)
    ]
    return wide[tuple(slice(a, a + n) for a, n in zip(starts, size, strict=True))]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_network_of_pictures_sees_a_lesion_in_the_slice_through_it(
    tmp_path: Path, axis: int
) -> None:
    bundle = picture_classifier(
        tmp_path, lambda about: about.update(patch={"size": [1, 9, 7], "spacing_mm": None})
    )
    volume, spec = scan((15, 24, 20)), read_bundle(bundle)
    centre = (7, 11, 10)
    table = lesions_of(volume, centre)
    found = classified(volume, spec, unit="lesion", axis=axis, lesions=table)
    plane = np.take(volume.array, centre[axis], axis=axis)
    row, column = (c for a, c in enumerate(centre) if a != axis)
    if axis != 0:
        plane, row = plane[::-1], len(plane) - 1 - row
    seen = plane[row - 4 : row + 5, column - 3 : column + 4]
    alone = Volume(seen[None], Geometry.from_spacing((1, *seen.shape), (1.0, 1.0, 1.0)))
    np.testing.assert_allclose(
        found.probabilities, classified(alone, spec).probabilities, atol=AGREEMENT
    )


def test_a_patch_has_the_spacing_that_the_bundle_states(tmp_path: Path) -> None:
    # Twice as coarse, so that the voxels of the patch are every second one of the image.
    volume, centre = scan((9, 25, 21)), (4, 12, 10)
    table = lesions_of(volume, centre)
    coarse = volume.array[::2, ::2, ::2]
    about = {"size": [4, 5, 6], "spacing_mm": [4.0, 2.0, 3.0]}
    deep = volume_classifier(tmp_path / "deep", lambda own: own.update(patch=about))
    found = classified(volume, read_bundle(deep), unit="lesion", lesions=table)
    patch = around(replace(volume, array=coarse, geometry=grid_of(coarse)), (2, 6, 5), (4, 5, 6))
    expected = by_monai(deep, written(patch, tmp_path / "patch.nii.gz"))
    np.testing.assert_allclose(found.probabilities[0], expected, atol=AGREEMENT)

    about = {"size": [1, 5, 7], "spacing_mm": [1.0, 2.0, 3.0]}
    flat = read_bundle(picture_classifier(tmp_path / "flat", lambda own: own.update(patch=about)))
    found = classified(volume, flat, unit="lesion", lesions=table)
    seen = volume.array[4:5, ::2, ::2][:, 4:9, 2:9]
    alone = classified(Volume(seen, grid_of(seen)), flat)
    np.testing.assert_allclose(found.probabilities, alone.probabilities, atol=AGREEMENT)


def grid_of(array: np.ndarray) -> Geometry:
    return Geometry.from_spacing(array.shape, (1.0, 1.0, 1.0))


def test_an_image_without_lesions_has_no_items(volumes: Path) -> None:
    volume = scan()
    found = classified(volume, read_bundle(volumes), unit="lesion", lesions=lesions_of(volume))
    assert found.items == ()
    assert found.probabilities.shape == (0, 3)
    assert found.top(2) == ()


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
    refused = [
        (many, flat, {}, r"pictures, this is a volume of 9 slices.*--unit slice"),
        (one, deep, {}, "classifies volumes, this is a single picture"),
        (many, deep, {"unit": "slice"}, "classifies volumes, not slices"),
        ([many, many], deep, {}, r"takes 1 image\(s\) \(grey\), not 2"),
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
        classified(film, deep)
    with pytest.raises(InputMismatch, match="medcnn classify"):
        run_to_end(segment(many, deep, options=CPU), Segmentation)
