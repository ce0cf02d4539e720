"""The classifier's figures, on answers and maps of which it is known what they are worth."""

from __future__ import annotations

import numpy as np
import pytest

from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.volume import Volume
from recipes.lesion_classifier.pointing import Patch, hits
from recipes.lesion_classifier.second_stage import Candidates, at_equal_recall, counted, figures
from recipes.lesion_classifier.separability import Answers, figures_of, mean_around


def test_equal_recall_drops_all_that_scores_below_the_worst_partner() -> None:
    candidates = Candidates(
        truths=4,
        hits=frozenset({1, 3}),
        idle=frozenset({4, 5}),
        scores={1: 0.9, 2: 0.7, 3: 0.6, 4: 0.5, 5: 0.1},
        own={1: 0.9, 2: 0.2, 3: 0.1, 4: 0.8, 5: 0.3},
    )
    assert at_equal_recall(candidates, candidates.scores) == {1, 2, 3}
    assert at_equal_recall(candidates, candidates.own) == {1, 2, 3, 4, 5}
    found = figures(candidates)
    assert found["before"] == {
        "candidates": 5, "matched": 2, "touch_none": 2, "precision": 0.4, "recall": 0.5
    }  # fmt: skip
    assert found["equal_recall"]["precision"] == pytest.approx(2 / 3)
    assert found["equal_recall"]["recall"] == found["before"]["recall"]
    assert found["equal_recall"]["touch_none"] == 0
    assert found["equal_recall_by_own_probability"]["precision"] == 0.4
    assert found["from_one_half"] == {
        "candidates": 4, "matched": 2, "touch_none": 1, "precision": 0.5, "recall": 0.5
    }  # fmt: skip


def test_without_a_partner_or_a_lesion_shares_do_not_exist() -> None:
    candidates = Candidates(0, frozenset(), frozenset({1}), {1: 0.4}, {1: 0.4})
    assert at_equal_recall(candidates, candidates.scores) == frozenset()
    none = counted(candidates, frozenset())
    assert (none["precision"], none["recall"]) == (None, None)


def answers(score: list[float]) -> Answers:
    """Ten lesions, each followed by its match."""
    truth = np.tile([1, 0], 10)
    pair = np.repeat([str(n) for n in range(10)], 2)
    return Answers(truth, pair, np.array(score), np.linspace(0.7, 1.9, 20), unmatched=3)


def test_areas_are_those_of_lesions_against_their_matches() -> None:
    told = figures_of(answers([0.9, 0.1] * 10))
    assert told["classifier"] == {"auc": 1.0, "low": 1.0, "high": 1.0}
    assert (told["pairs"], told["lesions_without_a_match"], told["accuracy"]) == (10, 3, 1.0)
    # Brightness grows from one place to the next: of 100 comparisons 45 are for the lesion.
    assert told["brightness"]["auc"] == pytest.approx(0.45)
    assert told["brightness"]["low"] < told["brightness"]["high"] < 1


def test_the_mean_around_a_point_is_that_of_a_ball_in_millimetres() -> None:
    grid = Geometry.from_spacing((9, 20, 18), (2.0, 1.0, 0.5))
    values = np.random.default_rng(0).random(grid.shape)
    volume = Volume(values, grid, name="noise")
    for centre in ((4.3, 9.0, 8.6), (0.2, 1.0, 16.9)):
        offset = (np.stack(np.indices(grid.shape), -1) - centre) * grid.spacing
        expected = values[np.linalg.norm(offset, axis=-1) <= 2.5].mean()
        assert mean_around(volume, centre) == pytest.approx(expected, rel=1e-12)


def test_a_map_hits_where_its_peak_lies_in_a_lesion() -> None:
    mask = np.zeros((8, 8, 8), dtype=bool)
    mask[2:4, 2:4, 2:4] = True
    there, beside = mask.astype(float), np.roll(mask, 4, axis=0).astype(float)
    grid = Geometry.from_spacing(mask.shape, (1.0, 1.0, 1.0))
    patches = [Patch(Volume(v, grid, name="patch"), mask) for v in (there, beside)]
    ways = {
        "gradcam": lambda volume: volume.array,
        "fresh weights 0": lambda _: there,
        "fresh weights 1": lambda _: beside,
        "flat": lambda volume: np.zeros_like(volume.array),
    }
    found = hits(patches, ways)
    assert found == {
        "lesions": 2,
        "gradcam": 0.5,
        "fresh weights": 0.5,
        "flat": 0.0,
        "any_voxel": 8 / 512,
    }
