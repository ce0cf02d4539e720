"""A lesion keeps its first UID, through mergers, splits and gaps."""

from __future__ import annotations

import pytest

from napari_medcnn.core.change import LesionKey, Link
from napari_medcnn.followup.tracking import track_lesions, uids_of
from napari_medcnn.io.dicom_objects.tracking import tracking_uid
from tests.followup.marked_studies import balls, study

# Ids go by falling size: the first of two is the larger one.
TWO = balls([(12, 10, 10, 5), (24, 28, 28, 4)])
ONE = balls([(12, 10, 10, 5)])


def key(name: str, number: int) -> LesionKey:
    return LesionKey(name, number)


def test_a_lesion_keeps_the_uid_that_its_first_study_s_export_gave_it() -> None:
    studies = [study(name, ONE) for name in ("a", "b", "c")]
    links = [[Link((key("a", 1),), (key("b", 1),))], [Link((key("b", 1),), (key("c", 1),))]]
    (track,) = track_lesions(studies, links)
    assert track.uid == tracking_uid("a", 1)
    assert track.keys == (key("a", 1), key("b", 1), key("c", 1))
    assert set(uids_of([track]).values()) == {track.uid}


def test_a_uid_from_elsewhere_is_kept() -> None:
    (track,) = track_lesions([study("a", ONE)], [], {key("a", 1): "1.2.3"})
    assert track.uid == "1.2.3"


def test_the_larger_one_s_uid_goes_on_after_a_merger() -> None:
    studies = [study("a", TWO), study("b", ONE)]
    large, small = track_lesions(studies, [[Link((key("a", 1), key("a", 2)), (key("b", 1),))]])
    assert large.keys == (key("a", 1), key("b", 1))
    assert small.keys == (key("a", 2),)
    assert (large.went_into, small.went_into) == ("", large.uid)


def test_the_largest_part_keeps_the_uid_after_a_split() -> None:
    studies = [study("a", ONE), study("b", TWO)]
    parent, part = track_lesions(studies, [[Link((key("a", 1),), (key("b", 1), key("b", 2)))]])
    assert parent.keys == (key("a", 1), key("b", 1))
    assert part.keys == (key("b", 2),)
    assert part.uid == tracking_uid("b", 2)
    assert part.came_from == (parent.uid,)


def test_new_lesions_begin_and_resolved_ones_end_where_they_were_seen() -> None:
    studies = [study("a", ONE), study("b", ONE)]
    old, new = track_lesions(studies, [[Link((key("a", 1),), ()), Link((), (key("b", 1),))]])
    assert (old.keys, new.keys) == ((key("a", 1),), (key("b", 1),))
    assert old.uid != new.uid


def test_a_lesion_that_one_study_missed_goes_on_after_it() -> None:
    studies = [study(name, ONE) for name in ("a", "b", "c")]
    links = [
        [Link((key("a", 1),), ()), Link((), (key("b", 1),))],
        [Link((key("b", 1),), ()), Link((key("a", 1),), (key("c", 1),))],
    ]
    tracks = track_lesions(studies, links)
    assert tracks[0].keys == (key("a", 1), key("c", 1))


def test_every_step_has_its_links() -> None:
    with pytest.raises(ValueError, match="between 2 studies"):
        track_lesions([study("a", ONE), study("b", ONE)], [])
    assert track_lesions([], []) == ()
