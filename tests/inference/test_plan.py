from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.events import JobControl
from napari_medcnn.core.geometry import AxisMap, Geometry
from napari_medcnn.core.volume import FrameAxis, Volume
from napari_medcnn.inference.calibration import Calibration, Measurement
from napari_medcnn.inference.memory import Machine
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.inference.placement import Placement
from napari_medcnn.inference.plan import ImageFacts, describe, facts_of, resolve
from napari_medcnn.inference.preprocess import prepare
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.models.spec import ModelSpec
from tests.bundle_factory import make_bundle
from tests.inference.conftest import from_file, smooth_image


@pytest.fixture
def spec(tmp_path: Path) -> ModelSpec:
    return read_bundle(make_bundle(tmp_path / "a", spacing=(1.0, 1.5, 2.0), roi=(16, 24, 32)))


def facts(**change: object) -> ImageFacts:
    return replace(ImageFacts((40, 50, 60), (2.0, 1.5, 1.0), ("MR",)), **change)  # type: ignore[arg-type]


@pytest.mark.parametrize("orientation", ["RAS", "SPL", "AIR", None])
@pytest.mark.parametrize("axes", [AxisMap(), AxisMap((1, 2, 0), (True, False, False))])
def test_the_planned_grid_is_the_one_that_preprocessing_makes(
    tmp_path: Path, orientation: str | None, axes: AxisMap
) -> None:
    divisible = {"_target_": "DivisiblePadd", "keys": "image", "k": 8}
    spec = read_bundle(
        make_bundle(
            tmp_path / "a",
            orientation=orientation,
            spacing=(1.1, 1.4, 2.2),
            extra_steps=(divisible,),
        )
    )
    shape = (13, 19, 22)
    geometry = Geometry.from_spacing(shape, (2.4, 0.9, 0.8), (3.0, 4.0, 5.0))
    volume = from_file(smooth_image(shape), geometry, axes)
    plan = resolve(spec, facts_of(volume))
    job = prepare([volume], spec, JobControl())
    while True:
        try:
            next(job)
        except StopIteration as end:
            prepared = end.value
            break
    assert plan.network_shape == tuple(reversed(prepared.tensor.shape[1:]))
    if orientation:  # otherwise the network's axes are the file's, in its own order
        assert plan.network_spacing_mm == (2.2, 1.4, 1.1)


def test_a_plan_counts_windows_on_the_networks_grid(spec: ModelSpec) -> None:
    plan = resolve(spec, facts(), RunOptions(device="cpu"))
    assert plan.network_shape == (40, 50, 60)
    assert plan.roi_size == (32, 24, 16)
    assert plan.windows == 2 * 3 * 5
    assert (plan.device, plan.precision, plan.batch) == ("cpu", "float32", 1)
    cuda = resolve(spec, facts(), RunOptions(device="cuda"))
    assert (cuda.precision, cuda.batch) == ("float16", 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"is_2d": True}, "single picture"),
        ({"frames": 20}, "20 frames"),
        ({"modalities": ("MR", "MR")}, "not 2"),
        ({"spacing_known": False}, "voxel size is unknown"),
    ],
)
def test_what_cannot_be_run_is_refused_with_a_way_out(
    spec: ModelSpec, change: dict[str, object], message: str
) -> None:
    with pytest.raises(InputMismatch, match=message) as caught:
        resolve(spec, facts(**change))
    assert caught.value.hint


def test_doubts_are_warnings_and_reach_the_description(spec: ModelSpec) -> None:
    assert resolve(spec, facts()).warnings == ()
    plan = resolve(spec, facts(modalities=("CT",), spacing_mm=(9.0, 1.0, 1.0)))
    assert ["is CT" in plan.warnings[0], "9 mm" in plan.warnings[1]] == [True, True]
    lines = describe(plan)
    assert lines[-2:] == [f"Note: {warning}" for warning in plan.warnings]
    assert "Device: chosen when the run starts, the faster backend, float32" in lines
    z, y, x = plan.network_shape
    assert any(f"Grid: {x} × {y} × {z} voxels" in line for line in lines), "as people say it"
    assert resolve(spec, facts(modalities=("",))).warnings == ()


def test_memory_grows_with_image_and_classes(tmp_path: Path, spec: ModelSpec) -> None:
    small = resolve(spec, facts()).peak_memory_bytes
    large = resolve(spec, facts(shape=(200, 400, 400))).peak_memory_bytes
    many = read_bundle(
        make_bundle(
            tmp_path / "many",
            classes=[f"c{n}" for n in range(20)],
            thresholds=[n / 20 for n in range(20)],
            activation="softmax",
            spacing=(1.0, 1.5, 2.0),
        )
    )
    assert small < large < resolve(many, facts(shape=(200, 400, 400))).peak_memory_bytes


FAST = Measurement("openvino", "float32", 1, 0.5, 40e6, 200e6)
SLOW = Measurement("torch", "float32", 1, 2.0, 20e6, 300e6, channels_last=True)
MEASURED = Calibration("cpu", "openvino", (FAST, SLOW))
ON_CPU = RunOptions(device="cpu")


def test_time_follows_from_what_was_measured(spec: ModelSpec) -> None:
    unknown = resolve(spec, facts(), ON_CPU)
    assert (unknown.seconds, unknown.backend) == (None, "auto")
    assert "run once on this machine" in unknown.seconds_unknown
    assert any(line == f"Time: {unknown.seconds_unknown}" for line in describe(unknown))
    known = resolve(spec, facts(), ON_CPU, MEASURED)
    assert known.backend == "openvino"
    assert known.seconds == pytest.approx(0.5 * known.windows, rel=0.15)
    chosen = resolve(spec, facts(), replace(ON_CPU, backend="torch"), MEASURED)
    assert chosen.seconds == pytest.approx(2.0 * known.windows, rel=0.15)
    assert chosen.placement == Placement("cpu", "torch", channels_last=True)
    assert resolve(spec, facts(), RunOptions(), MEASURED).seconds is None, "no device yet"


def test_mirrored_windows_and_members_each_cost_the_time_of_a_window(spec: ModelSpec) -> None:
    once = resolve(spec, facts(), ON_CPU, MEASURED)
    all_ways = resolve(spec, facts(), replace(ON_CPU, mirror="all"), MEASURED)
    assert (once.answers, all_ways.answers) == (1, 8)
    assert once.seconds is not None and all_ways.seconds is not None
    assert all_ways.seconds > 7 * once.seconds
    assert any("each answered 8 times" in line for line in describe(all_ways))
    ensemble = replace(spec, members=(spec.weights, spec.weights), mirror_axes=(0, 2))
    assert resolve(ensemble, facts(), ON_CPU).answers == 8
    assert resolve(ensemble, facts(), replace(ON_CPU, mirror="none")).answers == 2


def test_a_region_takes_fewer_windows_and_less_memory(spec: ModelSpec) -> None:
    large = facts(shape=(100, 120, 140))
    whole = resolve(spec, large, ON_CPU)
    region = ((40, 40, 40), (60, 70, 80))
    part = resolve(spec, large, replace(ON_CPU, region=region))
    assert 0 < part.windows < whole.windows / 4
    assert part.memory.sums < whole.memory.sums
    assert part.network_shape == whole.network_shape


def test_windows_advance_along_the_axis_that_leaves_the_smallest_sums(spec: ModelSpec) -> None:
    cube = replace(spec, roi_size=(32, 32, 32))
    for axis in range(3):
        shape = [100, 100, 100]
        shape[axis] = 400
        same = facts(shape=tuple(shape), spacing_mm=(2.0, 1.5, 1.0))
        plan = resolve(cube, same, ON_CPU)
        assert plan.stream_axis == axis
        logits = 400 * 100 * 100 * plan.outputs * 4
        assert plan.memory.sums < logits / 4


def test_too_little_memory_is_said_before_the_run(spec: ModelSpec) -> None:
    large = facts(shape=(400, 512, 512))
    roomy = resolve(spec, large, ON_CPU, machine=Machine(600e6, 64e9))
    tight = resolve(spec, large, ON_CPU, machine=Machine(600e6, 0.2e9))
    assert roomy.warnings == ()
    assert ["0.2 GB are free" in tight.warnings[0], len(tight.warnings)] == [True, 1]
    assert tight.peak_memory_bytes == 600e6 + tight.added_memory_bytes


def test_a_gpu_holds_the_network_and_the_sums(spec: ModelSpec) -> None:
    large = facts(shape=(400, 512, 512))
    cuda, cpu = (resolve(spec, large, RunOptions(device=device)) for device in ("cuda", "cpu"))
    assert cuda.peak_memory_bytes <= cpu.peak_memory_bytes
    assert cuda.peak_device_bytes > cuda.memory.sums
    assert cpu.peak_device_bytes == 0
    assert cuda.placement == Placement("cuda", "torch", "float16", 2, sums_on="cuda")


def test_programs_that_torch_cannot_run_are_openvinos(spec: ModelSpec) -> None:
    onnx = replace(spec, kind="onnx")
    assert resolve(onnx, facts(), ON_CPU).backend == "openvino"


def test_facts_are_the_volumes() -> None:
    geometry = Geometry.from_spacing((4, 5, 6), (3.0, 2.0, 1.0))
    volume = Volume(
        np.zeros((2, 4, 5, 6)),
        geometry,
        modality="MR",
        frames=FrameAxis("time"),
        spacing_known=False,
    )
    found = facts_of(volume)
    assert (found.shape, found.spacing_mm, found.modalities) == (
        (4, 5, 6),
        (3.0, 2.0, 1.0),
        ("MR",),
    )
    assert (found.frames, found.spacing_known, found.is_2d) == (2, False, False)
    assert facts_of([volume.frame(0), volume.frame(1)]).channels == 2
    with pytest.raises(InputMismatch, match="no image"):
        facts_of([])
