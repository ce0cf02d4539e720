"""What became of the cases of a batch: one line a case, light enough for thousands of them."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_medcnn.app.analysis import CaseResult
from napari_medcnn.app.case import Case
from napari_medcnn.app.case_folder import LESIONS_JSON, RUN
from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.events import CaseState, CaseUpdate

_log = logging.getLogger(__name__)

FINAL: tuple[CaseState, ...] = ("done", "skipped", "failed")


@dataclass(frozen=True)
class LabelTotal:
    """Lesions of one label of one case; `volume_ml` is None where it is unknown."""

    name: str
    lesions: int
    volume_ml: float | None


@dataclass(frozen=True)
class CaseOutcome:
    """One case of a batch.

    Parameters
    ----------
    case, folder : str, Path
        Its id, and where its results are.
    state : CaseState
        ``"done"``, ``"skipped"`` (done before) or ``"failed"``; ``"waiting"`` where the batch ended
        before its turn.
    text : str
        Why it failed, was skipped or was computed again.
    labels : tuple of LabelTotal
        What was found, by label.
    longest_mm : float, optional
        The longest axial diameter of any lesion.
    dropped : int
        Components below the smallest volume.
    findings : tuple of str
        What was noticed about its images.
    fallbacks : tuple of str
        What went otherwise than planned.
    seconds : float, optional
        How long it took; not how long it waited for others.
    """

    case: str
    folder: Path
    state: CaseState = "waiting"
    text: str = ""
    labels: tuple[LabelTotal, ...] = ()
    longest_mm: float | None = None
    dropped: int = 0
    findings: tuple[str, ...] = ()
    fallbacks: tuple[str, ...] = ()
    seconds: float | None = None

    @property
    def has_result(self) -> bool:
        """Whether its folder holds a finished run."""
        return self.state in ("done", "skipped")

    @property
    def lesions(self) -> int | None:
        """How many lesions; None without a result."""
        return sum(label.lesions for label in self.labels) if self.has_result else None

    @property
    def volume_ml(self) -> float | None:
        """Their total; None without a result, or where one is unknown."""
        volumes = [label.volume_ml for label in self.labels]
        known = [volume for volume in volumes if volume is not None]
        return sum(known) if self.has_result and len(known) == len(volumes) else None

    def update(self) -> CaseUpdate:
        """The event that tells it."""
        return CaseUpdate(
            self.case, self.state, self.text, self.lesions, self.volume_ml, self.seconds
        )

    def to_json(self) -> dict[str, Any]:
        """For programs; the folder is named as it was given."""
        return {
            "case": self.case,
            "state": self.state,
            "text": self.text,
            "folder": str(self.folder),
            "lesion_count": self.lesions,
            "volume_ml": self.volume_ml,
            "longest_mm": self.longest_mm,
            "dropped_count": self.dropped,
            "labels": [
                {"name": t.name, "lesion_count": t.lesions, "volume_ml": t.volume_ml}
                for t in self.labels
            ],
            "findings": list(self.findings),
            "fallbacks": list(self.fallbacks),
            "seconds": self.seconds,
        }


@dataclass(frozen=True)
class BatchResult:
    """What came out of a batch.

    Parameters
    ----------
    out_dir : Path
        Holds a folder a case, ``summary.csv``, ``summary.json`` and ``all_lesions.csv``.
    model : str
        Id of the model.
    cases : tuple of CaseOutcome
        In the order in which they were given.
    seconds : float
        Of the whole batch.
    """

    out_dir: Path
    model: str
    cases: tuple[CaseOutcome, ...]
    seconds: float = 0.0
    counts: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        counts: dict[str, int] = {}
        for outcome in self.cases:
            counts[outcome.state] = counts.get(outcome.state, 0) + 1
        object.__setattr__(self, "counts", counts)

    @property
    def failures(self) -> tuple[CaseOutcome, ...]:
        """The cases that failed."""
        return tuple(outcome for outcome in self.cases if outcome.state == "failed")

    @property
    def lesions(self) -> int:
        """Lesions of all cases that have a result."""
        return sum(outcome.lesions or 0 for outcome in self.cases)


def outcome_of(
    case: Case, result: CaseResult, fallbacks: Sequence[str], reason: str
) -> CaseOutcome:
    """The line of a case that was computed; `reason` says why again, if it had been before."""
    return read_outcome(
        case,
        result.folder,
        state="done",
        text=f"computed again: {reason}" if reason else "",
        seconds=round(sum(result.seconds.values()), 3),
        fallbacks=tuple(fallbacks),
    )


def read_outcome(case: Case, folder: Path, **fields: Any) -> CaseOutcome:
    """The line of a case from its folder: the files are what counts, computed now or before.

    Raises
    ------
    OSError, ValueError, KeyError
        When the folder holds no finished run.
    """
    lesions = json.loads((folder / LESIONS_JSON).read_text(encoding="utf-8"))
    record = json.loads((folder / RUN).read_text(encoding="utf-8"))
    long_axes = [lesion["long_axis_mm"]["value"] for lesion in lesions["lesions"]]
    known = [length for length in long_axes if length is not None]
    labels = tuple(
        LabelTotal(
            total["label_name"],
            total["lesion_count"],
            None
            if total["volume_mm3"]["value"] is None
            else round(total["volume_mm3"]["value"] / 1000, 6),
        )
        for total in lesions["totals"]
    )
    return CaseOutcome(
        case=case.id,
        folder=folder,
        labels=labels,
        longest_mm=max(known) if known else None,
        dropped=lesions["dropped_count"],
        findings=tuple(finding["text"] for finding in record["findings"]),
        **fields,
    )


def failure_of(case: Case, folder: Path, error: Exception) -> CaseOutcome:
    """The line of a case that failed, in one sentence."""
    if isinstance(error, MedcnnError):
        return CaseOutcome(case.id, folder, "failed", str(error))
    _log.error("case %s failed", case.id, exc_info=error)
    text = _unexpected(error)
    return CaseOutcome(case.id, folder, "failed", text)


def _unexpected(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
