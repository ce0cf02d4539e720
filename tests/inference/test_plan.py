from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.events import JobControl
from napari_medcnn.core.geometry import AxisMap, Geometry
from napari_medcnn.core.volume import FrameAxis, Volume
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
    plan = resolve(spec, facts_of(volume), "cpu")
    job = prepare([volume], spec, JobControl())
    while True:
        try:
            next(job)
        except StopIteration as end:
            prepared = end.value
            break
    assert plan.network_shape == tuple(reversed(prepared.tensor.shape[1:]))
    assert plan.network_shape == prepared.grid.shape
    np.testing.assert_allclose(plan.network_spacing_mm, prepared.grid.spacing)


def test_a_plan_counts_windows_on_the_networks_grid(spec: ModelSpec) -> None:
    plan = resolve(spec, facts(), "cpu")
    assert plan.network_shape == (40, 50, 60)
    assert plan.roi_size == (32, 24, 16)
    assert plan.windows == 2 * 3 * 5
    assert (plan.device, plan.precision, plan.batch) == ("cpu", "float32", 1)
    cuda = resolve(spec, facts(), "cuda")
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
    assert "Device: chosen when the run starts, float32" in lines
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
