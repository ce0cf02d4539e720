"""What tests of exported bundles need: networks, and labels by MONAI."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from napari_medcnn.core.events import run_to_end
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.inference.segment import segment
from napari_medcnn.io.read import read
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.training.export import Exported, finish
from napari_medcnn.training.job import TrainJob
from napari_medcnn.training.networks import build
from tests.training.made_run import (
    checkpoint,
)

CPU = RunOptions(device="cpu", backend="torch", threads=1)


def trained_network(job: TrainJob, seed: int = 0) -> torch.nn.Module:
    network = build(job)
    network.load_state_dict(checkpoint(job, seed).weights)
    return network.eval()


def labels_of(bundle: Path, *images: Path) -> Segmentation:
    volumes = [volume for image in images for volume in read(image)]
    return run_to_end(segment(volumes, read_bundle(bundle), options=CPU), Segmentation)


def in_file_order(result: Segmentation, image: Path) -> np.ndarray:
    (volume,) = read(image)
    return volume.on_source_grid(result.array)[0].transpose(2, 1, 0)


def by_monai(bundle: Path, folder: Path, out: Path) -> Path:
    from monai.bundle import run

    run(
        config_file=str(bundle / "configs" / "inference.json"),
        bundle_root=str(bundle),
        dataset_dir=str(folder),
        output_dir=str(out),
        device="$torch.device('cpu')",
    )
    (found,) = out.glob("*_labels.nii.gz")
    return found


def finished(run: Path) -> Exported:
    return run_to_end(finish(run), Exported)
