"""The shipped model on raw head scans: how much it marks outside the brain, with and without mask.

Run it as ``python -m benchmarks.raw_scans DATA`` with the folder that holds ``ms_longitudinal``
(Lesjak et al. 2017, CC BY). "Outside" is the share of the marked volume that lies outside the data
set's own brain mask, brought to each scan by the data set's own transform. Contact sheets of the
results go to the folder of ``--pictures``.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_medcnn.core.events import run_to_end
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.imaging.lesions import find_lesions
from napari_medcnn.inference.segment import segment
from napari_medcnn.io.read import read
from napari_medcnn.models.registry import find_model
from napari_medcnn.models.spec import ModelSpec
from napari_medcnn.report.overlay import write_overlay
from recipes.brain_extraction.real_scans import real_scans


def main() -> None:
    """Print volume and share outside for each raw scan."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--pictures", type=Path)
    options = parser.parse_args()
    spec = find_model("flair_lesions")
    print("scan                      masked mL  outside | unmasked mL  outside")
    for scan in real_scans(options.data):
        if scan.truth is None:
            continue
        path = options.data / "ms_longitudinal" / f"{scan.name}.nii.gz"
        (volume,) = read(path)
        brain = volume.source.axes.apply(scan.truth)
        masked = run_to_end(segment(volume, spec), Segmentation)
        unmasked = run_to_end(segment(volume, _without_mask(spec)), Segmentation)
        print(f"{scan.name:26}{_share(masked, volume, brain)} | {_share(unmasked, volume, brain)}")
        if options.pictures:
            table = find_lesions(masked, volume, min_volume_mm3=spec.min_lesion_volume_mm3)
            picture = options.pictures / f"{scan.name.replace('/', '_')}.png"
            write_overlay(volume, masked, table, picture)


def _without_mask(spec: ModelSpec) -> ModelSpec:
    """The model whose brain mask sets the intensity scale only, and removes nothing."""
    steps = tuple(
        replace(step, arguments=step.arguments | {"apply": False})
        if step.target.endswith("BrainMaskd")
        else step
        for step in spec.preprocessing
    )
    return replace(spec, preprocessing=steps)


def _share(segmentation: Segmentation, volume: Volume, brain: np.ndarray) -> str:
    marked = segmentation.array > 0
    millilitres = marked.sum() * volume.geometry.voxel_volume_mm3 / 1000
    outside = (marked & ~brain).sum() / max(marked.sum(), 1)
    return f"{millilitres:9.2f}  {outside:7.2%}"


if __name__ == "__main__":
    main()
