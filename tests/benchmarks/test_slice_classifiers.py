"""One split for all networks: the makers' test part, look-alikes on one side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.slice_classifiers import make_data
from napari_medcnn.training.manifest import read_manifest
from napari_medcnn.training.sources import class_folders
from napari_medcnn.training.splits import read_split

CLASSES = ("glioma", "no")


def _pictures(root: Path) -> None:
    """Twelve teaching and four test slices a class; one of the former is nearly a test slice."""
    generator = np.random.default_rng(0)
    for part, count in (("train", 12), ("test", 4)):
        for name in CLASSES:
            folder = root / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                blobs = generator.uniform(0, 255, (4, 4)).astype(np.uint8)
                picture = Image.fromarray(blobs).resize((48, 48), Image.Resampling.BICUBIC)
                picture.save(folder / f"{name}_{number:02d}.png")
    Image.open(root / "test/glioma/glioma_00.png").save(root / "train/glioma/copy.jpg", quality=80)


def test_the_test_part_is_the_makers_and_what_looks_like_it_does_not_teach(tmp_path: Path) -> None:
    _pictures(tmp_path)
    manifest, split = make_data(class_folders(tmp_path), tmp_path, seed=0)
    assert sorted(split.test) == sorted(case.id for case in manifest.cases if case.part == "test")
    assert not any("copy" in name for names in split.parts.values() for name in names)
    assert {manifest.case(name).target for name in split.validation} == set(CLASSES)


def test_the_files_say_what_was_returned(tmp_path: Path) -> None:
    _pictures(tmp_path)
    manifest, split = make_data(class_folders(tmp_path), tmp_path, seed=0)
    read = read_manifest(tmp_path / "manifest.json")
    assert read == manifest
    assert read_split(tmp_path / "split.json", read) == split
