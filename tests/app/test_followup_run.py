"""A follow-up against its baseline: places, links, classes, and what is written of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_medcnn.app.followup_run import expected_residual, hold_against, write_followup
from napari_medcnn.core.change import ChangeClass, Link
from napari_medcnn.core.errors import InputMismatch, WriteError
from napari_medcnn.core.followup import FollowUp
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.followup.transform_files import read_transform
from napari_medcnn.imaging.lesions import find_lesions
from tests.report.made_followups import AFTER, BEFORE, both, registered


@pytest.fixture(scope="module")
def found() -> FollowUp:
    before, after = both()
    return hold_against(before, after, registered(before, after))


def test_every_block_gets_what_became_of_it(found: FollowUp) -> None:
    counts = {kind: count for kind, count in found.change.counts.items() if count}
    assert counts == {
        ChangeClass.NEW: 1,
        ChangeClass.RESOLVED: 1,
        ChangeClass.ENLARGING: 1,
        ChangeClass.STABLE: 1,
    }
    grown = next(le for le in found.change.lesions if le.kind is ChangeClass.ENLARGING)
    assert grown.difference_mm3.value == 12**3 - 6**3
    assert grown.percent.value == pytest.approx(700)
    assert found.change.new_and_enlarging == 2


def test_the_followup_lies_on_the_baseline_voxel_by_voxel(found: FollowUp) -> None:
    stable = next(le for le in found.change.lesions if le.kind is ChangeClass.STABLE)
    (first,), (second,) = stable.link.before, stable.link.after
    before = found.before.table.id_map == first.lesion_id
    assert np.array_equal(before, found.after_ids == second.lesion_id)
    assert found.after_image.geometry == found.before.volume.geometry
    assert found.after_image.array[before].mean() > 250


def test_a_lesion_keeps_its_tracking_uid(found: FollowUp) -> None:
    for lesion in found.change.lesions:
        keys = (*lesion.link.before, *lesion.link.after)
        assert {found.uids[key] for key in keys} == {lesion.tracking_uid}
    assert len(set(found.uids.values())) == len(found.change.lesions)


def test_links_that_a_person_drew_stay() -> None:
    before, after = both()
    first = hold_against(before, after, registered(before, after))
    gone, fresh = (
        next(le for le in first.change.lesions if le.kind is kind)
        for kind in (ChangeClass.RESOLVED, ChangeClass.NEW)
    )
    drawn = Link(gone.link.before, fresh.link.after, by_user=True)
    again = hold_against(before, after, registered(before, after), given=[drawn])
    assert drawn in [lesion.link for lesion in again.change.lesions]
    assert again.change.counts[ChangeClass.NEW] == again.change.counts[ChangeClass.RESOLVED] == 0


def test_a_study_is_not_its_own_followup() -> None:
    before, after = both()
    with pytest.raises(InputMismatch, match="one and the same"):
        hold_against(before, before, registered(before, after))


def test_images_of_one_label_map_are_two_studies() -> None:
    before, after = both()
    same = replace(before.segmentation, volume_id=after.volume.id)
    later = replace(after, segmentation=same, table=find_lesions(same, after.volume))
    assert before.volume.array is not after.volume.array
    points = before.as_study().point, later.as_study().point
    assert points[0].study != points[1].study


def test_what_an_image_is_called_stays_on_the_screen(tmp_path: Path) -> None:
    before, after = (replace(one, name="Doe Jane 1960") for one in both())
    found = hold_against(before, after, registered(before, after))
    assert found.before.point.name == "Doe Jane 1960"
    for path in write_followup(found, tmp_path):
        assert b"Doe Jane" not in path.read_bytes(), path.name


def test_a_failure_leaves_nothing_that_looks_whole(tmp_path: Path, found: FollowUp) -> None:
    write_followup(found, tmp_path)
    (tmp_path / "report.pdf").unlink()
    (tmp_path / "report.pdf").mkdir()  # nothing can be written there
    with pytest.raises(WriteError):
        write_followup(found, tmp_path)
    assert not (tmp_path / "change.json").exists()


def test_thick_slices_leave_a_larger_residual() -> None:
    before, after = both()
    assert expected_residual(before.volume, after.volume) == 1.0
    geometry = Geometry.from_spacing(after.volume.geometry.shape, (6.0, 1.0, 1.0))
    thick = replace(after.volume, geometry=geometry)
    assert expected_residual(before.volume, thick) == 2.0


def test_what_is_written_can_be_read_and_names_nobody(found: FollowUp, tmp_path: Path) -> None:
    written = write_followup(found, tmp_path / "out")
    assert [path.name for path in written] == [
        "transform.tfm",
        "matches.csv",
        "report.html",
        "report.pdf",
        "change.json",
    ]
    transform = read_transform(tmp_path / "out" / "transform.tfm")
    assert np.array_equal(transform.matrix, found.registration.transform.matrix)
    table = pd.read_csv(tmp_path / "out" / "matches.csv", dtype={"before_ids": str})
    assert sorted(table["kind"]) == ["enlarging", "new", "resolved", "stable"]
    assert table["before_ids"].notna().sum() == len(BEFORE)
    assert table["after_ids"].notna().sum() == len(AFTER)
    change = json.loads((tmp_path / "out" / "change.json").read_text())
    assert change["counts"]["new"] == 1 and change["registration"]["kind"] == "rigid"
    assert "research use" in change["notice"]
    assert change["studies"][0]["image"]["geometry"] and change["software"]["SimpleITK"]
    for path in written:
        assert b"Doe^Jane" not in path.read_bytes(), path.name
