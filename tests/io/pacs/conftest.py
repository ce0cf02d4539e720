"""Connections of these tests live in a folder of their own; a small series to store."""

from __future__ import annotations

import numpy as np
import pytest

from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.volume import Volume
from tests.pacs_server import StoredSeries, orthanc, own_configuration, write_mr_series

__all__ = ["orthanc", "own_configuration"]


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> StoredSeries:
    """A series of 12 noisy slices: about 400 kB that do not compress."""
    geometry = Geometry.from_spacing((12, 128, 128), (3.0, 1.0, 1.0), (-30.0, 12.5, 100.0))
    rng = np.random.default_rng(0)
    array = rng.integers(0, 2000, geometry.shape).astype(np.int16)
    volume = Volume(array, geometry, name="noise", modality="MR")
    return write_mr_series(volume, tmp_path_factory.mktemp("stored") / "series")
