"""Do maps of the classifier point at lesions: the pointing game on patches of real patients.

A patch is cut beside the middle of each lesion, by up to `SHIFT` voxels along each axis: were the
lesion always in the middle, a map that peaks there whatever the image would hit. A map hits when
its peak lies in any lesion of the patch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from napari_medcnn.core.events import JobControl, run_to_end
from napari_medcnn.core.explanation import Explanation, Method
from napari_medcnn.core.volume import Volume
from napari_medcnn.evaluation.localisation import localise
from napari_medcnn.inference.explain import explain
from napari_medcnn.inference.explain_check import randomised
from napari_medcnn.inference.lesion_patches import around_crop
from napari_medcnn.inference.preprocess import Prepared, prepare
from napari_medcnn.models.bundle import read_bundle
from napari_medcnn.models.networks import load_network
from napari_medcnn.models.spec import ModelSpec
from napari_medcnn.training.label_on_grid import label_on_grid
from recipes.flair_lesions.patients import PATIENTS
from recipes.lesion_classifier.patches import LESION, SIZE, patch_around
from recipes.lesion_classifier.places import lesion_centres
from recipes.lesion_classifier.real_scans import RealScan, real_scan

SHIFT = 4
"""Voxels of 1 mm; in training it is half as many."""

FRESH = 3
"""Networks with fresh weights."""

BLUR_MM = 1.0
"""The brightest place is looked for in an image that is so much smoother than its noise."""

Map = npt.NDArray[Any]
MakesMap = Callable[[Volume], Map]


@dataclass(frozen=True, eq=False)
class Patch:
    """A patch with a lesion as the classifier sees it, and its lesions ``(z, y, x)``."""

    volume: Volume
    lesions: npt.NDArray[np.bool_]


def pointing(bundle: Path, data: Path) -> dict[str, Any]:
    """Share of lesions that each map points at, by patient."""
    spec = read_bundle(bundle)
    ways = maps_of(spec)
    return {name: hits(list(patches_of(spec, real_scan(data, name))), ways) for name in PATIENTS}


def patches_of(spec: ModelSpec, scan: RealScan) -> Iterator[Patch]:
    """A patch at each lesion of a scan, a little beside its middle."""
    before, _ = around_crop(spec)
    prepared = _drained(scan.volume, before)
    truth = label_on_grid(scan.lesions.astype(np.int16), scan.volume, prepared.grid).numpy() > 0
    rng = np.random.default_rng(0)
    for centre in lesion_centres(truth):
        shifted = [
            c + int(d) for c, d in zip(centre, rng.integers(-SHIFT, SHIFT + 1, 3), strict=True)
        ]
        image, lesions = (
            np.ascontiguousarray(patch_around(array, shifted).transpose(2, 1, 0))
            for array in (prepared.tensor[0].numpy(), truth)
        )
        z, y, x = (c - SIZE // 2 for c in reversed(shifted))
        grid = prepared.grid.cropped((z, y, x), (SIZE, SIZE, SIZE))
        yield Patch(Volume(image, grid, name=scan.volume.name, modality="MR"), lesions)


def maps_of(spec: ModelSpec) -> dict[str, MakesMap]:
    """The classifier's maps, those of fresh weights, and what needs no network."""
    _, after = around_crop(spec)
    seen = replace(after, patch=None)
    network = load_network(spec)
    fresh = {f"fresh weights {n}": _map(seen, randomised(network, n)) for n in range(FRESH)}
    return {
        "gradcam": _map(seen, network),
        "gradcam++": _map(seen, network, "gradcam++"),
        **fresh,
        "brightest": lambda volume: ndimage.gaussian_filter(volume.array, BLUR_MM),
        "middle": _middle,
    }


def hits(patches: list[Patch], ways: dict[str, MakesMap]) -> dict[str, Any]:
    """Share of the patches in whose lesions each map peaks; those of fresh weights averaged."""
    found: dict[str, list[bool]] = {}
    for patch in patches:
        for title, way in ways.items():
            result = localise(way(patch.volume), patch.lesions, patch.volume.geometry)
            found.setdefault(title.rstrip(" 0123456789"), []).append(bool(result.hit))
    shares = {title: float(np.mean(one)) for title, one in found.items()}
    anywhere = float(np.mean([patch.lesions.mean() for patch in patches]))
    return {"lesions": len(patches), **shares, "any_voxel": anywhere}


def _map(spec: ModelSpec, network: torch.nn.Module, method: Method = "gradcam") -> MakesMap:
    def made(volume: Volume) -> Map:
        job = explain(volume, spec, method=method, target=LESION, network=network)
        return run_to_end(job, Explanation).array

    return made


def _middle(volume: Volume) -> Map:
    """A map that peaks in the middle whatever the image."""
    map_ = np.zeros(volume.array.shape)
    z, y, x = map_.shape
    map_[z // 2, y // 2, x // 2] = 1
    return map_


def _drained(volume: Volume, spec: ModelSpec) -> Prepared:
    events = prepare((volume,), spec, JobControl(), accept_findings=True)
    while True:
        try:
            next(events)
        except StopIteration as end:
            prepared: Prepared = end.value
            return prepared
