"""Features against the IBSI's consensus values and the reference table of a real tumour."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.segmentation import Label, Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.followup.features import (
    feature_records,
    lesion_features,
    write_features_csv,
)
from napari_medcnn.followup.intensity_features import IBSI_CODES as INTENSITY_CODES
from napari_medcnn.followup.intensity_features import intensity_features
from napari_medcnn.followup.shape_features import SHAPE_FEATURES, shape_features
from napari_medcnn.imaging.lesions import find_lesions
from napari_medcnn.io.read import read, read_segmentation

OUT = 9
"""Marks the phantom's voxels outside of its region."""

# The IBSI's digital phantom (arXiv:1612.07003, section 5.1): voxels of 2 mm, slices first.
PHANTOM = np.array(
    [
        [[1, 4, 4, 1, 1], [1, 4, 6, 1, 1], [4, 1, 6, 4, 1], [4, 4, 6, 4, 1]],
        [[1, 4, 4, 1, 1], [1, 1, 6, 1, 1], [OUT, 1, 3, 1, 1], [4, 4, 6, 1, 1]],
        [[1, 4, 4, OUT, OUT], [1, 1, 1, 1, 1], [1, 1, OUT, 1, 1], [1, 1, 6, 1, 1]],
        [[1, 4, 4, OUT, OUT], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 6, 1, 1]],
    ],
    dtype=np.float64,
)
INSIDE = PHANTOM != OUT

# Consensus values, with the digits that the IBSI gives.
CONSENSUS = {
    "shape_mesh_volume_mm3": "556",
    "shape_voxel_volume_mm3": "592",
    "shape_surface_mm2": "388",
    "shape_surface_to_volume_per_mm": "0.698",
    "shape_sphericity": "0.843",
    "shape_asphericity": "0.186",
    "shape_compactness_1": "0.0411",
    "shape_compactness_2": "0.599",
    "shape_max_diameter_3d_mm": "13.1",
    "shape_major_axis_mm": "11.4",
    "shape_minor_axis_mm": "9.31",
    "shape_least_axis_mm": "8.54",
    "shape_elongation": "0.816",
    "shape_flatness": "0.749",
    "intensity_mean": "2.15",
    "intensity_variance": "3.05",
    "intensity_skewness": "1.08",
    "intensity_kurtosis": "-0.355",
    "intensity_median": "1",
    "intensity_minimum": "1",
    "intensity_p10": "1",
    "intensity_p90": "4",
    "intensity_maximum": "6",
    "intensity_interquartile_range": "3",
    "intensity_range": "5",
    "intensity_mean_absolute_deviation": "1.55",
    "intensity_robust_mean_absolute_deviation": "1.11",
    "intensity_median_absolute_deviation": "1.15",
    "intensity_variation": "0.812",
    "intensity_quartile_dispersion": "0.6",
    "intensity_energy": "567",
    "intensity_root_mean_square": "2.77",
    "histogram_entropy": "1.27",
    "histogram_uniformity": "0.512",
}

TEXTURE_CONSENSUS = {
    "cm_joint_max_d1_3d_avg": 0.503,
    "cm_joint_entr_d1_3d_avg": 2.4,
    "cm_contrast_d1_3d_avg": 5.32,
    "cm_corr_d1_3d_avg": 0.157,
    "rlm_sre_3d_avg": 0.705,
    "szm_sze_3d": 0.255,
    "ngt_coarseness_3d": 0.0296,
    "ngt_contrast_3d": 0.584,
    "ngt_busyness_3d": 6.54,
    "ngt_complexity_3d": 13.5,
    "ngt_strength_3d": 0.763,
}
"""Of the 3D matrices, averaged where there are several; by MIRP's names."""

SAME_SHAPE = {
    "MeshVolume": "shape_mesh_volume_mm3",
    "VoxelVolume": "shape_voxel_volume_mm3",
    "SurfaceArea": "shape_surface_mm2",
    "SurfaceVolumeRatio": "shape_surface_to_volume_per_mm",
    "Sphericity": "shape_sphericity",
    "Maximum3DDiameter": "shape_max_diameter_3d_mm",
    "Maximum2DDiameterSlice": "shape_max_diameter_axial_mm",
    "Maximum2DDiameterColumn": "shape_max_diameter_coronal_mm",
    "Maximum2DDiameterRow": "shape_max_diameter_sagittal_mm",
    "MajorAxisLength": "shape_major_axis_mm",
    "MinorAxisLength": "shape_minor_axis_mm",
    "LeastAxisLength": "shape_least_axis_mm",
    "Elongation": "shape_elongation",
    "Flatness": "shape_flatness",
}
SAME_INTENSITY = {
    "Mean": "intensity_mean",
    "Variance": "intensity_variance",
    "Skewness": "intensity_skewness",
    "Median": "intensity_median",
    "Minimum": "intensity_minimum",
    "10Percentile": "intensity_p10",
    "90Percentile": "intensity_p90",
    "Maximum": "intensity_maximum",
    "InterquartileRange": "intensity_interquartile_range",
    "Range": "intensity_range",
    "MeanAbsoluteDeviation": "intensity_mean_absolute_deviation",
    "RobustMeanAbsoluteDeviation": "intensity_robust_mean_absolute_deviation",
    "Entropy": "histogram_entropy",
    "Uniformity": "histogram_uniformity",
}
OTHERWISE_DEFINED = {"Kurtosis", "Energy", "TotalEnergy", "RootMeanSquared"}
"""The reference's kurtosis is no excess; its other three add 2000 to each value."""

SHIFT = 2000.0


def reference(path: Path) -> dict[str, float]:
    with path.open(encoding="utf-8") as stream:
        rows = {row["featureName"]: row["brain1"] for row in csv.DictReader(stream)}
    return {
        name.rpartition("_")[2]: float(value)
        for name, value in rows.items()
        if name.startswith("original_")
    }


@pytest.fixture(scope="module")
def brain1(shared_data: Path) -> tuple[Volume, np.ndarray]:
    folder = shared_data / "radiomics"
    (volume,) = read(folder / "brain1_image.nrrd")
    labels = read_segmentation(folder / "brain1_label.nrrd", volume).array
    return volume, labels == 1


@pytest.mark.parametrize("name", CONSENSUS)
def test_the_digital_phantom_has_the_consensus_value(name: str) -> None:
    grid = Geometry.from_spacing(PHANTOM.shape, (2.0, 2.0, 2.0), (0.0, 0.0, 0.0))
    # Bins of one level each.
    found = {**shape_features(INSIDE, grid), **intensity_features(PHANTOM[INSIDE], "", 1.0)}
    wanted = CONSENSUS[name]
    figures = len(wanted.lstrip("-0.").replace(".", ""))
    assert float(f"{found[name].value:.{figures}g}") == float(wanted)


def test_every_feature_but_diameters_in_planes_has_a_consensus_value() -> None:
    planes = {name for name in SHAPE_FEATURES if name.startswith("shape_max_diameter")}
    every = {*SHAPE_FEATURES, *INTENSITY_CODES}
    assert every - set(CONSENSUS) == planes - {"shape_max_diameter_3d_mm"}


def test_shape_of_a_tumour_is_that_of_the_reference(
    shared_data: Path, brain1: tuple[Volume, np.ndarray]
) -> None:
    volume, mask = brain1
    wanted = reference(shared_data / "radiomics" / "brain1_shape_reference.csv")
    found = shape_features(mask, volume.geometry)
    assert wanted.keys() == SAME_SHAPE.keys()
    for name, own in SAME_SHAPE.items():
        assert found[own].value == pytest.approx(wanted[name], rel=0.01), name


def test_intensity_of_a_tumour_is_that_of_the_reference(
    shared_data: Path, brain1: tuple[Volume, np.ndarray]
) -> None:
    volume, mask = brain1
    values = volume.array[mask].astype(np.float64)
    wanted = reference(shared_data / "radiomics" / "brain1_firstorder_reference.csv")
    found = intensity_features(values, volume.unit)
    assert wanted.keys() == SAME_INTENSITY.keys() | OTHERWISE_DEFINED
    for name, own in SAME_INTENSITY.items():
        assert found[own].value == pytest.approx(wanted[name], rel=1e-6), name
    shifted = intensity_features(values + SHIFT, volume.unit)
    energy = shifted["intensity_energy"].value
    voxel = volume.geometry.voxel_volume_mm3
    assert found["intensity_kurtosis"].value + 3 == pytest.approx(wanted["Kurtosis"])
    assert energy == pytest.approx(wanted["Energy"])
    assert energy * voxel == pytest.approx(wanted["TotalEnergy"])
    mean_square = shifted["intensity_root_mean_square"].value
    assert mean_square == pytest.approx(wanted["RootMeanSquared"])


def ball(radius_mm: float = 8.0) -> tuple[np.ndarray, Geometry]:
    grid = Geometry.from_spacing((14, 24, 24), (1.5, 0.8, 0.8), (3.0, -4.0, 5.0))
    indices = np.indices(grid.shape).reshape(3, -1).T
    points = grid.index_to_lps(indices.astype(np.float64))
    away = np.linalg.norm(points - points.mean(axis=0), axis=1)
    return (away <= radius_mm).reshape(grid.shape), grid


def test_a_ball_on_an_anisotropic_grid_is_round() -> None:
    found = shape_features(*ball())
    assert found["shape_mesh_volume_mm3"].value == pytest.approx(4 / 3 * np.pi * 8**3, rel=0.03)
    assert found["shape_elongation"].value == pytest.approx(1, abs=0.02)
    # Steps of voxels make a mesh's surface too large: about a tenth, on any grid.
    assert 0.85 < found["shape_sphericity"].value < 1


def test_an_oblique_grid_changes_no_shape() -> None:
    mask, grid = ball()
    angle = np.deg2rad(25)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    turned = shape_features(mask, Geometry(grid.shape, turn @ grid.affine))
    for name, figure in shape_features(mask, grid).items():
        assert turned[name].value == pytest.approx(figure.value, rel=1e-6), name


def test_what_does_not_exist_is_missing_with_a_reason() -> None:
    grid = Geometry.from_spacing((1, 1, 1), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    point = shape_features(np.ones((1, 1, 1), bool), grid)
    assert point["shape_flatness"].reason and point["shape_mesh_volume_mm3"].value > 0
    flat = intensity_features(np.full(5, 7.0), "HU")
    assert flat["intensity_skewness"].reason and flat["intensity_mean"].value == 7
    assert flat["histogram_entropy"].value == 0
    unknown = intensity_features(np.array([1.0, np.nan]), "HU")
    assert "1 of 2 voxels" in unknown["intensity_mean"].reason


def two_lesions(shape: tuple[int, int, int] = (8, 12, 12)) -> tuple[Volume, Segmentation]:
    grid = Geometry.from_spacing(shape, (2.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    image = np.random.default_rng(0).normal(100, 20, shape)
    labels = np.zeros(shape, np.uint8)
    labels[:2, 1:5, 1:5] = 1
    labels[-3:, 7:10, 6:11] = 1
    volume = Volume(image, grid, name="two", modality="CT")
    segmentation = Segmentation(labels, grid, (Label(1, "lesion"),), volume_id=volume.id)
    return volume, segmentation


def test_each_lesion_is_a_row_of_the_table(tmp_path: Path) -> None:
    volume, segmentation = two_lesions()
    table = find_lesions(segmentation, volume)
    records = feature_records(table, lambda lesion: lesion_features(lesion, table, volume))
    assert [record["shape_voxel_volume_mm3"] for record in records] == [90.0, 64.0]
    largest = volume.array[-3:, 7:10, 6:11]
    assert records[0]["intensity_mean"] == pytest.approx(largest.mean())
    write_features_csv(records, tmp_path / "features.csv")
    with (tmp_path / "features.csv").open(encoding="utf-8") as stream:
        written = list(csv.DictReader(stream))
    assert [row["id"] for row in written] == ["1", "2"]
    assert float(written[1]["shape_voxel_volume_mm3"]) == 64


def test_a_single_picture_has_no_shape_in_space() -> None:
    volume, segmentation = two_lesions((1, 12, 12))
    assert volume.is_2d
    table = find_lesions(segmentation, volume)
    found = lesion_features(table.lesions[0], table, volume)
    assert "no depth" in found["shape_sphericity"].reason
    assert found["intensity_mean"].value is not None


def test_texture_without_its_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mirp", None)
    volume, segmentation = two_lesions()
    table = find_lesions(segmentation, volume)
    with pytest.raises(MedcnnError, match=r"napari-medcnn\[texture\]"):
        lesion_features(table.lesions[0], table, volume, texture=True)


@pytest.mark.filterwarnings("ignore")  # MIRP's and ITK's own
@pytest.mark.slow
def test_texture_of_the_phantom_has_the_consensus_values() -> None:
    pytest.importorskip("mirp", reason="the extra `texture` is not installed: it brings ITK")
    from napari_medcnn.followup.texture_features import texture_features

    found = texture_features(PHANTOM, INSIDE, 1.0)
    for name, wanted in TEXTURE_CONSENSUS.items():
        assert found[f"texture_{name}"].value == pytest.approx(wanted, rel=0.005), name
