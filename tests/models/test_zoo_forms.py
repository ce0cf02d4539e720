"""The forms that configurations of the model zoo take, on bundles of our own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_medcnn.core.errors import ModelError
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.models.networks import build_network, load_network
from napari_medcnn.models.spec import ModelSpec
from tests.bundle_factory import make_bundle

Content = dict[str, Any]


def changed(bundle: Path, change: Callable[[Content], None]) -> Path:
    file = bundle / "configs" / "inference.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    return bundle


def read(tmp_path: Path, change: Callable[[Content], None], **options: Any) -> ModelSpec:
    return read_bundle(changed(make_bundle(tmp_path / "tiny", **options), change))


def test_a_network_of_pictures_goes_from_slice_to_slice(tmp_path: Path) -> None:
    def change(content: Content) -> None:
        content["network_def"]["spatial_dims"] = 2
        content["inferer"] = {"_target_": "SliceInferer", "roi_size": [32, 24], "spatial_dim": 2}

    spec = read(tmp_path, change, random_weights=True)
    assert (spec.roi_size, spec.slice_axis) == ((1, 24, 32), 0)
    plain = build_network(spec).eval()
    torch.save(plain.state_dict(), spec.weights)
    windows = torch.rand(2, 1, 32, 24, 1)
    with torch.inference_mode():
        expected = plain(windows[..., 0])[..., None]
        torch.testing.assert_close(load_network(spec)(windows), expected)


@pytest.mark.parametrize(("axis", "roi"), [(0, (24, 32, 1)), (1, (24, 1, 32)), (2, (1, 24, 32))])
def test_slices_may_lie_along_any_axis(
    tmp_path: Path, axis: int, roi: tuple[int, int, int]
) -> None:
    def change(content: Content) -> None:
        content["network_def"]["spatial_dims"] = 2
        content["inferer"] = {"_target_": "SliceInferer", "roi_size": [32, 24], "spatial_dim": axis}

    spec = read(tmp_path, change, random_weights=True)
    assert (spec.roi_size, spec.slice_axis) == (roi, 2 - axis)


def test_a_network_of_pictures_needs_an_inferer_of_slices(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="works on pictures"):
        read(tmp_path, lambda c: c["network_def"].update(spatial_dims=2))
    with pytest.raises(ModelError, match="works in 3 dimensions, the inferer does not"):
        read(
            tmp_path,
            lambda c: c.update(inferer={"_target_": "SliceInferer", "roi_size": [8, 8]}),
        )


def test_an_architecture_is_read_from_its_file_without_running_it(tmp_path: Path) -> None:
    def change(content: Content) -> None:
        content["codes"] = "$torch.load(@codes_path, map_location=torch.device('cuda'))"
        content["codes_path"] = "$@bundle_root + '/models/codes.pt'"
        content["space"] = {
            "_target_": "monai.networks.nets.TopologyInstance",
            "num_blocks": 1,
            "num_depths": 2,
            "arch_code": ["$@codes['arch_code_a']", "$@codes['arch_code_c']"],
            "device": "$torch.device('cuda')",
        }
        content["network_def"] = {
            "_target_": "monai.networks.nets.DiNTS",
            "dints_space": "@space",
            "in_channels": 1,
            "num_classes": 2,
            "node_a": "$torch.from_numpy(@codes['node_a'])",
        }

    bundle = changed(make_bundle(tmp_path / "tiny", activation="softmax"), change)
    codes = {
        "arch_code_a": np.ones((1, 4), dtype=np.int64),
        "arch_code_c": np.zeros((1, 4), dtype=np.int64),
        "node_a": np.ones((2, 2), dtype=np.int64),
    }
    torch.save(codes, bundle / "models" / "codes.pt")
    network = build_network(read_bundle(bundle))
    assert type(network).__name__ == "DiNTS"
    torch.save({"arch_code_a": 1}, bundle / "models" / "codes.pt")
    with pytest.raises(ModelError, match="holds no entry"):
        build_network(read_bundle(bundle))
    elsewhere = changed(bundle, lambda c: c.update(codes_path="/tmp/codes.pt"))
    with pytest.raises(ModelError, match="outside the model's folder"):
        read_bundle(elsewhere)


def test_arguments_that_monai_dropped_and_devices_are_left_out(tmp_path: Path) -> None:
    def change(content: Content) -> None:
        content["network_def"] = {
            "_target_": "SwinUNETR",
            "img_size": 96,
            "in_channels": 1,
            "out_channels": 1,
            "feature_size": 12,
        }
        step = content["preprocessing"]["transforms"][-1]
        step.update(device="@device", meta_key_postfix="meta_dict")

    spec = read(tmp_path, change)
    assert "img_size" not in spec.network
    assert spec.preprocessing[-1].arguments == {"keys": "image"}


def test_lists_of_steps_may_be_added_up_and_sizes_be_calculated(tmp_path: Path) -> None:
    def change(content: Content) -> None:
        steps = content["preprocessing"]["transforms"]
        content.update(first=steps[:3], second=steps[3:], label_names={"a": 0, "b": 1})
        content["preprocessing"]["transforms"] = "$@first + @second"
        content["network_def"]["out_channels"] = "$len(@label_names) - 1"

    spec = read(tmp_path, change)
    assert len(spec.preprocessing) == 3
    assert spec.network["out_channels"] == 1


def test_an_activation_after_the_way_back_is_that_of_logits_brought_back(tmp_path: Path) -> None:
    def change(content: Content) -> None:
        steps = content["postprocessing"]["transforms"]
        steps[0], steps[1] = steps[1], steps[0]

    spec = read(tmp_path, change, activation="softmax")
    assert spec.postprocessing.interpolate == "logits"
    assert not spec.postprocessing.labels_first


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("RetinaNet", "nothing stands at the key|not interpreted|asks to run"),
        ("TorchVisionFCModel", "classifies"),
        ("monai.networks.nets.DiffusionModelUNet", "makes images"),
        ("VISTA3D", "asks the user for points"),
        ("scripts.networks.unest.UNesT", "scripts.networks.unest.UNesT"),
    ],
)
def test_models_of_another_kind_are_refused_with_what_they_do(
    tmp_path: Path, target: str, reason: str
) -> None:
    with pytest.raises(ModelError, match=reason):
        read(tmp_path, lambda c: c["network_def"].update(_target_=target, part="$evil()"))


def test_lazy_resampling_which_gives_other_voxels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="lazy"):
        read(tmp_path, lambda c: c["preprocessing"].update(lazy=True))
    with pytest.raises(ModelError, match="lazy"):
        read(tmp_path, lambda c: c["preprocessing"]["transforms"][2].update(lazy=True))
