"""The session keeps what a reader does, in step with the array that is painted on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from napari_medcnn.app.result import Result
from napari_medcnn.app.session import Session
from napari_medcnn.core.errors import GeometryError, MedcnnError
from napari_medcnn.core.lesion import Origin, Review, Verdict
from napari_medcnn.core.volume import FrameAxis, Volume
from tests.app.conftest import oblique_volume, two_lesions


def heard(session: Session) -> list[tuple[str, Any]]:
    events: list[tuple[str, Any]] = []
    names = """volume_added volume_removed result_added result_touched result_changed
        result_removed dirty_changed"""
    for name in names.split():
        getattr(session, name).connect(lambda value, name=name: events.append((name, value)))
    return events


def test_a_segmentation_is_measured_when_it_is_added(session: Session, result: Result) -> None:
    assert [le.voxel_count for le in result.table.lesions] == [24, 4]
    assert result.table.lesions[0].volume_mm3.value == pytest.approx(48.0)
    assert result.name == "gradient: FLAIR lesions"
    assert not result.is_stale
    assert session.is_dirty


def test_the_array_is_shared_and_the_prediction_is_not(
    session: Session, small_volume: Volume
) -> None:
    segmentation = two_lesions(small_volume)
    result = session.add_segmentation(segmentation, min_volume_mm3=0.0)
    assert result.segmentation.array is segmentation.array
    segmentation.array[0, 0, 0] = 1
    assert result.predicted[0, 0, 0] == 0
    with pytest.raises(ValueError, match="read-only"):
        result.predicted[0, 0, 0] = 1


def test_a_read_only_label_map_becomes_paintable(session: Session, small_volume: Volume) -> None:
    segmentation = two_lesions(small_volume)
    segmentation.array.setflags(write=False)
    result = session.add_segmentation(segmentation, min_volume_mm3=0.0)
    assert result.segmentation.array.flags.writeable


def test_a_segmentation_of_another_grid_or_of_no_volume_is_refused(session: Session) -> None:
    stranger = oblique_volume()
    with pytest.raises(MedcnnError, match="not open"):
        session.add_segmentation(two_lesions(stranger), min_volume_mm3=0.0)
    home = next(iter(session.volumes))
    misplaced = replace(two_lesions(stranger), volume_id=home)
    with pytest.raises(GeometryError, match="grid"):
        session.add_segmentation(misplaced, min_volume_mm3=0.0)


def test_painting_makes_the_table_stale_until_it_is_measured_again(
    session: Session, result: Result
) -> None:
    session.review(result.id, 2, Review(Verdict.ACCEPTED, "sure"))
    result.segmentation.array[8, 14, 9:11] = 2
    session.touch(result.id)
    assert result.is_stale
    assert result.table.by_id(2).voxel_count == 4
    table = session.recompute(result.id)
    assert not result.is_stale
    assert table.by_id(2).voxel_count == 6
    assert table.by_id(2).review == Review(Verdict.ACCEPTED, "sure")
    assert table.by_id(2).origin is Origin.EDITED
    assert table.by_id(1).origin is Origin.PREDICTED


def test_a_table_computed_before_the_last_stroke_is_dropped(
    session: Session, result: Result
) -> None:
    session.touch(result.id)
    revision = result.revision
    table = session.compute_table(result.id)
    session.touch(result.id)
    assert not session.install_table(result.id, revision, table)
    assert result.is_stale
    assert session.install_table(result.id, result.revision, table)
    session.remove_result(result.id)
    assert not session.install_table(result.id, revision, table)


def test_a_review_made_while_measuring_is_kept(session: Session, result: Result) -> None:
    table = session.compute_table(result.id)
    session.review(result.id, 1, Review(Verdict.REJECTED, "artefact"))
    session.install_table(result.id, result.revision, table)
    assert result.table.by_id(1).review.note == "artefact"


def test_export_leaves_rejected_lesions_out_and_the_shared_array_alone(
    session: Session, result: Result
) -> None:
    session.review(result.id, 1, Review(Verdict.REJECTED))
    result.segmentation.array[3:5, 6, 6] = 1  # the rejected lesion grows by one voxel
    session.touch(result.id)
    exported = session.accepted_segmentation(result.id)
    assert np.unique(exported.array).tolist() == [0, 2]
    assert (result.segmentation.array == 1).sum() == 25


def test_a_missed_lesion_can_be_added_in_millimetres(session: Session, result: Result) -> None:
    box = session.add_lesion_ball(result.id, (9.0, 3.0, 12.0), 2.5, 1)
    assert (box.start, box.stop) == ((8, 1, 10), (11, 6, 15))
    table = session.recompute(result.id)
    added = table.lesions[-1]
    assert added.origin is Origin.ADDED
    assert added.bbox_start == box.start
    painted = result.segmentation.array != result.predicted
    assert np.count_nonzero(painted) == added.voxel_count


def test_a_replaced_array_is_shared_from_then_on(session: Session, result: Result) -> None:
    other = np.zeros_like(result.segmentation.array)
    session.adopt_array(result.id, other)
    assert result.segmentation.array is other
    assert session.recompute(result.id).lesions == ()
    with pytest.raises(GeometryError):
        session.adopt_array(result.id, other[1:])


def test_every_change_is_told(session: Session, small_volume: Volume) -> None:
    session.mark_saved()
    events = heard(session)
    result = session.add_segmentation(two_lesions(small_volume), min_volume_mm3=0.0)
    session.touch(result.id)
    session.review(result.id, 1, Review(Verdict.ACCEPTED))
    session.rename(result.id, "second look")
    session.mark_saved()
    session.remove_volume(small_volume.id)
    assert events == [
        ("dirty_changed", True),
        ("result_added", result.id),
        ("result_touched", result.id),
        ("result_changed", result.id),
        ("result_changed", result.id),
        ("dirty_changed", False),
        ("dirty_changed", True),
        ("result_removed", result.id),
        ("volume_removed", small_volume.id),
    ]
    assert not session.results
    assert not session.volumes


def test_results_of_a_frame_that_is_open_itself_outlive_the_whole_series(
    small_volume: Volume,
) -> None:
    """Of two frames with results, only one is open as a volume of its own."""
    series = replace(
        small_volume,
        array=np.stack([small_volume.array] * 2),
        frames=FrameAxis("time", (0.0, 1.0), "s"),
    )
    session = Session()
    session.add_volume(series)
    session.add_volume(series.frame(1))
    of_first, of_second = (
        session.add_segmentation(two_lesions(series.frame(i)), min_volume_mm3=0.0) for i in (0, 1)
    )
    session.remove_volume(series.id)
    assert of_first.id not in session.results
    assert session.results_of(series.frame(1).id) == (of_second,)


def test_adding_a_volume_twice_adds_it_once(session: Session, small_volume: Volume) -> None:
    events = heard(session)
    session.add_volume(small_volume)
    assert events == []


def test_an_unknown_lesion_cannot_be_reviewed(session: Session, result: Result) -> None:
    with pytest.raises(KeyError):
        session.review(result.id, 99, Review())
