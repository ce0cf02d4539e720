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
from napari_medcnn.core.events import run_to_end
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

def run(volume):
    options = RunOptions(backend="torch", threads=1)
    return run_to_end(segment(volume, spec, options=options), Segmentation).array

spec = read_bundle(sys.argv[1])
small, large = image(16), image(256)
assert run(small).sum() == 60
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + int(6e7), resource.RLIM_INFINITY))
try:
    run(large)
except OutOfMemory as error:
    print("refused:", type(error).__name__)
else:
    raise SystemExit("the limit was not reached")
assert run(small).sum() == 60  # under the same limit
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_a_run_that_does_not_fit_ends_with_its_error_and_the_next_one_works(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bright")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(bundle)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "refused:" in done.stdout
