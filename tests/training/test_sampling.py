"""Drawing is a pure function of seed, epoch and sample, and fair to cases and classes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from napari_medcnn.training import sampling as module
from napari_medcnn.training.job import Sampling, TrainJob
from napari_medcnn.training.manifest import TrainCase
from napari_medcnn.training.sampling import Draw, foreground_per_batch, sample_of, samples_per_epoch
from tests.training.seen_jobs import job_of

CLASSES = ("a", "b", "c")


def job(
    cases: int,
    batch: int,
    *,
    share: float = 0.5,
    steps: int = 4,
    accumulate: int = 1,
    seed: int = 0,
) -> TrainJob:
    found = tuple(TrainCase(f"case{n}", (Path(f"{n}.nii.gz"),)) for n in range(cases))
    sampling = Sampling((8, 8, 8), batch, steps, foreground_share=share, accumulate=accumulate)
    return job_of(found, classes=CLASSES, sampling=sampling, seed=seed)


def classifying(counts: tuple[int, ...], *, balanced: bool = True, steps: int = 7) -> TrainJob:
    targets = [name for name, count in zip(CLASSES, counts, strict=True) for _ in range(count)]
    found = tuple(
        TrainCase(f"case{n}", (Path(f"{n}.png"),), target=name) for n, name in enumerate(targets)
    )
    sampling = Sampling((1, 8, 8), 4, steps, balance_classes=balanced)
    return job_of(found, task="classification", classes=CLASSES, sampling=sampling)


def epoch_of(job: TrainJob, epoch: int) -> list[Draw]:
    return [sample_of(job, epoch, n) for n in range(samples_per_epoch(job.sampling))]


@given(
    cases=st.integers(1, 9),
    batch=st.integers(1, 6),
    share=st.sampled_from([0.0, 0.1, 0.33, 0.5, 1.0]),
    accumulate=st.integers(1, 3),
)
def test_every_batch_has_the_same_share_of_foreground(
    cases: int, batch: int, share: float, accumulate: int
) -> None:
    one = job(cases, batch, share=share, accumulate=accumulate)
    wanted = foreground_per_batch(one.sampling)
    assert abs(wanted - share * batch) <= 0.5 or wanted == 1
    assert (wanted > 0) == (share > 0)
    draws = epoch_of(one, 3)
    assert len(draws) == batch * 4 * accumulate
    for start in range(0, len(draws), batch):
        assert sum(d.wants_foreground for d in draws[start : start + batch]) == wanted


@given(cases=st.integers(1, 11), batch=st.integers(1, 5), epochs=st.integers(1, 6))
def test_cases_and_classes_are_seen_alike_often_after_any_number_of_epochs(
    cases: int, batch: int, epochs: int
) -> None:
    one = job(cases, batch)
    draws = [d for e in range(epochs) for d in epoch_of(one, e)]
    seen = Counter(d.case_index for d in draws)
    assert max(seen.values()) - min(seen[n] for n in range(cases)) <= 1
    first = Counter(d.classes[0] for d in draws if d.wants_foreground)
    assert max(first.values()) - min(first[n] for n in range(len(CLASSES))) <= 1
    assert all(sorted(d.classes) == [0, 1, 2] for d in draws if d.wants_foreground)


@given(counts=st.tuples(*[st.integers(0, 5)] * 3).filter(any), epochs=st.integers(1, 5))
def test_balanced_classification_draws_classes_alike_often_and_in_each_its_cases(
    counts: tuple[int, ...], epochs: int
) -> None:
    one = classifying(counts)
    draws = [d for e in range(epochs) for d in epoch_of(one, e)]
    targets = {n: c.target for n, c in enumerate(one.manifest.cases)}
    classes = Counter(targets[d.case_index] for d in draws)
    present = [name for name, count in zip(CLASSES, counts, strict=True) if count]
    assert max(classes.values()) - min(classes[name] for name in present) <= 1
    for name in present:
        seen = Counter(d.case_index for d in draws if targets[d.case_index] == name)
        members = [n for n, target in targets.items() if target == name]
        assert max(seen.values(), default=0) - min(seen[n] for n in members) <= 1


def test_unbalanced_classification_draws_cases_alike_often() -> None:
    one = classifying((1, 2, 11), balanced=False)
    seen = Counter(d.case_index for e in range(2) for d in epoch_of(one, e))
    assert set(seen.values()) == {4}


def test_a_draw_hangs_on_nothing_but_its_numbers() -> None:
    one = job(7, 3)
    first = epoch_of(one, 5)
    module._order.cache_clear()
    assert [sample_of(one, 5, n) for n in reversed(range(12))] == first[::-1]
    assert epoch_of(replace(one, name="other", augmentation="strong"), 5) == first
    assert epoch_of(replace(one, seed=1), 5) != first
    assert len({d.seed for e in range(3) for d in epoch_of(one, e)}) == 36


def test_orders_differ_from_round_to_round() -> None:
    one = job(8, 4, steps=2)
    orders = {tuple(d.case_index for d in epoch_of(one, e)) for e in range(5)}
    assert len(orders) == 5
    assert all(sorted(order) == list(range(8)) for order in orders)
