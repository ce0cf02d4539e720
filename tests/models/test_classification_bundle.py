"""Bundles that classify: what is read of them, and what is refused with its reason."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from napari_medcnn.core.errors import InputMismatch, ModelError
from napari_medcnn.core.events import run_to_end
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.models.importing.job import import_model
from napari_medcnn.models.importing.review import wants
from napari_medcnn.models.networks import load_network
from napari_medcnn.models.registry import find_model, list_models
from napari_medcnn.models.spec import ModelSpec, Patch
from napari_medcnn.training.origin import read_origin
from tests.classification_factory import (
    Content,
    changed,
    picture_classifier,
    sigmoid,
    volume_classifier,
    with_temperature,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that is copied before it is changed."""
    return picture_classifier(tmp_path_factory.mktemp("whole"))


def after(*steps: Content) -> Callable[[Content], object]:
    """A configuration with these steps after the network."""
    return lambda content: content["postprocessing"].update(
        transforms=[{"keys": "pred", **step} for step in steps]
    )


SOFTMAX = {"_target_": "Activationsd", "softmax": True}
HALVED = {"_target_": "ScaleIntensityd", "minv": None, "maxv": None, "factor": -0.5}


def test_classes_grid_and_network_are_read(tmp_path: Path) -> None:
    spec = read_bundle(picture_classifier(tmp_path))
    assert spec.task == "classification"
    assert [(label.value, label.name) for label in spec.labels] == [
        (1, "bright"), (2, "dark"), (3, "middle"),
    ]  # fmt: skip
    assert (spec.activation, spec.temperature, spec.patch) == ("softmax", 1.0, None)
    assert spec.of_pictures
    assert spec.roi_size == (1, 20, 20)
    assert [channel.name for channel in spec.channels] == ["grey"]
    assert spec.detector is None


@pytest.mark.parametrize("make", [picture_classifier, volume_classifier])
def test_the_network_takes_volumes_and_gives_a_logit_a_class(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    spec = read_bundle(make(tmp_path))
    z, y, x = spec.roi_size
    with torch.inference_mode():
        assert load_network(spec)(torch.zeros(2, 1, x, y, z)).shape == (2, 3)


def test_temperature_activation_and_patch_are_read(tmp_path: Path) -> None:
    about, how = with_temperature(1.7)
    bundle = volume_classifier(tmp_path, about, how)
    changed(bundle, lambda own: own.update(patch={"size": [4, 6, 8], "spacing_mm": [2, 1, 1]}))
    spec = read_bundle(bundle)
    assert spec.temperature == pytest.approx(1.7)
    assert spec.patch == Patch((4, 6, 8), (2.0, 1.0, 1.0))
    assert spec.roi_size == (12, 12, 12), "patches are resized like all images"
    without = changed(bundle, how=lambda c: c["preprocessing"]["transforms"].pop(3))
    assert read_bundle(without).roi_size == (4, 6, 8)


def test_a_sigmoid_lets_one_class_stand_alone(tmp_path: Path) -> None:
    bundle = picture_classifier(tmp_path, lambda about: about.update(activation="sigmoid"), sigmoid)
    assert read_bundle(bundle).activation == "sigmoid"


@pytest.mark.parametrize(
    ("about", "how", "reason"),
    [
        ({"classes": ["a", "b"]}, None, "has 3 outputs, medcnn.classes names 2"),
        ({"classes": ["a", "b", "b"]}, None, "names a class twice"),
        ({"classes": None}, None, "names 0"),
        ({"activation": "sigmoid"}, None, "the postprocessing ends in softmax"),
        ({"calibration": {"temperature": 2.0}}, None, "states the temperature 2.0"),
        ({"calibration": {"temperature": "warm"}}, None, "states the temperature warm"),
        ({}, after(HALVED, SOFTMAX), "states the temperature 1.0"),
        ({}, after(SOFTMAX, HALVED), "scaled once, before the activation"),
        ({}, after({**HALVED, "minv": 0.0}, SOFTMAX), "logits are multiplied"),
        ({}, after({"_target_": "ScaleIntensityd", "factor": 1}, SOFTMAX), "are multiplied"),
        ({}, after({**HALVED, "factor": -1.0}, SOFTMAX), "no temperature above 0"),
        ({}, after(SOFTMAX, SOFTMAX), "once"),
        ({}, after(), "no activation"),
        ({}, after({"_target_": "AsDiscreted", "argmax": True}), "not in the table"),
        ({"patch": {"size": [2, 8, 8]}}, None, "with z 1 for pictures"),
        ({"patch": {"size": [1, 0, 8]}}, None, "medcnn.patch is"),
        ({"patch": {"size": [1, 8]}}, None, "medcnn.patch is"),
        ({"patch": [1, 8, 8]}, None, "medcnn.patch is"),
        ({"patch": {"size": [1, 8, 8], "spacing_mm": [1, 0, 1]}}, None, "medcnn.patch is"),
        ({}, lambda c: c["network_def"].update(spatial_dims=1), "1 dimensions"),
        ({}, lambda c: c["network_def"].update(_target_="UNet"), "not in the table"),
        (
            {"kind": "onnx", "weights": "models/model.pt"},
            None,
            "not read from a file of the kind onnx",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(
    whole: Path, tmp_path: Path, about: Content, how: Any, reason: str
) -> None:
    copy = shutil.copytree(whole, tmp_path / "bundle")
    bundle = changed(copy, lambda own: own.update(about), how)
    with pytest.raises(ModelError, match=reason):
        read_bundle(bundle)


def test_a_classifier_that_does_not_say_so_is_refused_as_one(tmp_path: Path) -> None:
    bundle = picture_classifier(tmp_path, lambda own: own.pop("task"))
    with pytest.raises(ModelError, match="classifies whole images"):
        read_bundle(bundle)


def test_it_is_imported_like_any_other_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDCNN_MODELS", str(tmp_path / "models"))
    bundle = picture_classifier(tmp_path / "made")
    assert wants(bundle) == ()
    spec = run_to_end(import_model(bundle, name="greys"), ModelSpec)
    assert (spec.id, spec.task) == ("greys", "classification")
    assert "greys" in [model.id for model in list_models()]
    assert find_model("greys").weights.parent.parent == tmp_path / "models" / "greys"


def test_what_it_wants_and_does_not_get_is_told(tmp_path: Path) -> None:
    bundle = picture_classifier(tmp_path, how=after({"_target_": "AsDiscreted", "argmax": True}))
    (wish,) = wants(bundle)
    assert "AsDiscreted" in wish


def test_no_training_to_segment_starts_from_it(tmp_path: Path) -> None:
    bundle = picture_classifier(tmp_path)
    with pytest.raises(ModelError, match="does not mark voxels"):
        read_origin(bundle, "segmentation")
    assert read_origin(bundle, "classification").outputs == ("bright", "dark", "middle")


def test_the_plan_of_a_segmentation_refuses_it(tmp_path: Path) -> None:
    from napari_medcnn.inference.plan import ImageFacts, resolve

    spec = read_bundle(volume_classifier(tmp_path))
    with pytest.raises(InputMismatch, match=r"marks nothing.*medcnn classify"):
        resolve(spec, ImageFacts((8, 8, 8), (1.0, 1.0, 1.0)))
