"""Dates and date-times of DICOM, moved back by whole days.

Times of day stay: decay of a tracer and the order of frames are counted in them, and a time alone
cannot carry over midnight into a date that is stored elsewhere.
"""

from __future__ import annotations

import datetime as dt
import re

_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_DATE_TIME = re.compile(r"(\d{4})(\d{2})?(\d{2})?([\d.]*)([+-]\d{4})?")
_TIME = re.compile(r"\d{2}(:?\d{2}(:?\d{2}(\.\d{1,6})?)?)?")


def moved_back(value: str, vr: str, days: int) -> str:
    """The value `days` earlier, in the precision that it has.

    Parameters
    ----------
    value : str
        One DA, DT or TM value; empty stays empty.
    vr : str
        Its value representation.
    days : int
        How many days earlier.

    Raises
    ------
    ValueError
        When the value is no date or time, or would be before year 1.
    """
    text = value.strip("\0 ")
    if not text:
        return ""
    if vr == "TM":
        if _TIME.fullmatch(text) is None:
            raise ValueError("not a time")
        return text
    if vr == "DA":
        found = _DATE.fullmatch(text)
        if found is None:
            raise ValueError("not a date")
        return _earlier(*found.groups(), days=days)
    found = _DATE_TIME.fullmatch(text)
    if found is None:
        raise ValueError("not a date and time")
    year, month, day, time, _ = found.groups()
    if time and day is None:
        raise ValueError("not a date and time")
    # The offset from UTC tells where a scanner stands; times are local without it.
    kept = 4 + 2 * (month is not None) + 2 * (day is not None)
    return _earlier(year, month or "07", day or "01", days=days)[:kept] + time


def _earlier(year: str, month: str, day: str, *, days: int) -> str:
    try:
        date = dt.date(int(year), int(month), int(day)) - dt.timedelta(days=days)
    except OverflowError as error:
        raise ValueError("before the first year") from error
    return f"{date.year:04d}{date.month:02d}{date.day:02d}"
