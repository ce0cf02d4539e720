"""Deforming in millimetres: exact on what is linear, image and label together."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_medcnn.training.augmentation import PRESETS, draw_deformation
from napari_medcnn.training.deformation import (
    KNOTS,
    Deformation,
    affine_in_mm,
    cut,
    deformed,
    rotation,
)

SIZE = (26, 31, 22)
SPACINGS = st.tuples(*[st.floats(0.5, 6.0)] * 3)
ANGLES = st.tuples(*[st.floats(-3.1, 3.1)] * 3)


def linear(size: tuple[int, ...], spacing: tuple[float, ...], slope: np.ndarray) -> torch.Tensor:
    """An image whose value is a linear function of the place in mm."""
    places = np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"), -1) * spacing
    return torch.from_numpy((places @ slope).astype(np.float32))[None]


def nonsense(seed: int, size: tuple[int, ...] = SIZE) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    image = torch.from_numpy(rng.standard_normal((2, *size), dtype=np.float32))
    return image, torch.from_numpy(rng.integers(0, 4, size).astype(np.int16))


@given(
    shape=st.tuples(*[st.integers(1, 40)] * 3),
    centre=st.tuples(*[st.integers(-20, 50)] * 3),
)
def test_a_cut_patch_is_the_padded_image_around_its_centre(
    shape: tuple[int, ...], centre: tuple[int, ...]
) -> None:
    image, _ = nonsense(0)
    around = 80
    wide = torch.nn.functional.pad(image, (around,) * 6)
    box = tuple(
        slice(around + c - n // 2, around + c - n // 2 + n)
        for c, n in zip(centre, shape, strict=True)
    )
    patch = cut(image, centre, shape)
    assert torch.equal(patch, wide[(slice(None), *box)])
    before = image.clone()
    patch += 1
    assert torch.equal(image, before)


@given(
    shape=st.tuples(*[st.integers(1, 40)] * 3),
    centre=st.tuples(*[st.integers(0, 20)] * 3),
)
def test_no_deformation_gives_the_cut_patch(
    shape: tuple[int, ...], centre: tuple[int, ...]
) -> None:
    image, label = nonsense(1)
    patch, truth = deformed(image, label, centre, shape, Deformation(np.eye(3)))
    assert torch.allclose(patch, cut(image, centre, shape), atol=2e-4)
    assert torch.equal(truth, cut(label[None], centre, shape)[0])


@given(spacing=SPACINGS, angles=ANGLES, scale=st.floats(0.7, 1.4))
def test_a_turn_is_one_in_millimetres_on_every_grid(
    spacing: tuple[float, ...], angles: tuple[float, ...], scale: float
) -> None:
    slope = np.array([1.0, -0.6, 0.3])
    shape, centre = (5, 4, 3), (13, 15, 11)
    image = linear(SIZE, spacing, slope)
    turn = rotation(angles)
    change = Deformation(affine_in_mm(turn, [scale] * 3, spacing))
    patch, _ = deformed(image, None, centre, shape, change)
    offsets = np.stack(np.meshgrid(*(np.arange(n) - n // 2 for n in shape), indexing="ij"), -1)
    places = (offsets * spacing) @ turn.T / scale + np.array(centre) * spacing
    voxels = places / spacing
    inside = ((voxels > 0) & (voxels < np.array(SIZE) - 1)).all(-1)
    expected = places @ slope
    assert inside[2, 2, 1]
    assert np.allclose(patch[0].numpy()[inside], expected[inside], atol=2e-3 * max(spacing))


@given(angles=ANGLES)
def test_a_rotation_keeps_lengths_and_hands(angles: tuple[float, ...]) -> None:
    turn = rotation(angles)
    assert np.allclose(turn @ turn.T, np.eye(3))
    assert np.isclose(np.linalg.det(turn), 1)


def test_a_ball_on_thick_slices_stays_a_ball_of_the_same_volume() -> None:
    spacing, radius = (1.0, 1.0, 2.5), 15.0
    size, centre = (48, 48, 20), (24, 24, 10)
    index = np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"), -1)
    distance = np.linalg.norm((index - centre) * spacing, axis=-1)
    ball = torch.from_numpy((distance < radius).astype(np.int16))
    change = Deformation(affine_in_mm(rotation((0.5, 0.4, 0.3)), [1.0] * 3, spacing))
    _, turned = deformed(ball[None].float(), ball, centre, size, change)
    both = ((ball > 0) & (turned > 0)).sum() * 2 / (ball.sum() + turned.sum())
    assert both > 0.95  # nearest voxels 2.5 mm apart; turned in voxels it is 0.8
    larger = Deformation(affine_in_mm(np.eye(3), [1.2] * 3, spacing))
    _, grown = deformed(ball[None].float(), ball, centre, size, larger)
    assert abs(grown.sum() / ball.sum() - 1.2**3) < 0.06


@given(seed=st.integers(0, 10_000), spacing=SPACINGS)
def test_image_and_label_move_together(seed: int, spacing: tuple[float, ...]) -> None:
    rng = np.random.default_rng(seed)
    size = (24, 20, 18)
    image = linear(size, (1.0, 1.0, 1.0), rng.standard_normal(3))
    image -= image.mean()
    label = (image[0] > 0).to(torch.int16)
    change = draw_deformation(PRESETS["strong"], size, spacing, rng)
    if change is None:
        return
    middle = [n // 2 for n in size]
    patch, truth = deformed(image, label, middle, size, change)
    ones, _ = deformed(torch.ones_like(image), None, middle, size, change)
    # Where the image is sure of its sign by more than half a voxel's step, the label has it too.
    sure = (patch[0].abs() > image[0].diff(dim=0).abs().max() + image[0].diff(dim=1).abs().max()
            + image[0].diff(dim=2).abs().max()) & (ones[0] > 0.999)  # fmt: skip
    assert torch.equal(truth[sure], (patch[0][sure] > 0).to(torch.int16))


def test_a_bend_moves_voxels_by_its_knots_and_only_reads_what_it_needs() -> None:
    image, _ = nonsense(3)
    bend = np.zeros((3, KNOTS, KNOTS, KNOTS), np.float32)
    bend[1] = 2
    change = Deformation(np.eye(3), bend)
    patch, _ = deformed(image, None, (13, 15, 11), (6, 6, 6), change)
    assert torch.allclose(patch, cut(image, (13, 17, 11), (6, 6, 6)), atol=2e-4)


def test_one_slice_of_a_volume_is_turned_within_itself() -> None:
    image, label = nonsense(4)
    change = Deformation(affine_in_mm(rotation((0, 0, 0.4)), [1.1] * 3, (1.0, 1.0, 5.0)))
    patch, truth = deformed(image, label, (13, 15, 7), (12, 12, 1), change)
    alone, same = deformed(image[..., 7:8], label[..., 7:8], (13, 15, 0), (12, 12, 1), change)
    assert torch.allclose(patch, alone, atol=1e-5)
    assert torch.equal(truth, same)


def test_thick_slices_are_not_turned_out_of_their_planes() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        change = draw_deformation(PRESETS["strong"], (24, 24, 8), (1.0, 1.0, 5.0), rng)
        if change is not None:
            assert np.allclose(change.matrix[2, :2], 0)
            assert np.allclose(change.matrix[:2, 2], 0)
