"""Bring a trained classifier's probabilities to what they say, by its validation cases."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from napari_medcnn.core.events import Done, Event, JobControl, Message
from napari_medcnn.evaluation.calibration import (
    NotCalibrated,
    Temperature,
    fit_temperature,
    logits_of,
)
from napari_medcnn.evaluation.classified_cases import ClassifiedCases, classify_cases
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.models.weights import sha256
from napari_medcnn.training.bundle_config import WEIGHTS
from napari_medcnn.training.held_out import labelled_images, run_options
from napari_medcnn.training.job import Resources
from napari_medcnn.training.run_folder import RunFolder
from napari_medcnn.training.strict_json import read_record, write_record

FILE = "calibration.json"
"""In the run's folder of the evaluation."""

METHOD = "temperature scaling"


@dataclass(frozen=True)
class Calibrated:
    """A temperature, and the hash of the weights that it belongs to."""

    temperature: Temperature
    weights_sha256: str


def calibrate(
    run: RunFolder, bundle: Path, control: JobControl | None, resources: Resources | None
) -> Generator[Event, None, Temperature | None]:
    """Fit a temperature on a run's validation cases and keep it in the run's folder.

    A generator of events that returns the temperature; None, after a message with the reason, where
    there can be none. These cases chose the state of the weights, too: the temperature fits them a
    little better than new ones.

    Parameters
    ----------
    run : RunFolder
        Of a classification.
    bundle : Path
        What was exported of it.
    control : JobControl, optional
        Cancels, pauses and resumes.
    resources : Resources, optional
        Device and threads.

    Raises
    ------
    ModelError
        When the bundle cannot be run.
    Cancelled
        When the job was cancelled.
    """
    job = run.read_job()
    spec = replace(read_bundle(bundle), temperature=1.0)
    cases = labelled_images(job, job.split.validation)
    found: ClassifiedCases | None = None
    for event in classify_cases(spec, cases, control, run_options(resources or Resources())):
        if isinstance(event, Done):
            found = event.result
        else:
            yield event
    (run.evaluation / FILE).unlink(missing_ok=True)
    if found is None or found.answers is None:
        yield Message("not calibrated: no validation case could be read", "warning")
        return None
    try:
        fitted = fit_temperature(logits_of(found.answers.probabilities), found.answers.truth)
    except NotCalibrated as reason:
        yield Message(f"not calibrated: {reason}", "warning")
        return None
    write_record(run.evaluation / FILE, Calibrated(fitted, sha256(bundle / WEIGHTS)))
    return fitted


def temperature_of(run: RunFolder, weights: Path) -> Temperature | None:
    """The temperature that was fitted for these weights, where there is one."""
    file = run.evaluation / FILE
    if not file.is_file():
        return None
    found = read_record(file, Calibrated)
    return found.temperature if found.weights_sha256 == sha256(weights) else None


def calibration_entry(fitted: Temperature) -> dict[str, Any]:
    """What a bundle's metadata say of it under ``medcnn.calibration``."""
    return {"method": METHOD, "part": "validation", **asdict(fitted)}
