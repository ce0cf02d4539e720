"""What a classifier sees of a lesion is the image around its centre, however it is stored."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.volume import Volume
from napari_medcnn.inference.classifier import Classifier
from napari_medcnn.io.read import read
from napari_medcnn.models.bundle import read_bundle
from tests.classification_factory import (
    picture_classifier,
    volume_classifier,
)
from tests.inference.classifying import (
    AGREEMENT,
    CPU,
    by_monai,
    classified,
    lesions_of,
    scan,
    written,
)

PATCH = {"size": [8, 10, 6], "spacing_mm": [2.0, 1.0, 1.5]}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return picture_classifier(tmp_path_factory.mktemp("flat"))


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return volume_classifier(
        tmp_path_factory.mktemp("deep"), lambda about: about.update(patch=PATCH)
    )


def test_a_lesions_patch_is_that_of_the_image_around_its_centre(
    volumes: Path, tmp_path: Path
) -> None:
    # The scan has the patch's spacing, so that its voxels are the patch's, turned to RAS.
    volume, spec = scan(), read_bundle(volumes)
    table = lesions_of(volume, (4, 12, 9), (1, 3, 16))
    found = classified(volume, spec, unit="lesion", lesions=table)
    assert [item.number for item in found.items] == [lesion.id for lesion in table.lesions]
    for row, lesion in enumerate(table.lesions):
        assert found.items[row].centre_lps_mm == lesion.centroid_lps_mm
        patch = around(volume, lesion.anchor_index, (8, 10, 6))
        file = written(patch, tmp_path / f"{lesion.id}.nii.gz", (1.5, 1.0, 2.0))
        expected = by_monai(volumes, file)
        np.testing.assert_allclose(found.probabilities[row], expected, atol=AGREEMENT)
    assert np.abs(np.diff(found.probabilities, axis=0)).max() > 10 * AGREEMENT


def around(volume: Volume, centre: tuple[int, ...], size: tuple[int, int, int]) -> np.ndarray:
    """The voxels around a voxel, by numpy alone; beside the image its smallest value.

    In RAS, x and y run backwards, and of an even size the later voxel is the middle.
    """
    wide = np.pad(volume.array, 20, constant_values=volume.array.min())
    back = (False, True, True)
    starts = [
        c + 20 - (n // 2 if not flip else (n - 1) // 2)
        for c, n, flip in zip(centre, size, back, strict=True)
    ]
    return wide[tuple(slice(a, a + n) for a, n in zip(starts, size, strict=True))]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_network_of_pictures_sees_a_lesion_in_the_slice_through_it(
    tmp_path: Path, axis: int
) -> None:
    bundle = picture_classifier(
        tmp_path, lambda about: about.update(patch={"size": [1, 9, 7], "spacing_mm": None})
    )
    volume, spec = scan((15, 24, 20)), read_bundle(bundle)
    centre = (7, 11, 10)
    table = lesions_of(volume, centre)
    found = classified(volume, spec, unit="lesion", axis=axis, lesions=table)
    plane = np.take(volume.array, centre[axis], axis=axis)
    row, column = (c for a, c in enumerate(centre) if a != axis)
    if axis != 0:
        plane, row = plane[::-1], len(plane) - 1 - row
    seen = plane[row - 4 : row + 5, column - 3 : column + 4]
    alone = Volume(seen[None], Geometry.from_spacing((1, *seen.shape), (1.0, 1.0, 1.0)))
    np.testing.assert_allclose(
        found.probabilities,
        classified(alone, replace(spec, patch=None)).probabilities,
        atol=AGREEMENT,
    )


def test_a_patch_has_the_spacing_that_the_bundle_states(tmp_path: Path) -> None:
    # Twice as coarse, so that the voxels of the patch are every second one of the image.
    volume, centre = scan((9, 25, 21)), (4, 12, 10)
    table = lesions_of(volume, centre)
    coarse = volume.array[::2, ::2, ::2]
    about = {"size": [4, 5, 6], "spacing_mm": [4.0, 2.0, 3.0]}
    deep = volume_classifier(tmp_path / "deep", lambda own: own.update(patch=about))
    found = classified(volume, read_bundle(deep), unit="lesion", lesions=table)
    patch = around(replace(volume, array=coarse, geometry=grid_of(coarse)), (2, 6, 5), (4, 5, 6))
    expected = by_monai(deep, written(patch, tmp_path / "patch.nii.gz"))
    np.testing.assert_allclose(found.probabilities[0], expected, atol=AGREEMENT)

    about = {"size": [1, 5, 7], "spacing_mm": [1.0, 2.0, 3.0]}
    flat = read_bundle(picture_classifier(tmp_path / "flat", lambda own: own.update(patch=about)))
    found = classified(volume, flat, unit="lesion", lesions=table)
    seen = volume.array[4:5, ::2, ::2][:, 4:9, 2:9]
    alone = classified(Volume(seen, grid_of(seen)), replace(flat, patch=None))
    np.testing.assert_allclose(found.probabilities, alone.probabilities, atol=AGREEMENT)


def grid_of(array: np.ndarray) -> Geometry:
    return Geometry.from_spacing(array.shape, (1.0, 1.0, 1.0))


def test_an_image_without_lesions_has_no_items(volumes: Path) -> None:
    volume = scan()
    found = classified(volume, read_bundle(volumes), unit="lesion", lesions=lesions_of(volume))
    assert found.items == ()
    assert found.probabilities.shape == (0, 3)
    assert found.top(2) == ()


def stored_in_all_ways(volume: Volume, folder: Path) -> Iterator[Volume]:
    """The same image from files whose axes run in each of the 48 orders and directions."""
    image = nib.Nifti1Image(volume.array.transpose(2, 1, 0), volume.geometry.to_ras_affine())
    for number, order in enumerate(itertools.permutations(range(3))):
        for flips in itertools.product((1, -1), repeat=3):
            turned = image.as_reoriented(list(zip(order, flips, strict=True)))
            file = folder / f"{number}{flips}.nii.gz"
            nib.save(turned, file)
            (found,) = read(file)
            yield found


def test_however_an_image_is_stored_its_slices_and_lesions_get_the_same_classes(
    pictures: Path, volumes: Path, tmp_path: Path
) -> None:
    volume, centre = scan((6, 13, 11)), (3, 7, 5)
    flat, deep = read_bundle(pictures), read_bundle(volumes)
    with Classifier(flat, CPU) as loaded:
        slices = classified(volume, flat, unit="slice", axis=1, loaded=loaded)
        lesion = classified(volume, deep, unit="lesion", lesions=lesions_of(volume, centre))
        ways = 0
        for stored in stored_in_all_ways(volume, tmp_path):
            again = classified(stored, flat, unit="slice", axis=1, loaded=loaded)
            np.testing.assert_allclose(again.probabilities, slices.probabilities, atol=AGREEMENT)
            table = lesions_of(stored, centre)
            there = classified(stored, deep, unit="lesion", lesions=table)
            np.testing.assert_allclose(there.probabilities, lesion.probabilities, atol=AGREEMENT)
            expected = pytest.approx(lesion.items[0].centre_lps_mm, abs=1e-3)
            assert there.items[0].centre_lps_mm == expected
            ways += 1
    assert ways == 48
