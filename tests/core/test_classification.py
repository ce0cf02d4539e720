"""The likeliest classes of each item, and the curve of one class over all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_medcnn.core.classification import Classification, Guess, Item
from napari_medcnn.core.geometry import Geometry
from napari_medcnn.core.segmentation import ModelReference

ROWS = [[0.2, 0.5, 0.3], [0.4, 0.4, 0.2]]


def made(rows: list[list[float]] = ROWS, **fields: Any) -> Classification:
    return Classification(
        unit="slice",
        classes=("a", "b", "c"),
        items=tuple(Item(n, (0.0, 0.0, float(n))) for n in range(len(rows))),
        probabilities=np.array(rows, np.float32).reshape(len(rows), -1),
        model=ModelReference("m", "1", "0"),
        volume_id="v",
        geometry=Geometry.from_spacing((2, 3, 3), (1.0, 1.0, 1.0)),
        **fields,
    )


def test_the_likeliest_class_stands_first_and_ties_keep_the_networks_order() -> None:
    first, second = made().top(2)
    assert [guess.name for guess in first] == ["b", "c"]
    assert first[0] == Guess("b", pytest.approx(0.5))
    assert [guess.name for guess in second] == ["a", "b"]


@pytest.mark.parametrize(("k", "length"), [(0, 0), (1, 1), (3, 3), (9, 3)])
def test_there_are_as_many_guesses_as_asked_for_and_as_there_are(k: int, length: int) -> None:
    assert [len(guesses) for guesses in made().top(k)] == [length, length]


def test_a_class_is_a_curve_over_the_items() -> None:
    found = made()
    np.testing.assert_allclose(found.of_class("c"), [0.3, 0.2])
    np.testing.assert_array_equal(found.numbers, [0, 1])
    with pytest.raises(KeyError):
        found.of_class("d")


def test_probabilities_that_are_not_one_a_class_for_each_item_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 2\), not \(2, 3\)"):
        made([[0.5, 0.5], [0.5, 0.5]])
