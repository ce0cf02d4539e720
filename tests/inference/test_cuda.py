"""What a GPU must not change: the labels, and its own free memory. Skipped where there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.networks.nets import UNet

from napari_medcnn.core.errors import Cancelled, OutOfMemory
from napari_medcnn.core.events import JobControl, Progress, run_to_end
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.inference.segment import segment
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.models.spec import ModelSpec
from tests.bundle_factory import make_bundle
from tests.inference.conftest import smooth_image

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

SHAPE = (60, 70, 80)
RESIDENT_BYTES = 32 * 2**20
"""What cuDNN and cuBLAS keep once they were used, at most."""


@pytest.fixture
def image() -> Volume:
    geometry = Geometry.from_spacing(SHAPE, (1.5, 1.0, 1.0), (-40.0, 15.0, 60.0))
    return Volume(smooth_image(SHAPE), geometry, modality="MR")


@pytest.fixture
def spec(tmp_path: Path) -> ModelSpec:
    folder = make_bundle(
        tmp_path / "ladder",
        classes=("one", "two"),
        thresholds=(0.3, 0.6),
        activation="softmax",
        roi=(32, 32, 32),
    )
    return read_bundle(folder)


def on(device: str, image: Volume, spec: ModelSpec) -> Segmentation:
    return run_to_end(segment(image, spec, options=RunOptions(device)), Segmentation)


def test_labels_are_those_of_the_cpu(image: Volume, spec: ModelSpec) -> None:
    gpu, cpu = on("cuda", image, spec), on("cpu", image, spec)
    assert gpu.parameters["device"] == "cuda"
    assert len(np.unique(cpu.array)) == 3
    agreement = (gpu.array == cpu.array).mean()
    assert agreement > 0.999  # half precision moves a border of steep logits by a few voxels


def test_auto_takes_the_gpu(image: Volume, spec: ModelSpec) -> None:
    assert on("auto", image, spec).parameters["device"].startswith("cuda")


@pytest.mark.parametrize("end", ["done", "cancelled", "failed", "dropped"])
def test_device_memory_returns_to_its_baseline(
    image: Volume, spec: ModelSpec, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    on("cuda", image, spec)
    baseline = torch.cuda.memory_allocated()
    if end == "done":
        on("cuda", image, spec)
    elif end == "cancelled":
        control = JobControl()
        with pytest.raises(Cancelled):
            for event in segment(image, spec, control, RunOptions("cuda")):
                if isinstance(event, Progress) and event.stage == "network" and event.done > 0:
                    control.cancel()
    elif end == "failed":
        monkeypatch.setattr(UNet, "forward", _out_of_memory)
        with pytest.raises(OutOfMemory):
            on("cuda", image, spec)
    else:
        job = segment(image, spec, options=RunOptions("cuda"))
        for event in job:
            if isinstance(event, Progress) and event.stage == "network" and event.done > 0:
                break
        job.close()
    assert torch.cuda.memory_allocated() <= baseline
    assert torch.cuda.memory_reserved() <= baseline + RESIDENT_BYTES


def _out_of_memory(*_: object) -> None:
    """Ask the device for more than any has."""
    torch.empty(2**50, dtype=torch.uint8, device="cuda")
