"""A detector trained by MONAI's own training finds balls where they are, in millimetres."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_medcnn.core.detection import Detections
from napari_medcnn.core.events import run_to_end
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.volume import Source, Volume, canonical_volume
from napari_medcnn.inference.detect import detect
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.models.bundle import read_bundle
from recipes.train_small_detector import BRIGHTNESS, NOISE, train

BALLS = ((14.0, 16.0, 15.0, 4.5), (34.0, 30.0, 18.0, 5.5), (17.0, 37.0, 36.0, 5.0))
"""Middle and radius in mm along the grid's axes (z, y, x)."""

SIZE_TOLERANCE = 0.3
"""A network of so few steps finds the balls, and hardly learns to move and to stretch its anchors,
which stand every 4 mm: that places are exact is held where boxes are drawn by hand."""


def scan(turned: bool) -> tuple[Volume, np.ndarray]:
    """Noise with balls on voxels of 1.5 × 1 × 0.8 mm, and the balls' middles in LPS mm."""
    spacing = np.array((1.5, 1.0, 0.8))
    shape = (34, 50, 62)
    affine = np.eye(4)
    angles = (9, -14, 21) if turned else (0, 0, 0)
    axes = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()[:, ::-1]
    flips = np.array((1, -1, 1)) if turned else np.ones(3)
    affine[:3, :3] = axes * spacing * flips
    affine[:3, 3] = (-20.0, 35.0, 110.0)
    geometry = Geometry(shape, affine)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1)
    array = np.random.default_rng(7).normal(0, NOISE, shape)
    middles = []
    for *middle, radius in BALLS:
        centre = np.array(middle) / spacing
        inside = np.linalg.norm((index - centre) * spacing, axis=-1) <= radius
        array[inside] += BRIGHTNESS
        middles.append(geometry.index_to_lps(centre))
    volume = canonical_volume(array.astype(np.float32), geometry, source=Source(), name="balls")
    return volume, np.array(middles)


def misses(folder: Path, *, turned: bool) -> tuple[int, np.ndarray, np.ndarray]:
    """How many boxes there are; for each ball the distance in mm and the relative size."""
    volume, middles = scan(turned)
    options = RunOptions(device="cpu", threads=2)
    found = run_to_end(detect(volume, read_bundle(folder), options=options), Detections)
    centres = np.array([box.centre_lps_mm for box in found.boxes]).reshape(-1, 3)
    if not len(centres):
        return 0, np.full(len(middles), np.inf), np.zeros(len(middles))
    apart = np.linalg.norm(middles[:, None] - centres[None], axis=-1)
    nearest = apart.argmin(axis=1)
    sizes = [
        np.mean(found.boxes[n].size_mm) / (2 * b[3]) for n, b in zip(nearest, BALLS, strict=True)
    ]
    return len(centres), apart.min(axis=1), np.array(sizes)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("balls")
    train(folder)
    return folder


@pytest.mark.slow
@pytest.mark.timeout(900)  # it trains for minutes
@pytest.mark.parametrize("turned", [False, True], ids=["straight", "oblique-and-flipped"])
def test_boxes_lie_around_the_balls_in_millimetres(trained: Path, turned: bool) -> None:
    count, distances, sizes = misses(trained, turned=turned)
    assert count == len(BALLS)
    radii = np.array([radius for *_, radius in BALLS])
    assert (distances < radii).all(), distances
    assert (np.abs(sizes - 1) < SIZE_TOLERANCE).all(), sizes
