"""Many small cases in one batch beside one command each: same model, same images, same labels.

    python -m benchmarks.batch DATA [--count 40]

DATA is a folder of image files, such as the hippocampus images of the Medical Segmentation
Decathlon. The model is a small U-Net that marks what is bright, made by the benchmark: what is
compared is what is around a network. Each command is a process of its own, imports included.
Processor time is told beside the wall clock's, because other programs change the latter only.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bundle_factory import make_bundle

COMMAND = (sys.executable, "-m", "napari_medcnn.cli", "segment")
ROI = (32, 32, 32)
BRIGHTNESS = {"_target_": "ScaleIntensityd", "keys": "@image_key"}


@dataclass(frozen=True)
class Cost:
    """Wall time and processor time of some processes."""

    seconds: float
    cpu_seconds: float

    def __str__(self) -> str:
        return f"{self.seconds:7.1f} s  (processor {self.cpu_seconds:6.1f} s)"


def main() -> None:
    """Print both, their ratio, and what a restart costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--count", type=int, default=40)
    asked = parser.parse_args()
    images = sorted(asked.data.glob("*.nii.gz"))[: asked.count]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        os.environ["XDG_CACHE_HOME"] = place  # what was measured of a model counts for neither
        bundle = make_bundle(
            folder / "model", spacing=None, roi=ROI, thresholds=(0.8,), extra_steps=(BRIGHTNESS,)
        )
        options = ("--model", str(bundle), "--device", "cpu")
        together, apart = folder / "together", folder / "apart"
        batch = cost_of([[*COMMAND, *map(str, images), *options, "--out", str(together)]])
        singles = cost_of(
            [[*COMMAND, str(image), *options, "--out", str(apart / stem(image))]
             for image in images]
        )  # fmt: skip
        equal = sum(
            filecmp.cmp(together / stem(i) / name, apart / stem(i) / name, shallow=False)
            for i in images
            for name in ("labels.nii.gz", "lesions.csv")
        )
        print(f"{len(images)} cases, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        print(f"one batch         {batch}\nsingle commands   {singles}")
        print(f"ratio             {singles.seconds / batch.seconds:7.1f}    "
              f"(processor {singles.cpu_seconds / batch.cpu_seconds:6.1f})")  # fmt: skip
        print(f"equal files       {equal} of {2 * len(images)}")
        broken = images[len(images) // 2]
        restart(images, broken, options, folder)


def restart(images: Sequence[Path], broken: Path, options: Sequence[str], folder: Path) -> None:
    """A batch with one corrupt case in its middle, and the run after it was mended."""
    scans = folder / "scans"
    scans.mkdir()
    for image in images:
        content = image.read_bytes()
        (scans / image.name).write_bytes(content[: len(content) // 2 if image == broken else None])
    out = folder / "again"
    command = [*COMMAND, str(scans), *options, "--out", str(out)]
    first = cost_of([command], fails=True)
    print(f"one corrupt case  {first}  {counts(out)}")
    (scans / broken.name).write_bytes(broken.read_bytes())
    print(f"mended, restarted {cost_of([command])}  {counts(out)}")
    print(f"nothing to do     {cost_of([command])}  {counts(out)}")


def cost_of(commands: Sequence[Sequence[str]], *, fails: bool = False) -> Cost:
    """Run commands one after the other and add up what they cost."""
    before, started = _children_s(), time.perf_counter()
    for command in commands:
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if (done.returncode != 0) != fails:
            raise SystemExit(done.stderr)
    return Cost(time.perf_counter() - started, _children_s() - before)


def counts(out: Path) -> dict[str, int]:
    """How many cases are in which state."""
    found: dict[str, int] = json.loads((out / "summary.json").read_text())["counts"]
    return found


def stem(image: Path) -> str:
    """The name of an image's case."""
    return image.name.removesuffix(".nii.gz")


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
