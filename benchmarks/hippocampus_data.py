"""The hippocampus data with patients, one split of it, and both as nnU-Net wants them.

The data (Decathlon, Task04) name no patients. Their numbers hint at them: an odd number and the
next one have the same scale of values and the same type of voxel, as left and right cut out of one
scan would have, and an even number and the next one have not (:func:`scale_correlation` says how
much so). Such two are taken for one patient's, ``(n + 1) // 2``; this is inferred, nobody said it.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_medcnn.io.single_file import read_image
from napari_medcnn.training.manifest import Manifest, Split, read_manifest, write_manifest
from napari_medcnn.training.sources import table
from napari_medcnn.training.splits import make_split, read_split, write_splits

CLASSES = ("anterior", "posterior")
INFERRED = (
    "Hippocampi of the Medical Segmentation Decathlon, cut out of MR scans. Patients are inferred "
    "from the numbers: an odd one and the next one are taken for left and right of one patient."
)
NUMBER, NAME = 4, "Hippocampus"
"""Of the data set among nnU-Net's."""

_SUFFIX = ".nii.gz"


def number_of(case: str) -> int:
    """The number in a case's name: ``hippocampus_019`` is 19."""
    found = re.search(r"(\d+)$", case)
    if found is None:
        raise SystemExit(f"{case} has no number, from which its patient could be inferred")
    return int(found[1])


def patient_of(case: str) -> str:
    """Whose it is taken for: 1 and 2 are patient 001, 3 and 4 are 002."""
    return f"{(number_of(case) + 1) // 2:03d}"


def make_data(
    data: Path, folder: Path, *, test: float, validation: float, seed: int
) -> tuple[Manifest, Split]:
    """Write ``cases.csv``, ``manifest.json`` and ``split.json`` into `folder`; what they say."""
    rows = folder / "cases.csv"
    _write_rows(data, rows)
    found = table(rows, name="hippocampus", modality="MR")
    found = replace(found, classes=CLASSES, licence="CC BY-SA 4.0", description=INFERRED)
    write_manifest(found, folder / "manifest.json")
    manifest = read_manifest(folder / "manifest.json")
    drawn = make_split(manifest, test=test, validation=validation, seed=seed)
    write_splits((drawn,), folder / "split.json")
    return manifest, read_split(folder / "split.json", manifest)


def _write_rows(data: Path, path: Path) -> None:
    """A row for each image; those that have no label file have none in the table."""
    images = sorted((data / "images").glob(f"*{_SUFFIX}"))
    if not images:
        raise SystemExit(f"there are no images in {data / 'images'}")
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(("id", "patient", "MR", "label"))
        for image in images:
            name = image.name.removesuffix(_SUFFIX)
            label = data / "labels" / image.name
            shown = label.absolute() if label.is_file() else ""
            lines.writerow((name, patient_of(name), image.absolute(), shown))


def scale_correlation(manifest: Manifest) -> tuple[float, float]:
    """How the log of median intensities correlates between odd and next, and even and next."""
    medians = {
        number_of(case.id): float(np.log1p(np.median(read_image(case.images[0]).array)))
        for case in manifest.cases
    }

    def of(first: int) -> float:
        starts = [n for n in medians if n % 2 == first and n + 1 in medians]
        pairs = [(medians[n], medians[n + 1]) for n in starts]
        return float(np.corrcoef(np.array(pairs).T)[0, 1])

    return of(1), of(0)


def write_nnunet_raw(manifest: Manifest, split: Split, raw: Path) -> Path:
    """The data set in nnU-Net's form below `raw`; the test cases' labels stay away from it.

    Returns
    -------
    Path
        ``imagesTs``, to be segmented.
    """
    folder = raw / folder_name()
    for below in ("imagesTr", "labelsTr", "imagesTs"):
        (folder / below).mkdir(parents=True)
    for name in (*split.train, *split.validation):
        for source, target in _files(manifest, name, folder, "imagesTr"):
            shutil.copyfile(source, target)
        label = manifest.case(name).label
        if label is None:
            raise SystemExit(f"{name} teaches, but has no label")
        shutil.copyfile(label, folder / "labelsTr" / f"{name}{_SUFFIX}")
    for name in split.test:
        for source, target in _files(manifest, name, folder, "imagesTs"):
            shutil.copyfile(source, target)
    (folder / "dataset.json").write_text(json.dumps(description_of(manifest, split), indent=2))
    return folder / "imagesTs"


def _files(manifest: Manifest, name: str, folder: Path, below: str) -> Iterator[tuple[Path, Path]]:
    """The images of a case, and what nnU-Net calls them."""
    for channel, image in enumerate(manifest.case(name).images):
        yield image, folder / below / f"{name}_{channel:04d}{_SUFFIX}"


def folder_name() -> str:
    """Of the data set in nnU-Net's folders."""
    return f"Dataset{NUMBER:03d}_{NAME}"


def description_of(manifest: Manifest, split: Split) -> dict[str, object]:
    """nnU-Net's ``dataset.json``."""
    values = dict(zip(manifest.classes, manifest.label_values, strict=True))
    return {
        "channel_names": {str(n): name for n, name in enumerate(manifest.channels)},
        "labels": {"background": 0, **values},
        "numTraining": len(split.train) + len(split.validation),
        "file_ending": _SUFFIX,
    }


def nnunet_splits(split: Split) -> list[dict[str, list[str]]]:
    """nnU-Net's ``splits_final.json``: one fold, with the same who teaches and who chooses."""
    return [{"train": list(split.train), "val": list(split.validation)}]
