"""A job's preprocessing as the steps of a bundle, which training and inference both run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.core.segmentation import Label
from napari_medcnn.models.spec import Channel, ModelSpec, Postprocessing, Step
from napari_medcnn.training.job import Preprocessing, TrainJob
from napari_medcnn.training.origin_steps import IMAGE

GAUSSIAN_SIGMA = 0.75
"""Of the Gaussian filter, in voxels: takes half of the noise and leaves a lesion of 3 voxels."""

MEDIAN_RADIUS = 1
"""Of the median filter, in voxels."""

_PICTURES = (".png", ".jpg", ".jpeg")


def preprocessing_steps(job: TrainJob) -> tuple[Step, ...]:
    """From the image file to what the network sees, as the exported bundle states it.

    Steps that the job took over from the model that it starts from are the whole of it. Otherwise
    volumes are turned to RAS, and pictures stay as they are stored. Where the job has a `size`, the
    image is resized to it, and `spacing_mm` has no part.

    Raises
    ------
    MedcnnError
        When the normalisation lacks its bounds, mean or deviation.
    """
    given = job.preprocessing
    if given.steps:
        return given.steps
    flat = is_of_pictures(job)
    steps = [] if flat else [_step("Orientationd", axcodes="RAS")]
    steps += _denoising(given, flat)
    if given.size is not None:
        steps.append(_resizing(given.size))
    elif given.spacing_mm is not None:
        pixdim = [float(value) for value in reversed(given.spacing_mm)]
        steps.append(_step("Spacingd", pixdim=pixdim, mode="bilinear"))
    return (*steps, *_normalisation(given))


def is_of_pictures(job: TrainJob) -> bool:
    """Whether the images are pictures, which have no orientation and no third dimension."""
    size = job.preprocessing.size
    first = job.manifest.cases[0].images
    return (size is not None and size[0] == 1) or all(
        file.suffix.lower() in _PICTURES for file in first
    )


def spec_of(job: TrainJob) -> ModelSpec:
    """The model that the job will make, as far as preparing images asks for it; no weights yet."""
    manifest = job.manifest
    return ModelSpec(
        id=job.name,
        title=job.title,
        version="",
        path=Path(),
        weights=Path(),
        channels=tuple(Channel(name, manifest.modality) for name in manifest.channels),
        labels=tuple(Label(n, name) for n, name in enumerate(manifest.classes, start=1)),
        activation="softmax",
        network={},
        preprocessing=preprocessing_steps(job),
        roi_size=job.sampling.patch,
        postprocessing=Postprocessing("argmax"),
        image_key=IMAGE,
        spacing_mm=job.preprocessing.spacing_mm,
    )


def _step(target: str, **arguments: Any) -> Step:
    return Step(target, {"keys": IMAGE, **arguments})


def _denoising(given: Preprocessing, flat: bool) -> list[Step]:
    # A picture has one voxel in depth, and MONAI's filters would mix it with the zeros around it.
    depth = 0 if flat else 1
    if given.denoise == "gaussian":
        sigma = [GAUSSIAN_SIGMA, GAUSSIAN_SIGMA, GAUSSIAN_SIGMA * depth]
        return [_step("GaussianSmoothd", sigma=sigma)]
    if given.denoise == "median":
        radius = [MEDIAN_RADIUS, MEDIAN_RADIUS, MEDIAN_RADIUS * depth]
        return [_step("MedianSmoothd", radius=radius)]
    if given.denoise == "curvature_anisotropic_diffusion":
        return [_step("CurvatureAnisotropicDiffusiond")]
    return []


def _resizing(size: tuple[int, int, int]) -> Step:
    """To so many voxels: smoothed before it gets coarser, interpolated where it gets finer."""
    return _step(
        "Resized",
        spatial_size=list(reversed(size)),
        mode="trilinear",
        align_corners=False,
        anti_aliasing=True,
    )


def _normalisation(given: Preprocessing) -> list[Step]:
    if given.normalisation == "z_score":
        return [_step("NormalizeIntensityd", channel_wise=True)]
    if given.normalisation == "z_score_nonzero":
        return [_step("NormalizeIntensityd", nonzero=True, channel_wise=True)]
    low, high = _bounds(given)
    if given.normalisation == "range":
        return [_range(low, high, 0.0, 1.0)]
    if given.mean is None or given.std is None or given.std <= 0:
        raise MedcnnError(
            "the normalisation of CT has no mean or no deviation",
            hint="measure them in the training cases, or choose another normalisation",
        )
    return [
        _range(low, high, low, high),
        _step("NormalizeIntensityd", subtrahend=given.mean, divisor=given.std),
    ]


def _bounds(given: Preprocessing) -> tuple[float, float]:
    if given.clip is None or not given.clip[0] < given.clip[1]:
        raise MedcnnError(
            f"the normalisation {given.normalisation!r} has no lower and upper bound",
            hint="state both, e.g. -1000 and 400 for a chest CT",
        )
    return float(given.clip[0]), float(given.clip[1])


def _range(low: float, high: float, b_min: float, b_max: float) -> Step:
    return _step("ScaleIntensityRanged", a_min=low, a_max=high, b_min=b_min, b_max=b_max, clip=True)
