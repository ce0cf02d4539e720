"""Whole runs on a GPU: seconds, device memory, and what happens where that memory is short.

    python -m benchmarks.gpu [--shape X Y Z] [--spacing X Y Z] [--classes N] [--limits GB ...]

The network and the CT are those of ``benchmarks.large_ct``. A limit is the share of the device that
torch may allocate; labels are compared with those of the run without one.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import torch

import napari_medcnn as mc
from benchmarks.large_ct import make_bundle, make_ct
from napari_medcnn.core.events import Event, Fallback, run_to_end
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.inference.options import Precision, RunOptions
from napari_medcnn.inference.segment import segment
from napari_medcnn.models.spec import ModelSpec


def main() -> None:
    """Print a line a run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", type=int, nargs=3, default=(512, 512, 400))
    parser.add_argument("--spacing", type=float, nargs=3, default=(0.8, 0.8, 1.25))
    parser.add_argument("--classes", type=int, default=25)
    parser.add_argument("--limits", type=float, nargs="*", default=[3.0, 1.2, 0.4])
    given = parser.parse_args()
    print(torch.cuda.get_device_name())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["MEDCNN_CACHE"] = str(folder / "cache")
        image = make_ct(folder / "ct.nii.gz", tuple(given.shape), tuple(given.spacing))
        spec = mc.load_model(make_bundle(folder / "bundle", given.classes, image))
        volume = mc.read(image)[0]
        _run("cold", volume, spec, "float16")
        whole = _run("warm", volume, spec, "float16")
        _compare(whole, _run("full precision", volume, spec, "float32"))
        total = torch.cuda.get_device_properties(0).total_memory
        for limit in given.limits:
            torch.cuda.empty_cache()
            torch.cuda.set_per_process_memory_fraction(limit * 1e9 / total)
            _compare(whole, _run(f"limited to {limit:g} GB", volume, spec, "float16"))
        torch.cuda.set_per_process_memory_fraction(1.0)
        _compare(whole, _run("afterwards", volume, spec, "float16"))


def _run(title: str, volume: Volume, spec: ModelSpec, precision: Precision) -> Segmentation:
    torch.cuda.reset_peak_memory_stats()
    options = RunOptions("cuda", precision=precision, keep_probability=False)
    fallbacks: list[Fallback] = []

    def note(event: Event) -> None:
        if isinstance(event, Fallback):
            fallbacks.append(event)

    begin = time.perf_counter()
    result = run_to_end(segment(volume, spec, options=options), Segmentation, note)
    seconds = time.perf_counter() - begin
    peak, left = torch.cuda.max_memory_allocated(), torch.cuda.memory_allocated()
    print(f"{title:20} {seconds:6.2f} s  {peak / 1e9:5.2f} GB on the device, {left} bytes left")
    for event in fallbacks:
        print(f"{'':20} {event.wanted} → {event.used}: {event.reason}")
    return result


def _compare(one: Segmentation, other: Segmentation) -> None:
    print(f"{'':20} same label in {(one.array == other.array).mean():.4%} of the voxels")


if __name__ == "__main__":
    main()
