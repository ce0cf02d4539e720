from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from napari_medcnn.inference.placement import Placement, next_placement

PLACEMENTS = st.builds(
    Placement,
    device=st.sampled_from(["cpu", "cuda", "cuda:1", "mps"]),
    precision=st.sampled_from(["float32", "float16"]),
    batch=st.integers(1, 64),
    sums_on=st.sampled_from(["cpu", "cuda", "mps"]),
    planes=st.integers(0, 4),
    channels_last=st.booleans(),
    compiled=st.booleans(),
)


def ladder(start: Placement) -> list[Placement]:
    steps = [start]
    while (lighter := next_placement(steps[-1])) is not None:
        steps.append(lighter)
    return steps


def test_a_gpu_gives_way_step_by_step_down_to_the_cpu() -> None:
    start = Placement("cuda", precision="float16", batch=4, sums_on="cuda", channels_last=True)
    assert [str(step) for step in ladder(start)] == [
        "4 windows at once on cuda, sums on cuda",
        "2 windows at once on cuda, sums on cuda",
        "one window at once on cuda, sums on cuda",
        "one window at once on cuda, sums on the CPU",
        "one window at once on cuda, sums on the CPU, 1 plane at a time",
        "one window at once on the CPU, 1 plane at a time",
    ]


def test_on_the_cpu_one_window_and_one_plane_is_the_last_thing_to_try() -> None:
    steps = ladder(Placement(backend="openvino", batch=2))
    assert [(s.batch, s.planes, s.backend) for s in steps] == [
        (2, 0, "openvino"),
        (1, 0, "openvino"),
        (1, 1, "openvino"),
    ]


@given(PLACEMENTS)
def test_every_ladder_ends_on_the_cpu_and_never_repeats_a_step(start: Placement) -> None:
    steps = ladder(start)
    assert len(set(steps)) == len(steps) <= 12
    last = steps[-1]
    assert (last.device, last.batch, last.sums_on, last.planes) == ("cpu", 1, "cpu", 1)
