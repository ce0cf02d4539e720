from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.bundle_factory import make_bundle

SCRIPT = """
import resource, sys
import numpy as np, torch, monai.transforms, monai.networks.nets, monai.inferers
from napari_medcnn.core.errors import OutOfMemory
from napari_medcnn.core.events import Done, Progress, run_to_end
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.inference.segment import segment
from napari_medcnn.models.bundle import read_bundle

def image(n):
    geometry = Geometry.from_spacing((n, n, n), (1.0, 1.0, 1.0))
    array = np.zeros(geometry.shape, np.float32)
    array[2:5, 3:7, 4:9] = 1
    return Volume(array, geometry, modality="MR")

OPTIONS = RunOptions(backend="torch", threads=1)

def run(volume):
    return run_to_end(segment(volume, spec, options=OPTIONS), Segmentation).array

def limit(room):
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + int(room), resource.RLIM_INFINITY))

def run_limited(volume, stage, room):
    for event in segment(volume, spec, options=OPTIONS):
        if isinstance(event, Progress) and event.stage == stage:
            limit(room)
            stage = None
        elif isinstance(event, Done):
            return event.result.array

spec = read_bundle(sys.argv[1])
stage, room = sys.argv[2], float(sys.argv[3])
small, large = image(16), image(256)
assert run(small).sum() == 60
try:
    labels = run_limited(large, stage, room)
except OutOfMemory as error:
    print("refused:", error)
else:
    assert labels.sum() == 60
    print("completed")
assert run(small).sum() == 60  # under the same limit
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert run(large).sum() == 60
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
@pytest.mark.parametrize(
    ("stage", "room"),
    [
        ("reading model", 6e7),
        ("preparing image", 6e7),
        ("network", 2e7),
        ("network", 3e8),
        ("finishing", 1e6),
    ],
)
def test_memory_that_ends_in_any_stage_ends_the_run_clearly_and_the_next_one_works(
    stage: str, room: float, tmp_path: Path
) -> None:
    bundle = make_bundle(tmp_path / "bright")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(bundle), stage, str(room)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "refused:" in done.stdout or "completed" in done.stdout
