"""What a network takes over from a bundle: everything that fits, class by class."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from napari_medcnn.core.errors import ModelError
from napari_medcnn.models.networks import load_network, network_of
from napari_medcnn.models.registry import SHIPPED, read_model
from napari_medcnn.training.job import Preprocessing, TrainJob
from napari_medcnn.training.networks import build, network_definition, network_names
from napari_medcnn.training.starting_from import starting_from
from napari_medcnn.training.transfer import parameter_groups, start_weights
from tests.bundle_factory import make_bundle
from tests.training.learn_jobs import job_of

SEGRESNET = {
    "_target_": "SegResNet",
    "spatial_dims": 3,
    "init_filters": 8,
    "blocks_down": [1, 1],
    "blocks_up": [1],
    "norm": ["GROUP", {"num_groups": 4}],
}


def written(
    folder: Path,
    classes: Sequence[str] = ("liver", "spleen"),
    channels: Sequence[str] = ("T1", "T2"),
    network: dict[str, Any] = SEGRESNET,
) -> Path:
    """A bundle with random weights; by softmax."""
    make_bundle(folder, classes=classes, thresholds=[0.5] * len(classes), activation="softmax",
                channels=len(channels))  # fmt: skip
    definition = {**network, "in_channels": len(channels), "out_channels": len(classes) + 1}
    config = folder / "configs" / "inference.json"
    content = json.loads(config.read_text())
    config.write_text(json.dumps({**content, "network_def": definition}))
    metadata = folder / "configs" / "metadata.json"
    content = json.loads(metadata.read_text())
    content["medcnn"] = {
        **content.get("medcnn", {}),
        "channels": [{"name": name, "modality": "MR"} for name in channels],
    }
    metadata.write_text(json.dumps(content))
    torch.manual_seed(11)
    for file in (folder / "models").iterdir():
        file.unlink()
    torch.save(network_of(definition).state_dict(), folder / "models" / "model.pt")
    return folder


def taught(
    folder: Path, classes: Sequence[str], channels: Sequence[str] = ("T1", "T2"), **choice: Any
) -> TrainJob:
    return job_of(
        channels=tuple(channels), classes=tuple(classes), start_from=folder, seed=5, **choice
    )


def loaded(folder: Path) -> torch.nn.Module:
    return load_network(read_model(folder))


def image(channels: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(1, channels, 8, 8, 8, generator=generator)


def test_from_scratch_nothing_is_loaded() -> None:
    job = job_of()
    network = build(job)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert start_weights(network, job).text == "the network starts from scratch"
    assert all(torch.equal(v, before[name]) for name, v in network.state_dict().items())


def test_the_same_classes_and_channels_make_the_same_network(tmp_path: Path) -> None:
    folder = written(tmp_path / "bundle")
    job = taught(folder, ["Liver", "spleen"])
    network = build(job)
    report = start_weights(network, job)
    assert not report.adapted + report.replaced + report.left
    with torch.no_grad():
        assert torch.equal(network.eval()(image(2)), loaded(folder)(image(2)))


def test_classes_are_taken_over_by_name_and_new_ones_start_new(tmp_path: Path) -> None:
    folder = written(tmp_path / "bundle")
    job = taught(folder, ["kidney", "spleen", "liver"])
    network = build(job)
    report = start_weights(network, job)
    with torch.no_grad():
        found, known = network.eval()(image(2)), loaded(folder)(image(2))
    assert torch.allclose(found[:, [0, 3, 2]], known, atol=1e-5)
    assert "kidney" in report.text
    assert set(report.adapted) == {"conv_final.2.conv.weight", "conv_final.2.conv.bias"}


def test_a_head_of_other_classes_is_new_and_the_rest_is_not(tmp_path: Path) -> None:
    folder = written(tmp_path / "bundle")
    job = taught(folder, ["lung", "heart"])
    network = build(job)
    fresh = {name: value.clone() for name, value in network.state_dict().items()}
    report = start_weights(network, job)
    state, theirs = network.state_dict(), loaded(folder).state_dict()
    assert set(report.replaced) == {"conv_final.2.conv.weight", "conv_final.2.conv.bias"}
    assert report.left == report.replaced
    for name, value in state.items():
        assert torch.equal(value, (fresh if name in report.replaced else theirs)[name])


def test_a_head_of_several_layers_is_replaced_as_a_whole(tmp_path: Path) -> None:
    unet = {
        "_target_": "UNet",
        "spatial_dims": 3,
        "channels": [4, 8],
        "strides": [2],
        "num_res_units": 2,
    }
    folder = written(tmp_path / "bundle", network=unet)
    job = taught(folder, ["liver", "spleen", "kidney"])
    report = start_weights(build(job), job)
    assert report.replaced
    assert not report.adapted
    assert all(name.startswith("model.2.") for name in report.replaced)


def test_the_shipped_lesion_model_says_the_same_before_it_learns() -> None:
    folder = SHIPPED / "flair_lesions"
    spec = read_model(folder)
    job = taught(folder, ["MS lesion"], [spec.channels[0].name])
    network = build(job)
    report = start_weights(network, job)
    patch = torch.randn(1, 1, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        known = load_network(spec)(patch).sigmoid()
        found = network.eval()(patch).softmax(1)[:, 1:]
    assert torch.allclose(found, known, atol=1e-6)
    assert report.adapted
    assert spec.title in report.text


def test_channels_are_taken_over_by_name_and_new_ones_count_nothing_at_first(
    tmp_path: Path,
) -> None:
    folder = written(tmp_path / "bundle")
    job = taught(folder, ["liver", "spleen"], ["T2", "FLAIR", "T1"])
    network = build(job)
    report = start_weights(network, job)
    given = image(3)
    with torch.no_grad():
        known = loaded(folder)(given[:, [2, 0]])
        assert torch.allclose(network.eval()(given), known, atol=1e-5)
    assert "new input channels: FLAIR" in report.text


def test_channels_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    folder = written(tmp_path / "bundle")
    job = taught(folder, ["liver"], ["CT"])
    with pytest.raises(ModelError, match="cannot be told which is which"):
        start_weights(build(job), job)
    same_number = taught(folder, ["liver", "spleen"], ["a", "b"])
    assert not start_weights(build(same_number), same_number).adapted


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    folder = written(tmp_path / "bundle")
    other = network_of({**SEGRESNET, "init_filters": 16, "in_channels": 2, "out_channels": 3})
    torch.save(other.state_dict(), folder / "models" / "model.pt")
    job = taught(folder, ["liver", "spleen"])
    with pytest.raises(ModelError, match="do not fit"):
        start_weights(build(job), job)


def test_a_bundle_of_another_number_of_dimensions_is_refused(tmp_path: Path) -> None:
    job = job_of(dimensions=2, patch=(1, 16, 16), start_from=written(tmp_path / "bundle"))
    with pytest.raises(ModelError, match="3 dimensions"):
        network_definition(job)


def test_a_classifier_starts_from_a_classifier(tmp_path: Path) -> None:
    shape = (1, 32, 32)
    first = job_of("classification", "vgg11", 2, shape, classes=("no", "yes"),
                   arguments={"width": 2, "hidden": 4})  # fmt: skip
    definition = network_definition(first)
    (tmp_path / "configs").mkdir()
    (tmp_path / "models").mkdir()
    resizing = {"_target_": "Resized", "keys": "image", "spatial_size": [32, 32, 1]}
    config = {"network_def": definition, "preprocessing": [resizing]}
    (tmp_path / "configs" / "inference.json").write_text(json.dumps(config))
    about = {"medcnn": {"classes": ["no", "yes"], "channels": [{"name": "image"}]}}
    (tmp_path / "configs" / "metadata.json").write_text(json.dumps(about))
    source = build(first)
    save_file(source.state_dict(), tmp_path / "models" / "model.safetensors")
    job = job_of("classification", "vgg11", 2, shape, classes=("maybe", "yes", "no"),
                 start_from=tmp_path)  # fmt: skip
    network = build(job)
    report = start_weights(network, job)
    picture = torch.randn(1, 1, 32, 32)
    with torch.no_grad():
        found, known = network.eval()(picture), source.eval()(picture)
    assert torch.allclose(found[:, [2, 1]], known, atol=1e-5)
    assert "new classes: maybe" in report.text
    larger = replace(job, preprocessing=Preprocessing(size=(1, 64, 64)))
    assert starting_from(larger, tmp_path).preprocessing.size == shape


def test_the_encoder_may_learn_at_a_lower_rate(tmp_path: Path) -> None:
    job = taught(written(tmp_path / "bundle"), ["liver", "spleen"], encoder_rate=0.1)
    network = build(job)
    groups = {group["name"]: group for group in parameter_groups(network, job)}
    names = {id(p): name for name, p in network.named_parameters()}
    for called, group in groups.items():
        inside = called.startswith("encoder")
        share = 0.1 if inside else 1.0
        assert group["lr"] == pytest.approx(job.optimisation.rate * share)
        encoder = ("convInit", "down_layers")
        assert all(names[id(p)].startswith(encoder) == inside for p in group["params"])
    listed = sum(len(group["params"]) for group in groups.values())
    assert listed == len(list(network.parameters()))


def test_a_frozen_encoder_keeps_weights_and_statistics(tmp_path: Path) -> None:
    attention = {
        "_target_": "AttentionUnet",
        "spatial_dims": 3,
        "channels": [4, 8],
        "strides": [2],
    }
    folder = written(tmp_path / "bundle", network=attention)
    job = taught(folder, ["liver", "spleen"], freeze_encoder=True)
    network = build(job)
    start_weights(network, job)
    optimiser = torch.optim.SGD(parameter_groups(network, job))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.train()
    for _ in range(2):
        network(torch.randn(2, 2, 8, 8, 8)).square().mean().backward()
        optimiser.step()
    changed = {n for n, v in network.state_dict().items() if not torch.equal(v, before[n])}
    encoder = ("model.0.", "model.1.submodule.")
    assert changed
    assert not any(name.startswith(encoder) for name in changed)
    assert any("running_mean" in name for name in changed), "the decoder's statistics go on"


@pytest.mark.parametrize("task", ["segmentation", "classification"])
def test_the_encoder_of_every_network_is_known_and_is_a_part_of_it(
    task: Any, tmp_path: Path
) -> None:
    from napari_medcnn.models.vocabulary import class_name
    from napari_medcnn.training.encoders import in_encoder

    for name in network_names(task, 2):
        if name[-2:] in ("b1", "b2", "b3", "b4", "13", "16", "19", "34", "50", "69"):
            continue  # of the same classes as the smaller ones
        size = 64 if name == "swinunetr" else 32
        job = job_of(task, name, 2, (1, size, size))
        network = build(job)
        kind = class_name(network_definition(job), "network_def")
        inside = [in_encoder(kind, n) for n, _ in network.named_parameters()]
        assert 0 < sum(inside) < len(inside), name
    with pytest.raises(ModelError, match="HighResNet"):
        in_encoder("HighResNet", "blocks.0.weight")


def test_parameters_of_a_network_from_scratch_are_never_frozen() -> None:
    job = job_of(patch=(8, 8, 8), arguments={"channels": [2, 4]})
    job = replace(job, network=replace(job.network, freeze_encoder=True))
    network = build(job)
    parameter_groups(network, job)
    assert all(parameter.requires_grad for parameter in network.parameters())
