"""Bundles that classify, as a training exports them, with weights that say something."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from napari_medcnn.training.export import export_bundle
from napari_medcnn.training.job import NetworkChoice, Preprocessing, Sampling, TrainJob
from napari_medcnn.training.manifest import TrainCase
from tests.training.made_run import make_run, picture_job

Content = dict[str, Any]
Change = Callable[[Content], object]

SIZE = 12


def picture_classifier(
    folder: Path, about: Change | None = None, how: Change | None = None
) -> Path:
    """A bundle that tells bright, dark and middle pictures apart by a network of two dimensions."""
    return changed(exported(folder, picture_job(folder / "pictures")), about, how)


def volume_classifier(folder: Path, about: Change | None = None, how: Change | None = None) -> Path:
    """The same for volumes."""
    return changed(exported(folder, volume_job(folder / "volumes")), about, how)


def exported(folder: Path, job: TrainJob) -> Path:
    """The bundle of a run of the job whose weights are random."""
    return export_bundle(make_run(folder / "run", job).path, install=False)


def volume_job(folder: Path, **changes: Any) -> TrainJob:
    """A classification of volumes with slices twice as thick as voxels are wide."""
    job = picture_job(folder)
    cases = []
    for case in job.manifest.cases:
        level = {"dark": 40.0, "middle": 120.0, "bright": 200.0}[str(case.target)]
        rng = np.random.default_rng(int(case.id))
        image = sitk.GetImageFromArray(rng.normal(level, 20, (9, 17, 15)).astype(np.float32))
        image.SetSpacing((1.0, 1.0, 2.0))
        path = folder / f"{case.id}.nii.gz"
        sitk.WriteImage(image, str(path))
        cases.append(TrainCase(case.id, (path,), case.patient, None, case.target))
    size = (SIZE, SIZE, SIZE)
    return replace(
        job,
        name="brightness_3d",
        manifest=replace(job.manifest, cases=tuple(cases)),
        preprocessing=Preprocessing(size=size, normalisation="range", clip=(0, 255)),
        network=NetworkChoice("classic_cnn", dimensions=3),
        sampling=Sampling(size, batch=3, steps_per_epoch=2),
        **changes,
    )


def changed(bundle: Path, about: Change | None = None, how: Change | None = None) -> Path:
    """A bundle with other metadata (`about`: those under ``medcnn``) or another configuration."""
    for name, change in (("metadata", about), ("inference", how)):
        file = bundle / "configs" / f"{name}.json"
        content = json.loads(file.read_text())
        if change is not None:
            change(content["medcnn"] if name == "metadata" else content)
            file.write_text(json.dumps(content))
    return bundle


def with_temperature(value: float) -> tuple[Change, Change]:
    """What metadata and configuration of a bundle with a temperature say."""

    def how(content: Content) -> None:
        scaled = {"_target_": "ScaleIntensityd", "keys": "pred", "minv": None, "maxv": None}
        steps = content["postprocessing"]["transforms"]
        steps.insert(0, scaled | {"factor": 1 / value - 1})

    return lambda about: about.update(calibration={"temperature": value}), how


def sigmoid(content: Content) -> None:
    """Let a configuration's classes stand each for itself."""
    content["postprocessing"]["transforms"] = [
        {"_target_": "Activationsd", "keys": "pred", "sigmoid": True}
    ]
