"""Rates and doubling times, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from napari_medcnn.core.lesion import Measurement, missing
from napari_medcnn.followup.growth import growth


def volume(value: float, error: float) -> Measurement:
    return Measurement(value, "mm3", error)


def test_two_volumes_give_their_difference_over_the_days() -> None:
    found = growth([volume(1000, 60), volume(2000, 80)], [10.0, 110.0])
    assert found.mm3_per_day.value == pytest.approx(10.0)
    assert found.mm3_per_day.error == pytest.approx(np.hypot(60, 80) / 100)
    rate_error = np.hypot(0.06, 0.04) / 100
    assert found.specific_rate_per_day.value == pytest.approx(np.log(2) / 100)
    assert found.specific_rate_per_day.error == pytest.approx(rate_error)
    assert found.doubling_time_days.value == pytest.approx(100.0)
    assert found.doubling_time_days.error == pytest.approx(100 * rate_error / (np.log(2) / 100))


def test_exponential_growth_over_many_studies_is_found_again() -> None:
    days = [0.0, 30.0, 90.0, 200.0]
    volumes = [volume(500 * 2 ** (day / 60), 20) for day in days]
    found = growth(volumes, days)
    assert found.doubling_time_days.value == pytest.approx(60.0)
    of_two = growth(volumes[:2], days[:2])
    assert found.specific_rate_per_day.error < of_two.specific_rate_per_day.error


def test_a_better_measurement_counts_more() -> None:
    days = [0.0, 50.0, 100.0]
    sure_end = growth([volume(100, 10), volume(200, 1000), volume(200, 10)], days)
    sure_middle = growth([volume(100, 10), volume(200, 10), volume(200, 1000)], days)
    assert sure_end.mm3_per_day.value == pytest.approx(1.0, rel=0.01)
    assert sure_middle.mm3_per_day.value == pytest.approx(2.0, rel=0.01)


def test_no_doubling_time_where_growth_is_uncertain_or_there_is_none() -> None:
    uncertain = growth([volume(1000, 300), volume(1200, 300)], [0.0, 100.0])
    assert "measurement error" in uncertain.doubling_time_days.reason
    assert uncertain.mm3_per_day.value == pytest.approx(2.0)
    shrinking = growth([volume(1000, 10), volume(500, 10)], [0.0, 100.0])
    assert shrinking.specific_rate_per_day.value == pytest.approx(-np.log(2) / 100)
    assert shrinking.doubling_time_days.reason == "it does not grow"


@pytest.mark.parametrize(
    ("volumes", "days", "reason"),
    [
        ([volume(10, 1), volume(20, 1)], [0.0, None], "date of a study is unknown"),
        ([volume(10, 1), volume(20, 1)], [5.0, 5.0], "one day only"),
        ([volume(10, 1)], [5.0], "one day only"),
        ([volume(10, 1), missing("no depth", "mm3")], [0.0, 5.0], "no depth"),
        ([volume(10, 1), Measurement(20, "mm3")], [0.0, 5.0], "error is unknown"),
        ([volume(0, 0), volume(20, 1)], [0.0, 5.0], "is 0"),
    ],
)
def test_what_cannot_be_told_has_a_reason(
    volumes: list[Measurement], days: list[float | None], reason: str
) -> None:
    found = growth(volumes, days)
    for figure in (found.mm3_per_day, found.specific_rate_per_day, found.doubling_time_days):
        assert figure.value is None
        assert reason in figure.reason


def test_each_volume_needs_its_day() -> None:
    with pytest.raises(ValueError, match="2 volumes on 1 days"):
        growth([volume(1, 1), volume(2, 1)], [0.0])
