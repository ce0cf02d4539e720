"""Maps come back to the image as MONAI's own inverse brings them, and across any chain of steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from napari_medcnn.core.events import JobControl
from napari_medcnn.inference.map_back import map_on_image
from napari_medcnn.inference.preprocess import prepare
from napari_medcnn.models.spec import Step
from tests.inference.conftest import from_file, smooth_image
from tests.inference.explain_factory import spec_of
from tests.inference.streaming import brought_back, ended
from tests.inference.test_way_back import cases, prepared_by, volume_of


@settings(max_examples=15)
@given(cases())
@pytest.mark.filterwarnings("ignore")  # MONAI's, of its own defaults
def test_every_straight_chain_of_steps_agrees_with_the_engines_way_back(
    case: dict[str, Any],
) -> None:
    volume = volume_of(case)
    prepared = prepared_by(volume, spec_of(), case["steps"])
    assert prepared.way_back is not None
    shape = tuple(prepared.tensor.shape[1:])
    values = np.random.default_rng(case["seed"]).random(shape, np.float32)
    ours = map_on_image(values, prepared, volume)
    theirs = brought_back(values[None], prepared.way_back, nearest=False)[0]
    in_file = volume.on_source_grid(ours)[0].transpose(2, 1, 0)
    np.testing.assert_allclose(in_file, theirs, atol=2e-5)


def test_a_step_with_its_own_inverse_only_goes_by_monai() -> None:
    from napari_medcnn.core.geometry import AxisMap, Geometry

    grid = Geometry.from_spacing((8, 10, 12), (2.0, 1.0, 1.5))
    volume = from_file(smooth_image(grid.shape), grid, AxisMap((2, 0, 1), (True, False, True)))
    steps = (
        Step("Orientationd", {"keys": "image", "axcodes": "RAS", "labels": None}),
        Step("Resized", {"keys": "image", "spatial_size": [24, 20, 16], "mode": "trilinear"}),
    )
    prepared, _ = ended(prepare([volume], spec_of(preprocessing=steps), JobControl()))
    assert prepared.way_back is None
    back = map_on_image(prepared.tensor[0].numpy(), prepared, volume)
    assert back.shape == volume.geometry.shape
    np.testing.assert_allclose(back, volume.array, atol=0.08)
