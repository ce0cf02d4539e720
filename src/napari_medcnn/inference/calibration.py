"""What was measured of a model on this machine, kept in the user's cache."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from napari_medcnn.core.atomic import write_json
from napari_medcnn.core.errors import ModelError, WriteError
from napari_medcnn.core.geometry import Index
from napari_medcnn.core.user_folders import cache_folder
from napari_medcnn.inference.options import BackendName, Precision, RunOptions
from napari_medcnn.models.spec import ModelSpec
from napari_medcnn.models.weights import sha256

_FORM = 1
"""Counts changes of the file's content, so that none of an older form is taken."""


@dataclass(frozen=True)
class Measurement:
    """One backend's window of one model.

    Parameters
    ----------
    backend, precision : str
        What ran it, and in what.
    batch : int
        Windows at once.
    seconds : float
        A window.
    network_bytes : float
        By which opening it made the process larger.
    working_bytes : float
        By which a call of `batch` windows did, at its peak.
    device_bytes : float
        Peak of the device's own memory; 0 on the CPU.
    channels_last, compiled : bool
        As :class:`~napari_medcnn.inference.backends.torch_backend.TorchBackend` says.
    """

    backend: BackendName
    precision: Precision
    batch: int
    seconds: float
    network_bytes: float
    working_bytes: float
    device_bytes: float = 0.0
    channels_last: bool = False
    compiled: bool = False


@dataclass(frozen=True)
class Calibration:
    """The measurements of a model, and what follows from them.

    Parameters
    ----------
    device : str
        Where they were made.
    fastest : {"torch", "openvino"}
        The backend to take, of those that agree.
    measurements : tuple of Measurement
        The best of each backend that works.
    refused : tuple of (str, str)
        Backends that do not, with the reason.
    compared : bool
        Whether all backends were measured; False where the user named one.
    """

    device: str
    fastest: BackendName
    measurements: tuple[Measurement, ...]
    refused: tuple[tuple[str, str], ...] = ()
    compared: bool = True

    def of(self, backend: BackendName, *, compiled: bool = False) -> Measurement | None:
        """The measurement of a backend, None where there is none."""
        wanted = (backend, compiled)
        return next((m for m in self.measurements if (m.backend, m.compiled) == wanted), None)


def recall(spec: ModelSpec, device: str, roi: Index, options: RunOptions) -> Calibration | None:
    """What is known of a model on this machine; None when it was never measured.

    A file that is damaged, or of another model, machine or version, counts as none.
    """
    try:
        known = identity(spec, device, roi, options)
        content = json.loads(_path(known).read_text(encoding="utf-8"))
        if content.pop("of") != known:
            return None
        return _parsed(content)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ModelError):
        return None


def remember(
    spec: ModelSpec, device: str, roi: Index, options: RunOptions, calibration: Calibration
) -> bool:
    """Keep what was measured; False where the disk does not let us."""
    known = identity(spec, device, roi, options)
    try:
        write_json(_path(known), {"of": known, **asdict(calibration)})
    except WriteError:
        return False
    return True


def identity(spec: ModelSpec, device: str, roi: Index, options: RunOptions) -> dict[str, Any]:
    """All that a measurement depends on, JSON-able.

    Raises
    ------
    ModelError
        When the weights cannot be read.
    """
    return {
        "form": _FORM,
        "weights": sha256(spec.weight_files[0]),
        "network": hashlib.sha256(
            json.dumps(spec.network, sort_keys=True, default=str).encode()
        ).hexdigest(),
        "roi_size": list(roi),
        "device": device,
        "precision": options.precision,
        "batch": options.batch,
        "processor": processor(),
        "threads": threads(options),
        "versions": {name: _version(name) for name in ("torch", "openvino")},
    }


def processor() -> str:
    """The processor's name and number of cores."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        name = named[0] if named else name
    except OSError:
        pass  # macOS and Windows name it by the platform
    return f"{name}, {os.cpu_count()} cores"


def threads(options: RunOptions) -> int:
    """How many threads of the CPU a run with these options takes, told without importing torch."""
    if options.threads:
        return options.threads
    stated = os.environ.get("OMP_NUM_THREADS", "")
    if stated.isdigit() and int(stated) > 0:
        return int(stated)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _path(known: dict[str, Any]) -> Path:
    text = json.dumps(known, sort_keys=True)
    return cache_folder("calibration") / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _parsed(content: dict[str, Any]) -> Calibration | None:
    """The calibration of a file; None when a value in it makes no sense."""
    measurements = tuple(Measurement(**m) for m in content["measurements"])
    refused = tuple((str(name), str(reason)) for name, reason in content["refused"])
    made = Calibration(
        content["device"], content["fastest"], measurements, refused, bool(content["compared"])
    )
    sizes = [size for m in measurements for size in (m.seconds, m.network_bytes, m.working_bytes)]
    if made.of(made.fastest) is None or not all(0 <= size < 1e15 for size in sizes):
        return None
    return made
