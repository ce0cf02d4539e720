"""A run as a bundle: the same logits as before, in MONAI's runner and in the list of models."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from napari_medcnn.core.errors import ModelError, ReadError
from napari_medcnn.core.events import JobControl, run_to_end
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.inference.preprocess import prepare
from napari_medcnn.inference.segment import segment
from napari_medcnn.io.read import read
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.models.networks import load_network
from napari_medcnn.models.registry import find_model, list_models, look_through
from napari_medcnn.models.weights import load_state
from napari_medcnn.training.checkpoint import read_checkpoint
from napari_medcnn.training.export import export_bundle
from napari_medcnn.training.job import NetworkChoice, Sampling
from napari_medcnn.training.prepared_case import prepare_case
from tests.training.export.bundles import (
    CPU,
    by_monai,
    finished,
    in_file_order,
    labels_of,
    trained_network,
)
from tests.training.made_run import (
    hippocampus_job,
    make_run,
    tiny_job,
    with_test_part,
)


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


def test_nothing_of_this_machines_folders_is_in_a_bundle(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", with_test_part(tiny_job(tmp_path / "data")))
    bundle = finished(run.path).bundle
    for file in bundle.rglob("*"):
        if file.is_file():
            assert str(tmp_path).encode() not in file.read_bytes(), file
