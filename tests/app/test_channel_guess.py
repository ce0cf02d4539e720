"""Images are offered for a model's channels by their names, else in their order."""

from __future__ import annotations

import pytest

from napari_medcnn.app.channel_guess import guess_channels

BRATS = ("T1c", "T1", "T2", "FLAIR")


@pytest.mark.parametrize(
    ("channels", "images", "expected"),
    [
        (BRATS, ("x_flair", "x_t1", "x_t1ce", "x_t2"), (2, 1, 3, 0)),
        (BRATS, ("BraTS-0001-t1c", "BraTS-0001-t1n", "BraTS-0001-t2f", "BraTS-0001-t2w"),
         (0, 1, 3, 2)),
        (("CT", "PET"), ("one", "two"), (0, 1)),
        (("CT", "PET"), ("a pet scan", "the other"), (1, 0)),
        (("CT", "PET"), ("only",), (0, 0)),
        (("CT", "PET"), (), ()),
        (("image 0", "image 1"), ("FLAIR", "T1"), (0, 1)),
        (("T1", "T1c"), ("T1 mprage axial", "T1"), (1, 0)),
    ],
)  # fmt: skip
def test_names_go_before_the_order(channels, images, expected):
    assert guess_channels(channels, images) == expected
