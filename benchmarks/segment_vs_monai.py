"""A CT of 512 × 512 × 160 voxels and 14 classes: this package beside MONAI, same weights.

    python -m benchmarks.segment_vs_monai [--shape X Y Z] [--classes N] [--skip-monai]

Each runs in a process of its own, imports, reading and writing included. MONAI's side is
$MEDCNN_PEER, a script that runs a bundle by its own configuration (BUNDLE OUT IMAGE); without it,
the steps in ``benchmarks.segment``. Cold is the first run of a model on a machine, which measures
and converts its network; warm is every later one.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from benchmarks import segment
from benchmarks.large_ct import make_bundle, make_ct
from benchmarks.measuring import Measured, measure

SPACING = (0.8, 0.8, 2.5)
PEER = Path(
    os.environ.get(
        "MEDCNN_PEER", Path(__file__).resolve().parents[2] / "shared" / "checks" / "peer_bundle.py"
    )
)

OURS = """
import napari_medcnn as mc
bundle, image, out, backend, reuse = sys.argv[1:]
volume = mc.read(image)[0]
result = mc.segment(volume, bundle, backend=backend, reuse_empty=reuse == "reuse")
mc.write(result, out, volume=volume)
print("RUN", {k: result.parameters[k] for k in ("backend", "windows", "windows_reused", "seconds",
    "predicted_peak_memory_bytes")})
"""


def main() -> None:
    """Print a line a run, and the ratios to MONAI's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", type=int, nargs=3, default=(512, 512, 160))
    parser.add_argument("--classes", type=int, default=14)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--skip-monai", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        image = make_ct(folder / "ct.nii.gz", tuple(given.shape), SPACING)
        bundle = make_bundle(folder / "bundle", given.classes, image)
        os.environ["MEDCNN_CACHE"] = str(folder / "cache")
        runs = {}
        for label, reuse in (("cold", "reuse"), ("warm", "reuse"), ("warm, no reuse", "every")):
            out = folder / "ours.nii.gz"
            arguments = (str(bundle), str(image), str(out), given.backend, reuse)
            runs[label] = measure(OURS, *arguments)
            print(f"napari-medcnn, {label:15} {runs[label]}", flush=True)
        if not given.skip_monai:
            _beside(runs, folder, bundle, image)


def _beside(runs: dict[str, Measured], folder: Path, bundle: Path, image: Path) -> None:
    peer_out = folder / "peer" / "monai.nii.gz"
    peer_out.parent.mkdir()
    if PEER.is_file():
        body = f"import runpy\nrunpy.run_path({str(PEER)!r}, run_name='__main__')"
    else:
        body = segment.MONAI
    order = (bundle, peer_out, image) if PEER.is_file() else (bundle, image, peer_out)
    peer = measure(body, *map(str, order))
    print(f"MONAI                           {peer}")
    for label, ours in runs.items():
        time, memory = peer.seconds / ours.seconds, ours.peak_gb / peer.peak_gb
        cores = peer.cpu_seconds / ours.cpu_seconds
        print(
            f"{label:15} {time:5.2f} × as fast ({cores:.2f} × by time of cores), "
            f"{memory:6.1%} of the memory"
        )
    ours, theirs = (
        sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
        for path in (folder / "ours.nii.gz", peer_out)
    )
    labels = [label for label in np.unique(theirs) if label]
    dice = [_dice(ours == label, theirs == label) for label in labels]
    print(
        f"same label: {(ours == theirs).mean():.4%} of the voxels; "
        f"mean Dice {np.mean(dice):.5f}, worst {np.min(dice):.5f} of {len(labels)} classes"
    )


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


if __name__ == "__main__":
    main()
