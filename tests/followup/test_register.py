"""Registration finds a known position, can be cancelled, and says when it looks wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage
from scipy.spatial.transform import Rotation

from napari_medcnn.core.errors import Cancelled, ConsentNeeded, InputMismatch, ReadError
from napari_medcnn.core.events import JobControl, Progress, run_to_end
from napari_medcnn.core.geometry import FloatArray, Geometry
from napari_medcnn.core.registration import Registration, RegistrationKind, SpatialTransform
from napari_medcnn.core.volume import Finding, FrameAxis, Severity, Volume
from napari_medcnn.followup.given_transform import judge_transform
from napari_medcnn.followup.on_baseline import image_on_baseline, labels_on_grid
from napari_medcnn.followup.register import register
from napari_medcnn.followup.registration_options import RegistrationOptions
from napari_medcnn.followup.spatial_transform import map_points, map_points_back
from napari_medcnn.followup.transform_files import read_transform, write_transform

Triple = tuple[float, float, float]

OPTIONS = RegistrationOptions(region="all", finest_mm=2.0)


def phantom(spacing: Triple, truth: SpatialTransform | None = None) -> Volume:
    """Lumps of brightness in space, sampled where `truth` takes them; 96 x 96 x 72 mm."""
    shape = tuple(round(mm / step) for mm, step in zip((72, 96, 96), spacing, strict=True))
    geometry = Geometry.from_spacing(shape, spacing, (-48.0, -48.0, -36.0))
    points = geometry.index_to_lps(np.moveaxis(np.indices(shape), 0, -1))
    if truth is not None:
        points = map_points_back(truth, points.reshape(-1, 3)).reshape(*shape, 3)
    rng = np.random.default_rng(5)
    values = np.zeros(shape)
    for centre, width, height in zip(
        rng.uniform(-30, 30, (25, 3)), rng.uniform(4, 11, 25), rng.uniform(50, 200, 25), strict=True
    ):
        values += height * np.exp(-((points - centre) ** 2).sum(-1) / (2 * width**2))
    noise = ndimage.gaussian_filter(rng.normal(0, 3, shape), 0.5)
    return Volume((values + noise).astype(np.float32), geometry, modality="MR")


def moved(
    degrees: tuple[float, float, float], shift: tuple[float, float, float]
) -> SpatialTransform:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    matrix[:3, 3] = shift
    return SpatialTransform(matrix)


def errors_mm(found: SpatialTransform, truth: SpatialTransform) -> FloatArray:
    points = np.random.default_rng(0).uniform(-30, 30, (200, 3))
    return np.linalg.norm(map_points(found, points) - map_points(truth, points), axis=1)


@pytest.fixture(scope="module")
def truth() -> SpatialTransform:
    return moved((4.0, -3.0, 6.0), (5.0, -4.0, 3.0))


@pytest.fixture(scope="module")
def pair(truth: SpatialTransform) -> tuple[Volume, Volume]:
    return phantom((3.0, 2.0, 2.0)), phantom((2.0, 2.0, 3.0), truth)


def test_a_known_position_is_found_below_a_voxel(
    pair: tuple[Volume, Volume], truth: SpatialTransform
) -> None:
    kept = pair[1].array.copy()
    found = run_to_end(register(*pair, OPTIONS), Registration)
    assert errors_mm(found.transform, truth).max() < 1.0
    assert found.quality.plausible, found.quality.warnings
    assert found.transform.is_rigid(1e-6)
    assert found.quality.rotation_deg == pytest.approx(truth.rotation_deg, abs=1.0)
    assert np.array_equal(pair[1].array, kept)


def test_another_contrast_is_registered_alike(
    pair: tuple[Volume, Volume], truth: SpatialTransform
) -> None:
    other = pair[1]
    inverted = Volume(300 - other.array, other.geometry, modality="MR")
    found = run_to_end(register(pair[0], inverted, OPTIONS), Registration)
    assert errors_mm(found.transform, truth).max() < 1.5


@pytest.mark.slow
def test_a_real_head_comes_back_to_itself(shared_data: Path) -> None:
    from napari_medcnn.io.read import read

    (fixed,) = read(shared_data / "ms_longitudinal" / "patient01" / "study1_FLAIR.nii.gz")
    turn = moved((2.0, 4.0, -3.0), (6.0, -5.0, 4.0))
    geometry = fixed.geometry
    there = SpatialTransform(np.linalg.inv(turn.matrix))
    moving = image_on_baseline(fixed, there, fixed)
    assert moving.geometry == geometry
    found = run_to_end(register(fixed, moving), Registration)
    middle = geometry.index_to_lps(np.array(geometry.shape) / 2)
    around = middle + np.random.default_rng(0).uniform(-50, 50, (200, 3))
    off = map_points(found.transform, around) - map_points(turn, around)
    assert np.linalg.norm(off, axis=1).mean() < 0.5
    assert found.quality.plausible, found.quality.warnings


def test_an_affine_registration_finds_a_stretch(pair: tuple[Volume, Volume]) -> None:
    matrix = moved((3.0, 0.0, -4.0), (4.0, -2.0, 1.0)).matrix.copy()
    matrix[:3, :3] = matrix[:3, :3] @ np.diag((1.06, 0.96, 1.03))
    stretch = SpatialTransform(matrix)
    options = replace(OPTIONS, kind=RegistrationKind.AFFINE)
    found = run_to_end(register(pair[0], phantom((2.0, 2.0, 3.0), stretch), options), Registration)
    assert errors_mm(found.transform, stretch).mean() < 1.0
    assert not found.transform.is_rigid(1e-3) and found.quality.plausible


@pytest.mark.slow
def test_a_bent_registration_is_closer_than_a_rigid_one(
    pair: tuple[Volume, Volume], tmp_path: Path
) -> None:
    # Everything is moved by up to 5 mm, as a wave along z; its inverse is the wave the other way.
    fixed = pair[0]
    points = fixed.geometry.index_to_lps(np.moveaxis(np.indices(fixed.geometry.shape), 0, -1))
    wave = np.zeros_like(points)
    wave[..., 0] = 5 * np.sin(points[..., 2] * np.pi / 36)
    index = np.moveaxis(fixed.geometry.lps_to_index(points - wave), -1, 0)
    bent = ndimage.map_coordinates(fixed.array, index, order=1, mode="nearest")
    moving = replace(fixed, array=bent.astype(np.float32), id="bent")
    options = replace(OPTIONS, finest_mm=4.0, control_point_mm=24.0)
    inner = np.random.default_rng(0).uniform(-28, 28, (300, 3))
    moved_to = inner + np.stack(
        [5 * np.sin(inner[:, 2] * np.pi / 36), np.zeros(300), np.zeros(300)], axis=1
    )
    off = {}
    for kind in (RegistrationKind.RIGID, RegistrationKind.BSPLINE):
        job = register(fixed, moving, replace(options, kind=kind))
        found = run_to_end(job, Registration)
        away = map_points(found.transform, inner) - moved_to
        off[kind] = np.linalg.norm(away, axis=1).mean()
    assert off[RegistrationKind.BSPLINE] < 0.5 * off[RegistrationKind.RIGID]
    assert not found.transform.is_linear
    write_transform(tmp_path / "bent.tfm", found.transform)
    again = read_transform(tmp_path / "bent.tfm")
    np.testing.assert_allclose(
        map_points(again, inner), map_points(found.transform, inner), rtol=0, atol=1e-6
    )
    back = map_points_back(found.transform, map_points(found.transform, inner))
    np.testing.assert_allclose(back, inner, rtol=0, atol=0.05)


def test_what_cannot_be_registered_is_refused(pair: tuple[Volume, Volume]) -> None:
    fixed, moving = pair
    film = Volume(np.stack([moving.array] * 2), moving.geometry, frames=FrameAxis("time"))
    picture = Volume(fixed.array[:1], fixed.geometry.cropped((0, 0, 0), (1, 48, 48)))
    unknown = replace(moving, spacing_known=False)
    for other, reason in ((film, "2"), (picture, "single picture"), (unknown, "size|scale")):
        with pytest.raises(InputMismatch, match=reason):
            run_to_end(register(fixed, other, OPTIONS), Registration)
    blocked = replace(moving, findings=(Finding("gap", Severity.BLOCKING, "slices are missing"),))
    with pytest.raises(ConsentNeeded, match="slices are missing"):
        run_to_end(register(fixed, blocked, OPTIONS), Registration)


def test_images_of_other_places_are_refused_where_headers_are_trusted(
    pair: tuple[Volume, Volume],
) -> None:
    shape, spacing = pair[1].geometry.shape, pair[1].geometry.spacing
    far = replace(pair[1], geometry=Geometry.from_spacing(shape, spacing, (900.0, 0.0, 0.0)))
    options = replace(OPTIONS, start="header")
    with pytest.raises(InputMismatch, match="overlap"):
        run_to_end(register(pair[0], far, options), Registration)


def test_cancel_ends_within_the_optimiser(pair: tuple[Volume, Volume]) -> None:
    control = JobControl()
    stages = []
    with pytest.raises(Cancelled):
        for event in register(*pair, OPTIONS, control):
            if isinstance(event, Progress):
                stages.append(event.stage)
                control.cancel()
    assert stages


def test_an_image_without_contrast_is_refused(pair: tuple[Volume, Volume]) -> None:
    flat = Volume(np.zeros_like(pair[1].array), pair[1].geometry, modality="MR")
    with pytest.raises(InputMismatch):
        run_to_end(register(pair[0], flat, OPTIONS), Registration)


def test_a_wrong_transform_is_flagged_and_the_true_one_is_not(
    pair: tuple[Volume, Volume], truth: SpatialTransform
) -> None:
    good = run_to_end(judge_transform(*pair, truth, OPTIONS), Registration)
    assert good.quality.plausible, good.quality.warnings
    wrong = moved((4.0, -3.0, 6.0), (25.0, -4.0, 3.0))
    bad = run_to_end(judge_transform(*pair, wrong, OPTIONS), Registration)
    assert not bad.quality.plausible and bad.quality.warnings


def test_a_transform_file_is_itks_own(tmp_path: Path, truth: SpatialTransform) -> None:
    path = tmp_path / "transform.tfm"
    write_transform(path, truth)
    assert np.allclose(read_transform(path).matrix, truth.matrix, rtol=0, atol=1e-12)
    point = (10.0, -20.0, 30.0)
    theirs = sitk.ReadTransform(str(path)).TransformPoint(point)
    assert np.allclose(theirs, map_points(truth, np.array(point)), rtol=0, atol=1e-9)
    other = tmp_path / "other.tfm"
    other.write_text("no transform")
    with pytest.raises(ReadError, match="no transform"):
        read_transform(other)


def test_a_planted_point_lands_on_the_baseline_exactly() -> None:
    fixed, matrix = phantom((3.0, 2.0, 2.0)), np.eye(4)
    matrix[:3, 3] = (4.0, -6.0, 3.0)  # whole voxels
    shift = SpatialTransform(matrix)
    labels = np.zeros(fixed.geometry.shape, np.uint8)
    labels[12, 20, 25] = 1
    back = labels_on_grid(labels, fixed.geometry, shift, fixed.geometry)
    assert np.argwhere(back).tolist() == [[11, 23, 23]]
    values = np.zeros(fixed.geometry.shape, np.float32)
    values[12, 20, 25] = 7
    image = image_on_baseline(Volume(values, fixed.geometry), shift, fixed)
    assert np.argwhere(image.array > 6.99).tolist() == [[11, 23, 23]]
