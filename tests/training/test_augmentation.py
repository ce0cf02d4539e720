"""Augmentation: a function of its generator, within what the job allows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_medcnn.core.events import JobControl
from napari_medcnn.training import augmentation
from napari_medcnn.training.augmentation import PRESETS, Chance, Preset, augmented, preview
from napari_medcnn.training.deformation import cut
from napari_medcnn.training.job import Sampling, TrainJob
from napari_medcnn.training.manifest import TrainCase
from napari_medcnn.training.prepared_case import prepare_case
from tests.training.seen_jobs import hippocampus_cases, job_of

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning:monai")


def job(preset: str, patch: tuple[int, int, int] = (10, 14, 12), **fields: Any) -> TrainJob:
    case = TrainCase("one", (Path("one.nii.gz"),))
    return job_of((case,), augmentation=preset, sampling=Sampling(patch), **fields)


def whole(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    image = torch.from_numpy(rng.standard_normal((2, 20, 22, 18), dtype=np.float32))
    return image, torch.from_numpy(rng.integers(0, 3, (20, 22, 18)).astype(np.int16))


def test_without_augmentation_a_patch_is_the_stored_voxels() -> None:
    image, label = whole()
    patch, truth = augmented(image, label, job("none"), np.random.default_rng(0), centre=(8, 9, 7))
    assert torch.equal(patch, cut(image, (8, 9, 7), (12, 14, 10)))
    assert torch.equal(truth, cut(label[None], (8, 9, 7), (12, 14, 10))[0])


@pytest.mark.parametrize("preset", PRESETS)
def test_a_patch_follows_from_its_generator_in_any_thread(preset: str) -> None:
    image, label = whole()
    before = image.clone(), label.clone()

    def patch(seed: int) -> tuple[torch.Tensor, Any]:
        rng = np.random.default_rng(seed)
        return augmented(image, label, job(preset), rng, spacing_mm=(1.0, 1.0, 2.0))

    alone = [patch(seed) for seed in range(40)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(patch, range(40)))
    for (a, b), (c, d) in zip(alone, together, strict=True):
        assert torch.equal(a, c)
        assert torch.equal(b, d)
        assert a.shape == (2, 12, 14, 10)
        assert a.dtype == torch.float32
        assert b.dtype == torch.int16
        assert torch.isfinite(a).all()
        assert set(b.unique().tolist()) <= {0, 1, 2}
    if preset != "none":
        assert not all(torch.equal(alone[0][0], a) for a, _ in alone)
    assert torch.equal(image, before[0])
    assert torch.equal(label, before[1])


@given(
    seed=st.integers(0, 1000),
    allowed=st.sets(st.integers(0, 2)).map(lambda s: tuple(sorted(s))),
)
def test_mirrors_along_the_allowed_axes_only_and_label_alike(
    seed: int, allowed: tuple[int, ...]
) -> None:
    image, label = whole(seed)
    mirrors = PRESETS["light"]
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(augmentation.PRESETS, "light", Preset(mirror=mirrors.mirror))
        one = job("light", (18, 22, 20), mirror_axes=allowed)
        patch, truth = augmented(image, label, one, np.random.default_rng(seed))
    axes = [2 - axis for axis in allowed]
    options = [[a for n, a in enumerate(axes) if bits >> n & 1] for bits in range(1 << len(axes))]
    (taken,) = [o for o in options if torch.equal(image.flip([a + 1 for a in o]), patch)]
    assert torch.equal(label.flip(taken), truth)


def test_presets_get_stronger_and_none_does_nothing() -> None:
    assert PRESETS["none"] == Preset()
    for weaker, stronger in (("light", "standard"), ("standard", "strong")):
        for name in ("turn", "scale", "noise", "brightness", "contrast", "gamma"):
            one, other = getattr(PRESETS[weaker], name), getattr(PRESETS[stronger], name)
            assert one.probability <= other.probability
            assert one.high <= other.high
            assert one.low >= other.low


def test_a_class_is_given_back_and_a_picture_stays_one_slice() -> None:
    image = torch.randn(1, 24, 20, 1)
    one = job("strong", (1, 20, 24))
    for seed in range(20):
        patch, truth = augmented(image, 3, one, np.random.default_rng(seed))
        assert patch.shape == image.shape
        assert truth == 3


def test_values_change_each_channel_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(augmentation.PRESETS, "light", Preset(brightness=Chance(1.0, -2.0, 2.0)))
    image, label = whole()
    patch, truth = augmented(image, label, job("light", (18, 22, 20)), np.random.default_rng(1))
    shifts = (patch - image).mean(dim=(1, 2, 3))
    assert torch.allclose(patch - shifts[:, None, None, None], image, atol=1e-5)
    assert abs(shifts[0] - shifts[1]) > 0.01
    assert torch.equal(truth, label)


def test_a_preview_shows_patches_with_their_labels(shared_data: Path) -> None:
    (case,) = hippocampus_cases(shared_data, 1)
    one = replace(job_of((case,)), augmentation="strong", sampling=Sampling((24, 40, 32)))
    prepared = prepare_case(one, case, JobControl())
    examples = preview(one, prepared, 4)
    assert len(examples) == 4
    for image, label in examples:
        assert image.shape == (1, 24, 40, 32)
        assert label.shape == (24, 40, 32)
        assert label.max() <= 2
    again = preview(one, prepared, 4)
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(examples, again, strict=True))
