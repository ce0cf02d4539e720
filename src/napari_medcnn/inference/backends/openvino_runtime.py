"""OpenVINO as a library: imported only when asked for, and without its reports to the maker."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import Any

from napari_medcnn.core.errors import MedcnnError

_TELEMETRY = "openvino_telemetry"


def is_installed() -> bool:
    """Whether OpenVINO can be imported; looked up without importing it."""
    return importlib.util.find_spec("openvino") is not None


def version() -> str:
    """OpenVINO's version, "" where it is not installed; looked up without importing it."""
    from importlib import metadata

    try:
        return metadata.version("openvino")
    except metadata.PackageNotFoundError:
        return ""


def openvino() -> Any:
    """The module ``openvino``.

    Importing it sends a usage report by default. Nothing that this package does on medical images
    reports to anybody: the reporting package is hidden while it looks for it, and OpenVINO then
    takes its own stub.

    Raises
    ------
    MedcnnError
        When it is not installed.
    """
    loaded = sys.modules.get("openvino")
    if loaded is not None:
        return loaded
    hidden: dict[str, ModuleType | None] = sys.modules  # type: ignore[assignment]
    before = hidden.get(_TELEMETRY)
    hidden[_TELEMETRY] = None
    try:
        import openvino as module
    except ImportError as error:
        raise MedcnnError(
            "the backend openvino is not installed",
            hint="pip install napari-medcnn[fast], or choose the backend torch",
        ) from error
    finally:
        if before is None:
            del hidden[_TELEMETRY]
        else:
            hidden[_TELEMETRY] = before
    return module
