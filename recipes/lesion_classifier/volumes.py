"""The synthetic volumes whose patches teach, as files: those of the lesion model's recipe."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import nibabel as nib
import numpy as np

from napari_medcnn.core.atomic import replacing
from recipes.flair_lesions.dataset import FIRST_SEED
from recipes.flair_lesions.template import BoolArray, FloatArray

TEACHING, CHOOSING = 100, 16
"""Volumes that teach, and further ones that choose the best state and fit the temperature."""


@dataclass(frozen=True)
class SyntheticVolume:
    """Files of one volume at 1 mm in RAS: the image in medians of its brain, and its lesions."""

    name: str
    image: Path
    lesions: Path

    def load(self) -> tuple[FloatArray, BoolArray]:
        """Image and lesions ``(x, y, z)``."""
        image = np.asarray(nib.load(self.image).dataobj, dtype=np.float32)
        return image, np.asarray(nib.load(self.lesions).dataobj) != 0


def synthetic_volumes(folder: Path, processes: int) -> tuple[SyntheticVolume, ...]:
    """Generate the volumes into `folder`, one seed each; those that are there stay."""
    folder.mkdir(parents=True, exist_ok=True)
    seeds = range(FIRST_SEED, FIRST_SEED + TEACHING + CHOOSING)
    volumes = tuple(_volume(folder, seed) for seed in seeds)
    jobs = [
        (volume, seed)
        for volume, seed in zip(volumes, seeds, strict=True)
        if not volume.lesions.is_file()
    ]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        list(pool.map(_generate, jobs))
    return volumes


def _volume(folder: Path, seed: int) -> SyntheticVolume:
    name = f"synthetic_{seed}"
    return SyntheticVolume(name, folder / f"{name}_flair.nii.gz", folder / f"{name}_lesions.nii.gz")


def _generate(job: tuple[SyntheticVolume, int]) -> None:
    from recipes.flair_lesions.synthesis import synthetic_example
    from recipes.flair_lesions.template import load_template

    volume, seed = job
    example = synthetic_example(seed)
    affine = load_template().affine
    # The lesions come last: where they are, both files are whole.
    for path, array in ((volume.image, example.image), (volume.lesions, example.lesions)):
        with replacing(path) as temporary:
            nib.save(nib.Nifti1Image(array, affine), temporary)
