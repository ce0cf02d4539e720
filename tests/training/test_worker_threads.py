"""Threads beside the training compute on one core each and leave the others as they were."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from napari_medcnn.training.worker_threads import one_torch_thread, usable_cores


def test_only_the_threads_that_ask_for_it_compute_alone() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with ThreadPoolExecutor(3, initializer=one_torch_thread) as pool:
            assert set(pool.map(lambda _: torch.get_num_threads(), range(9))) == {1}
        assert torch.get_num_threads() == 2
        with ThreadPoolExecutor(1) as pool:  # a thread that starts later
            assert pool.submit(torch.get_num_threads).result() == 2
    finally:
        torch.set_num_threads(before)


def test_cores_are_those_that_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    assert usable_cores() >= 1
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    assert usable_cores() >= 1
