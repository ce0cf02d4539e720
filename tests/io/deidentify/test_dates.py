"""Dates and times move back together, and spans between them stay what they are."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_medcnn.io.deidentify.dates import Shift
from napari_medcnn.io.deidentify.pseudonyms import MAX_SHIFT_DAYS, MIN_SHIFT_DAYS, Pseudonyms

SHIFT = Shift(days=400, minutes=45)
moments = st.datetimes(dt.datetime(1950, 1, 1), dt.datetime(2100, 1, 1))


@given(moment=moments, shift=st.builds(Shift, st.integers(365, 3650), st.integers(1, 59)))
def test_date_and_time_apart_move_as_far_as_both_in_one(moment: dt.datetime, shift: Shift) -> None:
    date, time = moment.strftime("%Y%m%d"), moment.strftime("%H%M%S.%f")
    expected = moment - dt.timedelta(days=shift.days, minutes=shift.minutes)
    assert shift.date_time(date + time) == expected.strftime("%Y%m%d%H%M%S.%f")
    assert shift.date(date, early=shift.is_early(time)) == expected.strftime("%Y%m%d")
    assert shift.time(time) == expected.strftime("%H%M%S.%f")


@pytest.mark.parametrize(
    ("value", "moved"),
    [
        ("20200315", "20190209"), ("2020.03.15", "20190209"), ("20200315 ", "20190209"),
    ],
)  # fmt: skip
def test_dates_in_either_form(value: str, moved: str) -> None:
    assert SHIFT.date(value) == moved


@pytest.mark.parametrize(
    ("value", "moved"),
    [
        ("101500", "093000"), ("1015", "0930"), ("10:15:00", "093000"), ("10", "09"),
        ("001500.25", "233000.25"), ("235960", "231459"),
    ],
)  # fmt: skip
def test_times_keep_their_precision(value: str, moved: str) -> None:
    assert SHIFT.time(value) == moved


@pytest.mark.parametrize(
    ("value", "moved"),
    [
        ("2020", "2019"), ("202003", "201901"), ("20200315", "20190209"),
        ("20200315001500", "20190208233000"), ("202003151015", "201902090930"),
        ("20200315101500.5+0100", "20190209093000.5"),
    ],
)  # fmt: skip
def test_date_times_keep_their_precision_and_lose_their_zone(value: str, moved: str) -> None:
    assert SHIFT.date_time(value) == moved


@pytest.mark.parametrize("value", ["DOE^JOHN", "20201315", "00010101", "2020", "20200230"])
def test_what_is_no_date_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        SHIFT.date(value)


@pytest.mark.parametrize("value", ["250000", "DOE", "1260", "1"])
def test_what_is_no_time_is_refused(value: str) -> None:
    assert not SHIFT.is_early(value)
    with pytest.raises(ValueError, match=r"not a time"):
        SHIFT.time(value)


def test_a_patients_shift_follows_from_the_key_and_is_one_to_ten_years() -> None:
    pseudonyms = Pseudonyms(b"key")
    shifts = [pseudonyms.shift(f"id {number}") for number in range(200)]
    assert all(MIN_SHIFT_DAYS <= s.days <= MAX_SHIFT_DAYS and 1 <= s.minutes <= 59 for s in shifts)
    assert len({s.days for s in shifts}) > 150
    assert shifts[3] == Pseudonyms(b"key").shift("id 3") != Pseudonyms(b"other").shift("id 3")
