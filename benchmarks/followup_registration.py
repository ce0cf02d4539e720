"""How far our rigid registration of real follow-ups is from the reference that comes with them.

    python -m benchmarks.followup_registration [--data FOLDER]

Two patients with multiple sclerosis, two raw FLAIR studies each, skull on, slices of 3 to 4 mm. The
data's own transforms map a point of a common space into each study. The brain mask lies in that
space, so that its voxels have a place in both studies; registered, study 1's place leads to one in
study 2, and what is between that and the reference's is the error. Reference transforms are a
registration too, and not the truth.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from benchmarks.training_runs import DATA
from napari_medcnn.core.events import run_to_end
from napari_medcnn.core.geometry import FloatArray, Geometry
from napari_medcnn.core.registration import Registration
from napari_medcnn.followup.register import register
from napari_medcnn.followup.spatial_transform import map_points
from napari_medcnn.io.read import read

PATIENTS = ("patient01", "patient03")
EVERY = 20
"""Of the mask's voxels: some tens of thousands are left."""


def main() -> None:
    """Print a line for each patient."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    folder = parser.parse_args().data / "ms_longitudinal"
    print("| patient | mean mm | 95th percentile | by headers alone | seconds | plausible |")
    print("| --- | --- | --- | --- | --- | --- |")
    for patient in PATIENTS:
        print(_row(folder / patient), flush=True)


def _row(folder: Path) -> str:
    (first,), (second,) = (read(folder / f"study{n}_FLAIR.nii.gz") for n in (1, 2))
    here, there = (_reference(folder, n, _brain_points(folder)) for n in (1, 2))
    start = time.perf_counter()
    found = run_to_end(register(first, second), Registration)
    seconds = time.perf_counter() - start
    off = np.linalg.norm(map_points(found.transform, here) - there, axis=1)
    unmoved = np.linalg.norm(here - there, axis=1)
    cells = (
        folder.name,
        f"{off.mean():.2f}",
        f"{np.percentile(off, 95):.2f}",
        f"{unmoved.mean():.2f}",
        f"{seconds:.0f}",
        "yes" if found.quality.plausible else "; ".join(found.quality.warnings),
    )
    return f"| {' | '.join(cells)} |"


def _brain_points(folder: Path) -> FloatArray:
    """LPS mm ``(n, 3)`` of the brain mask's voxels in the common space."""
    image = nib.load(folder / "brainmask.nii.gz")
    mask = np.asarray(image.dataobj).transpose(2, 1, 0) > 0
    geometry = Geometry.from_ras_affine(mask.shape, image.affine)
    return geometry.index_to_lps(np.argwhere(mask)[::EVERY])


def _reference(folder: Path, study: int, points: FloatArray) -> FloatArray:
    """Where points of the common space lie in a study."""
    transform = sitk.ReadTransform(str(folder / f"study{study}_FLAIR_to_common_space.txt"))
    return np.array([transform.TransformPoint(point.tolist()) for point in points])


if __name__ == "__main__":
    main()
