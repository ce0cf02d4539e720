"""Patches a second of a training job beside the limit, and beside MONAI's tutorial loop.

    python -m benchmarks.training_throughput [--data FOLDER] [--threads N] [--steps N] [--rounds N]

The limit is a bare loop over batches that are tensors in memory: same network, same optimiser, same
threads, nothing to prepare. Each loop runs `--rounds` times in turn with the bare one, from its
fourth step on; the table gives the median of the ratios, so that what else the machine does meets
both alike. The ratio in core time counts what all threads of the process computed, which hardly
depends on other programs; it leaves out MONAI's worker processes.

MONAI's loop is that of its tutorials: CacheDataset, RandCropByPosNegLabeld, DataLoader with worker
processes; with RandAffined and intensity transforms at the rates of ``standard`` where it augments.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import torch
from monai import transforms
from monai.data import CacheDataset, DataLoader
from monai.losses import DiceCELoss
from monai.networks.nets import UNet

from napari_medcnn.core.events import JobControl
from napari_medcnn.inference.device import torch_threads
from napari_medcnn.training.augmentation import PRESETS
from napari_medcnn.training.batches import Batches
from napari_medcnn.training.cache import CaseCache
from napari_medcnn.training.job import (
    AugmentationName,
    NetworkChoice,
    Preprocessing,
    Resources,
    Sampling,
    TrainJob,
)
from napari_medcnn.training.manifest import Manifest, Split, TrainCase

Pairs: TypeAlias = Iterator[tuple[torch.Tensor, torch.Tensor]]

DATA = Path(os.environ.get("MEDCNN_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
WARM_UP = 3
NO_END = 10_000


def main() -> None:
    """Print a row for each loop."""
    given = _arguments()
    job = hippocampus_job(given.data, given.cases, tuple(given.patch), given.batch)
    resources = Resources(device=given.device, threads=given.threads, workers=given.workers)
    with tempfile.TemporaryDirectory() as folder, torch_threads(given.threads):
        cache = CaseCache(job, Path(folder), given.budget_gb * 1e9)
        for _ in cache.prepare(job.split.train, JobControl()):
            pass
        bare = Loop(lambda: _in_memory(job, cache, resources), given.device)
        print(f"patch {given.patch}, batch {given.batch}, {given.threads} threads, {given.device}")
        print("| loop | patches/s | of the bare loop | lowest and highest | in core time |")
        print("| --- | --- | --- | --- | --- |")
        for name, pairs in _loops(job, cache, resources, given):
            loop = Loop(pairs, given.device)
            pairs_of_rates = [
                (bare.rate(given.steps), loop.rate(given.steps)) for _ in range(given.rounds)
            ]
            ratios = [ours.per_s / limit.per_s for limit, ours in pairs_of_rates]
            core = [ours.per_core_s / limit.per_core_s for limit, ours in pairs_of_rates]
            rate = statistics.median(ours.per_s for _, ours in pairs_of_rates)
            print(
                f"| {name} | {rate:.2f} | {statistics.median(ratios):.3f} "
                f"| {min(ratios):.3f} to {max(ratios):.3f} | {statistics.median(core):.3f} |",
                flush=True,
            )


@dataclass(frozen=True)
class Rate:
    """Patches a second of wall time, and of time that the process's threads computed."""

    per_s: float
    per_core_s: float


class Loop:
    """A training loop over batches that `pairs` starts anew; its network is always the same."""

    def __init__(self, pairs: Callable[[], Pairs], device: str) -> None:
        self._pairs, self._device = pairs, device
        torch.manual_seed(0)
        self._network = UNet(3, 1, 3, (16, 32, 64, 128), (2, 2, 2), num_res_units=2).to(device)
        self._optimiser = torch.optim.AdamW(self._network.parameters(), 1e-3)
        self._loss = DiceCELoss(to_onehot_y=True, softmax=True)

    def rate(self, steps: int) -> Rate:
        """Patches a second over so many steps, after a few to warm up."""
        seen, start, core = 0, 0.0, 0.0
        with closing(self._pairs()) as pairs:  # type: ignore[type-var]
            for number, (image, target) in enumerate(pairs):
                self._step(image, target)
                if number == WARM_UP - 1:
                    self._finish()
                    seen, start, core = 0, time.perf_counter(), time.process_time()
                seen += image.shape[0] if number >= WARM_UP else 0
                if number == WARM_UP + steps - 1:
                    break
            self._finish()
            wall, cpu = time.perf_counter() - start, time.process_time() - core
            return Rate(seen / wall, seen / cpu)

    def _step(self, image: torch.Tensor, target: torch.Tensor) -> None:
        image = image.to(self._device, non_blocking=True)
        target = target.to(self._device, non_blocking=True)
        self._optimiser.zero_grad(set_to_none=True)
        self._loss(self._network(image), target).backward()
        self._optimiser.step()

    def _finish(self) -> None:
        if self._device.startswith("cuda"):
            torch.cuda.synchronize()


def hippocampus_job(data: Path, cases: int, patch: tuple[int, int, int], batch: int) -> TrainJob:
    """A job on the first cases of the hippocampus data."""
    folder = data / "hippocampus"
    images = sorted((folder / "images").glob("*.nii.gz"))[:cases]
    found = tuple(
        TrainCase(p.name.removesuffix(".nii.gz"), (p,), label=folder / "labels" / p.name)
        for p in images
    )
    return TrainJob(
        name="throughput",
        title="Throughput",
        manifest=Manifest(
            "hippocampus", "segmentation", ("MR",), ("anterior", "posterior"), found, "MR"
        ),
        split=Split(tuple(case.id for case in found), ()),
        preprocessing=Preprocessing(spacing_mm=(1.0, 1.0, 1.0)),
        network=NetworkChoice("UNet"),
        sampling=Sampling(patch, batch, NO_END),
        augmentation="none",
    )


def _loops(
    job: TrainJob, cache: CaseCache, resources: Resources, given: argparse.Namespace
) -> Iterator[tuple[str, Callable[[], Pairs]]]:
    yield "bare, again", lambda: _in_memory(job, cache, resources)
    for preset in PRESETS:
        yield f"job, {preset}", lambda preset=preset: _ours(job, cache, resources, preset)
    if not given.skip_monai:
        for augment in (False, True):
            dataset = _monai_dataset(job, augment)
            for workers in (0, given.monai_workers):
                what = "like standard" if augment else "none"
                yield (
                    f"MONAI, {what}, {workers} worker processes",
                    lambda dataset=dataset, workers=workers: _monai(dataset, job, workers),
                )


def _ours(job: TrainJob, cache: CaseCache, resources: Resources, preset: AugmentationName) -> Pairs:
    batches = Batches(replace(job, augmentation=preset), cache, resources)
    with closing(batches.epoch(0)) as epoch:
        for batch in epoch:
            yield batch.image, batch.target


def _in_memory(job: TrainJob, cache: CaseCache, resources: Resources) -> Pairs:
    with closing(_ours(job, cache, resources, "none")) as ours:  # type: ignore[type-var]
        stored = [next(ours) for _ in range(8)]
    while True:
        yield from stored


def _monai_dataset(job: TrainJob, augment: bool) -> CacheDataset:
    """As in MONAI's tutorials of three-dimensional segmentation."""
    keys = ("image", "label")
    x, y, z = reversed(job.sampling.patch)
    steps: list[Any] = [
        transforms.LoadImaged(keys),
        transforms.EnsureChannelFirstd(keys),
        transforms.Orientationd(keys, axcodes="RAS", labels=None),
        transforms.Spacingd(keys, pixdim=(1.0, 1.0, 1.0), mode=("bilinear", "nearest")),
        transforms.NormalizeIntensityd("image", channel_wise=True),
        transforms.SpatialPadd(keys, (x, y, z)),
        transforms.RandCropByPosNegLabeld(
            keys, label_key="label", spatial_size=(x, y, z), pos=1, neg=1, num_samples=1
        ),
    ]
    if augment:
        steps += [
            transforms.RandAffined(
                keys,
                prob=0.36,
                rotate_range=(0.52, 0.52, 0.52),
                scale_range=(0.35, 0.35, 0.35),
                mode=("bilinear", "nearest"),
                padding_mode="zeros",
            ),
            *(transforms.RandFlipd(keys, prob=0.5, spatial_axis=axis) for axis in range(3)),
            transforms.RandSimulateLowResolutiond("image", prob=0.125, zoom_range=(0.5, 1.0)),
            transforms.RandGaussianSmoothd("image", prob=0.1),
            transforms.RandShiftIntensityd("image", prob=0.15, offsets=0.25),
            transforms.RandAdjustContrastd("image", prob=0.3, gamma=(0.7, 1.5)),
            transforms.RandGaussianNoised("image", prob=0.1, std=0.3),
        ]
    cases = [{"image": str(c.images[0]), "label": str(c.label)} for c in job.manifest.cases]
    return CacheDataset(cases, transforms.Compose(steps), cache_rate=1.0, progress=False)


def _monai(dataset: CacheDataset, job: TrainJob, workers: int) -> Pairs:
    loader = DataLoader(
        dataset,
        batch_size=job.sampling.batch,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    while True:
        for batch in loader:
            yield batch["image"].as_tensor(), batch["label"].as_tensor()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--patch", type=int, nargs=3, default=(40, 56, 40), metavar="N")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=None, help="threads of the job")
    parser.add_argument("--monai-workers", type=int, default=2)
    parser.add_argument("--budget-gb", type=float, default=4.0, help="0: all in mapped files")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--skip-monai", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
