"""Explanations of lesions lie on the patch that the network saw, on the image's own grid."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_medcnn.core.errors import Cancelled, InputMismatch, ModelError
from napari_medcnn.core.events import JobControl, Progress
from napari_medcnn.core.geometry import AxisMap, Geometry
from napari_medcnn.core.lesion import LesionTable
from napari_medcnn.core.segmentation import Label, Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.imaging.lesions import find_lesions
from napari_medcnn.inference.explain import explain
from napari_medcnn.inference.explain_lesion import explain_lesion
from napari_medcnn.inference.explain_options import ExplainOptions
from napari_medcnn.io.read import read
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.models.spec import Patch, Step
from tests.classification_factory import picture_classifier, volume_classifier
from tests.inference.classifying import classified, lesions_of, scan
from tests.inference.conftest import from_file, write_nifti
from tests.inference.explain_factory import (
    SHAPE,
    SPACING,
    SPOT,
    Detector,
    explained,
    spec_of,
    spot_mask,
    spotted,
)

CPU = ExplainOptions(device="cpu", threads=1, batch=8, steps=8, baseline="zero")
TO_RAS = Step("Orientationd", {"keys": "image", "axcodes": "RAS"})
PATCHES = spec_of(
    network={"spatial_dims": 3}, preprocessing=(TO_RAS,), patch=Patch((6, 8, 6), None)
)
ELSEWHERE = (slice(8, 10), slice(2, 4), slice(10, 12))
"""Bright too, and outside of the patch around the spot."""


def two_spots(geometry: Geometry | None = None) -> Volume:
    volume = spotted(geometry)
    volume.array[ELSEWHERE] = 3.0
    return volume


def spots_of(volume: Volume) -> LesionTable:
    """Both spots; the larger one, `SPOT`, is lesion 1."""
    drawn = (volume.array > 1).astype(np.uint8)
    labels = (Label(1, "spot"),)
    return find_lesions(Segmentation(drawn, volume.geometry, labels, volume.id), volume)


def lesion_job(volume: Volume, **how):
    wanted = {
        "model": PATCHES,
        "lesions": spots_of(volume),
        "number": 1,
        "method": "integrated_gradients",
        "target": "bright",
        "options": CPU,
        "network": Detector(),
    }
    return explain_lesion(volume, **(wanted | how))


def test_the_map_lies_on_the_lesions_patch_and_nowhere_else() -> None:
    volume = two_spots()
    found, _ = explained(lesion_job(volume))
    assert (found.geometry, found.volume_id) == (volume.geometry, volume.id)
    np.testing.assert_array_equal(found.array > 0.1, spot_mask())
    # What is bright beside the patch is in neither the map nor the score.
    assert found.score == pytest.approx(2 * 3 * 2 * (3.0 - 1.0))
    assert found.region == "lesion 1"
    assert found.parameters["lesion"] == 1
    low, high = found.window
    assert tuple(b - a for a, b in zip(low, high, strict=True)) == (6, 8, 6)
    assert all(a <= s.start and s.stop <= b for a, s, b in zip(low, SPOT, high, strict=True))
    whole, _ = explained(
        explain(
            volume,
            replace(PATCHES, patch=None),
            method="integrated_gradients",
            target="bright",
            options=CPU,
            network=Detector(),
        )
    )
    inside = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    np.testing.assert_allclose(found.array[inside], whole.array[inside], atol=1e-5)


@pytest.mark.parametrize("spacing", [None, (1.6, 1.2, 1.2)])
def test_the_map_lies_on_the_image_in_all_48_orientations(tmp_path: Path, spacing) -> None:
    """Written by nibabel in every axis order and direction; compared in the patient's space."""
    straight = Geometry.from_spacing(SHAPE, SPACING, (-12.0, 5.0, 40.0))
    image = two_spots()
    spec = replace(PATCHES, patch=Patch((7, 9, 7), spacing))
    maps = []
    for number, (order, flip) in enumerate(
        itertools.product(
            itertools.permutations(range(3)), itertools.product((False, True), repeat=3)
        )
    ):
        stored = from_file(image.array, straight, AxisMap(order, flip))
        (volume,) = read(write_nifti(stored, tmp_path / f"{number}.nii"))
        found, _ = explained(lesion_job(volume, model=spec))
        assert found.geometry == volume.geometry
        maps.append(found.array)
    assert len(maps) == 48
    for other in maps[1:]:
        np.testing.assert_allclose(other, maps[0], atol=1e-4 * maps[0].max())
    assert maps[0][SPOT].min() > 0.5 * maps[0].max()
    assert not maps[0][ELSEWHERE].any()


def test_on_a_turned_grid_the_map_lies_on_the_lesion_too() -> None:
    angle = np.deg2rad(20)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    volume = two_spots(Geometry(SHAPE, turn @ Geometry.from_spacing(SHAPE, SPACING).affine))
    spec = replace(PATCHES, patch=Patch((7, 9, 7), (1.6, 1.2, 1.2)))
    found, _ = explained(lesion_job(volume, model=spec))
    peak = np.unravel_index(found.array.argmax(), SHAPE)
    assert all(s.start <= p < s.stop for p, s in zip(peak, SPOT, strict=True))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_network_of_pictures_explains_the_slice_through_the_lesion(axis: int) -> None:
    volume = two_spots()
    flat = replace(
        PATCHES, network={"spatial_dims": 2}, preprocessing=(), patch=Patch((1, 9, 9), None)
    )
    found, _ = explained(lesion_job(volume, model=flat, network=Detector(2), axis=axis))
    table = spots_of(volume)
    index = round(table.by_id(1).centroid_index[axis])
    only_slice = np.zeros(SHAPE, dtype=bool)
    only_slice[tuple(index if a == axis else slice(None) for a in range(3))] = True
    np.testing.assert_array_equal(found.array > 0.1, spot_mask() & only_slice)
    assert found.region == f"lesion 1, slice {index} along {'zyx'[axis]}"
    low, high = found.window
    assert (low[axis], high[axis]) == (index, index + 1)
    assert found.parameters["slice"] == index


def test_a_patch_may_reach_beyond_the_image() -> None:
    volume = two_spots()
    found, _ = explained(lesion_job(volume, number=2))
    np.testing.assert_array_equal(found.array[ELSEWHERE] > 0.1, True)
    assert not found.array[SPOT].any()
    assert all(b <= n for b, n in zip(found.window[1], SHAPE, strict=True))


def softmax(logits: list[float]) -> np.ndarray:
    powers = np.exp(np.array(logits) - max(logits))
    return powers / powers.sum()


@pytest.mark.parametrize("dimensions", [2, 3])
def test_what_is_explained_is_what_was_classified(tmp_path: Path, dimensions: int) -> None:
    """The scores of all classes are the logits whose softmax `classify` gave the lesion."""
    size = [1, 9, 7] if dimensions == 2 else [6, 9, 7]
    make = picture_classifier if dimensions == 2 else volume_classifier
    patch = {"size": size, "spacing_mm": [2.0, 1.2, 1.2]}
    spec = read_bundle(make(tmp_path, lambda about: about.update(patch=patch)))
    volume = scan()
    table = lesions_of(volume, (4, 12, 9), (1, 3, 16))
    expected = classified(volume, spec, unit="lesion", lesions=table)
    for row, lesion in enumerate(table.lesions):
        scores = []
        for name in expected.classes:
            found, _ = explained(
                explain_lesion(
                    volume, spec, lesions=table, number=lesion.id, target=name, options=CPU
                )
            )
            scores.append(found.score)
        np.testing.assert_allclose(softmax(scores), expected.probabilities[row], atol=1e-5)


def test_the_check_is_made_of_the_patch() -> None:
    options = replace(CPU, check_seeds=(0, 1))
    found, events = explained(lesion_job(two_spots(), options=options))
    assert found.check is not None
    assert len(found.check.trials) == 2
    stages = {event.stage for event in events if isinstance(event, Progress)}
    assert {"preparing image", "explaining", "checking 1", "checking 2"} <= stages


def test_what_does_not_fit_is_refused_with_a_way_out() -> None:
    volume = two_spots()
    cases = [
        ({"number": 7}, InputMismatch, "no lesion 7 .*1, 2"),
        ({"lesions": spots_of(two_spots())}, InputMismatch, "of another volume"),
        ({"target": "grey"}, InputMismatch, "its classes: bright, dark"),
        ({"layer": "nowhere", "method": "gradcam"}, InputMismatch, "layers of this network"),
        ({"model": replace(PATCHES, patch=None)}, ModelError, "how much it sees"),
        ({"model": spec_of("segmentation")}, ModelError, "tells no classes apart"),
    ]
    for how, kind, words in cases:
        with pytest.raises(kind, match=words):
            explained(lesion_job(volume, **how))
    with pytest.raises(InputMismatch, match=r"never a whole image .*which lesion"):
        list(explain(volume, PATCHES, options=CPU, network=Detector()))


def test_a_job_is_cancelled_while_the_image_is_prepared_and_while_it_explains() -> None:
    for stage in ("preparing image", "explaining"):
        control = JobControl()
        job = lesion_job(two_spots(), control=control)
        for event in job:
            if isinstance(event, Progress) and (event.stage, event.done) == (stage, 1):
                control.cancel()
                with pytest.raises(Cancelled):
                    list(job)
        assert control.is_cancelled


def test_a_network_that_fails_fails_the_job() -> None:
    class Broken(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            raise ValueError("the kernel died")

    with pytest.raises(ValueError, match="the kernel died"):
        explained(lesion_job(two_spots(), network=Broken(), method="occlusion"))
