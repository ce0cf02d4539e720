"""What an ONNX file or a SavedModel takes and gives, looked up in a process of its own.

OpenVINO's readers are C++ and parse files of unknown origin: a crash ends the child, not napari.
Run as a program it prints one line of JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from napari_medcnn.core.errors import ModelError

_TIMEOUT_S = 300
Shape = list[int | None]


def look_inside(file: Path) -> tuple[list[Shape], list[Shape]]:
    """Shapes of the inputs and outputs; None for a size that is left open.

    Raises
    ------
    ModelError
        When OpenVINO is not installed, or cannot read the file.
    """
    program = f"from {__name__} import main; main()"
    try:
        answer = subprocess.run(
            [sys.executable, "-c", program, str(file)],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        told: dict[str, Any] = json.loads(answer.stdout.strip().splitlines()[-1])
    except (subprocess.TimeoutExpired, ValueError, IndexError) as error:
        raise ModelError(
            "OpenVINO's reader broke down on this file", source=file, hint="it may be damaged"
        ) from error
    if "missing" in told:
        raise ModelError(
            "OpenVINO, which runs models of this kind, is not installed",
            source=file,
            hint="pip install napari-medcnn[fast]",
        )
    if "error" in told:
        raise ModelError(f"OpenVINO cannot read this file: {told['error']}", source=file)
    return told["inputs"], told["outputs"]


def main() -> None:
    """The child: read the file that is named on the command line, and tell of it."""
    print(json.dumps(_told(sys.argv[1])))  # noqa: T201


def _told(file: str) -> dict[str, Any]:
    hidden: dict[str, Any] = sys.modules
    hidden["openvino_telemetry"] = None  # nothing here reports to anybody
    try:
        import openvino
    except ImportError:
        return {"missing": "openvino"}
    try:
        model = openvino.Core().read_model(file)
    except Exception as error:  # noqa: BLE001 - its readers raise anything
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return {"error": (lines or [type(error).__name__])[-1][:300]}
    return {
        "inputs": [_shape(port) for port in model.inputs],
        "outputs": [_shape(port) for port in model.outputs],
    }


def _shape(port: Any) -> Shape:
    shape = port.partial_shape
    if shape.rank.is_dynamic:
        return []
    return [None if d.is_dynamic else d.get_length() for d in shape]
