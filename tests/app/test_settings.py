"""Preferences become settings, or are refused."""

from __future__ import annotations

import pytest

from napari_medcnn.app.settings import Settings
from napari_medcnn.core.errors import MedcnnError


def test_unknown_values_are_left_out_and_missing_ones_keep_their_default() -> None:
    settings = Settings.from_values({"device": "cpu", "from_another_version": 3})
    assert settings == Settings(device="cpu")


@pytest.mark.parametrize("seconds", [0.0, 61.0, float("nan")])
def test_an_interval_that_could_cost_more_than_a_minute_is_refused(seconds: float) -> None:
    with pytest.raises(MedcnnError, match="interval"):
        Settings(autosave_interval_s=seconds)


def test_the_models_advice_counts_until_the_user_says_otherwise() -> None:
    assert Settings().min_volume_for(3.0) == 3.0
    assert Settings(min_volume_mm3=0.0).min_volume_for(3.0) == 0.0
