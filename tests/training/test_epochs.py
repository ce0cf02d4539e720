"""When a run is measured, validated and over; pure arithmetic."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from napari_medcnn.training.checkpoint import Standing
from napari_medcnn.training.epochs import (
    KEPT_BACK,
    Pace,
    epochs_that_fit,
    is_better,
    is_measured,
    is_over,
    judged,
    validates_after,
)
from napari_medcnn.training.job import Ending

BUDGET = Ending(epochs=None, minutes=10, validate_every=5)


@given(epoch=st.floats(0.5, 60), validation=st.floats(0.1, 60), done=st.integers(1, 10))
def test_what_is_planned_fits_into_the_minutes_and_one_round_more_would_not(
    epoch: float, validation: float, done: int
) -> None:
    pace = Pace(epoch * done, done, validation, 1)
    seconds = epoch * done + validation
    planned = epochs_that_fit(done, seconds, pace, BUDGET)
    each = epoch + validation / 5
    total = seconds + (planned - done) * each
    budget = 600 * (1 - KEPT_BACK)
    assert planned >= done
    assert planned == done or total <= budget * (1 + 1e-9)
    assert total + each > budget * (1 - 1e-9)


def test_measuring_takes_a_tenth_and_three_epochs_but_never_more_than_a_quarter() -> None:
    assert not is_measured(3, 30, BUDGET)
    assert not is_measured(2, 100, BUDGET)
    assert is_measured(3, 61, BUDGET)
    assert is_measured(1, 151, BUDGET)
    assert not is_measured(1, 1e9, Ending(epochs=3))


def test_validations_come_every_so_often_and_after_the_last_epoch() -> None:
    ending = Ending(epochs=12, validate_every=5)
    standing = Standing(epochs_planned=12)
    assert [e for e in range(1, 13) if validates_after(e, standing, ending)] == [5, 10, 12]


def test_a_loss_is_better_below_and_a_score_above_and_no_number_never() -> None:
    assert is_better("loss", 0.1, 0.2)
    assert not is_better("dice", 0.1, 0.2)
    assert is_better("dice", 0.1, None)
    assert not is_better("dice", math.nan, None)


def test_patience_ends_a_run_early() -> None:
    ending = Ending(epochs=100, patience=2)
    standing = Standing(epochs_planned=100)
    for epoch, value in ((5, 0.5), (10, 0.4), (15, 0.6), (20, 0.6), (25, 0.1)):
        assert is_over(standing, ending) is None
        standing = replace(judged(standing, epoch, value, ending), epoch=epoch)
    assert is_over(standing, ending) == "early"
    assert (standing.best, standing.best_epoch) == (0.6, 15)


def test_a_run_ends_after_its_epochs() -> None:
    assert is_over(Standing(epoch=3, epochs_planned=3), Ending(epochs=3)) == "finished"
    assert is_over(Standing(epoch=3, epochs_planned=None), BUDGET) is None
