"""People's word on links: kept, consistent, and taken back."""

from __future__ import annotations

import pytest

from napari_medcnn.core.change import LesionKey, Link
from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.followup.edit_links import forget_edits, link_lesions, unlink_lesions
from napari_medcnn.followup.matching import match_lesions
from tests.followup.marked_studies import balls, ids, study


def first(number: int) -> LesionKey:
    return LesionKey("first", number)


def second(number: int) -> LesionKey:
    return LesionKey("second", number)


LINKS = (
    Link((first(1), first(2)), (second(1),), 0.9, 0.8, 0.0),
    Link((first(3),), (second(2),), 0.98, 0.9, 0.0),
    Link((first(4),), (), 0.98),
    Link((), (second(3),), 0.98),
)


def test_linking_takes_lesions_out_of_the_links_that_held_them() -> None:
    links = link_lesions(LINKS, [first(4)], [second(3)])
    assert ids(links) == [([1, 2], [1]), ([3], [2]), ([4], [3])]
    assert [link.by_user for link in links] == [False, False, True]
    assert links[:2] == LINKS[:2]


def test_what_is_left_of_a_merger_stays_a_link_without_confidence() -> None:
    links = link_lesions(LINKS, [first(2)], [second(3)])
    assert ids(links) == [([1], [1]), ([2], [3]), ([3], [2]), ([4], [])]
    assert links[0].confidence is None
    assert not links[0].by_user


def test_a_link_whose_one_side_goes_leaves_its_lesions_alone() -> None:
    links = link_lesions(LINKS, [first(4)], [second(1)])
    assert ids(links) == [([1], []), ([2], []), ([3], [2]), ([4], [1]), ([], [3])]


def test_several_can_be_said_to_be_one() -> None:
    links = link_lesions(LINKS, [first(1), first(2), first(4)], [second(1)])
    assert ids(links)[0] == ([1, 2, 4], [1])
    assert links[0].by_user


def test_unlinking_leaves_each_alone_by_the_person_s_word() -> None:
    links = unlink_lesions(LINKS, [first(3), second(2)])
    assert ids(links) == [([1, 2], [1]), ([3], []), ([4], []), ([], [2]), ([], [3])]
    assert [link.by_user for link in links] == [False, True, False, True, False]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ([], [second(1)], "each study"),
        ([first(1)], [], "each study"),
        ([first(9)], [second(1)], "no lesion 9"),
        ([second(1)], [first(1)], "no lesion 1"),
    ],
)
def test_what_cannot_be_linked_is_refused(
    before: list[LesionKey], after: list[LesionKey], message: str
) -> None:
    with pytest.raises(InputMismatch, match=message):
        link_lesions(LINKS, before, after)


def test_unlinking_an_unknown_lesion_is_refused() -> None:
    with pytest.raises(InputMismatch, match="no lesion 7"):
        unlink_lesions(LINKS, [second(7)])


def test_edits_stand_when_lesions_are_matched_again_until_they_are_forgotten() -> None:
    scene = balls([(12, 10, 10, 4), (24, 28, 28, 5)])
    before, after = study("first", scene), study("second", scene)
    found = match_lesions(before, after, 1.0)
    edited = unlink_lesions(found, [first(1)])
    again = match_lesions(before, after, 1.0, given=edited)
    assert ids(again) == [([1], []), ([2], [2]), ([], [1])]
    assert again[0].by_user
    forgotten = forget_edits(again, [first(1)])
    assert match_lesions(before, after, 1.0, given=forgotten) == found
