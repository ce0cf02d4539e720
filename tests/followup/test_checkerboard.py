"""A checkerboard has whole squares of both images, in millimetres."""

from __future__ import annotations

import numpy as np
import pytest

from napari_medcnn.core.errors import GeometryError
from napari_medcnn.followup.checkerboard import checkerboard


def test_squares_are_as_long_in_every_direction() -> None:
    fixed, moved = np.zeros((12, 40, 20), np.float32), np.ones((12, 40, 20), np.float32)
    board = checkerboard(fixed, moved, (5.0, 1.0, 2.0), 10.0)
    assert board[0, :20, 0].tolist() == [0] * 10 + [1] * 10
    assert board[:4, 0, 0].tolist() == [0, 0, 1, 1]
    assert board[0, 0, :10].tolist() == [0] * 5 + [1] * 5
    assert board.mean() == 0.5


def test_images_of_two_grids_are_refused() -> None:
    with pytest.raises(GeometryError, match="one grid"):
        checkerboard(np.zeros((2, 3, 4), np.float32), np.zeros((2, 3, 5), np.float32), (1, 1, 1))
