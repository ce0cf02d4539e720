"""The cache: one content in memory and in files, a budget that holds, a Job that can be stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from napari_medcnn.core.errors import Cancelled, MedcnnError, WriteError
from napari_medcnn.core.events import Done, Event, JobControl, Progress, run_to_end
from napari_medcnn.training import cache as module
from napari_medcnn.training.cache import CaseCache
from napari_medcnn.training.job import Preprocessing, TrainJob
from napari_medcnn.training.prepared_case import PreparedCase
from tests.training.seen_jobs import hippocampus_cases, job_of, slice_cases, write_case

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning:monai")


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> TrainJob:
    folder = tmp_path_factory.mktemp("cases")
    return job_of(tuple(write_case(folder, number) for number in range(6)))


def filled(job: TrainJob, folder: Path, budget: float, **options: int) -> CaseCache:
    cache = CaseCache(job, folder, budget, **options)
    assert run_to_end(cache.prepare(job.split.train, JobControl()), CaseCache) is cache
    return cache


def same(one: PreparedCase, other: PreparedCase) -> bool:
    labels = (
        one.label == other.label
        if isinstance(one.label, int)
        else torch.equal(one.label, other.label)
    )
    voxels = all((a == b).all() for a, b in zip(one.foreground, other.foreground, strict=True))
    return (
        bool(labels)
        and voxels
        and torch.equal(one.image, other.image)
        and one.spacing_mm == other.spacing_mm
    )


def no_preparing(*_: object) -> PreparedCase:
    raise AssertionError("this case was prepared before")


def test_cases_are_the_same_in_memory_in_new_files_and_in_files_of_another_run(
    job: TrainJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLOW_S", float("inf"))
    memory = filled(job, tmp_path, 1e9)
    assert not list(tmp_path.iterdir())
    files = filled(job, tmp_path, 0)
    assert len(list(tmp_path.iterdir())) == 6
    assert files.held_bytes == 0
    monkeypatch.setattr(module, "prepare_case", no_preparing)
    shared = filled(job, tmp_path, 0)
    read = filled(job, tmp_path, 1e9)
    for case in job.split.train:
        for other in (files, shared, read):
            assert same(memory.case(case), other.case(case))
    assert read.held_bytes == memory.held_bytes > 0


def test_what_took_long_is_kept_for_runs_to_come(
    job: TrainJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLOW_S", 0.0)
    monkeypatch.setattr(module, "KEPT_FREE_BYTES", 0.0)
    first = filled(job, tmp_path, 1e9)
    assert first.held_bytes > 0
    monkeypatch.setattr(module, "prepare_case", no_preparing)
    again = filled(job, tmp_path, 1e9)
    assert all(same(first.case(case), again.case(case)) for case in job.split.train)


def test_files_that_only_save_time_fill_no_disk_and_fail_no_run(
    job: TrainJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLOW_S", 0.0)
    monkeypatch.setattr(module, "KEPT_FREE_BYTES", 1e18)
    filled(job, tmp_path / "full", 1e9)
    assert not (tmp_path / "full").exists()
    monkeypatch.setattr(module, "KEPT_FREE_BYTES", 0.0)
    (tmp_path / "file").write_text("no folder")
    assert filled(job, tmp_path / "file" / "cases", 1e9).held_bytes > 0


def test_pictures_and_their_classes_go_through_files_too(shared_data: Path, tmp_path: Path) -> None:
    cases = slice_cases(shared_data, 2)
    job = job_of(
        cases,
        task="classification",
        classes=("glioma", "meningioma", "no", "pituitary"),
        preprocessing=Preprocessing(size=(1, 32, 32)),
    )
    memory, files = filled(job, tmp_path, 1e9), filled(job, tmp_path, 0)
    assert [files.case(c.id).label for c in cases] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert all(same(memory.case(c.id), files.case(c.id)) for c in cases)


def test_memory_stays_within_its_budget(job: TrainJob, tmp_path: Path) -> None:
    one = filled(job, tmp_path, 1e9).held_bytes / 6
    cache = filled(job, tmp_path, 2.5 * one, workers=3)
    assert one < cache.held_bytes <= 2.5 * one
    assert len(list(tmp_path.iterdir())) == 4


def test_a_damaged_file_is_prepared_again(job: TrainJob, tmp_path: Path) -> None:
    memory = filled(job, tmp_path, 1e9)
    filled(job, tmp_path, 0)
    for file in tmp_path.glob("*/image.npy"):
        file.write_bytes(file.read_bytes()[:-7])
    again = filled(job, tmp_path, 0)
    assert all(same(memory.case(case), again.case(case)) for case in job.split.train)


def test_files_of_other_runs_are_removed_over_the_limit_and_own_ones_stay(
    job: TrainJob, tmp_path: Path
) -> None:
    filled(job, tmp_path, 0)
    other = replace(job, preprocessing=Preprocessing((1.5, 1.5, 1.5)))
    filled(other, tmp_path, 0, limit_bytes=1)
    assert len(list(tmp_path.iterdir())) == 6
    assert filled(other, tmp_path, 0).case("case0").spacing_mm == (1.5, 1.5, 1.5)


def test_progress_counts_every_case_to_the_end(job: TrainJob, tmp_path: Path) -> None:
    events = list(CaseCache(job, tmp_path, 1e9).prepare(job.split.train, JobControl()))
    steps = [event for event in events if isinstance(event, Progress)]
    assert [(steps[0].done, steps[0].total), (steps[-1].done, steps[-1].total)] == [(0, 6), (6, 6)]
    assert steps[-1].eta_s == 0
    assert isinstance(events[-1], Done)


def test_one_bad_case_among_good_ones_is_named(job: TrainJob, tmp_path: Path) -> None:
    bad = replace(job.manifest.cases[3], label=None)
    cases = (*job.manifest.cases[:3], bad, *job.manifest.cases[4:])
    wrong = replace(job, manifest=replace(job.manifest, cases=cases))
    with pytest.raises(MedcnnError, match="no label") as raised:
        filled(wrong, tmp_path, 1e9)
    assert raised.value.source == "case3"
    gone = replace(bad, label=tmp_path / "gone.nii.gz")
    cases = (*job.manifest.cases[:3], gone, *job.manifest.cases[4:])
    with pytest.raises(MedcnnError, match=r"case3: .*gone.nii.gz"):
        filled(replace(job, manifest=replace(job.manifest, cases=cases)), tmp_path, 1e9)
    with pytest.raises(MedcnnError, match="no case of the manifest"):
        CaseCache(job, tmp_path).case("unknown")


def test_a_folder_that_cannot_be_written_is_said(job: TrainJob, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    with pytest.raises(WriteError, match="cannot be written"):
        filled(job, blocked, 0)


def test_cancelling_acts_at_once_though_a_thread_is_in_the_middle_of_a_case(
    job: TrainJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, free = threading.Event(), threading.Event()

    def slow(*_: object) -> PreparedCase:
        entered.set()
        free.wait(30)
        raise Cancelled

    monkeypatch.setattr(module, "prepare_case", slow)
    control = JobControl()
    events: Iterator[Event] = CaseCache(job, tmp_path, 1e9).prepare(job.split.train, control)
    next(events)
    threading.Timer(0.3, control.cancel).start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        list(events)
    assert entered.is_set()
    assert time.monotonic() - started < 2
    free.set()


def test_a_paused_job_goes_on_when_it_is_resumed(job: TrainJob, tmp_path: Path) -> None:
    control = JobControl()
    control.pause()
    threading.Timer(0.3, control.resume).start()
    started = time.monotonic()
    run_to_end(CaseCache(job, tmp_path, 1e9).prepare(job.split.train, control), CaseCache)
    assert time.monotonic() - started > 0.25


def test_preparing_gives_the_same_whatever_the_number_of_threads(
    shared_data: Path, tmp_path: Path
) -> None:
    job = job_of(hippocampus_cases(shared_data, 4), preprocessing=Preprocessing((1.1, 1.0, 0.9)))
    one, three = filled(job, tmp_path, 1e9, workers=1), filled(job, tmp_path, 1e9, workers=3)
    assert all(same(one.case(case), three.case(case)) for case in job.split.train)
