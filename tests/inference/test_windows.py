from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_medcnn.core.errors import Cancelled, ModelError
from napari_medcnn.core.events import Event, JobControl, Progress
from napari_medcnn.inference.backends.torch_backend import TorchBackend
from napari_medcnn.inference.plan_grid import window_starts
from napari_medcnn.inference.tiling import tile
from napari_medcnn.inference.windows import stream
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.models.networks import load_network
from napari_medcnn.models.spec import ModelSpec
from tests.bundle_factory import make_bundle
from tests.inference.streaming import Calls, Slabs, streamed


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    folder = tmp_path_factory.mktemp("bundle")
    return read_bundle(make_bundle(folder, classes=("a", "b"), random_weights=True))


def by_monai(network: Any, image: torch.Tensor, spec: ModelSpec) -> torch.Tensor:
    from monai.inferers import sliding_window_inference

    with torch.inference_mode():
        logits: torch.Tensor = sliding_window_inference(
            image[None],
            spec.roi_size[::-1],
            1,
            network,
            spec.overlap,
            mode=spec.blend,
            padding_mode=spec.padding,
        )
    return logits[0]


@pytest.mark.parametrize("blend", ["constant", "gaussian"])
@pytest.mark.parametrize("padding", ["constant", "replicate"])
@pytest.mark.parametrize(
    ("size", "roi", "overlap"),
    [
        pytest.param((21, 30, 17), (16, 16, 16), 0.5, marks=pytest.mark.slow),
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
    network = load_network(spec)
    image = torch.rand(1, *size, generator=torch.Generator().manual_seed(3))
    changed = replace(
        spec, roi_size=roi[::-1], overlap=overlap, padding=padding, blend=blend, padding_value=0.0
    )
    expected = by_monai(network, image, changed)
    for batch, axis in ((1, 0), (3, 1), (2, 2)):
        logits, _, events, _ = streamed(network, image, changed, axis, batch=batch)
        torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-6)
        assert events[-1].done == events[-1].total


@st.composite
def grids(draw: st.DrawFn) -> dict[str, Any]:
    size = draw(st.tuples(*[st.integers(3, 26)] * 3))
    box = []
    for n in size:
        start = draw(st.integers(0, n - 1))
        box.append((start, draw(st.integers(start + 1, n))))
    return {
        "size": size,
        "box": box,
        "roi": draw(st.tuples(*[st.integers(4, 12)] * 3)),
        "overlap": draw(st.sampled_from([0.0, 0.25, 0.5, 0.7])),
        "axis": draw(st.integers(0, 2)),
        "batch": draw(st.integers(1, 5)),
        "blend": draw(st.sampled_from(["constant", "gaussian"])),
        "seed": draw(st.integers(0, 99)),
    }


@settings(max_examples=15)
@given(grids())
def test_slabs_come_in_order_fill_the_box_and_hold_what_monai_gives_there(
    spec: ModelSpec, case: dict[str, Any]
) -> None:
    """A network that looks at its neighbours, so that windows differ where they overlap."""
    torch.manual_seed(0)
    network = torch.nn.Conv3d(1, 2, 3, padding=1).eval()
    image = torch.rand(1, *case["size"], generator=torch.Generator().manual_seed(case["seed"]))
    changed = replace(
        spec, roi_size=case["roi"][::-1], overlap=case["overlap"], blend=case["blend"]
    )
    axis, box = case["axis"], case["box"]
    logits, counts, events, sink = streamed(
        network, image, changed, axis, box=box, batch=case["batch"]
    )
    start, stop = box[axis]
    depths = [slab.shape[axis + 1] for slab in sink.slabs]
    assert sink.firsts == [start + sum(depths[:n]) for n in range(len(depths))]
    assert sum(depths) == stop - start
    expected = by_monai(network, image, changed)[(slice(None), *(slice(*span) for span in box))]
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)
    rows = tile(case["size"], changed, axis).rows(
        [
            (a + (r - n) // 2 * (r > n), z + (r - n) // 2 * (r > n))
            for (a, z), n, r in zip(box, case["size"], case["roi"], strict=True)
        ]
    )
    assert counts.windows == events[-1].total == sum(len(places) for _, places in rows)


def test_windows_aside_of_the_box_are_not_run(spec: ModelSpec) -> None:
    network = Calls(lambda x: x)
    image = torch.rand(1, 64, 64, 64)
    changed = replace(spec, roi_size=(16, 16, 16), overlap=0.0)
    logits, counts, _, _ = streamed(network, image, changed, box=[(20, 30), (0, 16), (40, 49)])
    assert counts.windows == len(network.shapes) == 2
    torch.testing.assert_close(logits, image[:, 20:30, :16, 40:49])


@pytest.mark.parametrize("batch", [1, 2, 3, 7])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_windows_of_one_value_are_run_once_and_give_the_same_result(
    spec: ModelSpec, batch: int, axis: int
) -> None:
    """Two such values beside each other: of one batch, each must get its own logits."""
    torch.manual_seed(1)
    convolution = torch.nn.Conv3d(1, 3, 3, padding=1)
    image = torch.zeros(1, 24, 24, 48)
    image[:, :8] = 5.0
    image[:, 16:, 8:16, 8:16] = 5.0
    image[:, 8:16, :8, 16:32] = torch.rand(8, 8, 16)
    changed = replace(spec, roi_size=(8, 8, 8), overlap=0.0, blend="constant")
    all_run = Calls(convolution)
    expected, plain, _, _ = streamed(all_run, image, changed, axis, batch=batch, reuse_empty=False)
    assert (plain.windows, plain.reused) == (54, 0)
    assert sum(shape[0] for shape in all_run.shapes) == 54
    some_run = Calls(convolution)
    logits, counts, _, _ = streamed(some_run, image, changed, axis, batch=batch)
    torch.testing.assert_close(logits, expected, rtol=0, atol=0 if batch == 1 else 1e-6)
    assert counts.windows == 54
    assert counts.reused + sum(shape[0] for shape in some_run.shapes) == 54
    assert counts.reused >= 15


def test_a_window_that_is_even_but_for_a_corner_is_not_taken_for_empty(spec: ModelSpec) -> None:
    image = torch.zeros(1, 8, 8, 16)
    image[0, 7, 7, 15] = 1
    changed = replace(spec, roi_size=(8, 8, 8), overlap=0.0)
    logits, counts, _, _ = streamed(Calls(lambda x: x * 2), image, changed)
    torch.testing.assert_close(logits, image * 2)
    assert counts.reused == 0


def test_a_window_of_zero_is_the_whole_axis(spec: ModelSpec) -> None:
    image = torch.rand(1, 16, 24, 32)
    network = Calls(lambda x: x)
    logits, *_ = streamed(network, image, replace(spec, roi_size=(0, 0, 0), overlap=0.0))
    assert network.shapes == [(1, 1, 16, 24, 32)]
    torch.testing.assert_close(logits, image)


def test_the_first_of_several_outputs_counts_and_another_size_is_refused(spec: ModelSpec) -> None:
    image = torch.rand(1, 16, 16, 16)
    logits, *_ = streamed(Calls(lambda x: [x * 2, x[..., ::2]]), image, spec)
    torch.testing.assert_close(logits, image * 2)
    with pytest.raises(ModelError, match="both must be alike"):
        streamed(Calls(lambda x: x[..., ::2]), image, spec)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_network_that_gives_no_finite_numbers_is_refused(spec: ModelSpec, value: float) -> None:
    """NaN is below no threshold, so that such voxels would be lesions."""
    image = torch.rand(1, 16, 16, 16)

    def network(x: torch.Tensor) -> torch.Tensor:
        broken = x.clone()
        broken[..., 3, 3, 3] = value
        return broken

    with pytest.raises(ModelError, match="no finite numbers"):
        streamed(Calls(network), image, spec)


def test_every_batch_is_reported_with_the_time_to_come(spec: ModelSpec) -> None:
    _, _, events, _ = streamed(Calls(lambda x: x), torch.rand(1, 16, 16, 40), spec, axis=0, batch=2)
    steps: list[Event] = list(events)
    assert all(isinstance(event, Progress) for event in steps)
    assert [event.done for event in events] == [0, 2, 3]
    assert events[0].eta_s is None
    assert events[-1].eta_s == 0


@pytest.mark.parametrize("asked_by", ["network", "sink"])
def test_cancel_ends_within_the_batch_or_the_sinks_step_in_which_it_was_asked_for(
    spec: ModelSpec, asked_by: str
) -> None:
    control, image = JobControl(), torch.rand(1, 48, 32, 16)

    def network(x: torch.Tensor) -> torch.Tensor:
        if asked_by == "network" and len(calls.shapes) == 2:
            control.cancel()
        return x

    class Steps(Slabs):
        steps = 0

        def take(self, first: int, logits: torch.Tensor) -> Any:
            for _ in range(5):
                self.steps += 1
                if asked_by == "sink" and self.steps == 3:
                    control.cancel()
                yield

    calls, sink = Calls(network), Steps()
    job = stream(
        TorchBackend(calls), image, replace(spec, overlap=0.0), control, sink, axis=0, batch=1
    )
    with pytest.raises(Cancelled):
        for _ in job:
            pass
    assert len(calls.shapes) == 2
    assert sink.steps == (3 if asked_by == "sink" else 1)


def test_sums_are_kept_for_one_windows_depth(spec: ModelSpec) -> None:
    """However long the axis: the slabs are views of the same storage."""
    places: set[int] = set()

    class Places(Slabs):
        def take(self, first: int, logits: torch.Tensor) -> Any:
            places.add(logits.untyped_storage().data_ptr())
            sizes.add(logits.untyped_storage().nbytes())
            yield

    sizes: set[int] = set()
    image = torch.rand(1, 160, 16, 16)
    changed = replace(spec, roi_size=(16, 16, 16), overlap=0.5)
    job = stream(TorchBackend(Calls(lambda x: x)), image, changed, JobControl(), Places())
    for _ in job:
        pass
    assert len(places) == 1
    assert sizes == {16**3 * 4}


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 300), st.integers(1, 128), st.floats(0, 0.95))
def test_windows_cover_the_axis_as_monais_do(size: int, window: int, overlap: float) -> None:
    from monai.data.utils import dense_patch_slices
    from monai.inferers.utils import _get_scan_interval

    starts = window_starts(size, window, overlap)
    whole = max(size, window)
    step = _get_scan_interval((whole,), (window,), 1, (overlap,))
    assert starts == tuple(s[0].start for s in dense_patch_slices((whole,), (window,), step))
