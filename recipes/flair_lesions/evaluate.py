"""Figures of a model on whole scans, by the bundle's own steps from file to label."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import Compose

from napari_medcnn.core.errors import MedcnnError
from recipes.flair_lesions.baseline import best_threshold, evened, white_matter
from recipes.flair_lesions.bundle import THRESHOLD, inference_config
from recipes.flair_lesions.metrics import Score, score
from recipes.flair_lesions.network import build_network
from recipes.flair_lesions.patients import PATIENTS, Scan, ms_flair, read_ras
from recipes.flair_lesions.template import FloatArray
from recipes.flair_lesions.training import StateDict


@dataclass(frozen=True)
class Pipeline:
    """The bundle's steps, built by MONAI; the network's weights are set per model."""

    preprocessing: Any
    inferer: Any
    to_image_grid: Any


def build_pipeline() -> Pipeline:
    """Preprocessing, inferer, and the way back to the image's grid as probabilities."""
    config = ConfigParser(inference_config())
    preprocessing = config.get_parsed_content("preprocessing")
    finish = config.get_parsed_content("postprocessing").transforms[:2]
    return Pipeline(preprocessing, config.get_parsed_content("inferer"), Compose(finish))


def prepare(pipeline: Pipeline, image: Path) -> dict[str, Any]:
    """A scan as the network gets it; the slow part, shared by all models."""
    return pipeline.preprocessing({"image": str(image)})


def probability(pipeline: Pipeline, weights: StateDict, case: dict[str, Any]) -> FloatArray:
    """Probability of lesion on the scan's own grid, in the file's axis order."""
    network = build_network()
    network.load_state_dict(weights)
    network.eval()
    with torch.inference_mode():
        logits = pipeline.inferer(inputs=case["image"][None], network=network)[0]
    if not isinstance(logits, MetaTensor):
        logits = MetaTensor(logits, meta=case["image"].meta)
    finished = pipeline.to_image_grid({**case, "pred": logits})["pred"]
    return np.asarray(finished[0], dtype=np.float32)


def score_scan(
    pipeline: Pipeline, weights: StateDict, scan: Scan, case: dict[str, Any]
) -> dict[str, Any]:
    """Score a model on one scan, with its seconds of inference."""
    start = time.perf_counter()
    found = probability(pipeline, weights, case) >= THRESHOLD
    seconds = time.perf_counter() - start
    truth = nib.load(scan.truth)
    voxel_mm3 = float(np.prod(truth.header.get_zooms()[:3]))
    return figures(score(found, np.asarray(truth.dataobj), voxel_mm3)) | {
        "inference_seconds": round(seconds, 1)
    }


def baseline_figures(data: Path) -> dict[str, Any]:
    """The intensity baseline on each patient, its threshold chosen on the other one."""
    scans = {patient: ms_flair(data, patient) for patient in PATIENTS}
    result = {}
    for patient, scan in scans.items():
        (other,) = (scans[name] for name in PATIENTS if name != patient)
        level = best_threshold(other)
        truth, _ = read_ras(scan.truth)
        found = (evened(scan) > level) & white_matter(scan.image)
        result[patient] = figures(score(found, truth, 1.0)) | {"threshold_in_brain_medians": level}
    return result


def out_of_domain(
    pipeline: Pipeline, weights: StateDict, data: Path, workspace: Path
) -> dict[str, Any]:
    """The model on what it was never meant for, with the refusal where it refuses."""
    brats = data / "brats2013" / "pat0001"
    stroke = data / "stroke_t2"
    scans = [
        Scan("stroke_t2", stroke / "T2.nii.gz", stroke / "lesionT2.nii.gz"),
        Scan("brats2013", brats / "flair.nii.gz", brats / "tumour.nii.gz"),
        Scan(
            "brats2013, z-score shifted to start at zero",
            _shifted(brats / "flair.nii.gz", workspace),
            brats / "tumour.nii.gz",
        ),
    ]
    result = {}
    for scan in scans:
        try:
            case = prepare(pipeline, scan.image)
        except (MedcnnError, RuntimeError) as error:
            cause = error.__cause__ if isinstance(error.__cause__, MedcnnError) else error
            result[scan.name] = {"refused": str(cause).splitlines()[0]}
            continue
        result[scan.name] = score_scan(pipeline, weights, scan, case)
    return result


def _shifted(path: Path, workspace: Path) -> Path:
    """A copy of a z-scored scan whose background is zero and whose values are not below it."""
    image = nib.load(path)
    array = np.asarray(image.dataobj, dtype=np.float32)
    workspace.mkdir(parents=True, exist_ok=True)
    target = workspace / "brats2013_shifted.nii.gz"
    nib.save(nib.Nifti1Image(array - array.min(), image.affine), target)
    return target


def figures(result: Score) -> dict[str, Any]:
    """A score rounded for JSON; a share that does not exist is null."""
    return {
        name: (None if value != value else round(value, 3))
        for name, value in asdict(result).items()
    }
