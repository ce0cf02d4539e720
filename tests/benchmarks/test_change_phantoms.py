"""The judge of change on phantoms, on a few of them; the published figures take all 200."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.change_phantoms import compared, confidences, judged
from benchmarks.growing_phantoms import GrowingPhantom, Recipe, phantom
from napari_medcnn.core.change import Change, ChangeClass, LesionKey

Answer = tuple[GrowingPhantom, Change, dict[LesionKey, int]]


@pytest.fixture(scope="module")
def answers() -> list[Answer]:
    made = [phantom(seed) for seed in (20_000, 20_001)]
    return [(one, *compared(one, Recipe().residual_mm)) for one in made]


def test_links_classes_and_volumes_are_right(answers: list[Answer]) -> None:
    for made, change, numbers in answers:
        for one in judged(change, numbers, made.fates):
            assert one.link_right
            assert one.said == one.kind
            assert abs(one.error_ratio) <= 1
        links = confidences(change, numbers, made.fates)
        assert links[:, 1].all()
        assert (links[:, 0] > 0.9).all()


def test_wrong_answers_are_judged_wrong(answers: list[Answer]) -> None:
    made, change, numbers = answers[0]
    wrong_class = replace(
        change, lesions=tuple(replace(one, kind=ChangeClass.UNSURE) for one in change.lesions)
    )
    assert all(one.said == "unsure" for one in judged(wrong_class, numbers, made.fates))
    swapped = dict.fromkeys(numbers, 0)
    assert not confidences(change, swapped, made.fates)[:, 1].any()
    halved = [replace(f, volume_before_mm3=0.0, volume_after_mm3=99_999.0) for f in made.fates]
    assert all(one.error_ratio < -1 for one in judged(change, numbers, halved))
