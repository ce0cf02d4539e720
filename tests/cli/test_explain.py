"""``medcnn explain``: the map and its record, held against a mask, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.bundle_factory import make_bundle
from tests.classification_factory import picture_classifier, volume_classifier
from tests.inference.conftest import write_nifti
from tests.inference.explain_factory import SPOT, spot_mask, spotted


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "bright"
    return make_bundle(folder, thresholds=(0.9,), spacing=None)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return picture_classifier(tmp_path_factory.mktemp("flat"))


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_nifti(spotted(), tmp_path_factory.mktemp("images") / "spot.nii.gz")


@pytest.fixture(scope="module")
def mask(image: Path) -> Path:
    path = image.parent / "mask.nii.gz"
    affine = nib.load(image).affine
    nib.save(nib.Nifti1Image(spot_mask().astype(np.uint8).transpose(2, 1, 0), affine), path)
    return path


def test_a_map_and_its_record_are_written_on_the_images_grid(
    medcnn, tmp_path, model, image, mask
) -> None:
    out = tmp_path / "out"
    arguments = ("explain", image, "--model", model, "--out", out, "--device", "cpu")
    done = medcnn(
        *arguments, "--method", "integrated_gradients", "--class", "bright", "--region", mask,
        "--truth", mask, "--check", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    told = json.loads(done.out)
    written, source = nib.load(out / "explanation.nii.gz"), nib.load(image)
    assert written.shape == source.shape
    np.testing.assert_allclose(written.affine, source.affine)
    values = written.get_fdata().transpose(2, 1, 0)
    assert values[SPOT].min() > 0
    assert told["localisation"]["hit"] is True
    assert told["localisation"]["energy"] > 0.9
    record = json.loads((out / "explanation.json").read_text())
    assert "research" in record["notice"].lower()
    parameters = record["parameters"]
    assert (parameters["method"], parameters["class"]) == ("integrated_gradients", "bright")
    assert parameters["score_of"] == "a given mask"
    assert len(parameters["sanity_check"]["trials"]) == 3
    assert record["localisation"] == told["localisation"]
    assert record["model"]["weights_sha256"]
    assert record["seconds"]["explaining"] > 0
    assert record["request"]["region"] == "mask.nii.gz"
    refused = medcnn(*arguments)
    assert (refused.code, "holds an explanation already" in refused.err) == (1, True)


def test_words_for_people_and_a_box_for_the_region(medcnn, tmp_path, model, image, mask) -> None:
    done = medcnn(
        "explain", image, "--model", model, "--out", tmp_path / "out", "--device", "cpu",
        "--method", "occlusion", "--occluder", "3", "--region", "3:5,12:15,4:6", "--truth", mask,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "occlusion of bright" in done.out
    assert "a box" in done.out
    assert "the peak lies in it" in done.out
    assert "esearch use only" in done.err


def test_what_cannot_be_done_is_told(medcnn, tmp_path, model, image) -> None:
    arguments = ("explain", image, "--model", model, "--out", tmp_path / "out")
    for more, words in (
        (("--class", "grey"), "its classes: bright"),
        (("--layer", "x"), "there is no layer 'x'"),
        (("--region", tmp_path / "no.nii.gz"), "no.nii.gz"),
    ):
        refused = medcnn(*arguments, "--device", "cpu", *more)
        assert refused.code == 1
        assert words in refused.err.replace("\n", " "), refused.err
        assert not (tmp_path / "out").exists()
    assert medcnn("explain", "--model", model, "--out", tmp_path).code == 2
    assert medcnn("explain", image, "--model", model).code == 2
    assert medcnn(*arguments, "--occluder", "0").code == 2


def test_a_slice_is_explained_as_a_network_of_pictures_sees_it(
    medcnn, tmp_path, image, pictures
) -> None:
    done = medcnn(
        "explain", image, "--model", pictures, "--out", tmp_path / "out", "--device", "cpu",
        "--method", "occlusion", "--class", "dark", "--slice", "y:5",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "slice 5 along y" in done.out
    values = nib.load(tmp_path / "out" / "explanation.nii.gz").get_fdata()
    others = [axis for axis in range(3) if axis != 1]
    assert np.flatnonzero(np.abs(values).sum(axis=tuple(others))).tolist() == [5]
    record = json.loads((tmp_path / "out" / "explanation.json").read_text())
    assert record["request"]["slice"] == [1, 5]


@pytest.fixture(scope="module")
def patches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    patch = {"size": [6, 8, 6], "spacing_mm": [2.0, 1.0, 1.5]}
    return volume_classifier(
        tmp_path_factory.mktemp("deep"), lambda about: about.update(patch=patch)
    )


def test_a_lesion_of_a_label_map_is_explained_on_its_patch(
    medcnn, tmp_path, image, mask, patches
) -> None:
    out = tmp_path / "out"
    done = medcnn(
        "explain", image, "--model", patches, "--out", out, "--device", "cpu", "--truth", mask,
        "--method", "occlusion", "--class", "dark", "--labels", mask, "--lesion", "1",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "lesion 1" in done.out
    values = nib.load(out / "explanation.nii.gz").get_fdata().transpose(2, 1, 0)
    assert values.shape == spot_mask().shape
    reach = np.abs(np.argwhere(values) - np.argwhere(spot_mask()).mean(0))
    assert len(reach) > 1
    assert (reach <= [4, 5, 4]).all()
    record = json.loads((out / "explanation.json").read_text())
    assert record["request"]["lesion"] == {"number": 1, "axis": "z", "lesions_of": "mask.nii.gz"}
    assert record["parameters"]["score_of"] == "lesion 1"


def test_a_lesion_that_a_model_finds_is_explained(medcnn, tmp_path, image, model, patches) -> None:
    done = medcnn(
        "explain", image, "--model", patches, "--out", tmp_path / "out", "--device", "cpu",
        "--lesion-model", model, "--lesion", "1", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert json.loads(done.out)["lesion"] == 1


def test_what_does_not_go_with_a_lesion_is_told(medcnn, tmp_path, image, mask, patches) -> None:
    arguments = ("explain", image, "--model", patches, "--out", tmp_path / "out", "--device", "cpu")
    for more, code, words in (
        ((), 1, "--lesion N"),
        (("--labels", mask), 2, "which of the lesions"),
        (("--lesion", "1"), 1, "one of them"),
        (("--labels", mask, "--lesion", "7"), 1, "there is no lesion 7"),
        (("--labels", mask, "--lesion", "1", "--slice", "z:3"), 1, "one of them"),
    ):
        refused = medcnn(*arguments, *more)
        assert refused.code == code, refused.err
        assert words in " ".join(refused.err.split()), refused.err
    assert not (tmp_path / "out" / "explanation.json").exists()


def test_layers_are_listed_without_an_image(medcnn, pictures) -> None:
    done = medcnn("explain", "--model", pictures, "--list-layers", "--json")
    assert done.code == 0, done.err
    layers = json.loads(done.out)["layers"]
    assert sum(layer["is_default"] for layer in layers) == 1
    words = medcnn("explain", "--model", pictures, "--list-layers")
    assert all(layer["name"] in words.out for layer in layers)
    assert "the usual one" in words.out


def test_a_slice_is_written_as_axis_and_number(medcnn, tmp_path, image, pictures) -> None:
    done = medcnn("explain", image, "--model", pictures, "--out", tmp_path / "out", "--slice", "80")
    assert done.code == 2
    assert "z:80" in done.err
