"""Measured lesions as RECIST takes them: from label maps to a category."""

from __future__ import annotations

import numpy as np
import pytest

from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.lesion import Lesion
from napari_medcnn.core.recist import Nature, Response, TargetState, TimePoint
from napari_medcnn.core.segmentation import Label, Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.followup.recist import assess
from napari_medcnn.followup.recist_baseline import make_baseline
from napari_medcnn.followup.recist_input import baseline_lesion, target_finding
from napari_medcnn.imaging.lesions import find_lesions

GRID = Geometry.from_spacing((12, 60, 60), (3.0, 1.0, 1.0), (0.0, 0.0, 0.0))


def measured(*boxes: tuple[slice, slice]) -> tuple[Lesion, ...]:
    """Lesions that fill boxes ``(y, x)`` in a few slices, the largest first."""
    labels = np.zeros(GRID.shape, np.uint8)
    for box in boxes:
        labels[(slice(3, 8), *box)] = 1
    volume = Volume(np.zeros(GRID.shape, np.int16), GRID, name="boxes", modality="CT")
    segmentation = Segmentation(labels, GRID, (Label(1, "lesion"),), volume_id=volume.id)
    return find_lesions(segmentation, volume).lesions


def bar(length: int, start: int = 5, width: int = 4) -> tuple[slice, slice]:
    return slice(10, 10 + width), slice(start, start + length)


def test_a_lesion_that_split_is_the_sum_of_its_parts() -> None:
    (before,) = measured(bar(40))
    parts = measured(bar(10), bar(8, start=30))
    target = baseline_lesion(before, "uid", "liver", slice_mm=3.0)
    finding = target_finding(target, parts, otherwise=TargetState.NOT_EVALUATED)
    (one,) = assess(make_baseline([target]), [TimePoint(60, (finding,))]).time_points
    expected = sum(part.long_axis_mm.value for part in parts)
    assert one.sum_mm.value == pytest.approx(expected)
    assert one.target.category is Response.PR
    # Errors of independent parts add in squares.
    errors = [part.long_axis_mm.error for part in parts]
    assert one.sum_mm.error == pytest.approx(np.hypot(*errors))


def test_of_a_node_the_short_axis_counts() -> None:
    (before,), (after,) = measured(bar(30, width=18)), measured(bar(28, width=8))
    target = baseline_lesion(before, "node", "axilla", slice_mm=3.0, nature=Nature.NODE)
    finding = target_finding(target, [after], otherwise=TargetState.ABSENT)
    assert finding.diameters_mm == (after.short_axis_mm,)
    (one,) = assess(make_baseline([target]), [TimePoint(60, (finding,))]).time_points
    assert one.target.category is Response.CR


@pytest.mark.parametrize("otherwise", [TargetState.ABSENT, TargetState.NOT_EVALUATED])
def test_what_it_means_to_find_nothing_is_asked(otherwise: TargetState) -> None:
    (before,) = measured(bar(40))
    target = baseline_lesion(before, "uid", "liver", slice_mm=3.0)
    assert target_finding(target, (), otherwise=otherwise).state is otherwise
