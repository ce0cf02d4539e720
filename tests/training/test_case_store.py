"""Stored cases: whole or not at all, found by content, cleaned by age."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_medcnn.core.errors import ReadError, WriteError
from napari_medcnn.training.case_store import (
    StoredCase,
    clean,
    key_of,
    read_stored,
    write_stored,
)
from napari_medcnn.training.job import Preprocessing
from tests.training.seen_jobs import job_of, slice_cases, write_case


def stored(seed: int = 0) -> StoredCase:
    rng = np.random.default_rng(seed)
    voxels = tuple(rng.integers(0, 9, (n, 3)).astype(np.int32) for n in (5, 0, 7))
    return StoredCase(
        rng.standard_normal((2, 9, 8, 7), dtype=np.float32),
        rng.integers(0, 3, (9, 8, 7)).astype(np.int16),
        voxels,
        (1.0, 2.0, 3.0),
        ("a note",),
    )


@pytest.mark.parametrize("mapped", [True, False])
def test_a_case_comes_back_as_it_was(tmp_path: Path, mapped: bool) -> None:
    case = stored()
    write_stored(tmp_path, "key", case)
    again = read_stored(tmp_path, "key", mapped=mapped)
    assert again is not None
    assert np.array_equal(again.image, case.image)
    assert np.array_equal(again.label, case.label)
    assert isinstance(again.image, np.memmap) == mapped
    assert len(again.foreground) == 3
    for one, other in zip(again.foreground, case.foreground, strict=True):
        assert np.array_equal(one, other)
    assert (again.spacing_mm, again.notes) == (case.spacing_mm, case.notes)


def test_writing_to_a_mapped_array_leaves_the_file(tmp_path: Path) -> None:
    write_stored(tmp_path, "key", stored())
    first = read_stored(tmp_path, "key", mapped=True)
    assert first is not None
    first.image[...] = 0
    again = read_stored(tmp_path, "key", mapped=True)
    assert again is not None
    assert again.image.any()


@pytest.mark.parametrize("name", ["image.npy", "label.npy", "foreground.npy", "case.json"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "gone"])
def test_a_damaged_case_is_no_case(tmp_path: Path, name: str, damage: str) -> None:
    write_stored(tmp_path, "key", stored())
    file = tmp_path / "key" / name
    content = bytearray(file.read_bytes())
    if damage == "gone":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(content[: len(content) // 2])
    else:
        content[len(content) // 2] ^= 0xFF
        file.write_bytes(content)
    assert read_stored(tmp_path, "key", mapped=True) is None


def test_a_write_that_breaks_off_leaves_no_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(WriteError, match="No space left"):
            write_stored(tmp_path, "key", stored())
    assert read_stored(tmp_path, "key", mapped=True) is None
    write_stored(tmp_path, "key", stored())
    assert read_stored(tmp_path, "key", mapped=True) is not None


def test_the_key_is_of_content_and_steps_and_of_no_name(tmp_path: Path) -> None:
    case = write_case(tmp_path)
    job = job_of((case,))
    key = key_of(job, case)
    moved = tmp_path / "elsewhere.nii.gz"
    shutil.copy(case.images[0], moved)
    assert key_of(replace(job, name="other", seed=3), replace(case, id="x", images=(moved,))) == key
    others = {
        key_of(replace(job, preprocessing=Preprocessing((1.0, 1.0, 1.0))), case),
        key_of(job_of((case,), classes=("a", "b", "c")), case),
        key_of(job_of((case,), values=(2, 1)), case),
        key_of(job, replace(case, label=case.images[0])),
        key_of(job, replace(case, images=(case.label,))),
    }
    assert len(others | {key}) == 6


def test_the_key_tells_pictures_apart(shared_data: Path) -> None:
    cases = slice_cases(shared_data, 3)
    job = job_of(cases, task="classification", preprocessing=Preprocessing(size=(1, 64, 64)))
    assert len({key_of(job, case) for case in cases}) == len(cases)


def test_the_key_of_a_folder_is_of_its_files_and_a_missing_one_is_said(tmp_path: Path) -> None:
    case = write_case(tmp_path)
    folder = tmp_path / "series"
    folder.mkdir()
    shutil.copy(case.images[0], folder / "1.nii.gz")
    inside = replace(case, images=(folder,))
    job = job_of((case,))
    before = key_of(job, inside)
    shutil.copy(case.label, folder / "2.nii.gz")
    assert key_of(job, inside) != before
    with pytest.raises(ReadError, match="cannot be read"):
        key_of(job, replace(case, images=(tmp_path / "gone.nii.gz",)))


def test_cleaning_removes_the_longest_unused_and_keeps_what_is_in_use(tmp_path: Path) -> None:
    for age, key in enumerate("abcd"):
        write_stored(tmp_path, key, stored(age))
        for file in (tmp_path / key).iterdir():
            os.utime(file, (1000 + age, 1000 + age))
    size = sum(f.stat().st_size for f in (tmp_path / "a").iterdir())
    assert clean(tmp_path, 10 * size) == ()
    assert clean(tmp_path, 2.5 * size, keep={"a"}) == ("b", "c")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "d"]
    read_stored(tmp_path, "a", mapped=True)  # used now: younger than the other
    assert clean(tmp_path, 1.5 * size) == ("d",)
    assert clean(tmp_path / "no folder", 0) == ()
