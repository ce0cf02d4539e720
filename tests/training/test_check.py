"""The check before training: every fault of every case at once, told with the case's name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_medcnn.core.errors import Cancelled
from napari_medcnn.core.events import JobControl, Progress, run_to_end
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.segmentation import Label, Segmentation
from napari_medcnn.core.volume import FrameAxis, Volume
from napari_medcnn.io.write import write_segmentation
from napari_medcnn.training.check import Problem, problems
from napari_medcnn.training.manifest import Manifest, Split, TrainCase
from napari_medcnn.training.sources import manifest_from
from tests.training.made_data_sets import GRID, made_manifest, noise, write_image, write_label

SHIFTED = Geometry(GRID.shape, GRID.affine + np.array([[0, 0, 0, 0.5]] + [[0] * 4] * 3))


def found(manifest: Manifest, split: Split | None = None) -> dict[tuple[str, str], Problem]:
    listed: tuple[Problem, ...] = run_to_end(problems(manifest, split), tuple)
    return {(problem.case, problem.code): problem for problem in listed}


def errors(manifest: Manifest, split: Split | None = None) -> set[tuple[str, str]]:
    return {key for key, problem in found(manifest, split).items() if problem.severity == "error"}


def test_a_sound_data_set_has_no_problem(tmp_path: Path) -> None:
    manifest = made_manifest(tmp_path)
    assert found(manifest) == {}
    assert found(manifest, Split(("case_0", "case_1"), ("case_2",), ("case_3",))) == {}


def test_every_problem_is_told_at_once_with_the_cases_name(tmp_path: Path) -> None:
    manifest = made_manifest(tmp_path, 11)
    images, labels = tmp_path / "images", tmp_path / "labels"
    (labels / "case_1.nii.gz").unlink()
    (images / "case_2.nii.gz").write_bytes((images / "case_2.nii.gz").read_bytes()[:200])
    write_label(labels / "case_3.nii.gz", 1, 2, geometry=SHIFTED)
    write_label(labels / "case_4.nii.gz", 1, 5)
    write_label(labels / "case_5.nii.gz")
    holes = noise(6).array.copy()
    holes[0, 0, :3] = np.nan
    write_image(images / "case_6.nii.gz", volume=replace(noise(6), array=holes))
    (images / "case_7.nii.gz").unlink()
    (labels / "case_8.nii.gz").write_bytes(b"no label")
    frames = np.stack([noise(9).array] * 2)
    write_image(
        images / "case_9.nii.gz", volume=Volume(frames, GRID, frames=FrameAxis("time"), name="two")
    )
    write_image(images / "case_10.nii.gz", volume=replace(noise(0), array=np.ones(GRID.shape)))
    told = found(manifest)
    assert {key: problem.severity for key, problem in told.items()} == {
        ("case_1", "missing-label"): "error",
        ("case_2", "unreadable-image"): "error",
        ("case_3", "label-geometry"): "error",
        ("case_4", "unknown-value"): "error",
        ("case_5", "empty-foreground"): "warning",
        ("case_6", "non-finite"): "error",
        ("case_7", "missing-image"): "error",
        ("case_8", "unreadable-label"): "error",
        ("case_9", "channel-count"): "error",
        ("case_10", "constant-image"): "warning",
    }
    assert "value 5" in told["case_4", "unknown-value"].text
    assert "0.5" in told["case_3", "label-geometry"].text
    assert "3 voxels of MR" in told["case_6", "non-finite"].text


def test_shapes_that_differ_are_told(tmp_path: Path) -> None:
    manifest = made_manifest(tmp_path, 2)
    smaller = Geometry((5, 12, 10), GRID.affine)
    write_label(tmp_path / "labels" / "case_1.nii.gz", 1, 2, geometry=smaller)
    problem = found(manifest)["case_1", "label-geometry"]
    assert "(5, 12, 10)" in problem.text and "(6, 12, 10)" in problem.text


def test_parts_are_held_apart_and_complete(tmp_path: Path) -> None:
    manifest = made_manifest(tmp_path, 5)
    write_image(tmp_path / "images" / "case_3.nii.gz", seed=0)
    write_label(tmp_path / "labels" / "case_4.nii.gz", 1)
    split = Split(("case_0", "case_1"), ("case_3",), ("case_4",))
    told = found(manifest, split)
    assert told["case_3", "duplicate"].severity == "error"
    assert "case_0, of the training part" in told["case_3", "duplicate"].text
    assert told["", "absent-class"].severity == "warning"
    assert "test part has right" in told["", "absent-class"].text
    assert ("", "empty-part") in errors(manifest, Split(("case_0",), ()))
    assert ("", "leak") in errors(manifest, Split(("case_0", "case_1"), ("case_1",)))
    assert ("", "absent-class") in errors(manifest, Split(("case_4",), ("case_1",)))
    within = found(manifest, Split(("case_0", "case_3"), ("case_1",)))
    assert within["case_3", "duplicate"].severity == "warning"


def test_channels_on_other_grids_and_slices_among_volumes_are_told(tmp_path: Path) -> None:
    first = write_image(tmp_path / "a0.nii.gz", 0)
    second = write_image(tmp_path / "a1.nii.gz", volume=noise(1, SHIFTED))
    flat = Geometry((1, 12, 10), GRID.affine)
    slices = [write_image(tmp_path / f"s{n}.nii.gz", volume=noise(n, flat)) for n in range(2)]
    cases = (
        TrainCase("a", (first, second), target="x"),
        TrainCase("b", (write_image(tmp_path / "b.nii.gz", 5), first), target="y"),
        TrainCase("slice", tuple(slices), target="y"),
    )
    told = found(Manifest("set", "classification", ("T1", "T2"), ("x", "y"), cases))
    assert told["a", "channel-grid"].severity == "warning"
    assert told["slice", "dimensions"].severity == "error"
    assert set(told) == {("a", "channel-grid"), ("slice", "dimensions")}


def test_names_in_a_label_file_have_to_be_the_data_sets(tmp_path: Path) -> None:
    manifest = made_manifest(tmp_path, 2)
    named = write_label(tmp_path / "labels" / "case_0.seg.nrrd", 1, 2)
    cases = (replace(manifest.cases[0], label=named), manifest.cases[1])
    assert found(replace(manifest, cases=cases)) == {}  # "label 1" is no name
    image = noise(0)
    array = np.zeros(GRID.shape, np.uint8)
    array[0], array[1] = 1, 2
    swapped = (Label(1, "right"), Label(2, "left"))
    write_segmentation(Segmentation(array, GRID, swapped, image.id), image, named)
    assert errors(replace(manifest, cases=cases)) == {("case_0", "class-name")}


def test_the_check_can_be_cancelled(tmp_path: Path) -> None:
    manifest = made_manifest(tmp_path, 8)
    control = JobControl()
    job = problems(manifest, None, control)
    assert isinstance(next(job), Progress)
    next(job)
    control.cancel()
    with pytest.raises(Cancelled):
        list(job)


def test_the_hippocampus_has_one_case_without_a_label(shared_data: Path) -> None:
    full = manifest_from(shared_data / "hippocampus")
    some = tuple(case for case in full.cases if case.id >= "hippocampus_1")[:30]
    assert "hippocampus_118" in {case.id for case in some}
    manifest = replace(full, cases=some)
    assert set(found(manifest)) == {("hippocampus_118", "missing-label")}
    names = [case.id for case in some if case.label]
    told = found(manifest, Split(tuple(names[:20]), tuple(names[20:])))
    assert told["hippocampus_118", "missing-label"].severity == "warning"
