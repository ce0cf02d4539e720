"""A job that starts from a model: its preprocessing, its window, a lower rate."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch

import napari_medcnn as mc
from napari_medcnn.core.errors import ModelError
from napari_medcnn.core.events import JobControl
from napari_medcnn.inference.preprocess import prepare
from napari_medcnn.io.read import read
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.models.registry import SHIPPED
from napari_medcnn.training.job import Optimisation, Preprocessing, Sampling, TrainJob
from napari_medcnn.training.job_problems import job_problems
from napari_medcnn.training.label_on_grid import label_on_grid
from napari_medcnn.training.manifest import TrainCase
from napari_medcnn.training.prepared_case import prepare_case
from napari_medcnn.training.starting_from import started_text, starting_from
from napari_medcnn.training.strict_json import parse_record, record_json
from tests.bundle_factory import make_bundle
from tests.training.seen_jobs import job_of, write_case

LESIONS = SHIPPED / "flair_lesions"


def lesion_job(case: TrainCase, **fields: Any) -> TrainJob:
    return job_of(
        (case,), classes=("lesion",), channels=("FLAIR",), sampling=Sampling((48, 48, 48)), **fields
    )


def expected_image(case: TrainCase, bundle: Path) -> torch.Tensor:
    """What inference gives the bundle's network."""
    events = prepare(read(case.images[0]), read_bundle(bundle), JobControl())
    while True:
        try:
            next(events)
        except StopIteration as end:
            image: torch.Tensor = end.value.tensor
            return image


@pytest.mark.slow
def test_the_lesion_model_goes_on_seeing_what_it_knows(tmp_path: Path) -> None:
    scan = mc.sample_path("flair_baseline")
    whole = sitk.ReadImage(str(scan))
    stored = sitk.GetArrayFromImage(whole)
    bright = stored > np.quantile(stored, 0.98)
    label = sitk.GetImageFromArray(bright.astype(np.uint8))
    label.CopyInformation(whole)
    sitk.WriteImage(label, str(tmp_path / "label.nii.gz"))
    case = TrainCase("scan", (scan,), label=tmp_path / "label.nii.gz")
    job = starting_from(lesion_job(case), LESIONS)
    assert [step.target for step in job.preprocessing.steps] == [
        "Orientationd", "BrainMaskd", "N4BiasCorrectiond", "NormalizeByBrainMediand", "Spacingd",
        "CropForegroundd",
    ]  # fmt: skip
    seen = prepare_case(job, case, JobControl())
    assert torch.equal(seen.image, expected_image(case, LESIONS))
    assert isinstance(seen.label, torch.Tensor)
    assert seen.label.shape == seen.image.shape[1:]
    # The brightest voxels of the file are still the brightest: the label went through the crop.
    inside = seen.image[0][seen.label > 0]
    assert inside.median() > torch.quantile(seen.image[seen.image > 0], 0.9)
    volume_mm3 = bright.sum() * np.prod(whole.GetSpacing())
    assert int(seen.label.sum()) * np.prod(seen.spacing_mm) == pytest.approx(volume_mm3, rel=0.1)


def test_label_and_image_stay_together_through_crop_and_padding(tmp_path: Path) -> None:
    case = write_case(tmp_path)
    steps: list[dict[str, Any]] = [
        {"_target_": "ThresholdIntensityd", "keys": "@image_key", "threshold": 2.0},
        {
            "_target_": "CropForegroundd",
            "keys": "@image_key",
            "source_key": "@image_key",
            "margin": 1,
            "allow_smaller": True,
        },
        {"_target_": "SpatialPadd", "keys": "@image_key", "spatial_size": [40, 8, 24]},
    ]
    bundle = make_bundle(tmp_path / "bundle", spacing=None, extra_steps=steps)
    image = sitk.ReadImage(str(case.images[0]))
    truth = sitk.GetArrayFromImage(sitk.ReadImage(str(case.label)))
    clean = sitk.GetImageFromArray(3.0 * truth.astype(np.float32))
    clean.CopyInformation(image)
    sitk.WriteImage(clean, str(case.images[0]))
    job = starting_from(job_of((case,)), bundle)
    seen = prepare_case(job, case, JobControl())
    assert isinstance(seen.label, torch.Tensor)
    assert seen.image.shape[1] == 40  # padded
    assert torch.equal(seen.image[0], 3.0 * seen.label.float())
    assert int((seen.label > 0).sum()) == np.count_nonzero(truth)
    assert seen.spacing_mm == (1.0, 1.0, 2.0)


def test_padding_is_background_though_a_class_reaches_the_border(tmp_path: Path) -> None:
    case = write_case(tmp_path)
    (volume,) = read(case.images[0])
    grid = volume.geometry
    padded = replace(
        grid,
        shape=(grid.shape[0] + 6, *grid.shape[1:]),
        affine=grid.affine @ np.array([[1, 0, 0, -3], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]),
    )
    moved = label_on_grid(np.ones(grid.shape, np.int16), volume, padded)
    assert moved.shape == padded.shape[::-1]
    assert moved[..., 3:-3].all()
    assert not moved[..., :2].any()
    assert not moved[..., -2:].any()


def test_the_bundle_s_own_name_of_the_image_is_no_name_in_the_job(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    config = bundle / "configs" / "inference.json"
    content = json.loads(config.read_text())
    for step in content["preprocessing"]["transforms"]:
        step["keys"] = ["scan"]
    content["preprocessing"]["transforms"].append(
        {"_target_": "ScaleIntensityd", "keys": "scan", "dtype": "$numpy.float32"}
    )
    config.write_text(json.dumps(content).replace("@image_key", "scan"))
    case = write_case(tmp_path)
    job = starting_from(job_of((case,)), bundle)
    assert {step.arguments["keys"] for step in job.preprocessing.steps} == {"image"}
    assert torch.equal(prepare_case(job, case, JobControl()).image, expected_image(case, bundle))


def test_a_job_with_a_bundle_s_steps_survives_its_file(tmp_path: Path) -> None:
    job = starting_from(lesion_job(write_case(tmp_path)), LESIONS)
    assert parse_record(record_json(job), TrainJob, "job.json") == job


def test_a_step_that_no_model_may_name_is_a_problem(tmp_path: Path) -> None:
    job = starting_from(lesion_job(write_case(tmp_path)), LESIONS)
    strange = replace(job.preprocessing.steps[0], target="Lambdad")
    job = replace(job, preprocessing=replace(job.preprocessing, steps=(strange,)))
    assert any("Lambdad" in problem.text for problem in job_problems(job))


def test_the_patch_shows_as_much_and_no_more_than_the_model_s_window(tmp_path: Path) -> None:
    case = write_case(tmp_path)
    job = lesion_job(case, preprocessing=Preprocessing((3.0, 0.5, 0.5)))
    job = replace(job, sampling=Sampling((20, 64, 320)))
    # 60 × 32 × 160 mm at 1 mm, within 96 voxels, in multiples of 8.
    assert starting_from(job, LESIONS).sampling.patch == (64, 32, 96)


@pytest.mark.parametrize(
    ("optimiser", "rate", "expected"),
    [("adamw", 5e-4, 5e-5), ("adamw", 0.02, 1e-4), ("sgd", 0.01, 1e-3)],
)
def test_the_rate_is_low_and_told(
    tmp_path: Path, optimiser: Any, rate: float, expected: float
) -> None:
    how = Optimisation(optimiser=optimiser, rate=rate)
    job = lesion_job(write_case(tmp_path), optimisation=how, augmentation="strong")
    started = starting_from(job, LESIONS)
    assert started.optimisation.rate == pytest.approx(expected)
    assert started.augmentation == "light"
    assert f"{expected:g}" in started_text(started)
    assert "BrainMaskd" in started_text(started)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        starting_from(lesion_job(write_case(tmp_path)), tmp_path)
