"""Figures of the shipped bundle on real scans it never saw, and a contact sheet of each.

Run with ``python recipes/brain_extraction/evaluate.py --data FOLDER --out FOLDER``. The sheets show
whole heads: keep them out of the repository.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from real_scans import RealScan, real_scans

from napari_medcnn.imaging.resample import isotropic_grid, resample
from napari_medcnn.inference.brain import BrainMask, brain_mask


def agreement(mask: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Dice, share of the data's mask that is missed, share of ours that lies outside it."""
    both = float((mask & truth).sum())
    return {
        "dice": round(2 * both / float(mask.sum() + truth.sum()), 4),
        "missed": round(1 - both / float(truth.sum()), 4),
        "outside": round(1 - both / float(mask.sum()), 4),
    }


def judge(scan: RealScan) -> tuple[dict[str, object], BrainMask]:
    """Run the shipped bundle on one scan."""
    begun = time.perf_counter()
    found = brain_mask(scan.array, scan.geometry)
    row: dict[str, object] = {
        "scan": scan.name,
        "method": found.method,
        "volume_ml": round(found.volume_ml),
        "seconds": round(time.perf_counter() - begun, 2),
        "warnings": list(found.warnings),
    }
    if scan.truth is not None:
        row |= agreement(found.mask, scan.truth)
    return row, found


def contact_sheet(scan: RealScan, mask: np.ndarray, file: Path) -> None:
    """Draw seven slices in each of three planes: ours red, the data's own mask green."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    grid = isotropic_grid(scan.geometry, 1.5)
    image = resample(scan.array.astype(np.float32), scan.geometry, grid)
    outlines = [(resample(mask.astype(np.float32), scan.geometry, grid), "red")]
    if scan.truth is not None:
        outlines.append((resample(scan.truth.astype(np.float32), scan.geometry, grid), "lime"))
    figure, axes = plt.subplots(3, 7, figsize=(16, 7.5))
    top = float(np.percentile(image[image > image.min()], 99.5))
    for plane, row in enumerate(axes):
        others = tuple(a for a in range(3) if a != plane)
        seen = np.where((outlines[0][0] > 0.5).any(axis=others))[0]
        ends = (seen[0], seen[-1]) if len(seen) else (0, image.shape[plane] - 1)
        for cell, index in zip(row, np.linspace(*ends, len(row)).astype(int), strict=True):
            flip = slice(None, None, -1 if plane else 1)
            cell.imshow(np.take(image, index, plane)[flip], cmap="gray", vmin=0, vmax=top)
            cell.axis("off")
            for outline, colour in outlines:
                slab = np.take(outline, index, plane)[flip]
                if slab.max() > 0.5 > slab.min():
                    cell.contour(slab, [0.5], colors=colour, linewidths=0.7)
    figure.suptitle(scan.name, fontsize=9)
    figure.tight_layout(pad=0.2)
    figure.savefig(file, dpi=75)
    plt.close(figure)


def evaluate(data: Path, out: Path) -> list[dict[str, object]]:
    """Judge every real scan; write ``figures.json`` and the contact sheets to `out`."""
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for scan in real_scans(data):
        row, found = judge(scan)
        print(row, flush=True)
        rows.append(row)
        contact_sheet(scan, found.mask, out / f"{scan.name.replace('/', '_')}.png")
    (out / "figures.json").write_text(json.dumps(rows, indent=2), encoding="utf-8")
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with ms_longitudinal")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    evaluate(arguments.data, arguments.out)
