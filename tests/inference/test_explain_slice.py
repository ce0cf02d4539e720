"""Explanations of single slices lie where the slice lies, whichever way up a network sees it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_medcnn.core.errors import Cancelled, InputMismatch
from napari_medcnn.core.events import Done, JobControl
from napari_medcnn.inference.explain_layer_list import layers_of
from napari_medcnn.inference.explain_options import ExplainOptions
from napari_medcnn.inference.explain_slice import explain_slice
from napari_medcnn.models.bundle import read_bundle
from tests.bundle_factory import make_bundle
from tests.classification_factory import picture_classifier
from tests.inference.explain_factory import (
    SHAPE,
    SPOT,
    Detector,
    explained,
    spec_of,
    spot_mask,
    spotted,
)

CPU = ExplainOptions(device="cpu", threads=1, batch=8, steps=8, baseline="zero")
PICTURES = spec_of(network={"spatial_dims": 2}, preprocessing=())


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_map_of_a_slice_lies_on_what_the_network_saw(axis: int) -> None:
    index = SPOT[axis].start
    volume = spotted()
    found, _ = explained(
        explain_slice(
            volume,
            PICTURES,
            axis=axis,
            index=index,
            method="integrated_gradients",
            target="bright",
            options=CPU,
            network=Detector(2),
        )
    )
    assert found.geometry == volume.geometry
    assert found.volume_id == volume.id
    only_slice = np.zeros(SHAPE, dtype=bool)
    only_slice[tuple(index if a == axis else slice(None) for a in range(3))] = True
    np.testing.assert_array_equal(found.array > 0.1, spot_mask() & only_slice)
    low, high = found.window
    assert low == tuple(index if a == axis else 0 for a in range(3))
    assert high == tuple(index + 1 if a == axis else SHAPE[a] for a in range(3))
    assert found.region == f"slice {index} along {'zyx'[axis]}"


@pytest.mark.parametrize(("axis", "index"), [(3, 0), (0, -1), (1, SHAPE[1])])
def test_a_slice_that_is_not_there_is_refused(axis: int, index: int) -> None:
    with pytest.raises(InputMismatch, match="there is no"):
        list(explain_slice(spotted(), PICTURES, axis=axis, index=index))


def test_a_network_of_volumes_sees_no_slices() -> None:
    volumes = replace(PICTURES, network={"spatial_dims": 3})
    with pytest.raises(InputMismatch, match="does not classify pictures"):
        list(explain_slice(spotted(), volumes, axis=0, index=0))


def test_a_slice_is_cancelled() -> None:
    control = JobControl()
    control.cancel()
    job = explain_slice(
        spotted(), PICTURES, axis=0, index=0, options=CPU, control=control, network=Detector(2)
    )
    with pytest.raises(Cancelled):
        list(job)


def test_layers_of_a_segmenter_are_listed_without_an_image(tmp_path) -> None:
    spec = read_bundle(make_bundle(tmp_path / "bright", random_weights=True))
    *_, done = layers_of(spec)
    assert isinstance(done, Done)
    assert len(done.result) > 1
    (usual,) = [layer for layer in done.result if layer.is_default]
    assert all(max(layer.stride) <= max(usual.stride) for layer in done.result), "the coarsest"


def test_layers_of_a_classifier_of_pictures_are_listed(tmp_path) -> None:
    spec = read_bundle(picture_classifier(tmp_path))
    *_, done = layers_of(spec)
    assert isinstance(done, Done)
    assert all(len(layer.shape) == 2 for layer in done.result)
    assert sum(layer.is_default for layer in done.result) == 1


def test_listing_layers_is_cancelled(tmp_path) -> None:
    spec = read_bundle(make_bundle(tmp_path / "bright"))
    control = JobControl()
    job = layers_of(spec, control)
    next(job)
    control.cancel()
    with pytest.raises(Cancelled):
        list(job)
