"""Predicted and measured peak memory of whole runs, on five sizes of a CT.

    python -m benchmarks.memory [--classes N] [--backend torch|openvino|auto]

Each run is a process of its own that reads, segments and writes; its peak is what the system says.
Windows overlap by a tenth only, which changes the time and not the memory.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path

from benchmarks.large_ct import make_bundle, make_ct
from benchmarks.measuring import measure

OVERLAP = 0.1
SIZES = (
    ((160, 160, 80), (1.5, 1.5, 2.0)),
    ((256, 256, 128), (1.5, 1.5, 2.0)),
    ((512, 512, 160), (0.8, 0.8, 2.5)),
    ((512, 512, 400), (0.8, 0.8, 1.25)),
    ((512, 512, 1000), (0.8, 0.8, 1.0)),
)
"""Shape and spacing ``(x, y, z)`` in voxels and mm."""

RUN = """
import json
import napari_medcnn as mc
bundle, image, out, backend, told = sys.argv[1:]
volume = mc.read(image)[0]
result = mc.segment(volume, bundle, backend=backend)
mc.write(result, out, volume=volume)
open(told, "w").write(json.dumps(result.parameters))
"""


def main() -> None:
    """Print a row a size: twice, as the first run measures the network and later ones know it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--classes", type=int, default=14)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--sizes", type=int, nargs="*", default=range(len(SIZES)))
    given = parser.parse_args()
    print(f"{'size':>15}  run   backend   predicted  measured  difference     time")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["MEDCNN_CACHE"] = str(folder / "cache")
        bundle: Path | None = None
        for number in given.sizes:
            shape, spacing = SIZES[number]
            image = make_ct(folder / f"{number}.nii.gz", shape, spacing)
            bundle = bundle or _bundle(folder / "bundle", given.classes, image)
            for run in ("cold", "warm") if number == given.sizes[0] else ("warm",):
                _row(run, shape, folder, bundle, image, given.backend)
            image.unlink()


def _bundle(folder: Path, classes: int, image: Path) -> Path:
    make_bundle(folder, classes, image)
    file = folder / "configs" / "inference.json"
    config = json.loads(file.read_text())
    config["inferer"]["overlap"] = OVERLAP
    file.write_text(json.dumps(config))
    return folder


def _row(
    run: str, shape: tuple[int, int, int], folder: Path, bundle: Path, image: Path, backend: str
) -> None:
    told = folder / "told.json"
    paths = (bundle, image, folder / "labels.nii.gz")
    taken = measure(RUN, *map(str, paths), backend, str(told))
    facts = json.loads(told.read_text())
    predicted = facts["predicted_peak_memory_bytes"] / 1e9
    size = " × ".join(map(str, shape))
    print(
        f"{size:>15}  {run}  {facts['backend']:>8}  {predicted:6.2f} GB  {taken.peak_gb:5.2f} GB  "
        f"{predicted / taken.peak_gb - 1:+9.0%}  {taken.seconds:7.0f} s",
        flush=True,
    )


if __name__ == "__main__":
    main()
