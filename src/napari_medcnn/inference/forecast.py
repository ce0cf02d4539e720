"""The plan of a run on this machine: with what was measured here, and what is free now."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata

from napari_medcnn.core.volume import Volume
from napari_medcnn.inference.calibration import recall
from napari_medcnn.inference.detect_plan import resolve_detection
from napari_medcnn.inference.memory import this_machine
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.inference.plan import InferencePlan, facts_of, resolve
from napari_medcnn.models.spec import ModelSpec


def forecast(
    volume: Volume | Sequence[Volume], spec: ModelSpec, options: RunOptions = RunOptions()
) -> InferencePlan:
    """How a model would be run on an image, here and now; imports no torch.

    Raises
    ------
    InputMismatch
        When the model cannot be run on such an image.
    """
    facts = facts_of(volume)
    known = replace(options, device=likely_device(options.device))
    if spec.task == "detection":
        return resolve_detection(spec, facts, known, this_machine())
    first = resolve(spec, facts, known)
    calibration = recall(spec, known.device, first.roi_size, options)
    return resolve(spec, facts, known, calibration, this_machine())


def likely_device(wanted: str) -> str:
    """The device that ``"auto"`` will be, where that can be told without importing torch."""
    if wanted != "auto":
        return wanted
    if "torch" in sys.modules:
        from napari_medcnn.inference.device import choose_device

        return choose_device(wanted)
    try:
        without_gpu = metadata.version("torch").endswith("+cpu")
    except metadata.PackageNotFoundError:
        return wanted
    return "cpu" if without_gpu or shutil.which("nvidia-smi") is None else wanted
