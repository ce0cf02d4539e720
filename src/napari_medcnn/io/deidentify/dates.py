"""Dates and times of DICOM, all moved back by one span: whole days and a few minutes.

Spans between any two moments stay what they are. The minutes are fewer than an hour, because a
time that stands alone cannot carry over midnight into a date that is stored elsewhere: only what
happened in the first hour of a day may change its place among times without dates.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_TIME = re.compile(r"(\d{2})(?::?(\d{2})(?::?(\d{2})(\.\d{1,6})?)?)?")
_DATE_TIME = re.compile(r"(\d{4})(\d{2})?(\d{2})?([\d.]*)(?:[+-]\d{4})?")
_DAY_S, _LEAP_SECOND = 24 * 3600, 60


@dataclass(frozen=True)
class Shift:
    """How far all moments of a patient go back."""

    days: int
    minutes: int

    def is_early(self, time: str) -> bool:
        """Whether a time goes back over midnight, which takes one more day from its date."""
        found = _TIME.fullmatch(time.strip("\0 "))
        try:
            return found is not None and _seconds(found) < self.minutes * 60
        except ValueError:
            return False

    def time(self, value: str) -> str:
        """A TM value moved back, in its own precision.

        Raises
        ------
        ValueError
            When it is no time of day.
        """
        found = _TIME.fullmatch(value.strip("\0 "))
        if found is None:
            raise ValueError("not a time")
        moved = (_seconds(found) - self.minutes * 60) % _DAY_S
        text = f"{moved // 3600:02d}{moved // 60 % 60:02d}{moved % 60:02d}{found[4] or ''}"
        digits = 2 * sum(part is not None for part in found.groups()[:3])
        return text[:digits] + (found[4] or "")

    def date(self, value: str, *, early: bool = False) -> str:
        """A DA value moved back, by one day more where its time goes back over midnight.

        Raises
        ------
        ValueError
            When it is no date, or would be before year 1.
        """
        found = _DATE.fullmatch(value.strip("\0 "))
        if found is None:
            raise ValueError("not a date")
        try:
            moved = dt.date(*(int(part) for part in found.groups()))
            moved -= dt.timedelta(days=self.days + early)
        except OverflowError as error:
            raise ValueError("before the first year") from error
        return f"{moved.year:04d}{moved.month:02d}{moved.day:02d}"

    def date_time(self, value: str) -> str:
        """A DT value moved back, in its own precision; an offset from UTC is left out.

        The offset tells where a scanner stands; without it times are local.

        Raises
        ------
        ValueError
            When it is no date and time.
        """
        found = _DATE_TIME.fullmatch(value.strip("\0 "))
        if found is None or (found[4] and found[3] is None):
            raise ValueError("not a date and time")
        year, month, day, time = found.groups()
        early = bool(time) and self.is_early(time)
        # In the middle of what an incomplete date leaves open.
        moved = self.date(year + (month or "07") + (day or "01"), early=early)
        kept = 4 + 2 * (month is not None) + 2 * (day is not None)
        return moved[:kept] + (self.time(time) if time else "")


def _seconds(time: re.Match[str]) -> int:
    hours, minutes, seconds = (int(part or 0) for part in time.groups()[:3])
    if hours > 23 or minutes > 59 or seconds > _LEAP_SECOND:
        raise ValueError("not a time")
    return hours * 3600 + minutes * 60 + min(seconds, _LEAP_SECOND - 1)
