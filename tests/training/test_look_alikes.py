"""Look-alikes: copies are found in any format, neighbouring slices are grouped, others are not."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_medcnn.core.errors import Cancelled
from napari_medcnn.core.events import Done, JobControl, Progress, run_to_end
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.volume import Volume
from napari_medcnn.io.read import read
from napari_medcnn.training.grouping import Grouping, group_cases
from napari_medcnn.training.look_alikes import (
    LookAlikes,
    alike,
    appearance_of,
    copies,
    find_look_alikes,
)
from napari_medcnn.training.manifest import Manifest, TrainCase
from napari_medcnn.training.sources import manifest_from
from tests.training.made_data_sets import made_manifest, noise, write_image


def picture(array: np.ndarray) -> Volume:
    geometry = Geometry.from_spacing((1, *array.shape), (1.0, 1.0, 1.0))
    return Volume(array[np.newaxis], geometry)


@pytest.fixture(scope="module")
def slices(shared_data: Path) -> dict[str, Volume]:
    folder = shared_data / "brain_tumor_slices" / "train"
    files = sorted(folder.glob("meningioma/*.jpg"))[:40] + sorted(folder.glob("no/*.jpg"))[:20]
    return {file.stem: read(file)[0] for file in files}


def groups_of(volumes: dict[str, Volume]) -> tuple[tuple[str, ...], ...]:
    return alike({name: appearance_of([volume]) for name, volume in volumes.items()})


def test_changed_contrast_padding_size_and_compression_still_look_alike(
    slices: dict[str, Volume], tmp_path: Path
) -> None:
    name, original = next(iter(slices.items()))
    grey = original.array[0].astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "poor.jpg", quality=30)
    small = Image.fromarray(grey).resize((97, 103))
    changed = {
        "contrast": picture((grey * 0.6 + 20).astype(np.uint8)),
        "padded": picture(np.pad(grey, ((30, 5), (0, 40)))),
        "small": picture(np.asarray(small)),
        "poor": read(tmp_path / "poor.jpg")[0],
    }
    found = groups_of({**slices, **changed})
    mine = next(group for group in found if name in group)
    assert set(changed) <= set(mine)


def test_slices_of_different_patients_do_not_look_alike(slices: dict[str, Volume]) -> None:
    grouped = [name for group in groups_of(slices) for name in group]
    assert len(grouped) < len(slices) / 2
    assert all(len({name.split("_")[0] for name in group}) == 1 for group in groups_of(slices))


def test_a_copy_in_another_format_has_the_same_voxels(tmp_path: Path) -> None:
    volume = noise(3)
    paths = [write_image(tmp_path / f"a{end}", volume=volume) for end in (".nii.gz", ".nrrd")]
    looks = {path.name: appearance_of(read(path)) for path in paths}
    looks["other"] = appearance_of([noise(4)])
    assert copies(looks) == (("a.nii.gz", "a.nrrd"),)
    assert alike(looks) == (("a.nii.gz", "a.nrrd"),)


def test_constant_and_broken_values_look_like_nothing() -> None:
    flat = np.full((20, 30), 7, np.float32)
    broken = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32)
    broken[3, 4], broken[5, 6] = np.nan, np.inf
    assert groups_of({"a": picture(flat), "b": picture(flat + 1), "c": picture(broken)}) == ()


def test_pictures_and_volumes_are_never_compared(tmp_path: Path) -> None:
    volume = noise(1)
    assert groups_of({"slice": picture(volume.array[2]), "volume": volume}) == ()


def test_the_search_is_a_job_that_says_what_it_could_not_read(tmp_path: Path) -> None:
    manifest = made_manifest(tmp_path, 3)
    manifest.cases[1].images[0].write_bytes(b"nothing")
    *events, last = find_look_alikes(manifest)
    assert all(isinstance(event, Progress) for event in events)
    assert isinstance(last, Done) and last.result == LookAlikes(unread=("case_1",))
    control = JobControl()
    control.cancel()
    with pytest.raises(Cancelled):
        list(find_look_alikes(manifest, control))


def test_cases_of_nobody_go_with_whom_they_look_like_and_patients_stay_apart(
    tmp_path: Path,
) -> None:
    image = [write_image(tmp_path / f"{n}.nii.gz", volume=noise(int(n > 3))) for n in range(6)]
    patients = ["P1", "P1", "P2", None, "P3", None]
    cases = tuple(
        TrainCase(f"c{n}", (path,), patient, target="ab"[n % 2])
        for n, (path, patient) in enumerate(zip(image, patients, strict=True))
    )
    manifest = Manifest("set", "classification", ("x",), ("a", "b"), cases)
    grouping = run_to_end(group_cases(manifest), Grouping)
    # c3 is nobody's and equal to images of P1 and P2: all three go together.
    assert len({grouping.groups[f"c{n}"] for n in range(4)}) == 1
    assert grouping.groups["c4"] == grouping.groups["c5"] == "patient P3"
    known = tuple(case for case in cases if case.patient)
    apart = run_to_end(
        group_cases(Manifest("set", "classification", ("x",), ("a", "b"), known)), Grouping
    )
    assert apart.groups == {
        "c0": "patient P1", "c1": "patient P1", "c2": "patient P2", "c4": "patient P3",
    }  # fmt: skip
    assert apart.notes == ()


def test_segmentation_cases_are_told_apart_by_their_classes_and_amount(
    shared_data: Path, tmp_path: Path
) -> None:
    full = manifest_from(shared_data / "hippocampus")
    few = [case for case in full.cases if "_11" in case.id or "_0" in case.id]
    manifest = Manifest("few", "segmentation", full.channels, full.classes, tuple(few))
    grouping = run_to_end(group_cases(manifest), Grouping)
    assert "hippocampus_118" not in grouping.groups
    assert any("hippocampus_118" in note for note in grouping.notes)
    assert any("unknown" in note for note in grouping.notes)
    bands = Counter(grouping.strata.values())
    assert set(bands) == {f"1+2 band {band}" for band in range(3)}
    assert max(bands.values()) - min(bands.values()) <= 2


@pytest.mark.slow
def test_brain_slices_are_grouped_within_a_minute(shared_data: Path) -> None:
    manifest = manifest_from(shared_data / "brain_tumor_slices")
    found = run_to_end(find_look_alikes(manifest), LookAlikes)
    assert 200 <= len(found.groups) <= 300
    assert max(map(len, found.groups)) <= 12
    # Copies and neighbours of one patient share its class; chance would give a third.
    kind = {case.id: case.target for case in manifest.cases}
    same = sum(len({kind[name] for name in group}) == 1 for group in found.groups)
    assert same / len(found.groups) > 0.95
