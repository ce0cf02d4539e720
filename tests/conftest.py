"""Fixtures of every room: where real data lies, and a small volume to work on."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.volume import Volume

os.environ.setdefault("OMP_NUM_THREADS", "2")
# A busy machine is slow to draw examples and to run them; neither is what the tests are about.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real scans: $MEDCNN_DATA, or ../shared/data beside the repository."""
    root = Path(os.environ.get("MEDCNN_DATA", REPOSITORY.parent / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"real data is not here: {root} does not exist (set MEDCNN_DATA)")
    return root


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What the engine keeps for later stays out of the user's cache."""
    os.environ["MEDCNN_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def sample_data() -> Path:
    """The sample files that the repository ships."""
    return REPOSITORY / "sample_data"


@pytest.fixture
def small_volume() -> Volume:
    """A 12x20x16 gradient, axis-aligned, 2 x 1 x 1 mm, away from the origin."""
    geometry = Geometry.from_spacing((12, 20, 16), (2.0, 1.0, 1.0), (-30.0, 12.5, 100.0))
    array = np.arange(12 * 20 * 16, dtype=np.int16).reshape(geometry.shape)
    return Volume(array, geometry, name="gradient", modality="MR")
