"""Batches: the same whatever the threads, from any step on, shared by any number of processes."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.events import JobControl, run_to_end
from napari_medcnn.training import batches as module
from napari_medcnn.training.batches import AHEAD, Batch, Batches
from napari_medcnn.training.cache import CaseCache
from napari_medcnn.training.job import Preprocessing, Resources, Sampling, TrainJob
from tests.training.seen_jobs import hippocampus_cases, job_of, slice_cases, write_case

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning:monai")

SAMPLING = Sampling((16, 24, 16), batch=4, steps_per_epoch=4)


@pytest.fixture(scope="module")
def prepared(
    shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TrainJob, CaseCache]:
    job = job_of(hippocampus_cases(shared_data, 3), sampling=SAMPLING, augmentation="strong")
    cache = CaseCache(job, tmp_path_factory.mktemp("cache"), 1e9)
    return job, run_to_end(cache.prepare(job.split.train, JobControl()), CaseCache)


def resources(workers: int) -> Resources:
    return Resources(device="cpu", workers=workers)


def equal(one: Batch, other: Batch) -> bool:
    return (
        torch.equal(one.image, other.image)
        and torch.equal(one.target, other.target)
        and one.step == other.step
    )


def running() -> set[str]:
    return {t.name for t in threading.enumerate() if t.name.startswith("patches")}


def test_an_epoch_is_the_same_whatever_the_number_of_threads(
    prepared: tuple[TrainJob, CaseCache],
) -> None:
    job, cache = prepared
    one, five = (list(Batches(job, cache, resources(n)).epoch(2)) for n in (1, 5))
    assert len(one) == len(five) == 4
    assert all(equal(a, b) for a, b in zip(one, five, strict=True))
    assert one[0].image.shape == (4, 1, 16, 24, 16)
    assert one[0].image.dtype == torch.float32
    assert one[0].target.shape == (4, 1, 16, 24, 16)
    assert one[0].target.dtype == torch.int64
    other = next(Batches(job, cache, resources(1)).epoch(3))
    assert not torch.equal(other.image, one[0].image)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_an_epoch_goes_on_in_its_middle_as_if_it_had_not_stopped(
    prepared: tuple[TrainJob, CaseCache], accumulate: int
) -> None:
    job, cache = prepared
    job = replace(job, sampling=replace(SAMPLING, accumulate=accumulate))
    batches = Batches(job, cache, resources(2))
    whole, rest = list(batches.epoch(0)), list(batches.epoch(0, first_step=3))
    assert len(whole) == len(batches) == 4 * accumulate
    assert [batch.step for batch in whole] == [n // accumulate for n in range(4 * accumulate)]
    assert len(rest) == accumulate
    assert all(equal(a, b) for a, b in zip(whole[-accumulate:], rest, strict=True))


def test_processes_share_the_patches_of_the_same_batches(
    prepared: tuple[TrainJob, CaseCache],
) -> None:
    job, cache = prepared
    whole = list(Batches(job, cache, resources(2)).epoch(1))
    parts = [list(Batches(job, cache, resources(2), 2, rank).epoch(1)) for rank in (0, 1)]
    for n, batch in enumerate(whole):
        joined = torch.stack([part[n].image for part in parts], dim=1).flatten(0, 1)
        assert torch.equal(joined, batch.image)
        joined = torch.stack([part[n].target for part in parts], dim=1).flatten(0, 1)
        assert torch.equal(joined, batch.target)


def test_half_of_each_batch_is_centred_on_a_class(prepared: tuple[TrainJob, CaseCache]) -> None:
    job, cache = prepared
    job = replace(job, augmentation="none", sampling=replace(SAMPLING, patch=(8, 8, 8)))
    for batch in Batches(job, cache, resources(1)).epoch(0):
        assert (batch.target[:2, 0, 4, 4, 4] > 0).all()


def test_no_thread_is_left_when_an_epoch_ends_is_closed_or_fails(
    prepared: tuple[TrainJob, CaseCache],
) -> None:
    job, cache = prepared
    batches = Batches(job, cache, resources(3))
    list(batches.epoch(0))
    assert not running()
    epoch = batches.epoch(0)
    next(epoch)
    assert running()
    epoch.close()
    assert not running()


def test_it_prepares_no_more_than_a_few_batches_ahead(
    prepared: tuple[TrainJob, CaseCache], monkeypatch: pytest.MonkeyPatch
) -> None:
    job, cache = prepared
    job = replace(job, sampling=replace(SAMPLING, steps_per_epoch=50))
    begun = []
    cut = module.patch_of
    monkeypatch.setattr(module, "patch_of", lambda *a: (begun.append(1), cut(*a))[1])
    epoch = Batches(job, cache, resources(2)).epoch(0)
    for used in range(1, 6):
        next(epoch)
        assert len(begun) <= (used + AHEAD + 2) * job.sampling.batch
    epoch.close()


def test_what_goes_wrong_in_a_thread_is_raised_with_the_case_s_name(
    prepared: tuple[TrainJob, CaseCache], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = write_case(tmp_path)
    lost = job_of((replace(case, label=None),), sampling=SAMPLING)
    with pytest.raises(MedcnnError, match="no label") as raised:
        list(Batches(lost, CaseCache(lost, tmp_path, 1e9), resources(2)).epoch(0))
    assert raised.value.source == "case0"
    job, cache = prepared

    def broken(*_: object) -> None:
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr(module, "patch_of", broken)
    with pytest.raises(MedcnnError, match=r"^hippocampus_\d+: .*ZeroDivisionError: a mistake"):
        list(Batches(job, cache, resources(2)).epoch(0))
    assert not running()


def test_a_batch_that_cannot_be_shared_and_a_split_without_cases_are_refused(
    prepared: tuple[TrainJob, CaseCache],
) -> None:
    job, cache = prepared
    with pytest.raises(MedcnnError, match="cannot be shared by 3"):
        Batches(job, cache, resources(1), ranks=3)
    with pytest.raises(MedcnnError, match="no case to learn from"):
        Batches(replace(job, split=replace(job.split, train=())), cache, resources(1))


def test_slices_of_volumes_come_without_the_third_axis(
    prepared: tuple[TrainJob, CaseCache],
) -> None:
    job, cache = prepared
    flat = replace(
        job,
        network=replace(job.network, dimensions=2),
        sampling=replace(SAMPLING, patch=(1, 40, 24)),
    )
    batch = next(Batches(flat, cache, resources(2)).epoch(0))
    assert batch.image.shape == (4, 1, 24, 40)
    assert batch.target.shape == (4, 1, 24, 40)


def test_pictures_come_with_their_class_and_classes_alike_often(
    shared_data: Path, tmp_path: Path
) -> None:
    job = job_of(
        slice_cases(shared_data, 3),
        task="classification",
        classes=("glioma", "meningioma", "no", "pituitary"),
        dimensions=2,
        preprocessing=Preprocessing(size=(1, 64, 48)),
        sampling=Sampling((1, 64, 48), batch=8, steps_per_epoch=2),
        augmentation="standard",
    )
    for batch in Batches(job, CaseCache(job, tmp_path, 1e9), resources(2)).epoch(0):
        assert batch.image.shape == (8, 1, 48, 64)
        assert sorted(batch.target.tolist()) == [0, 0, 1, 1, 2, 2, 3, 3]
