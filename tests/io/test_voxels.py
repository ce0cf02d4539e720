"""Voxel types: every value kept, in as few bytes as that allows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from napari_medcnn.io.voxels import grey, narrowed, rescaled, stored_as

INTEGERS = arrays.integer_dtypes() | arrays.unsigned_integer_dtypes()


@given(arrays.arrays(INTEGERS, st.integers(1, 20)))
def test_whole_numbers_up_to_53_bits_are_kept(array: np.ndarray) -> None:
    array = array if array.dtype.itemsize < 8 else array // 2**11
    result = narrowed(array)
    assert result.dtype in (np.int16, np.float32, np.float64)
    assert [int(v) for v in result] == [int(v) for v in array]


@given(
    arrays.arrays(st.sampled_from(["u1", "i1", "u2", "i2", ">i2"]), st.integers(1, 20)),
    st.integers(-40000, 40000),
    st.sampled_from([1, 2, -1, 3, -300]),
)
def test_whole_slopes_are_exact(array: np.ndarray, intercept: int, slope: int) -> None:
    result = rescaled(array, slope, intercept)
    expected = [int(v) * slope + intercept for v in array]
    assert [int(v) for v in result] == expected
    fits = min(expected) >= -32768 and max(expected) <= 32767
    assert (result.dtype == np.int16) is fits


@given(arrays.arrays(np.int16, 10), st.floats(1e-6, 100), st.floats(-1e4, 1e4))
def test_broken_slopes_are_right_to_float32(
    array: np.ndarray, slope: float, intercept: float
) -> None:
    expected = array.astype(np.float64) * slope + intercept
    np.testing.assert_allclose(rescaled(array, slope, intercept), expected, rtol=1e-6)


def test_floats_keep_their_precision() -> None:
    assert narrowed(np.array([0.1], np.float64)).dtype == np.float64
    assert narrowed(np.array([0.1], ">f4")).dtype == np.dtype("=f4")
    assert narrowed(np.array([0.1], np.float16)).dtype == np.float32
    assert narrowed(np.array([True])).dtype == np.int16


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        (np.array([1, 2], np.int16), "uint8", "uint8"),
        (np.array([1, -2], np.int16), "uint8", "int16"),
        (np.array([1, 300], np.int16), "uint8", "int16"),
        (np.array([1.5], np.float32), "int16", "float32"),
        (np.array([np.nan], np.float32), "int16", "float32"),
        (np.array([40000.0], np.float32), "uint16", "uint16"),
        (np.array([1], np.int16), "float32", "float32"),
        (np.array([1.5], np.float64), "float32", "float64"),
        (np.array([1], np.int16), "", "int16"),
    ],
)
def test_the_type_of_the_file_is_used_where_it_holds_the_values(
    values: np.ndarray, dtype: str, expected: str
) -> None:
    result = stored_as(values, dtype)
    assert result.dtype == np.dtype(expected)
    np.testing.assert_array_equal(result, values)


def test_equal_channels_are_grey_exactly_and_alpha_is_dropped() -> None:
    same = np.repeat(np.arange(6, dtype=np.uint8).reshape(2, 3, 1), 3, axis=-1)
    result, findings = grey(np.concatenate([same, same[..., :1] * 7], axis=-1))
    assert np.array_equal(result, same[..., 0])
    assert not findings
