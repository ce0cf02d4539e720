"""However a run ends, by cancel, error or the end of memory, the next one works."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from napari_medcnn.core.errors import Cancelled, OutOfMemory
from napari_medcnn.core.events import Fallback, JobControl, Progress
from napari_medcnn.core.volume import Volume
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.inference.segment import segment
from napari_medcnn.models.spec import ModelSpec
from tests.inference.conftest import run

ON_ONE_THREAD = RunOptions(backend="torch", threads=1)


@pytest.mark.parametrize("windows", [0, 1, 5])
def test_cancel_ends_the_job_before_the_next_window(
    phantom: Volume, spec: ModelSpec, windows: int
) -> None:
    control, done = JobControl(), []
    with pytest.raises(Cancelled):
        for event in segment(phantom, spec, control):
            if isinstance(event, Progress) and event.stage == "network":
                done.append(event.done)
                if event.done == windows:
                    control.cancel()
    assert done == list(range(windows + 1))
    np.testing.assert_array_equal(run(phantom, spec).array, phantom.array > 0.5)


@pytest.mark.parametrize("failing_call", [1, 3])
def test_an_error_of_the_network_comes_as_it_is_and_the_next_run_works(
    phantom: Volume, spec: ModelSpec, monkeypatch: pytest.MonkeyPatch, failing_call: int
) -> None:
    error = RuntimeError("broken")
    with pytest.raises(RuntimeError) as caught:
        run_failing(phantom, spec, monkeypatch, {failing_call: error})
    assert caught.value is error
    monkeypatch.undo()
    np.testing.assert_array_equal(run(phantom, spec).array, phantom.array > 0.5)


def test_where_memory_ends_once_the_run_goes_on_with_less_and_says_so(
    phantom: Volume, spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = {3: torch.OutOfMemoryError("full")}
    events = run_failing(phantom, spec, monkeypatch, errors, batch=2)
    (fallback,) = [event for event in events if isinstance(event, Fallback)]
    assert fallback.wanted == "2 windows at once on the CPU"
    assert fallback.used == "one window at once on the CPU"
    assert "full" in fallback.reason
    found = events[-1].result
    assert found.parameters["batch"] == 1
    np.testing.assert_array_equal(found.array, phantom.array > 0.5)


def test_where_memory_never_suffices_the_error_says_so_and_the_next_run_works(
    phantom: Volume, spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = dict.fromkeys(range(1, 100), torch.OutOfMemoryError("full"))
    with pytest.raises(OutOfMemory, match="did not suffice for 1 window of the network: full"):
        run_failing(phantom, spec, monkeypatch, errors)
    monkeypatch.undo()
    np.testing.assert_array_equal(run(phantom, spec).array, phantom.array > 0.5)


def test_memory_that_ends_while_the_network_is_measured_does_not_end_the_run(
    phantom: Volume, spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With as many windows at once as nothing was measured of before."""
    errors = {1: torch.OutOfMemoryError("full")}
    stage = "reading model"
    events = run_failing(phantom, spec, monkeypatch, errors, stage=stage, batch=5, threads=1)
    np.testing.assert_array_equal(events[-1].result.array, phantom.array > 0.5)


def run_failing(
    volume: Volume,
    spec: ModelSpec,
    patch: pytest.MonkeyPatch,
    errors: dict[int, Exception],
    stage: str = "network",
    **options: object,
) -> list[Any]:
    """The events of a run whose network fails at some of its calls, counted from a stage on."""
    from monai.networks.nets import UNet

    calls = []

    def failing(self: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        if len(calls) in errors:
            raise errors[len(calls)]
        return self.model(x)

    events = []
    wanted = RunOptions(**{"backend": "torch"} | options)  # type: ignore[arg-type]
    for event in segment(volume, spec, options=wanted):
        events.append(event)
        if isinstance(event, Progress) and (event.stage, event.done) == (stage, 0):
            patch.setattr(UNet, "forward", failing)
    return events


def test_threads_and_gradient_mode_are_as_before(phantom: Volume, spec: ModelSpec) -> None:
    inside = set()
    for _ in segment(phantom, spec, options=ON_ONE_THREAD):
        inside.add((torch.get_num_threads(), torch.is_inference_mode_enabled()))
    assert (1, False) in inside
    assert not any(mode for _, mode in inside)
    assert torch.get_num_threads() == 2
    job = segment(phantom, spec, options=ON_ONE_THREAD)
    for event in job:
        if isinstance(event, Progress) and event.stage == "network":
            break
    job.close()
    assert torch.get_num_threads() == 2
