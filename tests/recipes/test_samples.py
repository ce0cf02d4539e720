"""The sample files are what their truth files say, small enough to ship, and rebuilt alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cc3d
import nibabel as nib
import numpy as np
import pytest

SERIES = ("flair_baseline", "flair_followup", "ct_nodules")
MAX_BYTES = 4_000_000


def load(folder: Path, name: str) -> Any:
    return nib.load(folder / f"{name}.nii.gz")


def truth(folder: Path, name: str) -> dict[str, Any]:
    return dict(json.loads((folder / f"{name}_truth.json").read_text()))


def lps(image: Any, index: np.ndarray) -> np.ndarray:
    return (image.affine @ np.append(index, 1))[:3] * (-1, -1, 1)


def label_centroids(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Centroids (LPS mm) and volumes (mm3) of the labelled components."""
    image = load(folder, f"{name}_labels")
    names = cc3d.connected_components(np.asarray(image.dataobj), connectivity=26)
    voxel_mm3 = float(np.prod(image.header.get_zooms()))
    centroids, volumes = [], []
    for number in range(1, int(names.max()) + 1):
        voxels = np.argwhere(names == number)
        centroids.append(lps(image, voxels.mean(0)))
        volumes.append(len(voxels) * voxel_mm3)
    return np.array(centroids), np.array(volumes)


@pytest.mark.parametrize("name", SERIES)
def test_images_are_int16_small_and_have_labels_on_their_grid(sample_data: Path, name: str) -> None:
    image, labels = load(sample_data, name), load(sample_data, f"{name}_labels")
    assert image.get_data_dtype() == np.int16
    assert (sample_data / f"{name}.nii.gz").stat().st_size <= MAX_BYTES
    assert image.shape == labels.shape
    np.testing.assert_array_equal(image.affine, labels.affine)
    assert np.count_nonzero(image.affine[:3, :3]) == 3, "the grid is not oblique"


@pytest.mark.parametrize("study", ["baseline", "followup"])
def test_each_planted_lesion_is_one_component_with_the_stated_volume_and_place(
    sample_data: Path, study: str
) -> None:
    stated = truth(sample_data, "flair")[study]["lesions"]
    centroids, volumes = label_centroids(sample_data, f"flair_{study}")
    assert len(stated) == len(volumes)
    for lesion in stated:
        offsets = np.linalg.norm(centroids - lesion["centroid_lps_mm"], axis=1)
        nearest = int(np.argmin(offsets))
        assert offsets[nearest] < 0.01
        assert volumes[nearest] == pytest.approx(lesion["volume_mm3"])


def test_the_stated_transform_carries_lesions_to_the_followup(sample_data: Path) -> None:
    content = truth(sample_data, "flair")
    transform = np.array(content["baseline_to_followup_lps"])
    after = {one["id"]: one for one in content["followup"]["lesions"]}
    for lesion in content["baseline"]["lesions"]:
        if lesion["change"] == "resolved":
            assert lesion["id"] not in after
            continue
        moved = (transform @ [*lesion["centroid_lps_mm"], 1])[:3]
        assert np.linalg.norm(moved - after[lesion["id"]]["centroid_lps_mm"]) < 1.0


def test_the_changes_are_what_they_are_called(sample_data: Path) -> None:
    content = truth(sample_data, "flair")
    before = {one["id"]: one["volume_mm3"] for one in content["baseline"]["lesions"]}
    for lesion in content["followup"]["lesions"]:
        ratio = lesion["volume_mm3"] / before.get(lesion["id"], np.nan)
        expected = {
            "stable": 0.8 < ratio < 1.2,
            "grown": ratio > 1.5,
            "shrunk": ratio < 0.6,
            "new": bool(np.isnan(ratio)),
        }
        assert expected[lesion["change"]], lesion


def test_nodules_have_the_volume_of_their_ellipsoid_within_two_percent(
    sample_data: Path,
) -> None:
    centroids, volumes = label_centroids(sample_data, "ct_nodules")
    nodules = truth(sample_data, "ct_nodules")["nodules"]
    assert len(nodules) == len(volumes)
    for nodule in nodules:
        exact = np.pi / 6 * np.prod(nodule["diameters_mm"])
        assert nodule["volume_mm3"] == pytest.approx(exact, abs=0.01)
        offsets = np.linalg.norm(centroids - nodule["centroid_lps_mm"], axis=1)
        assert offsets.min() < 0.5
        assert volumes[int(np.argmin(offsets))] == pytest.approx(exact, rel=0.02)


def test_the_phantom_has_the_ct_numbers_of_a_chest(sample_data: Path) -> None:
    image = np.asarray(load(sample_data, "ct_nodules").dataobj)
    labels = np.asarray(load(sample_data, "ct_nodules_labels").dataobj)
    assert image.min() >= -1024
    assert np.median(image[labels > 0]) == pytest.approx(35, abs=5)
    assert (image < -800).mean() > 0.2


def test_the_recipe_writes_the_shipped_phantom_again(sample_data: Path, tmp_path: Path) -> None:
    from recipes.samples.ct import write_ct_sample

    write_ct_sample(tmp_path)
    for name in ("ct_nodules", "ct_nodules_labels"):
        again, shipped = (np.asarray(load(at, name).dataobj) for at in (tmp_path, sample_data))
        np.testing.assert_array_equal(again, shipped)
    assert truth(tmp_path, "ct_nodules") == truth(sample_data, "ct_nodules")
