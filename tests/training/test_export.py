"""A run becomes a bundle that says what the trained network says, here and in MONAI's runner."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch

from napari_medcnn.core.classification import Classification
from napari_medcnn.core.errors import ModelError, ReadError
from napari_medcnn.core.events import Event, JobControl, run_to_end
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.evaluation.overlap import dice
from napari_medcnn.inference.classify import classify
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.inference.preprocess import prepare
from napari_medcnn.inference.segment import segment
from napari_medcnn.io.read import read
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.models.networks import load_network
from napari_medcnn.models.registry import find_model, list_models, look_through
from napari_medcnn.models.weights import load_state
from napari_medcnn.training.checkpoint import read_checkpoint
from napari_medcnn.training.export import Exported, export_bundle, finish
from napari_medcnn.training.held_out import HeldOut
from napari_medcnn.training.job import Ending, NetworkChoice, Sampling, TrainJob
from napari_medcnn.training.networks import build
from napari_medcnn.training.prepared_case import prepare_case
from napari_medcnn.training.run import Trained, train
from napari_medcnn.training.strict_json import read_record
from tests.training.made_run import (
    checkpoint,
    hippocampus_job,
    make_run,
    picture_job,
    tiny_job,
    with_test_part,
)
from tests.training.tiny_run import RESOURCES

CPU = RunOptions(device="cpu", backend="torch", threads=1)


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The user's folder of models, in a place of the test's own."""
    folder = tmp_path / "models"
    monkeypatch.setenv("MEDCNN_MODELS", str(folder))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield folder
    torch.set_num_threads(threads)


def trained_network(job: TrainJob, seed: int = 0) -> torch.nn.Module:
    network = build(job)
    network.load_state_dict(checkpoint(job, seed).weights)
    return network.eval()


def labels_of(bundle: Path, *images: Path) -> Segmentation:
    volumes = [volume for image in images for volume in read(image)]
    return run_to_end(segment(volumes, read_bundle(bundle), options=CPU), Segmentation)


def in_file_order(result: Segmentation, image: Path) -> np.ndarray:
    (volume,) = read(image)
    return volume.on_source_grid(result.array)[0].transpose(2, 1, 0)


def by_monai(bundle: Path, folder: Path, out: Path) -> Path:
    from monai.bundle import run

    run(
        config_file=str(bundle / "configs" / "inference.json"),
        bundle_root=str(bundle),
        dataset_dir=str(folder),
        output_dir=str(out),
        device="$torch.device('cpu')",
    )
    (found,) = out.glob("*_labels.nii.gz")
    return found


def test_a_real_image_has_the_same_logits_before_and_after(
    shared_data: Path, tmp_path: Path
) -> None:
    job = hippocampus_job(shared_data)
    run = make_run(tmp_path / "run", job)
    spec = read_bundle(export_bundle(run.path))
    (volume,) = read(job.manifest.cases[0].images[0])
    events = prepare([volume], spec, JobControl())
    while True:
        try:
            next(events)
        except StopIteration as end:
            image = end.value.tensor
            break
    seen = prepare_case(job, job.manifest.cases[0], JobControl()).image
    assert torch.equal(image, seen), "training and the bundle prepare images differently"
    padded = torch.nn.functional.pad(image, [0, 1] * 3)
    crop = padded[None, :, : image.shape[1] // 2 * 2, : image.shape[2] // 2 * 2, :32]
    with torch.no_grad():
        expected, found = trained_network(job)(crop), load_network(spec)(crop)
    assert torch.equal(found, expected)
    assert expected.std() > 0


@pytest.mark.filterwarnings("ignore")  # MONAI's own
def test_monais_runner_gives_the_same_labels_of_a_real_image(
    shared_data: Path, tmp_path: Path
) -> None:
    job = hippocampus_job(shared_data)
    bundle = export_bundle(make_run(tmp_path / "run", job).path)
    image = job.manifest.cases[1].images[0]
    (tmp_path / "in").mkdir()
    shutil.copy(image, tmp_path / "in")
    theirs = nib.load(by_monai(bundle, tmp_path / "in", tmp_path / "out"))
    ours = in_file_order(labels_of(bundle, image), image)
    np.testing.assert_allclose(theirs.affine, nib.load(image).affine)
    same = np.asarray(theirs.dataobj) == ours
    assert same.mean() >= 0.999
    assert min(np.bincount(ours.ravel(), minlength=3)) > 100, "this would compare nothing"
    mirrored = np.asarray(theirs.dataobj) == ours[::-1]
    assert mirrored.mean() < 0.95, "a flip would not be noticed"


@pytest.mark.slow
def test_monais_own_command_runs_the_bundle(tmp_path: Path) -> None:
    job = tiny_job(tmp_path / "data")
    bundle = export_bundle(make_run(tmp_path / "run", job).path)
    image = job.manifest.cases[0].images[0]
    (tmp_path / "in").mkdir()
    shutil.copy(image, tmp_path / "in")
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file"]
    command += [str(bundle / "configs/inference.json"), "--bundle_root", str(bundle)]
    command += ["--meta_file", str(bundle / "configs/metadata.json")]
    command += ["--dataset_dir", str(tmp_path / "in"), "--output_dir", str(tmp_path / "out")]
    subprocess.run(command, check=True, capture_output=True, timeout=280)
    theirs = nib.load(tmp_path / "out" / "image_0_labels.nii.gz")
    ours = in_file_order(labels_of(bundle, image), image)
    assert (np.asarray(theirs.dataobj) == ours).mean() >= 0.999


@pytest.mark.filterwarnings("ignore")  # MONAI's own
def test_several_channels_keep_their_order(tmp_path: Path) -> None:
    job = tiny_job(tmp_path / "data")
    first, second = (case.images[0] for case in job.manifest.cases[:2])
    case = replace(job.manifest.cases[0], images=(first, second))
    others = tuple(replace(c, images=(c.images[0],) * 2) for c in job.manifest.cases[1:])
    manifest = replace(job.manifest, channels=("T1", "T2"), cases=(case, *others))
    job = replace(job, manifest=manifest)
    bundle = export_bundle(make_run(tmp_path / "run", job).path)
    assert [c.name for c in read_bundle(bundle).channels] == ["T1", "T2"]
    folder = tmp_path / "in" / "case"
    folder.mkdir(parents=True)
    shutil.copy(first, folder / "0.nii.gz")
    shutil.copy(second, folder / "1.nii.gz")
    theirs = np.asarray(nib.load(by_monai(bundle, tmp_path / "in", tmp_path / "out")).dataobj)
    ours = in_file_order(labels_of(bundle, first, second), first)
    swapped = in_file_order(labels_of(bundle, second, first), first)
    assert (theirs == ours).mean() >= 0.999
    assert (theirs == swapped).mean() < 0.99


@pytest.mark.filterwarnings("ignore")  # MONAI's own
def test_channels_may_be_frames_of_one_file(tmp_path: Path) -> None:
    job = tiny_job(tmp_path / "data")
    cases = []
    for case in job.manifest.cases:
        stored = nib.load(case.images[0])
        array = np.asarray(stored.dataobj)
        both = tmp_path / "data" / f"{case.id}_4d.nii.gz"
        nib.save(nib.Nifti1Image(np.stack([array, array[::-1]], -1), stored.affine), both)
        cases.append(replace(case, images=(both,)))
    manifest = replace(job.manifest, channels=("T1", "T2"), cases=tuple(cases))
    job = with_test_part(replace(job, manifest=manifest))
    result = finished(make_run(tmp_path / "run", job).path)
    assert result.held_out is not None and result.held_out.cases == 2
    (tmp_path / "in").mkdir()
    shutil.copy(cases[0].images[0], tmp_path / "in")
    theirs = by_monai(result.bundle, tmp_path / "in", tmp_path / "out")
    (volume,) = read(cases[0].images[0])
    frames = [volume.frame(n) for n in range(volume.frame_count)]
    spec = read_bundle(result.bundle)
    ours = run_to_end(segment(frames, spec, options=CPU), Segmentation)
    stored = frames[0].on_source_grid(ours.array)[0].transpose(2, 1, 0)
    assert (np.asarray(nib.load(theirs).dataobj) == stored).mean() >= 0.999


@pytest.mark.filterwarnings("ignore")  # MONAI's own
def test_a_network_of_pictures_sees_slice_after_slice(tmp_path: Path) -> None:
    job = tiny_job(tmp_path / "data", sampling=Sampling((1, 8, 8)))
    job = replace(job, network=replace(job.network, dimensions=2))
    bundle = export_bundle(make_run(tmp_path / "run", job).path)
    spec = read_bundle(bundle)
    assert (spec.slice_axis, spec.roi_size) == (0, (1, 8, 8))
    image = job.manifest.cases[0].images[0]
    (tmp_path / "in").mkdir()
    shutil.copy(image, tmp_path / "in")
    theirs = np.asarray(nib.load(by_monai(bundle, tmp_path / "in", tmp_path / "out")).dataobj)
    ours = in_file_order(labels_of(bundle, image), image)
    assert (theirs == ours).mean() >= 0.999


def test_the_average_is_exported_where_there_is_one(tmp_path: Path) -> None:
    job = tiny_job(tmp_path / "data")
    assert job.optimisation.ema_decay is not None
    run = make_run(tmp_path / "run", job)
    kept = read_checkpoint(run.best)
    written = load_state(export_bundle(run.path) / "models" / "model.pt")
    assert all(torch.equal(written[name], value) for name, value in kept.weights.items())
    assert any(not torch.equal(written[name], value) for name, value in kept.model.items())


def test_the_model_is_in_the_list_at_once(tmp_path: Path, models: Path) -> None:
    job = tiny_job(tmp_path / "data")
    bundle = export_bundle(make_run(tmp_path / "run", job).path)
    assert bundle == tmp_path / "run" / "bundle"
    assert "balls" in [spec.id for spec in list_models()]
    spec = find_model("balls")
    assert spec.path == models / "balls"
    assert [(label.value, label.name) for label in spec.labels] == [(1, "shell"), (2, "core")]
    assert (spec.title, spec.spacing_mm, spec.overlap, spec.blend) == (
        "Balls",
        None,
        0.5,
        "gaussian",
    )
    assert "licence not stated" in spec.licence
    assert "Research only" in spec.intended_use
    assert sorted(p.name for p in models.iterdir()) == ["balls"]
    assert not look_through().problems


def test_exporting_again_replaces_the_model_and_another_run_gets_a_number(
    tmp_path: Path, models: Path
) -> None:
    job = tiny_job(tmp_path / "data")
    run = make_run(tmp_path / "run", job)
    export_bundle(run.path)
    export_bundle(run.path)
    assert [p.name for p in models.iterdir()] == ["balls"]
    export_bundle(make_run(tmp_path / "other", replace(job, seed=7)).path)
    assert sorted(p.name for p in models.iterdir()) == ["balls", "balls_2"]
    assert find_model("balls_2").id == "balls_2"
    assert not look_through().problems


def test_the_same_weights_have_the_same_hash_in_every_export(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", tiny_job(tmp_path / "data"))
    first = (export_bundle(run.path, install=False) / "models/model.pt").read_bytes()
    assert (export_bundle(run.path, install=False) / "models/model.pt").read_bytes() == first


def test_a_checkpoint_that_does_not_fit_leaves_the_bundle_before_in_place(
    tmp_path: Path, models: Path
) -> None:
    job = tiny_job(tmp_path / "data")
    run = make_run(tmp_path / "run", job)
    before = (export_bundle(run.path) / "models/model.pt").read_bytes()
    wider = NetworkChoice("unet", arguments={"channels": [8, 16], "strides": [2]})
    other = replace(job, network=wider)
    shutil.copy(make_run(tmp_path / "other", other).best, run.best)
    with pytest.raises(ModelError, match="not of this job's network"):
        export_bundle(run.path)
    run.best.write_bytes(run.best.read_bytes()[:1000])
    with pytest.raises(ReadError):
        export_bundle(run.path)
    assert (run.bundle / "models/model.pt").read_bytes() == before
    assert not [p.name for p in run.path.iterdir() if p.name.startswith(".bundle")]
    assert [p.name for p in models.iterdir()] == ["balls"]


def test_a_run_without_a_validation_gives_its_last_state_and_says_so(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", tiny_job(tmp_path / "data"), best=False)
    card = (export_bundle(run.path) / "docs" / "README.md").read_text()
    assert "of the last epoch; no validation took place" in card


def test_no_run_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"no job\.json"):
        export_bundle(tmp_path)


def finished(run: Path) -> Exported:
    return run_to_end(finish(run), Exported)


def test_held_out_figures_are_those_of_the_labels_that_a_user_gets(tmp_path: Path) -> None:
    job = with_test_part(tiny_job(tmp_path / "data"))
    run = make_run(tmp_path / "run", job)
    result = finished(run.path)
    assert result.installed == find_model("balls").path
    assert result.held_out is not None
    assert (result.held_out.part, result.held_out.cases) == ("test", 2)
    table = pd.read_csv(run.evaluation / "cases.csv")
    assert set(table["case"]) == set(job.split.test)
    for name in job.split.test:
        case = job.manifest.case(name)
        assert case.label is not None
        ours = in_file_order(labels_of(result.bundle, case.images[0]), case.images[0])
        truth = np.asarray(nib.load(case.label).dataobj)
        for value, label in enumerate(job.manifest.classes, 1):
            row = table[(table["case"] == name) & (table["label"] == label)].iloc[0]
            assert row["dice"] == pytest.approx(dice(ours == value, truth == value))
    metadata = json.loads((result.bundle / "configs" / "metadata.json").read_text())
    mean = table.groupby("case")["dice"].mean().mean()
    assert metadata["eval_metrics"]["dice mean of labels"] == pytest.approx(mean, abs=1e-6)
    assert read_record(run.evaluation / "held_out.json", HeldOut) == result.held_out
    card = (find_model("balls").path / "docs" / "README.md").read_text()
    assert f"{mean:.3f}" in card
    assert "2 test cases of 2 patients" in card


def test_a_real_run_ends_in_a_model_that_does_what_was_learnt(tmp_path: Path) -> None:
    ending = Ending(epochs=12, validate_every=6)
    job = with_test_part(tiny_job(tmp_path / "data", cases=8, ending=ending))
    run_to_end(train(job, tmp_path / "run", RESOURCES), Trained)
    held_out = finished(tmp_path / "run").held_out
    assert held_out is not None
    assert "12 of 12 epochs" in (find_model("balls").path / "docs" / "README.md").read_text()
    before = make_run(tmp_path / "untaught", job)
    untaught = finished(before.path).held_out
    assert untaught is not None
    taught, random = (h.segmentation[0].figures["dice"].estimate for h in (held_out, untaught))
    assert taught is not None and random is not None
    assert taught > random + 0.3


def test_figures_of_other_weights_are_not_in_the_card(tmp_path: Path) -> None:
    job = with_test_part(tiny_job(tmp_path / "data"))
    run = make_run(tmp_path / "run", job)
    finished(run.path)
    shutil.copy(make_run(tmp_path / "more", job, seed=5).best, run.best)
    bundle = export_bundle(run.path)
    assert "was not measured" in (bundle / "docs" / "README.md").read_text()
    assert json.loads((bundle / "configs/metadata.json").read_text())["eval_metrics"] == {}


def test_without_a_test_part_the_card_says_that_the_figures_flatter(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", tiny_job(tmp_path / "data"))
    result = finished(run.path)
    assert result.held_out is not None and result.held_out.part == "validation"
    card = (result.bundle / "docs" / "README.md").read_text()
    assert "There was no test part" in card


def test_a_bad_held_out_case_is_told_and_the_model_comes_all_the_same(tmp_path: Path) -> None:
    job = with_test_part(tiny_job(tmp_path / "data"))
    run = make_run(tmp_path / "run", job)
    job.manifest.case(job.split.test[0]).images[0].unlink()
    events: list[Event] = []
    result = run_to_end(finish(run.path), Exported, events.append)
    assert result.held_out is not None
    assert (result.held_out.cases, len(result.held_out.failed)) == (1, 1)
    assert job.split.test[0] in result.held_out.failed[0]
    assert "1 case could not be measured" in (result.bundle / "docs/README.md").read_text()


def test_what_a_model_started_from_stands_in_card_and_licence(tmp_path: Path) -> None:
    job = tiny_job(tmp_path / "data")
    manifest = replace(job.manifest, licence="CC0")
    export_bundle(make_run(tmp_path / "first", replace(job, manifest=manifest)).path)
    origin = find_model("balls")
    choice = replace(job.network, start_from=origin.path)
    second = replace(job, name="more_balls", network=choice)
    bundle = export_bundle(make_run(tmp_path / "second", second).path)
    card = (bundle / "docs" / "README.md").read_text()
    assert "Started from Balls" in card
    assert "licence: data: CC0" in card
    assert "started from balls: data: CC0" in (bundle / "LICENSE").read_text()
    assert read_bundle(bundle).licence.endswith("started from balls: data: CC0")


def test_a_classifier_is_judged_and_put_into_the_list_of_models(
    tmp_path: Path, models: Path
) -> None:
    job = picture_job(tmp_path / "pictures")
    run = make_run(tmp_path / "run", job)
    result = finished(run.path)
    assert result.installed == models / "brightness"
    assert find_model("brightness").task == "classification"
    held_out = result.held_out
    assert held_out is not None and held_out.classification is not None
    table = pd.read_csv(run.evaluation / "cases.csv")
    assert held_out.classification.accuracy.estimate == pytest.approx(table["right"].mean())
    own = [row[f"p {row['truth']}"] for _, row in table.iterrows()]
    assert own == sorted(own), "the worst case stands first"
    card = (result.bundle / "docs" / "README.md").read_text()
    assert "Confusion matrix" in card
    assert "balanced accuracy" in card


def test_a_classifiers_bundle_says_so_and_classifies_as_it_was_judged(tmp_path: Path) -> None:
    job = picture_job(tmp_path / "pictures")
    run = make_run(tmp_path / "run", job)
    bundle = finished(run.path).bundle
    own: dict[str, Any] = json.loads((bundle / "configs/metadata.json").read_text())["medcnn"]
    assert (own["task"], own["classes"]) == ("classification", ["bright", "dark", "middle"])
    spec = read_bundle(bundle)
    assert [label.name for label in spec.labels] == own["classes"]
    table = pd.read_csv(run.evaluation / "cases.csv", dtype={"case": str}).set_index("case")
    network = trained_network(job)
    for name in job.split.test:
        case = job.manifest.case(name)
        (volume,) = read(case.images[0])
        found = run_to_end(classify(volume, spec), Classification).probabilities[0]
        judged = table.loc[name, [f"p {one}" for one in own["classes"]]].to_numpy(float)
        np.testing.assert_allclose(found, judged, atol=1e-5)
        image = prepare_case(job, case, JobControl()).image[None, ..., 0]
        with torch.no_grad():
            expected = network(image).softmax(1)[0].numpy()
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_nothing_of_this_machines_folders_is_in_a_bundle(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", with_test_part(tiny_job(tmp_path / "data")))
    bundle = finished(run.path).bundle
    for file in bundle.rglob("*"):
        if file.is_file():
            assert str(tmp_path).encode() not in file.read_bytes(), file
