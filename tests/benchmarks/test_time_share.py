"""The schedule of a training that ends by time."""

from __future__ import annotations

import pytest

from benchmarks.nnunet_trainer.time_share import TimeShare

HOUR = TimeShare(3600, begun=500)


def test_the_share_grows_from_none_to_all_and_stays_there() -> None:
    assert [HOUR.used(now) for now in (400, 500, 1400, 4100, 9000)] == [0, 0, 0.25, 1, 1]


def test_the_rate_is_nnunets_with_time_in_place_of_epochs() -> None:
    for epoch in (0, 250, 999):  # PolyLRScheduler: initial (1 - epoch / epochs) ** 0.9
        expected = 1e-2 * (1 - epoch / 1000) ** 0.9
        assert HOUR.rate(1e-2, 500 + 3.6 * epoch) == pytest.approx(expected)


def test_the_rate_is_zero_at_the_end_and_after_it() -> None:
    assert HOUR.rate(1e-2, 4100) == HOUR.rate(1e-2, 5000) == 0


def test_epochs_end_at_equal_parts_of_the_time_and_the_last_with_it() -> None:
    assert HOUR.epoch_end(10, 500) == pytest.approx(0.1)
    assert HOUR.epoch_end(10, 500 + 400) == pytest.approx(0.2)  # the first one was late
    assert HOUR.epoch_end(10, 500 + 3599) == 1


def test_on_a_slow_machine_epochs_are_fewer_and_the_end_is_not_later() -> None:
    now, ends = 500.0, []
    while HOUR.used(now) < 1:
        ends.append(HOUR.epoch_end(10, now))
        now += 1000  # a single step
    assert ends == pytest.approx([0.1, 0.3, 0.6, 0.9])
