"""What the user chooses of a de-identification, and the codes by which the files say so."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

TABLE_EDITION = "2026c"
"""The edition of PS3.15 Table E.1-1 that is followed."""


class Dates(StrEnum):
    """What becomes of dates and times."""

    SHIFT = "shift"
    REMOVE = "remove"


@dataclass(frozen=True)
class Options:
    """Choices of a de-identification; the defaults keep least but for the order in time.

    Parameters
    ----------
    dates : Dates
        Shift all dates of a patient by one secret number of days (Retain Longitudinal Temporal
        Information with Modified Dates), or remove them.
    keep_patient_characteristics : bool
        Keep sex, age, size, weight and the like (Retain Patient Characteristics). Without the
        weight no SUV can be computed.
    keep_device_identity : bool
        Keep serial numbers and station names (Retain Device Identity).
    key_file : Path, optional
        The secret from which pseudonyms, UIDs and shifts follow. Created where it does not exist.
        The same key gives the same pseudonyms in every run; without one every run differs.
    """

    dates: Dates = Dates.SHIFT
    keep_patient_characteristics: bool = False
    keep_device_identity: bool = False
    key_file: Path | None = None

    @property
    def method_codes(self) -> tuple[tuple[str, str], ...]:
        """Code value and meaning (DCM, CID 7050) of the profile and each option that is used."""
        codes = [
            ("113100", "Basic Application Confidentiality Profile"),
            ("113111", "Retain Safe Private Option"),
        ]
        if self.dates is Dates.SHIFT:
            codes.append(
                ("113107", "Retain Longitudinal Temporal Information Modified Dates Option")
            )
        if self.keep_patient_characteristics:
            codes.append(("113108", "Retain Patient Characteristics Option"))
        if self.keep_device_identity:
            codes.append(("113109", "Retain Device Identity Option"))
        return tuple(codes)
