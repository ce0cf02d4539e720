"""Jobs on real and on made images, for the tests of what a network sees in training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from napari_medcnn.training.job import NetworkChoice, Preprocessing, Sampling, TrainJob
from napari_medcnn.training.manifest import Manifest, Split, TrainCase


def job_of(
    cases: tuple[TrainCase, ...],
    *,
    classes: tuple[str, ...] = ("anterior", "posterior"),
    channels: tuple[str, ...] = ("MR",),
    values: tuple[int, ...] = (),
    task: Any = "segmentation",
    modality: str = "MR",
    dimensions: int = 3,
    preprocessing: Preprocessing = Preprocessing(),  # noqa: B008
    sampling: Sampling = Sampling((16, 24, 16), batch=4, steps_per_epoch=3),  # noqa: B008
    **fields: Any,
) -> TrainJob:
    """A job whose training cases are all of `cases`."""
    manifest = Manifest("data", task, channels, classes, cases, modality, values)
    return TrainJob(
        name="seen",
        title="Seen",
        manifest=manifest,
        split=Split(tuple(case.id for case in cases), ()),
        preprocessing=preprocessing,
        network=NetworkChoice("UNet", dimensions),
        sampling=sampling,
        **{"augmentation": "none", **fields},
    )


def hippocampus_cases(shared_data: Path, count: int = 3) -> tuple[TrainCase, ...]:
    """The first cases of the hippocampus data."""
    folder = shared_data / "hippocampus"
    images = sorted((folder / "images").glob("*.nii.gz"))[:count]
    return tuple(
        TrainCase(p.name.removesuffix(".nii.gz"), (p,), label=folder / "labels" / p.name)
        for p in images
    )


def sarcoma_case(shared_data: Path, image: str = "MR_T1") -> TrainCase:
    """A scan of a sarcoma with thick slices."""
    folder = shared_data / "sarcoma" / "nifti" / "STS_008"
    return TrainCase(
        f"STS_008 {image}",
        (folder / f"{image}_image.nii.gz",),
        label=folder / f"{image}_mask.nii.gz",
    )


def slice_cases(shared_data: Path, per_class: int = 2) -> tuple[TrainCase, ...]:
    """Pictures of brains, a few of each class."""
    folder = shared_data / "brain_tumor_slices" / "test"
    return tuple(
        TrainCase(picture.stem, (picture,), target=kind.name)
        for kind in sorted(folder.iterdir())
        for picture in sorted(kind.glob("*.jpg"))[:per_class]
    )


def write_image(
    path: Path,
    array: npt.NDArray[Any],
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Path:
    """Write ``(z, y, x)`` with a spacing ``(z, y, x)`` in mm and an origin ``(x, y, z)`` in LPS."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing[::-1])
    image.SetOrigin(origin)
    sitk.WriteImage(image, str(path))
    return path


def write_case(
    folder: Path, number: int = 0, shape: tuple[int, int, int] = (12, 20, 16)
) -> TrainCase:
    """A noisy image with a bright box of class 1 beside one of class 2."""
    rng = np.random.default_rng(number)
    label = np.zeros(shape, np.uint8)
    z, y, x = (n // 4 for n in shape)
    label[z : 2 * z, y : 2 * y, x : 3 * x] = 1
    label[2 * z : 3 * z, y : 2 * y, x : 3 * x] = 2
    image = rng.standard_normal(shape).astype(np.float32) + 3 * label
    name = f"case{number}"
    spacing = (2.0, 1.0, 1.0)
    return TrainCase(
        name,
        (write_image(folder / f"{name}.nii.gz", image, spacing),),
        label=write_image(folder / f"{name}_label.nii.gz", label, spacing),
    )
