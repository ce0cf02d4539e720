"""What is measured is what the files hold, of the training cases alone, the same every time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from napari_medcnn.core.errors import Cancelled, InputMismatch, MedcnnError, ReadError
from napari_medcnn.core.events import Done, JobControl, Progress, run_to_end
from napari_medcnn.training.fingerprint import (
    Fingerprint,
    measure,
    read_fingerprint,
    write_fingerprint,
)
from napari_medcnn.training.manifest import Manifest, Split, TrainCase

SPACING = (0.5, 0.75, 2.0)
"""Of the files, ``(x, y, z)``."""


def saved(path: Path, array: np.ndarray, spacing: tuple[float, ...] = SPACING) -> Path:
    nib.save(nib.Nifti1Image(array, np.diag([*spacing, 1.0])), path)
    return path


@pytest.fixture
def data(tmp_path: Path) -> tuple[Manifest, Split]:
    """Three volumes ``(x, y, z)`` with two classes; the second lacks one."""
    rng = np.random.default_rng(0)
    cases = []
    for number, name in enumerate("abc"):
        array = rng.normal(100 * (number + 1), 5, (12, 10, 8 + number)).astype(np.float32)
        label = np.zeros(array.shape, np.uint8)
        label[2:6, 2:5, 2:4] = 4
        if name != "b":
            label[6:8, 2:5, 2:4] = 9
        image = saved(tmp_path / f"{name}.nii.gz", array)
        cases.append(TrainCase(name, (image,), label=saved(tmp_path / f"{name}_l.nii.gz", label)))
    manifest = Manifest("data", "segmentation", ("T1",), ("p", "q"), tuple(cases), values=(4, 9))
    return manifest, Split(("a", "b"), ("c",))


def measured(manifest: Manifest, split: Split) -> Fingerprint:
    return run_to_end(measure(manifest, split, JobControl()), Fingerprint)


def test_sizes_classes_and_intensities_are_those_of_the_files(
    data: tuple[Manifest, Split],
) -> None:
    manifest, split = data
    found = measured(manifest, split)
    assert [case.id for case in found.cases] == ["a", "b"]
    assert [case.shape for case in found.cases] == [(8, 10, 12), (9, 10, 12)]
    assert found.median_spacing_mm == pytest.approx((2.0, 0.75, 0.5))
    assert [case.class_voxels for case in found.cases] == [(24, 12), (24, 0)]
    assert found.class_volumes_mm3["q"] == pytest.approx((12 * 0.75,))
    assert found.class_cases == {"p": 2, "q": 1}
    assert found.foreground_share == pytest.approx(60 / (960 + 1080))
    values = []
    for case in manifest.cases[:2]:
        image, label = (nib.load(p).get_fdata() for p in (case.images[0], case.label))
        values.append(image[label > 0])
    pooled = np.concatenate(values)
    (channel,) = found.intensities
    assert channel.channel == "T1"
    assert channel.mean == pytest.approx(pooled.mean(), abs=1e-3)
    assert channel.std == pytest.approx(pooled.std(), abs=1e-3)
    assert channel.percentile_99_5 == pytest.approx(np.percentile(pooled, 99.5), abs=1e-3)


def test_cases_that_do_not_teach_are_not_even_opened(data: tuple[Manifest, Split]) -> None:
    manifest, split = data
    before = measured(manifest, split)
    for path in (manifest.cases[2].images[0], manifest.cases[2].label):
        assert path is not None
        path.unlink()
    assert measured(manifest, split) == before


def test_a_fingerprint_survives_its_file(data: tuple[Manifest, Split], tmp_path: Path) -> None:
    found = measured(*data)
    write_fingerprint(found, tmp_path / "fingerprint.json")
    assert read_fingerprint(tmp_path / "fingerprint.json") == found
    (tmp_path / "fingerprint.json").write_text('{"task": "segmentation"}')
    with pytest.raises(ReadError, match="cases"):
        read_fingerprint(tmp_path / "fingerprint.json")


def test_large_cases_are_sampled_alike_and_the_same_every_time(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    cases = []
    for name, size, level in (("small", 24, 0.0), ("large", 48, 10.0)):
        array = rng.normal(level, 1, (size,) * 3).astype(np.float32)
        image = saved(tmp_path / f"{name}.nii.gz", array)
        label = saved(tmp_path / f"{name}_l.nii.gz", np.ones((size,) * 3, np.uint8))
        cases.append(TrainCase(name, (image,), label=label))
    manifest = Manifest("data", "segmentation", ("x",), ("all",), tuple(cases))
    split = Split(("small", "large"), ("none",), seed=3)
    found = measured(manifest, split)
    assert found == measured(manifest, split)
    assert found.intensities[0].mean == pytest.approx(5, abs=0.1)


def test_pictures_with_classes_are_measured_as_a_whole(tmp_path: Path) -> None:
    cases = []
    for number in range(4):
        array = np.full((20, 30), 50 * number, np.uint8)
        array[0, 0] = 255
        path = tmp_path / f"{number}.png"
        Image.fromarray(array).save(path)
        cases.append(TrainCase(str(number), (path,), target="ab"[number % 2]))
    manifest = Manifest("data", "classification", ("grey",), ("a", "b"), tuple(cases))
    found = measured(manifest, Split(("0", "1", "2"), ("3",)))
    assert found.median_shape == (1, 20, 30)
    assert found.class_cases == {"a": 2, "b": 1}
    assert found.cases[0].zero_share == pytest.approx(599 / 600, abs=1e-5)
    assert found.intensities[0].maximum == 255


def test_the_job_tells_its_progress_and_stops_when_asked(data: tuple[Manifest, Split]) -> None:
    manifest, split = data
    events = list(measure(manifest, split, JobControl()))
    assert [e.done for e in events if isinstance(e, Progress)] == [0, 1, 2]
    assert isinstance(events[-1], Done)
    control = JobControl()
    job: Iterator[object] = measure(manifest, split, control)
    next(job)
    next(job)
    control.cancel()
    with pytest.raises(Cancelled):
        next(job)


def test_a_case_that_does_not_fit_is_named(data: tuple[Manifest, Split]) -> None:
    manifest, split = data
    wrong = Manifest("data", "segmentation", ("T1",), ("p", "q"), manifest.cases, values=(4, 5))
    with pytest.raises(InputMismatch, match=r"^a: .*9"):
        measured(wrong, split)
    with pytest.raises(MedcnnError, match="no case teaches"):
        measured(manifest, Split((), ("c",)))


def test_the_hippocampus_is_known_by_its_fingerprint(shared_data: Path) -> None:
    root = shared_data / "hippocampus"
    files = sorted((root / "labels").glob("*.nii.gz"))[:24]
    cases = tuple(TrainCase(f.name[:-7], (root / "images" / f.name,), label=f) for f in files)
    manifest = Manifest(
        "hippocampus", "segmentation", ("T1",), ("anterior", "posterior"), cases, modality="MR"
    )
    split = Split(tuple(c.id for c in cases[:20]), tuple(c.id for c in cases[20:]))
    found = measured(manifest, split)
    assert found.median_spacing_mm == (1.0, 1.0, 1.0)
    assert all(30 <= n <= 60 for n in found.median_shape)
    for volumes in found.class_volumes_mm3.values():
        assert len(volumes) == 20
        assert 1000 < np.median(volumes) < 2500
