"""What was run, on what, with what, and how long it took: enough to run it again."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from napari_medcnn.core.atomic import write_json
from napari_medcnn.core.events import Done, Event, Progress
from napari_medcnn.core.segmentation import ModelReference
from napari_medcnn.core.volume import Finding
from napari_medcnn.report.notice import RESEARCH_USE_NOTICE
from napari_medcnn.report.peak_memory import peak_memory_gb

SCHEMA = "napari-medcnn run"
SCHEMA_VERSION = 1

RECORDED_PACKAGES = ("napari-medcnn", "torch", "monai", "numpy", "SimpleITK")


@dataclass(frozen=True)
class RunRecord:
    """One run of a model on one case.

    Parameters
    ----------
    model : ModelReference
        Id, version and weights of the model.
    input_name : str
        Name of the file or folder, without the folders above it: they may name a patient.
    parameters : dict
        What the model was run with, JSON-able.
    seconds_by_stage : dict
        Wall-clock time.
    started : datetime
        With its time zone.
    findings : tuple of Finding
        What was noticed about the input.
    input_fingerprints : tuple of str
        Hashes of the images' voxels, in the model's order.
    software : dict
        Versions of Python and of what computes.
    peak_memory_gb : float or None
        Largest resident memory of this process in 10^9 bytes, while the model ran where the system
        can tell that, else so far; None where it does not tell.
    predicted, measured : dict
        What the plan expected of the model's stages, ``seconds`` and ``peak_memory_bytes``, and
        what came.
    fallbacks : tuple of dict
        What went otherwise than planned: ``wanted``, ``used``, ``reason``.
    request : dict
        What was asked: which files, model and options, to know the same request again.
    """

    model: ModelReference
    input_name: str
    parameters: Mapping[str, Any]
    seconds_by_stage: Mapping[str, float]
    started: datetime
    findings: tuple[Finding, ...] = ()
    input_fingerprints: tuple[str, ...] = ()
    software: Mapping[str, str] = field(default_factory=lambda: software_versions())
    peak_memory_gb: float | None = field(default_factory=peak_memory_gb)
    predicted: Mapping[str, Any] = field(default_factory=dict)
    measured: Mapping[str, Any] = field(default_factory=dict)
    fallbacks: tuple[Mapping[str, Any], ...] = ()
    request: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.started.tzinfo is None:
            raise ValueError("the start of a run needs a time zone")

    def to_json(self) -> dict[str, Any]:
        """The content of ``run.json``."""
        return {
            "schema": SCHEMA,
            "schema_version": SCHEMA_VERSION,
            "notice": RESEARCH_USE_NOTICE,
            "started_utc": self.started.astimezone(UTC).isoformat(timespec="seconds"),
            "input": self.input_name,
            "input_fingerprints": list(self.input_fingerprints),
            "model": {
                "id": self.model.id,
                "version": self.model.version,
                "title": self.model.title,
                "weights_sha256": self.model.weights_sha256,
            },
            "parameters": dict(self.parameters),
            "findings": [finding.to_json() for finding in self.findings],
            "seconds": {
                **{stage: round(s, 3) for stage, s in self.seconds_by_stage.items()},
                "total": round(sum(self.seconds_by_stage.values()), 3),
            },
            "peak_memory_gb": self.peak_memory_gb,
            "plan": {"predicted": dict(self.predicted), "measured": dict(self.measured)},
            "fallbacks": [dict(fallback) for fallback in self.fallbacks],
            "software": dict(self.software),
            "request": dict(self.request),
        }

    def write(self, path: str | Path) -> None:
        """Write the record as JSON.

        Raises
        ------
        WriteError
            When `path` cannot be written.
        """
        write_json(path, self.to_json())


class StageClock:
    """Seconds by stage, from a job's :class:`Progress` events or from ``with`` blocks.

    A stage that comes again adds to its time. Between two events the time belongs to the stage of
    the later one, because a job reports a step when it is finished, and the time from the last step
    to :class:`Done` to the last stage; call :meth:`start` right before the job.
    """

    def __init__(self) -> None:
        self.started = datetime.now(UTC)
        self._seconds: dict[str, float] = {}
        self._last = time.perf_counter()
        self._stage = ""

    def start(self) -> None:
        """Begin to count for the stage of the next event."""
        self._last = time.perf_counter()

    def on_event(self, event: Event) -> None:
        """Count the time since the last event for the stage of this one."""
        if isinstance(event, Progress):
            self._stage = event.stage
        elif not (isinstance(event, Done) and self._stage):
            return
        now = time.perf_counter()
        self._add(self._stage, now - self._last)
        self._last = now

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time of a block, also when it fails."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self._last = time.perf_counter()
            self._add(name, self._last - begin)

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by stage, in the order in which the stages began."""
        return dict(self._seconds)

    def _add(self, stage: str, seconds: float) -> None:
        self._seconds[stage] = self._seconds.get(stage, 0.0) + seconds


def software_versions() -> dict[str, str]:
    """Versions of Python and of what computes, without importing anything."""
    versions = {"python": ".".join(str(part) for part in sys.version_info[:3])}
    for package in RECORDED_PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions
