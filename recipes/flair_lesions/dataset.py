"""Training volumes on disk: generated beforehand, read by memory map while training."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt

FIRST_SEED = 10_000
"""Seed of the first synthetic training volume; the sample data use seeds far from these."""


@dataclass(frozen=True)
class StoredExample:
    """Files of a training volume (x, y, z): image, float16 in brain medians; mask, uint8."""

    image: Path
    lesions: Path

    def load(self) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.uint8]]:
        """Memory-mapped image and mask."""
        return np.load(self.image, mmap_mode="r"), np.load(self.lesions, mmap_mode="r")


def store(
    folder: Path, name: str, image: npt.NDArray[np.float32], lesions: npt.NDArray[np.uint8]
) -> StoredExample:
    """Write one example under `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    stored = StoredExample(folder / f"{name}_image.npy", folder / f"{name}_lesions.npy")
    np.save(stored.lesions, lesions)
    np.save(stored.image, image.astype(np.float16))
    return stored


def generate(folder: Path, first: int, last: int, processes: int) -> list[StoredExample]:
    """Generate the volumes from number `first` to before `last` into `folder`, one seed each."""
    jobs = [(folder, FIRST_SEED + number) for number in range(first, last)]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        return list(pool.map(_generate_one, jobs))


def _generate_one(job: tuple[Path, int]) -> StoredExample:
    import torch

    from recipes.flair_lesions.synthesis import synthetic_example

    folder, seed = job
    torch.set_num_threads(1)
    example = synthetic_example(seed)
    return store(folder, f"synthetic_{seed}", example.image, example.lesions)
