"""napari itself opens, saves and lists samples through the manifest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from napari.components import ViewerModel
from npe2 import PluginManager

from napari_medcnn.app.layers import segmentation_layer
from napari_medcnn.core.segmentation import Label, Segmentation
from napari_medcnn.core.volume import Volume

NAME = "napari-medcnn"


@pytest.fixture
def viewer() -> ViewerModel:
    manager = PluginManager.instance()
    manager.discover()
    assert NAME in {manifest.name for manifest in manager.iter_manifests()}
    return ViewerModel()


def test_napari_opens_a_scan_and_saves_labels_for_slicer(
    viewer: ViewerModel, tmp_path: Path
) -> None:
    image = sitk.GetImageFromArray(np.arange(120, dtype=np.int16).reshape(4, 5, 6))
    image.SetSpacing((1.0, 1.5, 3.0))
    sitk.WriteImage(image, str(tmp_path / "scan.nii.gz"))
    (layer,) = viewer.open(str(tmp_path / "scan.nii.gz"), plugin=NAME)
    volume = layer.metadata["medcnn"]["volume"]
    assert isinstance(volume, Volume)

    drawn = np.zeros(volume.geometry.shape, np.uint8)
    drawn[1, 2, 3] = 2
    labels = Segmentation(drawn, volume.geometry, (Label(2, "nodule"),), volume.id)
    (added,) = viewer._add_layer_from_data(*segmentation_layer(labels, volume))
    assert added.save(str(tmp_path / "labels.seg.nrrd"))
    (again,) = viewer.open(str(tmp_path / "labels.seg.nrrd"), plugin=NAME)
    assert list(again.features["name"]) == ["nodule"]
    np.testing.assert_allclose(
        again.data_to_world(np.argwhere(again.data == 2)[0]), added.data_to_world((1, 2, 3))
    )


def test_napari_offers_the_samples(viewer: ViewerModel) -> None:
    keys = {
        s.key
        for name, found in PluginManager.instance().iter_sample_data()
        if name == NAME
        for s in found
    }
    assert keys == {"flair_baseline", "flair_followup", "ct_nodules"}
