"""Where the classifier's patches are cut, and that they are what the engine cuts of a scan."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from napari_medcnn.core.events import JobControl
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.volume import Source, canonical_volume
from napari_medcnn.imaging.components import Component, cut_out_components
from napari_medcnn.inference.lesion_patches import around_crop, cut_patch
from napari_medcnn.inference.preprocess import Prepared, prepare
from napari_medcnn.models.spec import Channel, ModelSpec, Patch, Postprocessing, Step
from napari_medcnn.training.manifest import TrainCase
from napari_medcnn.training.prepared_case import prepare_case
from recipes.lesion_classifier import matched
from recipes.lesion_classifier.dataset import data_set
from recipes.lesion_classifier.matched import matched_shapes
from recipes.lesion_classifier.patches import LESION, NONE, SIZE, patch_around, write_patch
from recipes.lesion_classifier.places import (
    APART,
    BORDER,
    JITTER,
    lesion_centres,
    places,
    places_of_candidates,
)
from recipes.lesion_classifier.training_job import job_of
from recipes.lesion_classifier.volumes import SyntheticVolume

SHAPE = (70, 64, 60)
LESIONS = ((25, 32, 30), (45, 20, 30), (45, 45, 34))
"""Middles of balls of a radius of 3 voxels."""


def ball(middle: tuple[int, int, int], radius: float) -> np.ndarray:
    offset = np.indices(SHAPE) - np.array(middle)[:, None, None, None]
    return np.linalg.norm(offset, axis=0) <= radius


def lesions() -> np.ndarray:
    return np.any([ball(middle, 3) for middle in LESIONS], axis=0)


def brain() -> np.ndarray:
    """A brain of 1 with brighter lesions, a dark ventricle, and a bright side that is none."""
    image = ball((35, 32, 30), 27).astype(np.float32)
    image[ball((35, 32, 30), 5)] = 0.3
    image[53:] *= 1.3
    image[lesions()] = 1.5
    return image


def matter() -> np.ndarray:
    return ball((35, 32, 30), 20)


def parts(mask: np.ndarray) -> list[Component]:
    return cut_out_components(mask.astype(np.uint8), 5)[0]


def drained(events) -> Prepared:
    while True:
        try:
            next(events)
        except StopIteration as end:
            return end.value


def test_matches_have_the_lesions_shapes_and_lie_where_they_may() -> None:
    truth, rng = lesions(), np.random.default_rng(3)
    truth[20:30, 30:33, 20] = True  # a bar besides
    allowed = matter() & (ndimage.distance_transform_edt(~truth) > APART)
    found = matched_shapes(parts(truth), allowed, rng)
    assert len(found) == len(LESIONS) + 1
    moved = np.zeros(SHAPE, dtype=int)
    for number, match in enumerate(found, start=1):
        shift = match.moved_voxels - match.lesion_voxels
        assert (shift == shift[0]).all()
        assert truth[tuple(match.lesion_voxels.T)].all()
        assert allowed[tuple(match.moved_voxels.T)].all()
        apart = ndimage.grey_dilation(moved, size=2 * matched.APART + 1)
        assert not apart[tuple(match.moved_voxels.T)].any()
        moved[tuple(match.moved_voxels.T)] = number
    places_of = [tuple(match.moved_voxels[0]) for match in found]
    again = matched_shapes(parts(truth), allowed, np.random.default_rng(4))
    assert places_of != [tuple(match.moved_voxels[0]) for match in again]


def test_a_lesion_without_room_has_no_match_and_small_parts_are_none() -> None:
    truth = lesions()
    truth[5, 5, 5] = True
    allowed = ball((60, 32, 30), 3.5)  # room for one
    found = matched_shapes(parts(truth), allowed, np.random.default_rng(0))
    assert len(found) == len(LESIONS)
    assert sum(match.moved is not None for match in found) == 1


def test_places_are_what_they_are_called() -> None:
    image, truth = brain(), lesions()
    found = list(places(image, truth, matter(), np.random.default_rng(1)))
    distance = ndimage.distance_transform_edt(~truth)
    fluid = (image > 0) & (image < 0.6)
    to_fluid = ndimage.distance_transform_cdt(~fluid, "chessboard")
    kinds = {kind: [p.centre for p in found if p.kind == kind] for kind in {p.kind for p in found}}
    assert set(kinds) == {"lesion", "matched", "bright", "fluid_border"}
    assert len(kinds["lesion"]) == len(LESIONS)
    for centre in kinds["lesion"]:
        nearest = min(np.abs(np.subtract(centre, middle)).max() for middle in LESIONS)
        assert nearest <= JITTER
    for centre in [*kinds["bright"], *kinds["fluid_border"]]:
        assert distance[centre] > APART
    for centre in kinds["matched"]:
        assert min(np.linalg.norm(np.subtract(centre, m)) for m in LESIONS) > APART + 3 - JITTER
    assert all(image[centre] > 1.2 for centre in kinds["bright"])
    assert all(0 < to_fluid[centre] <= BORDER for centre in kinds["fluid_border"])
    assert {p.kind: p.target for p in found}["matched"] == NONE
    assert {p.kind: p.target for p in found}["lesion"] == LESION


def test_a_volume_without_lesions_has_hard_places_alone() -> None:
    nothing = np.zeros(SHAPE, dtype=bool)
    found = list(places(brain(), nothing, matter(), np.random.default_rng(1)))
    assert {place.kind for place in found} == {"bright", "fluid_border"}
    assert lesion_centres(nothing) == []


def test_candidates_are_found_lesions_false_alarms_or_left_out() -> None:
    truth = lesions()
    first, second, _ = LESIONS
    marked = ball((first[0] + 1, first[1], first[2]), 3)  # a partner
    marked |= ball((second[0], second[1] - 5, second[2]), 3)  # touches, and is no partner
    marked |= ball((35, 50, 15), 2.5)  # nothing there
    found = list(places_of_candidates(marked, truth))
    assert [(place.centre, place.kind) for place in sorted(found, key=lambda p: p.kind)] == [
        ((35, 50, 15), "false_alarm"),
        ((first[0] + 1, first[1], first[2]), "found"),
    ]


@pytest.mark.parametrize("centre", [(30, 31, 32), (2, 60, 58)], ids=["inside", "at-a-corner"])
def test_a_patch_is_what_the_engine_cuts_of_a_scan(centre: tuple[int, int, int]) -> None:
    image = np.random.default_rng(0).random(SHAPE, dtype=np.float32) + 0.5
    grid = Geometry.from_ras_affine(SHAPE[::-1], np.diag([1.0, 1.0, 1.0, 1.0]))
    volume = canonical_volume(image.transpose(2, 1, 0), grid, source=Source(), name="noise")
    spec = patch_spec()
    before, after = around_crop(spec)
    prepared = drained(prepare((volume,), before, JobControl()))
    point = tuple(float(v) for v in grid.index_to_lps(centre[::-1]))
    cut = drained(cut_patch(prepared, point, after, (volume,), JobControl()))
    np.testing.assert_array_equal(cut.tensor[0].numpy(), patch_around(image, centre))


def test_a_patch_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    patch = np.random.default_rng(0).random((SIZE,) * 3, dtype=np.float32)
    write_patch(tmp_path / "patch.nii", patch)
    volumes = (SyntheticVolume("a", tmp_path, tmp_path),)
    cases = (TrainCase("one", (tmp_path / "patch.nii",), "a", target=LESION),)
    job = job_of(*data_set(cases, volumes))
    made = prepare_case(job, cases[0], JobControl())
    np.testing.assert_array_equal(made.image[0].numpy(), patch)
    assert made.label == 1


def patch_spec() -> ModelSpec:
    size = {"keys": "image", "spatial_size": [SIZE] * 3}
    return ModelSpec(
        id="patches",
        title="Patches",
        version="0",
        path=Path(),
        weights=Path(),
        task="classification",
        channels=(Channel("FLAIR", "MR"),),
        labels=(),
        activation="softmax",
        network={"spatial_dims": 3},
        preprocessing=(
            Step("Orientationd", {"keys": "image", "axcodes": "RAS"}),
            Step("Resized", size),
        ),
        roi_size=(SIZE,) * 3,
        postprocessing=Postprocessing("argmax"),
        patch=Patch((SIZE,) * 3, (1.0, 1.0, 1.0)),
    )
