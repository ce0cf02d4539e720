"""What ships is there, small enough, and fits its labels."""

from __future__ import annotations

import pytest

from napari_medcnn.app.samples import SAMPLES, sample_labels_path, sample_path
from napari_medcnn.contrib import samples as contrib
from napari_medcnn.core.errors import MedcnnError

KEYS = [sample.key for sample in SAMPLES]


@pytest.mark.parametrize("key", KEYS)
def test_a_sample_opens_with_its_known_labels_hidden(key: str) -> None:
    image, labels = getattr(contrib, key)()
    assert (image[2], labels[2]) == ("image", "labels")
    assert labels[1]["visible"] is False
    assert labels[0].shape == image[0].shape
    assert labels[0].any()
    assert image[1]["scale"] == labels[1]["scale"]


@pytest.mark.parametrize("key", KEYS)
def test_a_sample_is_at_most_four_megabytes(key: str) -> None:
    assert sample_path(key).stat().st_size <= 4e6
    assert sample_labels_path(key).stat().st_size <= 4e6


def test_an_unknown_sample_names_the_known_ones() -> None:
    with pytest.raises(MedcnnError, match="flair_baseline"):
        sample_path("nothing")
