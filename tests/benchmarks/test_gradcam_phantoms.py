"""Phantoms whose objects differ in their form alone."""

from __future__ import annotations

import numpy as np

from benchmarks.gradcam_phantoms import (
    JUDGED,
    OBJECTS,
    PHANTOMS_OF_A_SEED,
    SIZE,
    SMALL_SIZE,
    TRAINING,
    VALIDATION,
    _ball,
    _other,
    _rearranged,
    phantom,
    seen,
)


def test_objects_hold_the_lesions_values_in_another_order() -> None:
    rng = np.random.default_rng(0)
    ball, values = _ball(4.7)
    assert len(ball) == len(values)
    assert len(np.unique(values)) == 2
    for _ in range(20):
        shape = _other(rng, len(values))
        assert len(np.unique(shape, axis=0)) == len(values)
        np.testing.assert_array_equal(np.sort(_rearranged(rng, values)), np.sort(values))


def test_with_and_without_a_lesion_an_image_is_as_bright() -> None:
    means = {True: [], False: []}
    for seed in range(12):
        for with_lesion in means:
            made = phantom(seed, with_lesion)
            assert made.image.shape == (SIZE,) * 3
            assert made.mask.any() == with_lesion
            means[with_lesion].append(made.image.mean())
    np.testing.assert_allclose(means[True], means[False], atol=1e-3)  # a pair has one radius
    assert phantom(3, True, SMALL_SIZE, 1).image.shape == (SMALL_SIZE,) * 3
    assert OBJECTS > 1


def test_the_network_sees_what_preprocessing_gives() -> None:
    image = phantom(1, True).image
    given = seen(image)
    assert abs(given.mean()) < 1e-5
    assert abs(given.std() - 1) < 1e-5
    np.testing.assert_allclose(
        given[0, -1, 5], (image[5, 0, -1] - image.mean()) / image.std(), 1e-4
    )


def test_no_seed_judges_by_what_any_seed_has_learnt() -> None:
    learnt = range(TRAINING + VALIDATION)
    judged = range(JUDGED, JUDGED + 1000)
    assert learnt.stop <= judged.start
    assert judged.stop <= PHANTOMS_OF_A_SEED
    one, other = (phantom(seed * PHANTOMS_OF_A_SEED + 1, True) for seed in (0, 1))
    assert (one.image != other.image).mean() > 0.99
