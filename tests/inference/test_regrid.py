from __future__ import annotations

import tracemalloc
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_medcnn.inference.regrid import interpolated


def regridded(voxels: np.ndarray, positions: list[np.ndarray], order: str = "C") -> np.ndarray:
    out = np.full([len(p) for p in positions], np.nan, np.float32, order=order)  # type: ignore[call-overload]
    for _ in interpolated(voxels, positions, out):
        pass
    return out


@settings(max_examples=60)
@given(
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    new_shape=st.tuples(*[st.integers(1, 12)] * 3),
    order=st.permutations(range(3)),
    kind=st.sampled_from(["int16", "uint8", "float32", "float64", ">i2"]),
    out_order=st.sampled_from("CF"),
    seed=st.integers(0, 99),
)
def test_values_are_those_of_trilinear_interpolation_in_any_memory_order(
    shape: tuple[int, ...],
    new_shape: tuple[int, ...],
    order: list[int],
    kind: str,
    out_order: str,
    seed: int,
) -> None:
    from scipy.ndimage import map_coordinates

    random = np.random.default_rng(seed)
    stored = random.integers(0, 200, [shape[a] for a in order]).astype(kind)
    voxels = stored.transpose(np.argsort(order))
    if seed % 2:
        voxels = voxels[::-1, :, ::-1]
    positions = [random.random(m) * (n - 1) for m, n in zip(new_shape, voxels.shape, strict=True)]
    positions[seed % 3].sort()
    expected = map_coordinates(
        voxels.astype(np.float64), np.meshgrid(*positions, indexing="ij"), order=1, mode="nearest"
    )
    np.testing.assert_allclose(regridded(voxels, positions, out_order), expected, atol=1e-4)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_image_is_never_copied_as_a_whole(order: tuple[int, int, int]) -> None:
    torch.set_num_threads(1)
    stored = np.zeros((60, 200, 200), np.int16)
    voxels = stored.transpose(order)
    positions = [np.linspace(0, n - 1, 8) for n in voxels.shape]
    regridded(voxels, positions)
    tracemalloc.start()
    regridded(voxels, positions)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < stored.nbytes / 8  # some planes as float32
