"""DICOM dates and times as seconds, for differences between them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

_MOMENT = re.compile(r"(?P<date>\d{8})?(?P<h>\d{2})(?P<m>\d{2})?(?P<s>\d{2}(?:\.\d{1,6})?)?$")


def seconds(moment: str) -> float | None:
    """Seconds of ``YYYYMMDDHHMMSS.FFFFFF`` or of a time alone, None when it is neither.

    With a date they count from the year 1, without one from midnight, so only moments of one
    kind may be compared. An offset from UTC (``+0100``) is left out.
    """
    found = _MOMENT.match(re.split(r"[+-]", moment.strip())[0])
    if found is None:
        return None
    hours, minutes, rest = (float(found[part] or 0) for part in ("h", "m", "s"))
    day = 0.0
    if found["date"]:
        try:
            date = datetime.strptime(found["date"], "%Y%m%d")
        except ValueError:
            return None
        day = (date - datetime.min) / timedelta(seconds=1)
    return day + hours * 3600 + minutes * 60 + rest
