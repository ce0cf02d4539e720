"""What a de-identification did, told without any of the values that it removed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from napari_medcnn.core.atomic import write_json, write_text
from napari_medcnn.io.deidentify.cleaning import PRIVATE, UNKNOWN, Changes
from napari_medcnn.io.deidentify.look import Look
from napari_medcnn.io.deidentify.options import TABLE_EDITION, Options

REPORT_NAME = "deidentification"
_SHOWN_FILES = 10


@dataclass(frozen=True)
class Change:
    """One action on one attribute, and how often it was taken, nested ones included."""

    tag: str
    name: str
    action: str
    count: int


@dataclass(frozen=True)
class Report:
    """The result of a de-identification.

    Parameters
    ----------
    out : Path
        The folder that was written.
    options : Options
        What was asked for.
    written : int
        Files written.
    patients, studies, series : int
        How many different ones.
    left_out : dict
        Reason to number of files that were not written.
    changes : tuple of Change
        By tag.
    look_at : dict
        Reason to files, relative to `out`, that a person must look at.
    notes : tuple of str
        What else the user should know.
    """

    out: Path
    options: Options
    written: int
    patients: int
    studies: int
    series: int
    left_out: dict[str, int] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()
    look_at: dict[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """For programs; holds no value of the files that were read, and no path of theirs."""
        return {
            "profile": f"PS3.15 {TABLE_EDITION} Annex E",
            "codes": [
                {"value": value, "scheme": "DCM", "meaning": meaning}
                for value, meaning in self.options.method_codes
            ],
            "dates": self.options.dates.value,
            "written": self.written,
            "patients": self.patients,
            "studies": self.studies,
            "series": self.series,
            "left_out": self.left_out,
            "changes": [asdict(change) for change in self.changes],
            "look_at": {reason: list(files) for reason, files in self.look_at.items()},
            "notes": list(self.notes),
        }

    def summary(self) -> str:
        """For people."""
        counts = (
            f"{self.written} files of {self.patients} patients, {self.studies} studies and "
            f"{self.series} series were written."
        )
        profile = "Profile: " + "; ".join(meaning for _, meaning in self.options.method_codes)
        lines = [counts, profile]
        if self.left_out:
            lines += ["", "Left out:"]
            lines += [f"  {count} files: {reason}" for reason, count in self.left_out.items()]
        lines += ["", *self._look_lines()]
        if self.notes:
            lines += ["", "Notes:", *(f"  {note}" for note in self.notes)]
        lines += ["", "Changes by attribute:"]
        lines += [f"  {c.tag} {c.name}: {c.action}, {c.count} times" for c in self.changes]
        return "\n".join(lines) + "\n"

    def _look_lines(self) -> list[str]:
        if not self.look_at:
            return ["No file asks for a look, by its header. Pixels were not searched for text."]
        lines = ["Look at these before you give them away; pixels were not searched for text:"]
        for reason, files in self.look_at.items():
            lines.append(f"  {len(files)} files: {reason}")
            lines += [f"    {file}" for file in files[:_SHOWN_FILES]]
            if len(files) > _SHOWN_FILES:
                lines.append(f"    and {len(files) - _SHOWN_FILES} more, see {REPORT_NAME}.json")
        return lines


def write_report(report: Report) -> Path:
    """Write the report as JSON and text into its folder; earlier ones stay. Returns the JSON's."""
    path, number = report.out / f"{REPORT_NAME}.json", 2
    while path.exists():
        path, number = report.out / f"{REPORT_NAME}_{number}.json", number + 1
    write_json(path, report.to_json())
    write_text(path.with_suffix(".txt"), report.summary())
    return path


def named_changes(changes: Changes) -> tuple[Change, ...]:
    """The counted actions, in the order of tags."""
    return tuple(
        Change(*_named(tag), action, count) for (tag, action), count in sorted(changes.items())
    )


def by_reason(looked_at: Iterable[tuple[str, tuple[Look, ...]]]) -> dict[str, tuple[str, ...]]:
    """Files under each reason to look at them."""
    files: dict[str, list[str]] = {}
    for file, reasons in looked_at:
        for reason in reasons:
            files.setdefault(reason.value, []).append(file)
    return {reason: tuple(found) for reason, found in files.items()}


def counted(reasons: Counter[str]) -> dict[str, int]:
    """Reasons, the most frequent first."""
    return dict(reasons.most_common())


def _named(tag: int) -> tuple[str, str]:
    from pydicom.datadict import dictionary_description

    if tag == PRIVATE:
        return "private", "attributes of manufacturers"
    if tag == UNKNOWN:
        return "unknown", "attributes that the standard does not know"
    text = f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
    try:
        return text, dictionary_description(tag)
    except KeyError:
        return text, "unknown attribute"
