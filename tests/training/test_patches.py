"""Where a patch is cut: at a class where one is wanted, within the image where it fits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_medcnn.core.events import JobControl
from napari_medcnn.training.job import Sampling
from napari_medcnn.training.manifest import TrainCase
from napari_medcnn.training.patches import centre_of, patch_of
from napari_medcnn.training.prepared_case import PreparedCase, foreground_voxels, prepare_case
from napari_medcnn.training.sampling import Draw
from tests.training.seen_jobs import hippocampus_cases, job_of

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning:monai")

SIZES = st.tuples(*[st.integers(4, 30)] * 3)


def case_with_corner(size: tuple[int, ...]) -> PreparedCase:
    """Class 1 in the first voxel, class 2 nowhere, class 3 in the last voxel."""
    label = np.zeros(size, np.int16)
    label[0, 0, 0], label[-1, -1, -1] = 1, 3
    image = torch.arange(int(np.prod(size)), dtype=torch.float32).reshape(1, *size)
    voxels = foreground_voxels(label, 3)
    return PreparedCase("corner", image, torch.from_numpy(label), voxels, (1.0, 1.0, 1.0))


def job(patch: tuple[int, ...]) -> object:
    z, y, x = patch
    return job_of(
        (TrainCase("corner", (Path("a.nii"),)),),
        classes=("a", "b", "c"),
        sampling=Sampling((z, y, x)),
    )


@given(size=SIZES, patch=SIZES, seed=st.integers(0, 99), first=st.integers(0, 2))
def test_a_wanted_class_is_in_the_patch_and_the_patch_in_the_image(
    size: tuple[int, ...], patch: tuple[int, ...], seed: int, first: int
) -> None:
    case, one = case_with_corner(size), job(patch)
    order = tuple(np.roll([0, 1, 2], -first).tolist())
    image, label = patch_of(one, case, Draw(0, (seed, 0, 0), True, order))
    assert tuple(image.shape[1:]) == patch[::-1]
    expected = {0: 1, 1: 3, 2: 3}[first]  # without the second class, the next one
    assert (label == expected).any()
    inside = [min(n, p) for n, p in zip(size, patch[::-1], strict=True)]
    # The image's voxels are all different: so many of them are there, and the rest is padding.
    assert len(image.unique()) >= np.prod(inside)


@given(size=SIZES, patch=SIZES)
def test_a_patch_larger_than_the_image_has_it_in_the_middle(
    size: tuple[int, ...], patch: tuple[int, ...]
) -> None:
    case, one = case_with_corner(size), job(patch)
    centre = centre_of(one, case, Draw(0, (0, 0, 0), False, ()), np.random.default_rng(0))
    for middle, count, length in zip(centre, size, patch[::-1], strict=True):
        before = length // 2 - middle  # padding before the image's first voxel
        if length >= count:
            assert before == (length - count) // 2  # as MONAI's sliding window pads
        else:
            assert 0 <= -before <= count - length


def test_any_place_of_the_image_is_drawn() -> None:
    case, one = case_with_corner((6, 5, 4)), job((2, 2, 2))
    starts = {
        tuple(
            c - 1
            for c in centre_of(one, case, Draw(0, (s, 0, 0), False, ()), np.random.default_rng(s))
        )
        for s in range(600)
    }
    assert starts == {(x, y, z) for x in range(5) for y in range(4) for z in range(3)}


def test_a_real_patch_has_the_class_at_its_middle(shared_data: Path) -> None:
    (case,) = hippocampus_cases(shared_data, 1)
    one = job_of((case,), sampling=Sampling((8, 8, 8)))
    prepared = prepare_case(one, case, JobControl())
    for seed in range(20):
        image, label = patch_of(one, prepared, Draw(0, (seed, 0, 0), True, (seed % 2, 0)))
        assert label[4, 4, 4] == seed % 2 + 1
        assert image.shape == (1, 8, 8, 8)
