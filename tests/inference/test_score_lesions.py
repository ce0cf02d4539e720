"""Scores of lesions by their ids, and the lesions from an operating point on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_medcnn.core.classification import Classification, Item
from napari_medcnn.core.errors import InputMismatch
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.lesion import LesionTable
from napari_medcnn.core.segmentation import Label, ModelReference, Segmentation
from napari_medcnn.core.volume import Volume
from napari_medcnn.imaging.lesions import find_lesions
from napari_medcnn.inference.score_lesions import at_operating_point, lesion_scores, passing


@pytest.fixture
def table() -> LesionTable:
    """Three lesions, the largest first."""
    drawn = np.zeros((4, 12, 12), np.uint8)
    drawn[1:3, 1:5, 1:5] = drawn[1:3, 7:10, 7:10] = drawn[1, 11, 0] = 1
    volume = Volume(drawn, Geometry.from_spacing(drawn.shape, (2.0, 1.0, 1.0)))
    found = Segmentation(drawn, volume.geometry, (Label(1, "lesion"),), volume.id)
    return find_lesions(found, volume)


def scored(table: LesionTable, scores: dict[int, float]) -> Classification:
    return Classification(
        unit="lesion",
        classes=("no", "lesion"),
        items=tuple(Item(number, None) for number in scores),
        probabilities=np.array([(1 - p, p) for p in scores.values()], np.float32).reshape(-1, 2),
        model=ModelReference("m", "1", "0"),
        volume_id=table.volume_id,
        geometry=Geometry.from_spacing((4, 12, 12), (2.0, 1.0, 1.0)),
    )


def test_scores_are_joined_by_id_whatever_their_order(table: LesionTable) -> None:
    found = scored(table, {3: 0.9, 1: 0.2, 2: 0.5})
    assert lesion_scores(table, found, "lesion") == pytest.approx({1: 0.2, 2: 0.5, 3: 0.9})
    assert lesion_scores(table, found, "no")[1] == pytest.approx(0.8)


def test_lesions_of_at_least_the_threshold_stay_under_their_ids(table: LesionTable) -> None:
    scores = {1: 0.2, 2: 0.5, 3: 0.9}
    kept = at_operating_point(table, scores, 0.5)
    assert [lesion.id for lesion in kept.lesions] == [2, 3]
    np.testing.assert_array_equal(kept.id_map, np.where(table.id_map == 1, 0, table.id_map))
    assert len(table.lesions) == 3, "the table that came in stays as it is"
    assert (table.id_map == 1).any()
    assert kept.last_id == table.last_id
    assert at_operating_point(table, scores, 0.0).lesions == table.lesions
    assert not at_operating_point(table, scores, 1.0).id_map.any()


def test_an_empty_table_stays_empty(table: LesionTable) -> None:
    none = replace(table, lesions=(), id_map=np.zeros_like(table.id_map))
    assert at_operating_point(none, {}, 0.5).lesions == ()
    assert lesion_scores(none, scored(none, {}), "lesion") == {}


def test_what_does_not_belong_together_is_refused(table: LesionTable) -> None:
    found = scored(table, {1: 0.2, 2: 0.5, 3: 0.9})
    with pytest.raises(InputMismatch, match="not the lesions of this image"):
        lesion_scores(replace(table, volume_id="other"), found, "lesion")
    with pytest.raises(InputMismatch, match="not the lesions of this image"):
        lesion_scores(table, replace(found, unit="slice"), "lesion")
    with pytest.raises(InputMismatch, match=r"no class 'tumour'.*no, lesion"):
        lesion_scores(table, found, "tumour")
    with pytest.raises(InputMismatch, match="lesion 2, 3 was not classified"):
        lesion_scores(table, scored(table, {1: 0.2}), "lesion")
    with pytest.raises(KeyError):
        at_operating_point(table, {1: 0.5}, 0.5)


def test_a_score_at_the_operating_point_passes() -> None:
    assert passing({1: 0.2, 2: 0.5, 3: 0.9}, 0.5) == {2, 3}
    assert passing({}, 0.5) == frozenset()
