"""Which share of the machine's arithmetic a whole run reaches, and where the rest goes.

    python -m benchmarks.machine_share [--shape X Y Z] [--backend NAME ...]

The peak is what the same backend reaches in one dense convolution (32 to 32 channels, 3³, 96³
voxels), and torch in one product of matrices. FLOPs of the network are counted by torch, two a
multiplication and addition; times windows that the network saw, over the seconds of each stage.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

import napari_medcnn as mc
from benchmarks.large_ct import make_bundle, make_ct
from napari_medcnn.core.events import run_to_end
from napari_medcnn.core.geometry import Index
from napari_medcnn.core.segmentation import Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.inference.backends.base import Backend
from napari_medcnn.inference.backends.openvino_backend import OpenVinoBackend
from napari_medcnn.inference.backends.openvino_runtime import openvino
from napari_medcnn.inference.backends.torch_backend import TorchBackend
from napari_medcnn.inference.loaded import LoadedModel
from napari_medcnn.inference.options import RunOptions
from napari_medcnn.inference.placement import Placement
from napari_medcnn.inference.segment import segment
from napari_medcnn.models.networks import build_network
from napari_medcnn.models.spec import ModelSpec

SIDE, CHANNELS, MATRIX = 96, 32, 2048
CONVOLUTION_FLOPS = 2 * CHANNELS * CHANNELS * 27 * SIDE**3


def main() -> None:
    """Print the peaks, and a table a backend."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", type=int, nargs=3, default=(512, 512, 160))
    parser.add_argument("--backend", nargs="*", default=["openvino", "torch"])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["MEDCNN_CACHE"] = str(folder / "cache")
        image = make_ct(folder / "ct.nii.gz", tuple(given.shape), (0.8, 0.8, 2.5))
        spec = mc.load_model(make_bundle(folder / "bundle", 14, image))
        flops = window_flops(spec)
        product = _rate(_product(), 2 * MATRIX**3)
        print(f"threads: {torch.get_num_threads()}; a window: {flops / 1e9:.1f} GFLOP")
        print(f"product of matrices, torch: {product:.0f} GFLOP/s")
        volume = mc.read(image)[0]
        for backend in given.backend:
            peak = _rate(_convolution(backend), CONVOLUTION_FLOPS)
            mc.segment(volume, spec, backend=backend)  # measured and converted once
            _table(backend, volume, spec, flops, max(peak, product))
            print(f"   (one convolution reaches {peak:.0f} GFLOP/s)")


def window_flops(spec: ModelSpec) -> float:
    """Floating-point operations of the network on one window."""
    network = build_network(spec).eval().to("meta")
    window = torch.zeros(1, len(spec.channels), *reversed(spec.roi_size), device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(window)
    return float(counter.get_total_flops())


class _Timed(LoadedModel):
    """Notes how long it opens backends, and how long they compute."""

    opening = seconds = 0.0

    def backend(
        self, placement: Placement, roi: Index, options: RunOptions | None = None
    ) -> Backend:
        begin = time.perf_counter()
        opened = super().backend(placement, roi, options)
        self.opening += time.perf_counter() - begin
        if not hasattr(opened, "untimed"):
            opened.untimed = opened.logits
            opened.logits = partial(self._logits, opened.untimed)
        return opened

    def _logits(self, untimed: Callable[[torch.Tensor], torch.Tensor], windows: torch.Tensor):
        begin = time.perf_counter()
        logits = untimed(windows)
        self.seconds += time.perf_counter() - begin
        return logits


def _table(backend: str, volume: Volume, spec: ModelSpec, flops: float, peak: float) -> None:
    options = RunOptions(backend=backend)
    loaded = _Timed(spec, options)
    begin = time.perf_counter()
    run = run_to_end(segment(volume, spec, options=options, loaded=loaded), Segmentation)
    whole = time.perf_counter() - begin
    loaded.close()
    facts = run.parameters
    seen = facts["windows"] - facts["windows_reused"]
    done = seen * flops / 1e9
    print(f"\n{backend}: {facts['windows']} windows, the network saw {seen}; {whole:.1f} s")
    print(f"   whole run {done / whole:6.0f} GFLOP/s, {done / whole / peak:6.1%} of the peak")
    rows = {
        f"the network at the peak of {peak:.0f} GFLOP/s": done / peak,
        "the network's layers below that peak": loaded.seconds - done / peak,
        "opening the network": loaded.opening,
        "sums, interpolation and labels": facts["seconds"]["network"]
        - loaded.seconds
        - loaded.opening,
        **{stage: s for stage, s in facts["seconds"].items() if stage != "network"},
    }
    rows["the rest"] = whole - sum(rows.values())
    for what, seconds in rows.items():
        print(f"   {seconds:7.2f} s {seconds / whole:6.1%}  {what}")


def _product() -> Callable[[], object]:
    a, b = torch.rand(MATRIX, MATRIX), torch.rand(MATRIX, MATRIX)
    return lambda: torch.mm(a, b)


def _convolution(backend: str) -> Callable[[], object]:
    layer = torch.nn.Conv3d(CHANNELS, CHANNELS, 3, padding=1).eval()
    window = torch.rand(1, CHANNELS, SIDE, SIDE, SIDE)
    if backend == "torch":
        alone = TorchBackend(layer)
        return lambda: alone.logits(window)
    program = openvino().convert_model(layer, example_input=window)
    program.reshape(list(window.shape))
    compiled = OpenVinoBackend(program)
    return lambda: compiled.logits(window)


def _rate(call: Callable[[], object], flops: float) -> float:
    return flops / _seconds(call) / 1e9


def _seconds(call: Callable[[], object], times: int = 5) -> float:
    """The fastest of several calls, after one that prepares."""
    call()
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begin)
    return min(taken)


if __name__ == "__main__":
    main()
