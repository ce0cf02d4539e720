"""The faster backend that agrees is taken, once measured; what fails is left out and said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from napari_medcnn.core.errors import Cancelled, ModelError
from napari_medcnn.core.events import Event, Fallback, JobControl, Message
from napari_medcnn.inference.backends import choice
from napari_medcnn.inference.backends.choice import (
    AGREEING_LABELS,
    HALF_LABELS,
    calibrated,
    disagreement,
)
from napari_medcnn.inference.backends.openvino_runtime import is_installed
from napari_medcnn.inference.calibration import Calibration, recall
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.inference.plan import ImageFacts, InferencePlan, resolve
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.models.spec import ModelSpec
from tests.bundle_factory import make_bundle

needs_openvino = pytest.mark.skipif(not is_installed(), reason="needs the extra fast (openvino)")
OPTIONS = RunOptions(device="cpu", threads=1)


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelSpec:
    monkeypatch.setenv("MEDCNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(choice, "MEASURING_PAYS_S", 0.0)  # the networks here are tiny
    folder = make_bundle(
        tmp_path / "random", classes=("a", "b"), activation="softmax", random_weights=True
    )
    return read_bundle(folder)


@pytest.fixture
def image() -> torch.Tensor:
    return torch.randn(1, 20, 30, 12, generator=torch.Generator().manual_seed(0))


def plan_of(spec: ModelSpec, options: RunOptions = OPTIONS) -> InferencePlan:
    return resolve(spec, ImageFacts((12, 30, 20), (1.0, 1.0, 1.0), ("MR",)), options)


def measured(
    spec: ModelSpec, image: torch.Tensor, options: RunOptions = OPTIONS
) -> tuple[Calibration | None, list[Event]]:
    events: list[Event] = []
    job = calibrated(spec, plan_of(spec, options), options, image, JobControl())
    while True:
        try:
            events.append(next(job))
        except StopIteration as end:
            return end.value, events


@needs_openvino
def test_both_backends_are_measured_once_and_the_faster_one_kept(
    spec: ModelSpec, image: torch.Tensor
) -> None:
    found, events = measured(spec, image)
    assert found is not None and found.compared and found.refused == ()
    times = {m.backend: m.seconds for m in found.measurements}
    assert set(times) == {"torch", "openvino"}
    assert found.fastest == min(times, key=lambda name: times[name])
    assert [type(event) for event in events] == [Message]
    again, silent = measured(spec, image)
    assert (again, silent) == (found, [])
    plan = resolve(spec, ImageFacts((12, 30, 20), (1.0,) * 3, ("MR",)), OPTIONS, found)
    assert plan.backend == found.fastest and plan.seconds is not None


def test_a_backend_that_the_user_names_is_measured_alone(
    spec: ModelSpec, image: torch.Tensor
) -> None:
    chosen = replace(OPTIONS, backend="torch")
    found, _ = measured(spec, image, chosen)
    assert found is not None and not found.compared
    assert [m.backend for m in found.measurements] == ["torch"]
    both, _ = measured(spec, image)
    assert both is not None and both.compared


def test_a_short_run_is_not_held_up_by_a_comparison(
    spec: ModelSpec, image: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "MEASURING_PAYS_S", 1e9)
    found, events = measured(spec, image)
    assert found is not None and found.fastest == "torch" and events == []
    assert recall(spec, "cpu", plan_of(spec).roi_size, OPTIONS) is None


@needs_openvino
@pytest.mark.parametrize("what", ["fails", "disagrees"])
def test_an_openvino_that_is_no_use_gives_way_to_torch_and_says_why(
    spec: ModelSpec, image: torch.Tensor, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    whole = choice.open_backend

    def spoiled(spec: ModelSpec, name: Any, **options: Any) -> Any:
        backend = whole(spec, name, **options)
        if name == "openvino" and what == "fails":
            raise ModelError("OpenVINO cannot take this network: no such operation")
        if name == "openvino":
            rightly = backend.logits
            monkeypatch.setattr(backend, "logits", lambda windows: rightly(windows).flip(1))
        return backend

    monkeypatch.setattr(choice, "open_backend", spoiled)
    found, events = measured(spec, image)
    assert found is not None and found.fastest == "torch"
    assert [m.backend for m in found.measurements] == ["torch"]
    (fallback,) = [event for event in events if isinstance(event, Fallback)]
    assert (fallback.wanted, fallback.used) == ("the backend openvino", "the backend torch")
    assert ("no such operation" if what == "fails" else "logits differ") in fallback.reason
    again, silent = measured(spec, image)
    assert (again, silent) == (found, []), "what does not work is not tried again"


def test_memory_that_does_not_suffice_leaves_the_run_without_a_measurement(
    spec: ModelSpec, image: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def greedy(*_: object, **__: object) -> None:
        torch.empty(2**60)

    monkeypatch.setattr("napari_medcnn.models.networks.load_network", greedy)
    found, events = measured(spec, image)
    assert found is None
    assert isinstance(events[-1], Fallback)


def test_cancelling_ends_a_measurement(spec: ModelSpec, image: torch.Tensor) -> None:
    control = JobControl()
    control.cancel()
    with pytest.raises(Cancelled):
        list(calibrated(spec, plan_of(spec), OPTIONS, image, control))


def test_rounding_agrees_and_a_wrong_layer_does_not() -> None:
    logits = torch.randn(1, 3, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    rounded = logits * (1 + 1e-6)
    assert disagreement(logits, rounded, "softmax", AGREEING_LABELS) == ""
    assert "differ by" in disagreement(logits, logits * 1.1, "softmax", AGREEING_LABELS)
    assert disagreement(logits, logits * 1.1, "softmax", HALF_LABELS) == ""
    turned = disagreement(logits, logits.flip(1), "softmax", HALF_LABELS)
    assert "of its labels are the same" in turned
    assert "of its labels" in disagreement(logits, -logits, "sigmoid", HALF_LABELS)


@pytest.mark.parametrize(("wanted", "told"), [(False, Fallback), (True, Message)])
def test_half_precision_that_changes_labels_is_kept_only_where_it_is_wanted(
    spec: ModelSpec,
    image: torch.Tensor,
    monkeypatch: pytest.MonkeyPatch,
    wanted: bool,
    told: type[Event],
) -> None:
    monkeypatch.setattr(choice, "HALF_LABELS", 1.1)  # nothing agrees so well
    plan = replace(plan_of(spec), precision="float16")
    window = choice._centre_window(image, plan)
    race = choice._Race(spec, plan, window, JobControl(), half_is_wanted=wanted)
    events = list(race.measure_only("torch"))
    assert isinstance(events[-1], told)
    kept = {m.precision for m in race.result(None, compared=False).measurements}
    assert kept == {"float16" if wanted else "float32"}
