"""Lesions: located exactly on any grid, the same after an edit, and silent about nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_medcnn.core.errors import GeometryError, InputMismatch
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.lesion import Lesion, Origin, Review, Verdict
from napari_medcnn.core.segmentation import ModelReference, Segmentation
from napari_medcnn.core.volume import Finding, FrameAxis, Severity, Volume
from napari_medcnn.imaging.lesions import find_lesions
from tests.core.test_geometry import AXIS_MAPS
from tests.imaging.phantoms import ellipsoid, marked

GRID = Geometry.from_spacing((10, 24, 30), (2.0, 1.0, 0.5), (-30.0, 12.5, 100.0))


def blocks(*boxes: tuple[slice, slice, slice], label: int = 1) -> np.ndarray:
    array = np.zeros(GRID.shape, dtype=np.uint8)
    for box in boxes:
        array[box] = label
    return array


A = (slice(1, 4), slice(2, 8), slice(2, 9))
B = (slice(1, 4), slice(12, 17), slice(2, 9))
C = (slice(6, 8), slice(2, 5), slice(20, 25))


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 0.7, 0.7)])
def test_an_ellipsoid_s_volume_is_within_two_percent(spacing: tuple[float, float, float]) -> None:
    rng = np.random.default_rng(1)
    for axes in ((6, 6, 6), (8, 7, 6), (12, 8, 6)):
        semi_axes = tuple(a * max(spacing) for a in axes)
        phantom = ellipsoid(rng, semi_axes, spacing, samples=1)
        lesion = find_lesions(*marked(phantom.mask, phantom.geometry)).lesions[0]
        assert lesion.volume_mm3.value == pytest.approx(phantom.volume_mm3, rel=0.02)
        assert lesion.volume_ml.value == pytest.approx(phantom.volume_mm3 / 1000, rel=0.02)


@pytest.mark.parametrize("axes", AXIS_MAPS)
def test_centroids_stay_in_place_in_all_48_orientations(axes) -> None:
    array = blocks(A)
    array[2, 7, 9:14] = 1
    expected = GRID.index_to_lps(np.argwhere(array).mean(axis=0))
    found = find_lesions(*marked(axes.apply(array), GRID.reordered(axes))).lesions[0]
    np.testing.assert_allclose(found.centroid_lps_mm, expected, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_place_and_volume_are_right_on_any_oblique_or_sheared_grid(seed: int) -> None:
    rng = np.random.default_rng(seed)
    affine = np.eye(4)
    affine[:3, :3] = Rotation.random(rng=rng).as_matrix() * rng.uniform(0.2, 6, 3)
    affine[:3, 0] += rng.uniform(-0.3, 0.3) * affine[:3, 1]
    affine[:3, 3] = rng.uniform(-500, 500, 3)
    array = (rng.random((4, 6, 5)) < 0.4).astype(np.uint8)
    array[1, 1, 1] = 1
    geometry = Geometry(array.shape, affine)
    table = find_lesions(*marked(array, geometry))
    for lesion in table.lesions:
        voxels = np.argwhere(table.id_map == lesion.id)
        positions = geometry.index_to_lps(voxels)
        centroid = positions.mean(axis=0)
        np.testing.assert_allclose(lesion.centroid_lps_mm, centroid, atol=1e-6)
        nearest = np.linalg.norm(positions - centroid, axis=1).min()
        anchor = geometry.index_to_lps(lesion.anchor_index)
        assert np.linalg.norm(anchor - centroid) == pytest.approx(nearest, abs=1e-6)
        assert lesion.volume_mm3.value == pytest.approx(len(voxels) * geometry.voxel_volume_mm3)


def test_the_anchor_of_a_curved_lesion_is_inside_it() -> None:
    array = np.zeros(GRID.shape, dtype=np.uint8)
    array[5, 4:20, 4:26] = 1
    array[5, 6:20, 6:24] = 0
    lesion = find_lesions(*marked(array, GRID)).lesions[0]
    assert array[lesion.anchor_index] == 1
    assert array[tuple(np.rint(lesion.centroid_index).astype(int))] == 0


def test_lesions_that_touch_by_a_corner_are_one_and_labels_stay_apart() -> None:
    array = np.zeros(GRID.shape, dtype=np.uint8)
    array[1, 1, 1] = array[2, 2, 2] = 1
    array[2, 2, 3:5] = 2
    table = find_lesions(*marked(array, GRID))
    assert sorted((lesion.label_name, lesion.voxel_count) for lesion in table.lesions) == [
        ("lesion", 2),
        ("oedema", 2),
    ]


def test_an_empty_map_gives_an_empty_table() -> None:
    table = find_lesions(*marked(blocks(), GRID), min_volume_mm3=5)
    assert table.lesions == () and table.dropped_count == 0 and not table.id_map.any()


def test_a_single_voxel_is_measured() -> None:
    array = blocks((slice(4, 5), slice(4, 5), slice(4, 5)))
    lesion = find_lesions(*marked(array, GRID)).lesions[0]
    assert lesion.volume_mm3.value == 1.0
    assert lesion.anchor_index == (4, 4, 4) == lesion.bbox_start
    assert lesion.long_axis_mm.value == pytest.approx(1.0)
    assert lesion.max_diameter_3d_mm.value == pytest.approx(2.0)
    assert lesion.sd.value == 0.0
    assert lesion.volume_mm3.error > lesion.volume_mm3.value


def test_lesions_of_exactly_the_least_volume_stay_and_the_rest_is_counted() -> None:
    array = blocks(A, C)
    sizes = sorted(lesion.volume_mm3.value for lesion in find_lesions(*marked(array, GRID)).lesions)
    table = find_lesions(*marked(array, GRID), min_volume_mm3=sizes[0])
    assert len(table.lesions) == 2 and table.dropped_count == 0
    table = find_lesions(*marked(array, GRID), min_volume_mm3=sizes[0] + 0.01)
    assert len(table.lesions) == 1 and table.dropped_count == 1
    assert set(np.unique(table.id_map)) == {0, 1}


def test_only_lesions_on_the_edge_of_the_image_touch_the_border() -> None:
    inside, edge = blocks(A), blocks((slice(9, 10), slice(3, 5), slice(3, 5)))
    assert not find_lesions(*marked(inside, GRID)).lesions[0].touches_border
    assert find_lesions(*marked(edge, GRID)).lesions[0].touches_border


def found_after(array: np.ndarray, former) -> dict[int, Lesion]:
    table = find_lesions(*marked(array, GRID), previous=former)
    for lesion in table.lesions:
        assert table.id_map[lesion.anchor_index] == lesion.id
        assert (table.id_map == lesion.id).sum() == lesion.voxel_count
    return {lesion.id: lesion for lesion in table.lesions}


@pytest.fixture
def reviewed():
    """A (largest), B and C as lesions 1, 2 and 3; B is rejected with a note."""
    table = find_lesions(*marked(blocks(A, B, C), GRID))
    review = Review(Verdict.REJECTED, "a vessel")
    lesions = [replace(x, review=review) if x.id == 2 else x for x in table.lesions]
    return replace(table, lesions=tuple(lesions))


def test_a_lesion_that_grows_keeps_its_id_and_its_review(reviewed) -> None:
    grown = found_after(blocks(A, B, C, (slice(1, 5), slice(12, 20), slice(2, 14))), reviewed)
    assert sorted(grown) == [1, 2, 3]
    assert grown[2].review.note == "a vessel" and grown[2].voxel_count > 150
    assert grown[1].review == Review()


def test_a_lesion_that_is_split_leaves_its_id_to_the_larger_part(reviewed) -> None:
    array = blocks(A, B, C)
    array[:, :, 4] = 0
    parts = found_after(array, reviewed)
    assert sorted(parts) == [1, 2, 3, 4, 5]
    assert parts[1].bbox_start[2] == parts[2].bbox_start[2] == 5
    assert parts[4].review == Review()


def test_lesions_that_are_merged_take_the_id_of_the_larger(reviewed) -> None:
    merged = found_after(blocks(A, B, C, (slice(2, 3), slice(8, 12), slice(4, 5))), reviewed)
    assert sorted(merged) == [1, 3]


def test_deleted_ids_are_never_given_again(reviewed) -> None:
    table = find_lesions(*marked(blocks(A, B), GRID), previous=reviewed)
    assert [lesion.id for lesion in table.lesions] == [1, 2]
    added = found_after(blocks(A, B, C), table)
    assert sorted(added) == [1, 2, 4]


def test_an_id_does_not_pass_to_another_label(reviewed) -> None:
    array = blocks(A, B, C)
    array[C] = 2
    assert sorted(found_after(array, reviewed)) == [1, 2, 4]


def test_origin_tells_untouched_from_edited_and_added() -> None:
    far = (slice(6, 8), slice(20, 22), slice(2, 5))
    predicted = blocks(A, B, C)
    array = blocks(A, B, C, far)
    array[1, 12, 2] = 0  # one voxel of B erased
    array[6, 5, 20] = 1  # one voxel painted beside C
    segmentation, volume = marked(array, GRID)
    table = find_lesions(segmentation, volume, predicted=predicted)
    by_place = {lesion.bbox_start[1:]: lesion.origin for lesion in table.lesions}
    assert by_place == {
        (2, 2): Origin.PREDICTED,
        (12, 2): Origin.EDITED,
        (2, 20): Origin.EDITED,
        (20, 2): Origin.ADDED,
    }
    relabelled = blocks(A, label=2)
    assert find_lesions(*marked(relabelled, GRID), predicted=predicted).lesions[0].origin == (
        Origin.EDITED
    )


def test_without_a_prediction_the_model_tells_the_origin() -> None:
    segmentation, volume = marked(blocks(A), GRID)
    assert find_lesions(segmentation, volume).lesions[0].origin is Origin.ADDED
    by_model = replace(segmentation, model=ModelReference("m", "1", "0" * 64))
    assert find_lesions(by_model, volume).lesions[0].origin is Origin.PREDICTED


def test_intensities_are_those_of_the_voxels_with_the_image_s_unit() -> None:
    array = blocks(A)
    segmentation, volume = marked(array, GRID)
    lesion = find_lesions(segmentation, volume).lesions[0]
    values = volume.array[array == 1].astype(float)
    figures = lesion.mean, lesion.sd, lesion.minimum, lesion.maximum
    expected = values.mean(), values.std(), values.min(), values.max()
    np.testing.assert_allclose([m.value for m in figures], expected)
    assert {m.unit for m in figures} == {"HU"}
    assert "no probability" in lesion.mean_probability.reason


def test_probability_is_averaged_over_the_lesion() -> None:
    segmentation, volume = marked(blocks(A), GRID)
    probability = np.full(GRID.shape, 0.25, dtype=np.float16)
    probability[A[0], A[1], 2:5] = 0.75
    lesion = find_lesions(replace(segmentation, probability=probability), volume).lesions[0]
    assert lesion.mean_probability.value == pytest.approx((0.75 * 3 + 0.25 * 4) / 7)


def test_voxels_without_a_finite_value_are_counted_in_the_reason() -> None:
    segmentation, volume = marked(blocks(A, C), GRID)
    volume.array[2, 3:5, 3] = np.nan
    first, second = find_lesions(segmentation, volume).lesions
    assert first.mean.value is None and "2 of 126 voxels" in first.mean.reason
    assert first.volume_mm3.value is not None and second.mean.value is not None


def in_millimetres(lesion: Lesion) -> list[float | None]:
    figures = lesion.volume_mm3, lesion.long_axis_mm, lesion.short_axis_mm
    return [m.value for m in (*figures, lesion.max_diameter_3d_mm)]


def test_nothing_is_told_in_millimetres_without_a_known_spacing() -> None:
    table = find_lesions(*marked(blocks(A), GRID, spacing_known=False), min_volume_mm3=1e6)
    lesion = table.lesions[0]
    assert in_millimetres(lesion) == [None] * 4 and lesion.centroid_lps_mm is None
    assert "voxel size" in lesion.volume_mm3.reason and lesion.mean.value is not None
    assert table.min_volume_mm3 == 0 and table.dropped_count == 0


def test_a_blocking_finding_needs_the_user_s_yes() -> None:
    finding = Finding("missing-slices", Severity.BLOCKING, "Two slices are missing.")
    segmentation, volume = marked(blocks(A), GRID, findings=(finding,))
    refused = find_lesions(segmentation, volume).lesions[0]
    assert in_millimetres(refused) == [None] * 4
    assert "missing-slices" in refused.long_axis_mm.reason
    accepted = find_lesions(segmentation, volume, accept_blocking=True).lesions[0]
    assert None not in in_millimetres(accepted)


def test_a_picture_has_diameters_but_no_volume_and_no_border_in_depth() -> None:
    array = np.zeros((1, 20, 20), dtype=np.uint8)
    array[0, 5:12, 5:9] = 1
    grid = Geometry.from_spacing(array.shape, (1.0, 0.5, 0.5))
    lesion = find_lesions(*marked(array, grid), min_volume_mm3=1e6).lesions[0]
    assert lesion.volume_mm3.value is None and "no depth" in lesion.max_diameter_3d_mm.reason
    assert lesion.volume_ml.value is None
    assert lesion.long_axis_mm.value == pytest.approx(np.hypot(3.5, 2.0), abs=0.5)
    assert not lesion.touches_border


def test_several_frames_and_other_grids_are_refused(reviewed) -> None:
    segmentation, volume = marked(blocks(A), GRID)
    frames = Volume(np.stack([volume.array] * 2), GRID, frames=FrameAxis("echo"))
    with pytest.raises(InputMismatch, match="one frame"):
        find_lesions(segmentation, frames)
    assert len(find_lesions(segmentation, frames.frame(1)).lesions) == 1
    moved = Segmentation(
        segmentation.array, GRID.cropped((0, 0, 1), GRID.shape), segmentation.labels, ""
    )
    with pytest.raises(GeometryError, match="another grid"):
        find_lesions(moved, volume)
    with pytest.raises(GeometryError, match="prediction"):
        find_lesions(segmentation, volume, predicted=np.zeros((1, 2, 3), np.uint8))


def test_a_published_tumour_has_its_published_volume_and_intensities(shared_data: Path) -> None:
    folder = shared_data / "radiomics"
    image, label = (
        sitk.ReadImage(str(folder / f"brain1_{kind}.nrrd")) for kind in ("image", "label")
    )
    grid = Geometry.from_sitk(
        image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection()
    )
    mask = (sitk.GetArrayFromImage(label) == 1).astype(np.uint8)
    segmentation, volume = marked(mask, grid)
    volume = replace(volume, array=sitk.GetArrayFromImage(image))
    table = find_lesions(segmentation, volume)
    # The reference counts the whole label, which has two 26-connected parts.
    total = sum(lesion.volume_mm3.value for lesion in table.lesions)
    assert total == pytest.approx(16412.658691406243, rel=1e-9)
    # A mesh cuts the corners of voxels: the published mesh volume lies within our stated error.
    error = np.hypot.reduce([lesion.volume_mm3.error for lesion in table.lesions])
    assert abs(total - 16149.4954427) < error
    assert min(lesion.minimum.value for lesion in table.lesions) == 468
    assert max(lesion.maximum.value for lesion in table.lesions) == 1266
    counts = [lesion.voxel_count for lesion in table.lesions]
    mean = np.average([lesion.mean.value for lesion in table.lesions], weights=counts)
    assert mean == pytest.approx(825.2354363065023)
