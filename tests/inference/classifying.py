"""Classify made images, and let MONAI run the same bundle."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from monai.bundle import ConfigParser

from napari_medcnn.core.classification import Classification
from napari_medcnn.core.events import Event, run_to_end
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.lesion import LesionTable
from napari_medcnn.core.segmentation import Label, Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.imaging.lesions import find_lesions
from napari_medcnn.inference.classify import classify
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.models.spec import ModelSpec

CPU = RunOptions(device="cpu", threads=1)
AGREEMENT = 1e-5


def classified(
    volume: Volume | list[Volume], spec: ModelSpec, events: list[Event] | None = None, **how: Any
) -> Classification:
    job = classify(volume, spec, **({"options": CPU} | how))
    return run_to_end(job, Classification, None if events is None else events.append)


def by_monai(bundle: Path, file: Path) -> np.ndarray:
    """What the bundle's own steps give for an image file, run by MONAI alone."""
    parser = ConfigParser()
    parser.read_config(str(bundle / "configs" / "inference.json"))
    parser["bundle_root"] = str(bundle)
    parser["device"] = "$torch.device('cpu')"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MONAI's loader, and of a default of Orientationd
        case = parser.get_parsed_content("preprocessing")({"image": str(file)})
    network = parser.get_parsed_content("network")
    parser.get_parsed_content("initialize")
    image = case["image"][None]
    flat = parser["network_def"]["spatial_dims"] == 2
    with torch.inference_mode():
        logits = network.eval()(image[..., 0] if flat else image)[0]
    done = parser.get_parsed_content("postprocessing")({**case, "pred": logits})
    return np.asarray(done["pred"])


def scan(shape: tuple[int, int, int] = (9, 24, 20), seed: int = 0) -> Volume:
    rng = np.random.default_rng(seed)
    array = rng.uniform(0, 255, shape).astype(np.float32)
    return Volume(array, Geometry.from_spacing(shape, (2.0, 1.0, 1.5), (-7.0, 3.0, 11.0)))


def written(array: np.ndarray, file: Path, spacing: tuple[float, ...] = (1, 1, 1)) -> Path:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    sitk.WriteImage(image, str(file))
    return file


def lesions_of(volume: Volume, *centres: tuple[int, int, int]) -> LesionTable:
    """Lesions of 3 x 3 x 3 voxels; the order of their ids is that of their size, else any."""
    drawn = np.zeros(volume.geometry.shape, np.uint8)
    for z, y, x in centres:
        drawn[max(z - 1, 0) : z + 2, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2] = 1
    labels = (Label(1, "lesion"),)
    return find_lesions(Segmentation(drawn, volume.geometry, labels, volume.id), volume)
