from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.gui.windowing import (
    AUTO,
    CT_WINDOWS,
    PRESETS,
    Window,
    apply_preset,
    auto_window,
    presets_for,
)


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        ("lung", (-1350, 150)),
        ("soft tissue", (-160, 240)),
        ("bone", (-500, 1300)),
        ("brain", (0, 80)),
    ],
)
def test_ct_windows_show_half_their_width_on_each_side_of_the_centre(name, limits):
    assert CT_WINDOWS[name].limits == limits


def test_hounsfield_windows_are_offered_for_ct_only():
    assert presets_for("CT") == PRESETS
    assert presets_for("MR") == presets_for("") == (AUTO,)


def test_a_preset_sets_the_limits_and_never_narrows_the_slider():
    layer = Image(np.arange(-1000, 1000, dtype=np.int16).reshape(20, 10, 10))
    layer.contrast_limits_range = (-1024, 3000)
    window = apply_preset(layer, "lung")
    assert window == Window(-600, 1500)
    assert layer.contrast_limits == [-1350, 150]
    assert layer.contrast_limits_range == [-1350, 3000]
    apply_preset(layer, "brain")
    assert layer.contrast_limits == [0, 80]
    assert layer.contrast_limits_range == [-1350, 3000]


def test_the_automatic_window_ignores_masked_voxels_and_single_spikes():
    rng = np.random.default_rng(1)
    array = np.zeros((40, 40, 40), dtype=np.float32)
    array[10:30, 10:30, 10:30] = rng.uniform(100, 200, (20, 20, 20))
    array[20, 20, 20] = 1e6
    low, high = auto_window(array).limits
    assert 99 < low < 102
    assert 198 < high < 201


@pytest.mark.parametrize("value", [0, 7])
def test_an_image_of_one_value_still_gets_a_window(value):
    layer = Image(np.full((4, 5, 6), value, dtype=np.int16))
    assert apply_preset(layer, AUTO).width > 0


def test_an_unknown_preset_is_an_error_that_lists_the_known_ones():
    with pytest.raises(MedcnnError, match="soft tissue"):
        apply_preset(Image(np.zeros((2, 2))), "liver")
