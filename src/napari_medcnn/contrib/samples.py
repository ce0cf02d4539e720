"""File > Open Sample: each image that ships, with its known labels hidden beside it."""

from __future__ import annotations

from napari_medcnn.app.layers import LayerData, segmentation_layer, volume_layers
from napari_medcnn.app.samples import sample_labels_path, sample_path


def flair_baseline() -> list[LayerData]:
    """A FLAIR brain with lesions."""
    return _sample("flair_baseline")


def flair_followup() -> list[LayerData]:
    """The same brain later: lesions grew, shrank, came and went."""
    return _sample("flair_followup")


def ct_nodules() -> list[LayerData]:
    """A CT phantom with nodules of known volume."""
    return _sample("ct_nodules")


def _sample(key: str) -> list[LayerData]:
    from napari_medcnn.io.labels import read_segmentation
    from napari_medcnn.io.read import read

    (volume,) = read(sample_path(key))
    truth = read_segmentation(sample_labels_path(key), volume)
    data, attributes, kind = segmentation_layer(truth, volume)
    hidden = attributes | {"name": f"{volume.name}: known labels", "visible": False}
    return [*volume_layers(volume), (data, hidden, kind)]
