"""A job that contradicts itself is told everything that is wrong with it at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from napari_medcnn.training.job import (
    Ending,
    NetworkChoice,
    Optimisation,
    Preprocessing,
    Sampling,
    TrainJob,
)
from napari_medcnn.training.job_problems import JobError, job_problems, require_sound
from tests.training.tiny_run import tiny_job


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> TrainJob:
    return tiny_job(tmp_path_factory.mktemp("data"))


def fields_of(job: TrainJob) -> set[str]:
    return {problem.where for problem in job_problems(job)}


def test_a_sound_job_has_no_problems(job: TrainJob) -> None:
    assert job_problems(job) == ()
    require_sound(job)


def test_all_problems_are_told_at_once(job: TrainJob) -> None:
    wrong = replace(
        job,
        name="a b",
        ending=Ending(epochs=3, minutes=5, metric="auc"),
        optimisation=Optimisation(rate=-1, loss="tversky", class_weights=(1.0, 2.0)),
        sampling=Sampling((8, 8, 8), batch=0),
        mirror_axes=(0, 0),
    )
    told = {
        "name",
        "ending",
        "ending.metric",
        "optimisation.rate",
        "optimisation.class_weights",
        "sampling.batch",
        "mirror_axes",
    }
    assert fields_of(wrong) == told
    with pytest.raises(JobError, match=r"name: .*ending\.metric: .*dice, loss") as got:
        require_sound(wrong)
    assert len(got.value.problems) == 8


def test_a_patch_must_be_divisible_by_what_the_network_halves(job: TrainJob) -> None:
    odd = replace(job, sampling=replace(job.sampling, patch=(9, 8, 8)))
    (problem,) = job_problems(odd)
    assert problem.where == "sampling.patch"
    assert "z 9 by 2" in problem.text


@pytest.mark.parametrize(
    ("dimensions", "patch", "problem"),
    [
        (3, (32, 32, 32), "32 32 64"),
        (3, (32, 64, 32), ""),
        (3, (64, 64, 48), "x 48 by 32"),
        (2, (1, 32, 32), "1 32 64"),
        (2, (1, 64, 32), ""),
        (2, (1, 16, 64), "y 16 by 32"),
    ],
)
def test_a_swin_network_needs_multiples_of_32_and_64_along_one_axis(
    job: TrainJob, dimensions: int, patch: tuple[int, int, int], problem: str
) -> None:
    sampling = replace(job.sampling, patch=patch)
    tried = replace(job, network=NetworkChoice("swinunetr", dimensions), sampling=sampling)
    found = job_problems(tried)
    assert [one.where for one in found] == ["sampling.patch"] * bool(problem)
    assert all(problem in one.text for one in found)


def test_a_network_of_pictures_sees_one_slice(job: TrainJob) -> None:
    flat = replace(job, network=replace(job.network, dimensions=2))
    assert "sampling.patch" in fields_of(flat)
    flat = replace(flat, sampling=replace(job.sampling, patch=(1, 8, 8)))
    assert fields_of(flat) == set()


def test_an_unknown_network_and_a_missing_bundle_are_named(job: TrainJob, tmp_path: Path) -> None:
    assert fields_of(replace(job, network=NetworkChoice("NoNet"))) == {"network.name"}
    gone = NetworkChoice("unet", start_from=tmp_path / "none")
    assert fields_of(replace(job, network=gone)) == {"network.start_from"}


def test_loss_and_metric_must_be_of_the_task(job: TrainJob) -> None:
    cases = tuple(replace(case, target="shell") for case in job.manifest.cases)
    manifest = replace(job.manifest, task="classification", cases=cases)
    wrong = replace(job, manifest=manifest, network=NetworkChoice("resnet18"))
    assert fields_of(wrong) == {"preprocessing.size", "optimisation.loss", "ending.metric"}


def test_a_split_must_be_of_the_manifests_cases(job: TrainJob) -> None:
    ids = job.split.train
    wrong = replace(job, split=replace(job.split, train=(*ids, "nobody"), validation=(ids[0],)))
    assert fields_of(wrong) == {"split", "split.train"}
    assert fields_of(replace(job, split=replace(job.split, validation=()))) == {"split.validation"}


def test_normalisations_need_their_numbers(job: TrainJob) -> None:
    bare = replace(job, preprocessing=Preprocessing(normalisation="ct"))
    assert fields_of(bare) == {"preprocessing.clip", "preprocessing.std"}
