from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_medcnn.core.errors import ModelError
from napari_medcnn.core.events import Event, JobControl, Progress
from napari_medcnn.inference.plan import window_starts
from napari_medcnn.inference.windows import slide
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.models.networks import load_network
from napari_medcnn.models.spec import ModelSpec
from tests.bundle_factory import make_bundle


def slid(network: Any, image: torch.Tensor, spec: ModelSpec, **options: Any) -> tuple[Any, ...]:
    job, events = slide(network, image, spec, JobControl(), **options), []
    while True:
        try:
            events.append(next(job))
        except StopIteration as end:
            return end.value, events


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    folder = tmp_path_factory.mktemp("bundle")
    return read_bundle(make_bundle(folder, classes=("a", "b"), random_weights=True))


@pytest.mark.parametrize("blend", ["constant", "gaussian"])
@pytest.mark.parametrize("padding", ["constant", "replicate"])
@pytest.mark.parametrize(
    ("size", "roi", "overlap"),
    [
        ((21, 30, 17), (16, 16, 16), 0.5),
        ((9, 33, 20), (16, 24, 16), 0.25),
        ((8, 8, 8), (16,) * 3, 0),
    ],
)
def test_the_sums_are_those_of_monais_sliding_window(
    spec: ModelSpec,
    size: tuple[int, int, int],
    roi: tuple[int, int, int],
    overlap: float,
    padding: str,
    blend: Any,
) -> None:
    from monai.inferers import sliding_window_inference

    network = load_network(spec)
    image = torch.rand(1, *size, generator=torch.Generator().manual_seed(3))
    changed = replace(
        spec, roi_size=roi[::-1], overlap=overlap, padding=padding, blend=blend, padding_value=0.0
    )
    with torch.inference_mode():
        expected = sliding_window_inference(
            image[None], roi, 1, network, overlap, mode=blend, padding_mode=padding
        )[0]
    for batch in (1, 3):
        logits, events = slid(network, image, changed, batch=batch)
        torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-6)
        assert events[-1].done == events[-1].total


def test_a_window_of_zero_is_the_whole_axis(spec: ModelSpec) -> None:
    image = torch.rand(1, 16, 24, 32)
    seen: list[tuple[int, ...]] = []

    def network(x: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(x.shape))
        return x

    logits, _ = slid(network, image, replace(spec, roi_size=(0, 0, 0), overlap=0.0))
    assert seen == [(1, 1, 16, 24, 32)]
    torch.testing.assert_close(logits, image)


def test_the_first_of_several_outputs_counts_and_another_size_is_refused(spec: ModelSpec) -> None:
    image = torch.rand(1, 16, 16, 16)
    logits, _ = slid(lambda x: [x * 2, x[..., ::2]], image, spec)
    torch.testing.assert_close(logits, image * 2)
    with pytest.raises(ModelError, match="both must be alike"):
        slid(lambda x: x[..., ::2], image, spec)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_network_that_gives_no_finite_numbers_is_refused(spec: ModelSpec, value: float) -> None:
    """NaN is below no threshold, so that such voxels would be lesions."""
    image = torch.rand(1, 16, 16, 16)

    def network(x: torch.Tensor) -> torch.Tensor:
        broken = x.clone()
        broken[..., 3, 3, 3] = value
        return broken

    with pytest.raises(ModelError, match="no finite numbers"):
        slid(network, image, spec)


def test_every_batch_is_reported_with_the_time_to_come(spec: ModelSpec) -> None:
    _, events = slid(lambda x: x, torch.rand(1, 40, 16, 16), spec, batch=2)
    steps: list[Event] = list(events)
    assert all(isinstance(event, Progress) for event in steps)
    assert [event.done for event in events] == [0, 2, 3]
    assert events[0].eta_s is None
    assert events[-1].eta_s == 0


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 300), st.integers(1, 128), st.floats(0, 0.95))
def test_windows_cover_the_axis_as_monais_do(size: int, window: int, overlap: float) -> None:
    from monai.data.utils import dense_patch_slices
    from monai.inferers.utils import _get_scan_interval

    starts = window_starts(size, window, overlap)
    whole = max(size, window)
    step = _get_scan_interval((whole,), (window,), 1, (overlap,))
    assert starts == tuple(s[0].start for s in dense_patch_slices((whole,), (window,), step))


def test_half_precision_is_asked_of_the_device(tmp_path: Path, spec: ModelSpec) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    network = load_network(spec, "cuda")
    image = torch.rand(1, 24, 24, 24)
    before = torch.cuda.memory_allocated()
    half, _ = slid(network, image, spec, device="cuda", precision="float16", batch=2)
    whole, _ = slid(load_network(spec), image, spec)
    torch.testing.assert_close(half, whole, rtol=0.05, atol=0.01)
    assert torch.cuda.memory_allocated() == before
