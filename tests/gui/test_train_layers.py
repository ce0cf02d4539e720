"""Examples of a training lie in the viewer as their voxels lie in space."""

from __future__ import annotations

from dataclasses import replace

import pytest
import SimpleITK as sitk

from napari_medcnn.core.events import Preview
from napari_medcnn.gui.train_layers import NAMES, TrainLayers
from napari_medcnn.training.job import Ending, Preprocessing
from napari_medcnn.training.run import train
from tests.training.tiny_run import RESOURCES, tiny_job


@pytest.mark.parametrize(
    ("job_spacing", "shown"), [(None, (3.0, 1.0, 1.0)), ((1.5, 2.0, 2.0), (1.5, 2.0, 2.0))]
)
def test_examples_have_the_spacing_of_the_networks_grid(
    state, tmp_path, monkeypatch, job_spacing, shown
):
    monkeypatch.setenv("MEDCNN_CACHE", str(tmp_path / "cache"))
    job = tiny_job(tmp_path / "data", cases=4, ending=Ending(epochs=1, validate_every=1))
    for case in job.manifest.cases:
        for path in (*case.images, case.label):
            image = sitk.ReadImage(str(path))
            image.SetSpacing((1.0, 1.0, 3.0))
            sitk.WriteImage(image, str(path))
    job = replace(job, preprocessing=Preprocessing(spacing_mm=job_spacing))
    layers = TrainLayers(state)
    for event in train(job, tmp_path / "run", RESOURCES):
        if isinstance(event, Preview):
            layers.show_preview(event, job)
    placed = {layer.name: tuple(layer.scale) for layer in state.viewer.layers}
    assert placed == {name: pytest.approx(shown) for name in NAMES.values()}
