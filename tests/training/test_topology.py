"""How U-shaped networks are laid out: by the published rule of nnU-Net."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from napari_medcnn.training.topology import SMALLEST_FEATURES, topology


def test_a_cube_is_halved_until_four_voxels_are_left() -> None:
    found = topology((64, 64, 64), (1, 1, 1))
    assert found.strides == ((1, 1, 1), *((2, 2, 2),) * 4)
    assert set(found.kernels) == {(3, 3, 3)}
    assert found.multiple == (16, 16, 16)


def test_thick_slices_wait_until_the_others_are_as_coarse() -> None:
    found = topology((256, 256, 16), (0.8, 0.8, 5.0))
    assert found.strides[:4] == ((1, 1, 1), (2, 2, 1), (2, 2, 1), (2, 2, 2))
    assert found.kernels[:3] == ((3, 3, 1), (3, 3, 1), (3, 3, 3))


def test_the_hippocampus_has_four_resolutions() -> None:
    found = topology((40, 56, 40), (1, 1, 1))
    assert found.stages == 4
    assert found.multiple == (8, 8, 8)


sizes = st.lists(st.integers(1, 300), min_size=2, max_size=3)


@given(sizes, st.lists(st.floats(0.1, 10), min_size=3, max_size=3), st.integers(1, 7))
def test_features_never_get_too_small_and_stages_never_too_many(
    size: list[int], spacing: list[float], most: int
) -> None:
    found = topology(size, spacing[: len(size)], most)
    assert 1 <= found.stages <= most
    for n, multiple in zip(size, found.multiple, strict=True):
        assert multiple == 1 or n / multiple >= SMALLEST_FEATURES
