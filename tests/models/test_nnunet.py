from __future__ import annotations

import json
import pickle
import subprocess
import sys
import zipfile
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_medcnn.core.errors import ModelError
from napari_medcnn.models.nnunet import is_nnunet, read_nnunet
from napari_medcnn.models.nnunet_labels import outputs_of, painted_over
from napari_medcnn.models.spec import Channel
from tests.nnunet_factory import CONFIGURATION, make_nnunet, write_checkpoint

pytest.importorskip("dynamic_network_architectures", reason="the extra nnunet is not installed")


def test_a_trained_folder_says_all_that_a_run_needs(tmp_path: Path) -> None:
    folder = make_nnunet(tmp_path / "m", folds=("0", "1"), mirror_axes=(0, 1))
    spec = read_nnunet(folder)
    assert spec.kind == "nnunet"
    assert spec.id == "Dataset999_Tiny-3d_fullres"
    assert [path.parent.name for path in spec.members] == ["fold_0", "fold_1"]
    assert spec.channels == (Channel("MRI", "MR"),)
    assert [(label.value, label.name) for label in spec.labels] == [(1, "front"), (2, "back")]
    assert spec.activation == "softmax"
    assert spec.postprocessing.interpolate == "logits"
    # The window's axes are reversed in the specification, and so are those to mirror.
    assert spec.roi_size == (16, 16, 12)
    assert spec.spacing_mm == (1.0, 1.0, 2.0)
    assert spec.mirror_axes == (1, 2)
    assert (spec.overlap, spec.blend, spec.window_layout) == (0.5, "gaussian", "nnunet")
    assert spec.preprocessing[0].target == "NnunetPreprocessd"
    json.dumps(spec.preprocessing[0].arguments)


def test_reading_a_model_does_not_import_torch(tmp_path: Path) -> None:
    folder = make_nnunet(tmp_path / "m")
    code = (
        "import sys; from napari_medcnn.models.nnunet import read_nnunet;"
        f"read_nnunet({str(folder)!r}); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_folder_around_one_model_is_that_model_and_around_two_is_none(tmp_path: Path) -> None:
    make_nnunet(tmp_path / "Dataset999_Tiny" / "a")
    assert is_nnunet(tmp_path / "Dataset999_Tiny")
    assert read_nnunet(tmp_path / "Dataset999_Tiny").path.name == "a"
    make_nnunet(tmp_path / "Dataset999_Tiny" / "b")
    with pytest.raises(ModelError, match="holds several models: a, b"):
        read_nnunet(tmp_path / "Dataset999_Tiny")
    assert not is_nnunet(tmp_path)
    with pytest.raises(ModelError, match="no nnU-Net here"):
        read_nnunet(tmp_path)


def test_folds_can_be_chosen_and_the_one_of_all_cases_is_no_member_of_the_rest(
    tmp_path: Path,
) -> None:
    folder = make_nnunet(tmp_path / "m", folds=("0", "1", "all"))
    assert len(read_nnunet(folder).members) == 2
    assert [p.parent.name for p in read_nnunet(folder, folds=["all"]).members] == ["fold_all"]
    with pytest.raises(ModelError, match="not all of the folds 0, 7"):
        read_nnunet(folder, folds=["0", "7"])


def test_the_best_checkpoint_stands_in_where_training_was_stopped(tmp_path: Path) -> None:
    folder = make_nnunet(tmp_path / "m")
    file = folder / "fold_0" / "checkpoint_final.pth"
    file.rename(file.with_name("checkpoint_best.pth"))
    assert read_nnunet(folder).weights.name == "checkpoint_best.pth"


def test_the_network_is_that_of_the_plans_with_its_weights(tmp_path: Path) -> None:
    import torch

    from napari_medcnn.models.networks import load_network

    spec = read_nnunet(make_nnunet(tmp_path / "m", folds=("0", "1")))
    first, second = (load_network(spec, member=n) for n in (0, 1))
    saved = torch.load(spec.members[1], weights_only=False)["network_weights"]
    assert all(torch.equal(second.state_dict()[k], v) for k, v in saved.items())
    assert any(not torch.equal(first.state_dict()[k], v) for k, v in saved.items())
    window = torch.randn(1, 1, 12, 16, 16)
    assert second(window).shape == (1, 3, 12, 16, 16)


def test_plans_from_before_nnunet_2_4_describe_the_same_network(tmp_path: Path) -> None:
    from napari_medcnn.models.networks import load_network

    folder = make_nnunet(tmp_path / "m")
    plans = json.loads((folder / "plans.json").read_text())
    configuration = plans["configurations"]["3d_fullres"]
    del configuration["architecture"]
    configuration |= {
        "UNet_class_name": "PlainConvUNet",
        "UNet_base_num_features": 4,
        "unet_max_num_features": 320,
        "n_conv_per_stage_encoder": [1, 1],
        "n_conv_per_stage_decoder": [1],
        "pool_op_kernel_sizes": [[1, 1, 1], [2, 2, 2]],
        "conv_kernel_sizes": [[3, 3, 3], [3, 3, 3]],
    }
    (folder / "plans.json").write_text(json.dumps(plans))
    load_network(read_nnunet(folder))


def test_residual_encoders_are_built(tmp_path: Path) -> None:
    from napari_medcnn.models.networks import load_network

    architecture = deepcopy(CONFIGURATION["architecture"])
    architecture["network_class_name"] = "dynamic_network_architectures.x.ResidualEncoderUNet"
    arguments = architecture["arch_kwargs"]
    arguments["n_blocks_per_stage"] = arguments.pop("n_conv_per_stage")
    spec = read_nnunet(make_nnunet(tmp_path / "m", configuration={"architecture": architecture}))
    assert spec.network["_target_"] == "ResidualEncoderUNet"
    load_network(spec)


def test_a_configuration_has_what_it_inherits(tmp_path: Path) -> None:
    folder = make_nnunet(tmp_path / "m", name="3d_lowres")
    plans = json.loads((folder / "plans.json").read_text())
    base = plans["configurations"].pop("3d_lowres")
    base["spacing"] = [3.0, 3.0, 3.0]
    plans["configurations"] = {"base": base, "3d_lowres": {"inherits_from": "base"}}
    (folder / "plans.json").write_text(json.dumps(plans))
    assert read_nnunet(folder).spacing_mm == (3.0, 3.0, 3.0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"patch_size": [16, 16], "spacing": [1.0, 1.0]}, "works on slices"),
        ({"previous_stage": "3d_lowres"}, "second stage of a cascade"),
        ({"preprocessor_name": "MyPreprocessor"}, "preprocessing MyPreprocessor is not known"),
        ({"resampling_fn_data": "resample_torch_fornnunet"}, "resampling resample_torch_fornnunet"),
        ({"resampling_fn_probabilities_kwargs": {"order": 3}}, "way back by splines of order 3"),
        ({"spacing": None}, "the plans cannot be understood"),
    ],
)
def test_what_is_not_supported_is_refused_with_its_reason(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ModelError, match=reason):
        read_nnunet(make_nnunet(tmp_path / "m", configuration=change))


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("network_class_name", "os.system", "the network system, which is not in the table"),
        ("conv_op", "os.system", "the layer os.system, which is not in the table"),
        ("nonlin", "torch.hub.load", "the layer torch.hub.load, which is not in the table"),
        ("hook", "x", "unknown arguments hook"),
    ],
)
def test_plans_that_name_other_classes_are_refused(
    tmp_path: Path, key: str, value: str, reason: str
) -> None:
    folder = make_nnunet(tmp_path / "m")
    plans = json.loads((folder / "plans.json").read_text())
    stated = plans["configurations"]["3d_fullres"]["architecture"]
    (stated if key in stated else stated["arch_kwargs"])[key] = value
    (folder / "plans.json").write_text(json.dumps(plans))
    with pytest.raises(ModelError, match=reason):
        read_nnunet(folder)


class _Payload:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        import os

        return os.system, ("touch it_ran",)


def test_a_checkpoint_that_would_run_code_is_refused_and_runs_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_medcnn.models.nnunet_checkpoint import load_weights

    monkeypatch.chdir(tmp_path)
    folder = make_nnunet(tmp_path / "m")
    file = folder / "fold_0" / "checkpoint_final.pth"
    write_checkpoint(file, {"trainer_name": _Payload(), "network_weights": {}})
    with pytest.raises(ModelError, match="would run code"):
        read_nnunet(folder)
    with pytest.raises(ModelError, match="would run code"):
        load_weights(file)
    assert not (tmp_path / "it_ran").exists()


@pytest.mark.parametrize("content", [b"", b"no zip", pickle.dumps({"trainer_name": "x"})])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    folder = make_nnunet(tmp_path / "m")
    (folder / "fold_0" / "checkpoint_final.pth").write_bytes(content)
    with pytest.raises(ModelError, match="no checkpoint"):
        read_nnunet(folder)


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    folder = make_nnunet(tmp_path / "m")
    file = folder / "fold_0" / "checkpoint_final.pth"
    for pickled in (pickle.dumps([1, 2]), pickle.dumps({"state_dict": 1}), b"\x80\x04."):
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("archive/data.pkl", pickled)
        with pytest.raises(ModelError):
            read_nnunet(folder)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    from napari_medcnn.models.networks import load_network

    folder = make_nnunet(tmp_path / "m")
    dataset = json.loads((folder / "dataset.json").read_text())
    dataset["labels"]["third"] = 3
    (folder / "dataset.json").write_text(json.dumps(dataset))
    with pytest.raises(ModelError, match="do not fit the network of the plans"):
        load_network(read_nnunet(folder))


def test_folds_of_other_trainings_are_no_ensemble(tmp_path: Path) -> None:
    folder = make_nnunet(tmp_path / "m", folds=("0",))
    other = make_nnunet(tmp_path / "other", folds=("1",), mirror_axes=(0,))
    (other / "fold_1").rename(folder / "fold_1")
    with pytest.raises(ModelError, match="were not trained alike"):
        read_nnunet(folder)


def test_regions_are_painted_over_each_other_in_the_order_of_the_data_set() -> None:
    labels, outputs, after = outputs_of(
        {
            "labels": {
                "background": 0,
                "tumour": [1, 2, 3],
                "core": [2, 3],
                "enhancing": [3],
                "ignore": 4,
            },
            "regions_class_order": [1, 2, 3],
        }
    )
    assert outputs == 3
    assert after.discretise == "threshold"
    assert [(label.value, label.name) for label in labels] == [
        (1, "tumour without core"),
        (2, "core without enhancing"),
        (3, "enhancing"),
    ]
    assert after.combine is not None
    voxels = np.array([[0, 1, 1, 1, 0], [0, 0, 1, 1, 0], [0, 0, 0, 1, 1]], dtype=np.uint8)
    made = after.combine(voxels[:, :, None, None])
    assert made.ravel().tolist() == [0, 1, 2, 3, 3]


def test_the_order_of_regions_may_name_any_labels() -> None:
    later_first = painted_over([3, 1])
    voxels = np.array([[0, 1, 1, 0], [0, 0, 1, 1]], dtype=np.uint8)[:, :, None, None]
    assert later_first(voxels).ravel().tolist() == [0, 3, 1, 1]


@pytest.mark.parametrize(
    ("labels", "order", "reason"),
    [
        ({"lesion": 1}, None, "no label 'background'"),
        ({"background": 0, "lesion": 2}, None, "are not 0, 1, 2"),
        ({"background": 0, "a": [1, 2], "b": 2}, None, "one label for each region"),
        ({"background": 0, "a": [1, 2], "b": 2}, [1], "one label for each region"),
        ({"background": 0, "a": [1, 2], "b": 2}, [1, 1], "names a label twice"),
    ],
)
def test_labels_that_contradict_themselves_are_refused(
    labels: dict[str, Any], order: list[int] | None, reason: str
) -> None:
    with pytest.raises(ModelError, match=reason):
        outputs_of({"labels": labels, "regions_class_order": order})


def test_the_postprocessing_that_nnunet_found_is_read_from_json_and_never_unpickled(
    tmp_path: Path,
) -> None:
    folder = make_nnunet(tmp_path / "m")
    where = folder / "crossval_results_folds_0"
    where.mkdir()
    (where / "postprocessing.pkl").write_bytes(pickle.dumps(_Payload()))
    assert "not read" in read_nnunet(folder).description
    function = "remove_all_but_largest_component_from_segmentation"
    content = {
        "postprocessing_fns": [function, function],
        "postprocessing_kwargs": [{"labels_or_regions": [1, 2]}, {"labels_or_regions": 2}],
    }
    (where / "postprocessing.json").write_text(json.dumps(content))
    spec = read_nnunet(folder)
    assert [s.arguments["applied_labels"] for s in spec.postprocessing.cleanup] == [[1, 2], [2]]
    content["postprocessing_fns"] = ["os.system", function]
    (where / "postprocessing.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match=r"postprocessing os\.system is not known"):
        read_nnunet(folder)
