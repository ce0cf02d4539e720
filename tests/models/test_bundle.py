from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from napari_medcnn.core.errors import ModelError
from napari_medcnn.core.segmentation import Label
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.models.spec import Channel
from tests.bundle_factory import make_bundle


def edited(bundle: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    file = bundle / "configs" / "inference.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    return bundle


def test_a_bundle_says_what_it_is_and_how_it_is_run(tmp_path: Path) -> None:
    spec = read_bundle(
        make_bundle(
            tmp_path / "tiny",
            classes=("lesion",),
            spacing=(1.0, 2.0, 3.0),
            roi=(16, 24, 32),
            overlap=0.5,
            medcnn={
                "id": "tiny_lesions",
                "title": "Tiny lesions",
                "one_liner": "Marks what is bright",
                "licence": "CC-BY-4.0",
                "labels": [[1, "lesion", [0.9, 0.2, 0.1]]],
                "channels": [{"name": "FLAIR", "modality": "MR"}],
                "min_lesion_volume_mm3": 10,
                "listed": False,
            },
        )
    )
    assert (spec.id, spec.title, spec.version) == ("tiny_lesions", "Tiny lesions", "1.2.3")
    assert (spec.one_liner, spec.licence) == ("Marks what is bright", "CC-BY-4.0")
    assert spec.labels == (Label(1, "lesion", (0.9, 0.2, 0.1)),)
    assert spec.channels == (Channel("FLAIR", "MR"),)
    assert spec.spacing_mm == (3.0, 2.0, 1.0)
    assert spec.roi_size == (32, 24, 16)
    assert (spec.overlap, spec.blend, spec.window_batch) == (0.5, "gaussian", 2)
    assert (spec.min_lesion_volume_mm3, spec.listed) == (10.0, False)
    assert [step.target for step in spec.preprocessing] == [
        "Orientationd",
        "Spacingd",
        "EnsureTyped",
    ]
    assert spec.weights == tmp_path / "tiny" / "models" / "model.pt"


def test_a_bundle_without_our_words_gets_sensible_defaults(tmp_path: Path) -> None:
    spec = read_bundle(make_bundle(tmp_path / "tiny", activation="softmax"))
    assert (spec.id, spec.title, spec.one_liner) == (
        "tiny",
        "Bright voxels",
        "Finds what is bright",
    )
    assert [(label.value, label.name) for label in spec.labels] == [(1, "bright")]
    assert spec.channels == (Channel("image 0", "MR"),)
    assert spec.listed


def test_a_yaml_configuration_reads_like_its_json(tmp_path: Path) -> None:
    import yaml

    bundle = make_bundle(tmp_path / "tiny")
    expected = read_bundle(bundle)
    file = bundle / "configs" / "inference.json"
    file.with_suffix(".yaml").write_text(yaml.safe_dump(json.loads(file.read_text())))
    file.unlink()
    assert read_bundle(bundle) == expected


@pytest.mark.parametrize(
    ("name", "outputs", "spacing", "modality", "last"),
    [
        ("spleen_ct_segmentation", 1, (2.0, 1.5, 1.5), "CT", "spleen"),
        ("wholeBody_ct_segmentation", 104, (1.5, 1.5, 1.5), "CT", "urinary_bladder"),
        ("brats_mri_segmentation", 3, None, "MR", "Enhancing tumor"),
    ],
)
def test_bundles_of_the_model_zoo_are_read(
    shared_data: Path,
    name: str,
    outputs: int,
    spacing: tuple[float, float, float] | None,
    modality: str,
    last: str,
) -> None:
    folder = shared_data / "bundles" / name
    with pytest.raises(ModelError, match="no weights") as caught:
        read_bundle(folder)
    assert caught.value.source == str(folder / "models" / "model.pt")
    spec = read_bundle(folder, need_weights=False)
    assert (len(spec.labels), spec.spacing_mm) == (outputs, spacing)
    assert spec.labels[-1].name == last
    assert {channel.modality for channel in spec.channels} == {modality}


def test_overlapping_classes_get_the_values_that_the_bundles_function_gives(
    shared_data: Path,
) -> None:
    spec = read_bundle(shared_data / "bundles" / "brats_mri_segmentation", need_weights=False)
    values = {label.name: label.value for label in spec.labels}
    assert values == {"Tumor core": 1, "Whole tumor": 2, "Enhancing tumor": 4}
    assert [channel.name for channel in spec.channels] == ["T1c", "T1", "T2", "FLAIR"]


def test_the_order_of_inverting_and_labelling_is_the_bundles(shared_data: Path) -> None:
    bundles = shared_data / "bundles"
    spleen = read_bundle(bundles / "spleen_ct_segmentation", need_weights=False)
    body = read_bundle(bundles / "wholeBody_ct_segmentation", need_weights=False)
    assert (spleen.postprocessing.labels_first, spleen.postprocessing.nearest) == (False, False)
    assert (body.postprocessing.labels_first, body.postprocessing.nearest) == (True, True)


def test_a_folder_without_configuration_or_weights_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model here"):
        read_bundle(tmp_path)
    with pytest.raises(ModelError, match="no weights"):
        read_bundle(make_bundle(tmp_path / "empty", weights=""))


def test_safetensors_are_found_where_the_stated_file_is_missing(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "tiny", weights="model.safetensors")
    edited(bundle, lambda c: c["checkpointloader"].update(load_path="models/model.pt"))
    assert read_bundle(bundle).weights.name == "model.safetensors"


def test_broken_files_are_named(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "tiny")
    (bundle / "configs" / "inference.json").write_text("{")
    with pytest.raises(ModelError, match=r"inference\.json: cannot be read"):
        read_bundle(bundle)
    (bundle / "configs" / "inference.json").write_text("[1]")
    with pytest.raises(ModelError, match="holds no keys"):
        read_bundle(bundle)


def step(number: int, **change: Any) -> Callable[[dict[str, Any]], None]:
    return lambda c: c["preprocessing"]["transforms"][number].update(change)


def after(number: int, **change: Any) -> Callable[[dict[str, Any]], None]:
    return lambda c: c["postprocessing"]["transforms"][number].update(change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["network_def"].update(_target_="os.system"), "os.system"),
        (lambda c: c["network_def"].update(_target_="monai.networks.nets.Evil"), "Evil"),
        (lambda c: c["network_def"].update(out_channels="$__import__('os').getpid()"), "refused"),
        (lambda c: c["network_def"].update(spatial_dims=2), "pictures"),
        (lambda c: c.pop("network_def"), "no network_def"),
        (step(2, _target_="os.system"), "os.system"),
        (step(2, _target_="subprocess.Orientationd"), "subprocess.Orientationd"),
        (step(2, _target_="RandFlipd"), "RandFlipd"),
        (step(2, func="$lambda x: x"), "func of Orientationd"),
        (step(2, _requires_="x"), "_requires_"),
        (step(2, _mode_="debug"), "asks for more"),
        (step(2, axcodes="RRS"), "does not name three axes"),
        (step(3, pixdim=[1.0, 1.0]), "three values"),
        (lambda c: c["inferer"].update(_target_="SaliencyInferer"), "Saliency"),
        (lambda c: c["inferer"].update(overlap=1.5), "no sense"),
        (lambda c: c["inferer"].update(mode="median"), "no sense"),
        (lambda c: c["inferer"].update(roi_size=[16, 16]), "2-dimensional"),
        (after(0, sigmoid=False), "one of sigmoid and softmax"),
        (after(2, argmax=True), "made once"),
        (
            lambda c: c["postprocessing"]["transforms"].insert(
                1, {"_target_": "Lambdad", "keys": "pred", "func": "$lambda x: x"}
            ),
            "thresholded",
        ),
        (lambda c: c.pop("postprocessing"), "no postprocessing"),
    ],
)
def test_what_is_outside_the_table_is_refused_with_its_reason(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    bundle = edited(make_bundle(tmp_path / "tiny"), change)
    with pytest.raises(ModelError, match=message) as caught:
        read_bundle(bundle)
    assert str(bundle) in str(caught.value)


def test_labels_must_agree_with_the_networks_outputs(tmp_path: Path) -> None:
    wrong = {"labels": [[1, "a", [1, 0, 0]], [2, "b", [0, 1, 0]]]}
    with pytest.raises(ModelError, match=r"names the values \[1, 2\].*1 output channels"):
        read_bundle(make_bundle(tmp_path / "labels", medcnn=wrong))
    bundle = edited(
        make_bundle(tmp_path / "outputs"), lambda c: c["network_def"].update(out_channels=3)
    )
    with pytest.raises(ModelError, match="3 output channels, the metadata names 1"):
        read_bundle(bundle)
    with pytest.raises(ModelError, match="with colours in"):
        read_bundle(make_bundle(tmp_path / "c", medcnn={"labels": [[1, "a", [255, 0, 0]]]}))


def test_input_channels_must_agree_with_the_network(tmp_path: Path) -> None:
    bundle = edited(
        make_bundle(tmp_path / "tiny", channels=2), lambda c: c["network_def"].update(in_channels=4)
    )
    with pytest.raises(ModelError, match="2 input channels, the network takes 4"):
        read_bundle(bundle)


@pytest.mark.parametrize("path", ["/etc/passwd", "$@bundle_root + '/../other/model.pt'"])
def test_weights_outside_the_models_folder_are_refused(tmp_path: Path, path: str) -> None:
    make_bundle(tmp_path / "other")
    bundle = edited(
        make_bundle(tmp_path / "tiny"), lambda c: c["checkpointloader"].update(load_path=path)
    )
    with pytest.raises(ModelError, match="outside the model's folder"):
        read_bundle(bundle)


def test_a_bundle_may_be_named_by_a_relative_path_and_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.move(make_bundle(tmp_path / "a"), tmp_path / "b")
    monkeypatch.chdir(tmp_path)
    spec = read_bundle("b")
    assert spec.weights.is_file()
    assert spec.path.is_absolute()


def test_disabled_steps_and_nested_compositions_are_understood(tmp_path: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        steps = content["preprocessing"]["transforms"]
        steps[3]["_disabled_"] = "$not False"
        content["inner"] = {"_target_": "monai.transforms.Compose", "transforms": steps[2:]}
        content["preprocessing"]["transforms"] = [*steps[:2], "@inner"]

    spec = read_bundle(edited(make_bundle(tmp_path / "tiny"), change))
    assert [step.target for step in spec.preprocessing] == ["Orientationd", "EnsureTyped"]
    assert spec.spacing_mm is None
