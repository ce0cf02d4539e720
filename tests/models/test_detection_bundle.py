"""Detection bundles are read line by line; nothing of them is run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from napari_medcnn.core.errors import ModelError
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.models.importing.review import wants
from napari_medcnn.models.networks import build_network, load_network
from tests.detection_factory import make_detector

Content = dict[str, Any]


def written(tmp_path: Path, change: Callable[[Content], None], **options: Any) -> Path:
    return make_detector(tmp_path / "boxes", weights=False, change=change, **options)


def test_the_lines_of_the_model_zoo_become_a_specification(tmp_path: Path) -> None:
    spec = read_bundle(make_detector(tmp_path / "boxes", weights=False), need_weights=False)
    assert spec.task == "detection"
    detector = spec.detector
    assert detector is not None
    assert (detector.score_threshold, detector.nms_overlap) == (0.3, 0.22)
    assert (detector.candidates_per_level, detector.most_boxes) == (1000, 300)
    assert detector.size_divisible == (16, 16, 8)
    assert detector.anchors["base_anchor_shapes"][1] == [8, 6, 5]
    assert detector.box_coordinates == "centres"
    assert (spec.roi_size, spec.overlap, spec.blend) == ((32, 48, 48), 0.25, "constant")
    assert spec.spacing_mm == (1.25, 0.703125, 0.703125)
    assert spec.network["backbone"] == {
        "_target_": "resnet10",
        "spatial_dims": 3,
        "n_input_channels": 1,
        "conv1_t_stride": [2, 2, 1],
        "conv1_t_size": [7, 7, 7],
        "widen_factor": 0.125,
    }
    assert [label.name for label in spec.labels] == ["object"]
    assert spec.channels[0].modality == "CT"


def test_the_step_to_the_networks_grid_counts_though_a_switch_disables_it(tmp_path: Path) -> None:
    folder = make_detector(tmp_path / "boxes", weights=False, spacing_disabled=True)
    spec = read_bundle(folder, need_weights=False)
    assert spec.spacing_mm == (1.25, 0.703125, 0.703125)


def test_components_written_as_dicts_are_the_same_as_lines(tmp_path: Path) -> None:
    def change(content: Content) -> None:
        content["backbone"] = {
            "_target_": "monai.networks.nets.resnet10",
            "spatial_dims": 3,
            "n_input_channels": 1,
            "conv1_t_stride": [2, 2, 1],
            "conv1_t_size": [7, 7, 7],
            "widen_factor": 0.125,
        }
        content["feature_extractor"] = {
            "_target_": "resnet_fpn_feature_extractor",
            "backbone": "@backbone",
            "spatial_dims": 3,
            "returned_layers": [1, 2],
        }

    lines = read_bundle(make_detector(tmp_path / "a", weights=False), need_weights=False)
    dicts = read_bundle(written(tmp_path, change), need_weights=False)
    assert (dicts.network, dicts.detector) == (lines.network, lines.detector)


def test_the_backbone_of_the_model_zoo_is_built_with_the_names_of_its_weights(
    tmp_path: Path,
) -> None:
    def change(content: Content) -> None:
        content["backbone"] = (
            "$monai.networks.nets.resnet.resnet50(spatial_dims=3,n_input_channels=1,"
            "conv1_t_stride=[2,2,1],conv1_t_size=[7,7,7])"
        )

    spec = read_bundle(written(tmp_path, change), need_weights=False)
    with torch.device("meta"):
        network = build_network(spec)
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert shapes["feature_extractor.body.conv1.weight"] == (64, 1, 7, 7, 7)
    assert shapes["feature_extractor.body.layer1.2.conv3.weight"] == (256, 64, 1, 1, 1)
    assert shapes["feature_extractor.fpn.inner_blocks.1.weight"] == (256, 512, 1, 1, 1)
    assert shapes["feature_extractor.fpn.layer_blocks.0.weight"] == (256, 256, 3, 3, 3)
    assert shapes["classification_head.cls_logits.weight"] == (3, 256, 3, 3, 3)
    assert shapes["regression_head.bbox_reg.bias"] == (18,)
    assert not any("layer3" in name or ".fc." in name for name in shapes)


def test_weights_load_strictly(tmp_path: Path) -> None:
    folder = make_detector(tmp_path / "boxes")
    file = folder / "models" / "model.pt"
    state = torch.load(file, weights_only=True)
    state["classification_head.cls_logits.bias"] = torch.zeros(5)
    torch.save(state, file)
    with pytest.raises(ModelError, match=r"cls_logits\.bias is \(5,\), expected \(3,\)"):
        load_network(read_bundle(folder))


def test_without_a_step_to_the_world_boxes_reach_from_face_to_face(tmp_path: Path) -> None:
    folder = make_detector(tmp_path / "a", weights=False, to_world=False)
    spec = read_bundle(folder, need_weights=False)
    assert spec.detector is not None and spec.detector.box_coordinates == "edges"
    own = {"box_coordinates": "centres", "labels": [[1, "nodule", [1, 0, 0]]]}
    folder = make_detector(tmp_path / "b", weights=False, to_world=False, medcnn=own)
    spec = read_bundle(folder, need_weights=False)
    assert spec.detector is not None and spec.detector.box_coordinates == "centres"
    assert spec.labels[0].name == "nodule"


MARK = "__import__('pathlib').Path('{mark}').write_text('run')"


@pytest.mark.parametrize(
    ("place", "line", "reason"),
    [
        ("op", "${run}", "detector_ops#0 asks to run Python code"),
        ("op", "$@detector.network.load_state_dict({run})", "asks to run Python code"),
        ("op", "$@detector.__init__({run})", "asks to run Python code"),
        ("op", "$@detector.set_target_keys(box_key={run}, label_key='b')", "not interpreted"),
        ("op", "$@detector.set_target_keys(*{run})", "asks to run Python code"),
        ("op", "$@detector.set_target_keys(**{run})", "asks to run Python code"),
        ("op", "$@detector.set_box_selector_parameters(score_thresh={run})", "not interpreted"),
        ("op", "$@detector.set_box_selector_parameters(shell='x')", "arguments shell"),
        ("op", "$setattr(@detector, 'x', {run})", "asks to run Python code"),
        ("op", "$[{run}, @detector.set_target_keys('a', 'b')]", "asks to run Python code"),
        ("backbone", "${run}", "not interpreted"),
        ("backbone", "$monai.networks.nets.resnet.resnet50(pretrained={run})", "not interpreted"),
        ("backbone", "$monai.networks.nets.resnet.resnet50(pretrained=True)", "pretrained"),
        ("backbone", "$monai.utils.exec_(spatial_dims=3)", "a call of monai.utils.exec_"),
        ("backbone", "$os.resnet50(spatial_dims=3)", "a call of os.resnet50"),
        ("feature_extractor", "$torch.jit.load('evil.ts')", "a call of torch.jit.load"),
        ("anchor_generator", {"_target_": "os.system", "command": "x"}, "not in the table"),
        ("detector", {"_target_": "scripts.mine.RetinaNetDetector"}, "not in the table"),
        (
            "detector",
            {"_target_": "RetinaNetDetector", "network": "${run}"},
            "none of @network",
        ),
        (
            "detector",
            {"_target_": "RetinaNetDetector", "box_overlap_metric": "${run}"},
            "box_overlap_metric",
        ),
        ("inferer", {"_target_": "scripts.mine.Inferer"}, "a detector's inferer is"),
        ("inferer", {"_target_": "s.RetinaNetInferer", "hook": "${run}"}, "hook"),
        (
            "inferer",
            {"_target_": "s.RetinaNetInferer", "force_sliding_window": "${run}"},
            "not interpreted",
        ),
        (
            "postprocessing",
            {"_target_": "Lambdad", "keys": "box", "func": "$lambda x: {run}"},
            "not in the",
        ),
    ],
)
def test_hostile_lines_are_refused_with_their_reason_and_none_is_run(
    tmp_path: Path, place: str, line: Any, reason: str
) -> None:
    mark = tmp_path / "was-run"
    run = MARK.format(mark=mark)
    hostile = json.loads(json.dumps(line).replace("{run}", json.dumps(run)[1:-1]))

    def change(content: Content) -> None:
        if place == "op":
            content["detector_ops"].insert(0, hostile)
        elif place == "postprocessing":
            content["postprocessing"]["transforms"].append(hostile)
        else:
            content[place] = hostile

    folder = written(tmp_path, change)
    with pytest.raises(ModelError, match=reason):
        read_bundle(folder, need_weights=False)
    assert wants(folder)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c: c.pop("detector"), "nothing stands at the key detector"),
        (lambda c: c["anchor_generator"].update(feature_map_scales=[1, 2]), "3 levels"),
        (lambda c: c["anchor_generator"].update(base_anchor_shapes=[[6, 8, 4]]), "3 anchors"),
        (lambda c: c["anchor_generator"].update(base_anchor_shapes=[[6, -8, 4]] * 3), "no sense"),
        (lambda c: c.update(num_classes=0), "num_classes is 0"),
        (lambda c: c.update(size_divisible=[16, 16]), "three are expected"),
        (lambda c: c.update(spatial_dims=2), "only networks of volumes"),
        (lambda c: c["network_def"].update(_target_="UNet"), "a detector takes a RetinaNet"),
        (
            lambda c: c["detector_ops"].append(
                "$@detector.set_box_selector_parameters(score_thresh=7)"
            ),
            "make no sense",
        ),
        (
            lambda c: c["postprocessing"]["transforms"].append(
                {"_target_": "ConvertBoxModed", "box_keys": "box", "src_mode": "cccwhd"}
            ),
            "boxes come as xyzxyz",
        ),
    ],
)
def test_contradictions_are_refused(
    tmp_path: Path, change: Callable[[Content], None], reason: str
) -> None:
    with pytest.raises(ModelError, match=reason):
        read_bundle(written(tmp_path, change), need_weights=False)
