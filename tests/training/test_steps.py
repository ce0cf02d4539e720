"""A job's preprocessing as steps: what a bundle states is what training runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.events import JobControl
from napari_medcnn.inference.preprocess import _transform
from napari_medcnn.inference.transforms import CurvatureAnisotropicDiffusiond
from napari_medcnn.models.config import Config
from napari_medcnn.models.steps import read_preprocessing
from napari_medcnn.training.job import Preprocessing, TrainJob
from napari_medcnn.training.prepared_case import prepare_case
from napari_medcnn.training.steps import preprocessing_steps, spec_of
from tests.training.seen_jobs import hippocampus_cases, job_of, slice_cases, write_case

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning:monai"),
    pytest.mark.filterwarnings("ignore:NvImgCodecPydicomReader:UserWarning"),
]

CHOICES = (
    Preprocessing(),
    Preprocessing((1.5, 1.0, 1.0), None, "z_score_nonzero", denoise="gaussian"),
    Preprocessing((1.0, 1.0, 1.0), None, "ct", (-100.0, 300.0), 40.0, 90.0, "median"),
    Preprocessing(None, (16, 24, 24), "range", (0.0, 500.0)),
    Preprocessing(denoise="curvature_anisotropic_diffusion"),
)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> TrainJob:
    return job_of((write_case(tmp_path_factory.mktemp("case")),))


def names(job: TrainJob) -> list[str]:
    return [step.target for step in preprocessing_steps(job)]


@pytest.mark.parametrize("given", CHOICES)
def test_a_bundle_that_states_the_steps_is_read_back_to_the_same_steps(
    job: TrainJob, given: Preprocessing
) -> None:
    steps = preprocessing_steps(replace(job, preprocessing=given))
    stated: list[dict[str, Any]] = [{"_target_": s.target, **s.arguments} for s in steps]
    read, key = read_preprocessing(Config({"preprocessing": stated}, Path("inference.json")))
    assert read == steps
    assert key == "image"


@pytest.mark.parametrize("given", CHOICES)
def test_monai_alone_makes_the_same_image_of_the_file(
    shared_data: Path, given: Preprocessing
) -> None:
    (case,) = hippocampus_cases(shared_data, 1)
    job = job_of((case,), preprocessing=given)
    spec = spec_of(job)
    load = [LoadImaged("image"), EnsureChannelFirstd("image")]
    chain = Compose(load + [_transform(step, spec) for step in spec.preprocessing])
    expected = chain({"image": str(case.images[0])})["image"].as_tensor()
    seen = prepare_case(job, case, JobControl()).image
    # Interpolation of the package's own, and MONAI's: the same positions in float32 and in float64.
    assert torch.allclose(seen, expected.float(), atol=2e-3)


def test_ct_needs_its_bounds_mean_and_deviation(job: TrainJob) -> None:
    for given in (
        Preprocessing(normalisation="ct"),
        Preprocessing(normalisation="ct", clip=(0.0, 1.0)),
        Preprocessing(normalisation="range", clip=(1.0, 1.0)),
    ):
        with pytest.raises(MedcnnError, match="has no"):
            preprocessing_steps(replace(job, preprocessing=given))


def test_pictures_stay_as_they_are_stored_and_volumes_are_turned_to_ras(
    job: TrainJob, shared_data: Path
) -> None:
    pictures = job_of(
        slice_cases(shared_data, 1),
        task="classification",
        preprocessing=Preprocessing(size=(1, 64, 64)),
    )
    assert names(job)[0] == "Orientationd"
    assert names(pictures) == ["Resized", "NormalizeIntensityd"]


def test_denoising_comes_before_the_resampling(job: TrainJob) -> None:
    given = Preprocessing((1.0, 1.0, 1.0), denoise="median")
    steps = names(replace(job, preprocessing=given))
    assert steps.index("MedianSmoothd") < steps.index("Spacingd")


@pytest.mark.parametrize("depth", [1, 12])
def test_diffusion_smooths_regions_and_keeps_their_edge(depth: int) -> None:
    rng = np.random.default_rng(0)
    clean = np.zeros((1, 40, 40, depth), np.float32)
    clean[:, 20:] = 100
    noisy = clean + rng.normal(0, 5, clean.shape).astype(np.float32)
    affine = torch.diag(torch.tensor([1.0, 1.0, 3.0, 1.0], dtype=torch.float64))
    image = MetaTensor(torch.from_numpy(noisy), affine=affine)
    smooth = CurvatureAnisotropicDiffusiond("image")({"image": image})["image"]
    assert smooth.shape == image.shape
    values = smooth.numpy()
    assert values[0, 3:17, 3:37].std() < 0.75 * noisy[0, 3:17, 3:37].std()
    assert values[0, 21].mean() - values[0, 18].mean() > 90
