"""The classifier's data set: patches of the synthetic volumes, each a case of its volume."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from napari_medcnn.training.manifest import Manifest, Split, TrainCase
from recipes.flair_lesions.baseline import white_matter
from recipes.lesion_classifier.candidates import candidates
from recipes.lesion_classifier.patches import CLASSES, patch_around, write_patch
from recipes.lesion_classifier.places import Mask, Place, places, places_of_candidates
from recipes.lesion_classifier.volumes import TEACHING, SyntheticVolume

MINED_EVERY = 8
"""The lesion model is run on every eighth volume: it takes longer than all the rest."""


@dataclass(frozen=True, eq=False)
class _Job:
    volume: SyntheticVolume
    number: int
    folder: Path
    white_matter: Mask


def patch_cases(
    volumes: tuple[SyntheticVolume, ...], folder: Path, processes: int
) -> tuple[TrainCase, ...]:
    """Cut the patches of every volume into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    matter = white_matter(volumes[0].image)  # all lie on the template's grid
    jobs = [_Job(volume, number, folder, matter) for number, volume in enumerate(volumes)]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        return tuple(case for cases in pool.map(_cut, jobs) for case in cases)


def data_set(
    cases: tuple[TrainCase, ...], volumes: tuple[SyntheticVolume, ...]
) -> tuple[Manifest, Split]:
    """Patches of the first volumes teach, those of the last choose."""
    manifest = Manifest(
        name="patches of synthetic white-matter lesions",
        task="classification",
        channels=("FLAIR",),
        classes=CLASSES,
        cases=cases,
        modality="MR",
        licence="BSD-3-Clause; template notice in LICENSE",
        description="patches of synthetic FLAIR volumes made from the ICBM 2009a symmetric "
        "template, with and without a lesion in the middle",
    )
    teaching = {volume.name for volume in volumes[:TEACHING]}
    return manifest, Split(
        train=tuple(case.id for case in cases if case.patient in teaching),
        validation=tuple(case.id for case in cases if case.patient not in teaching),
        groups={case.id: case.patient or case.id for case in cases},
        notes=("No patient's image is among the cases.",),
    )


def _cut(job: _Job) -> list[TrainCase]:
    """The patches of one volume, written to files that are named after what they are of."""
    image, lesions = job.volume.load()
    found: list[Place] = []
    found += places(image, lesions, job.white_matter, np.random.default_rng(job.number))
    if job.number % MINED_EVERY == 0:
        found += places_of_candidates(candidates(job.volume), lesions)
    cases = []
    for number, place in enumerate(found):
        name = f"{job.volume.name}_{number:03}_{place.kind}"
        path = job.folder / f"{name}.nii"
        write_patch(path, patch_around(image, place.centre))
        cases.append(TrainCase(name, (path,), job.volume.name, target=place.target))
    return cases
