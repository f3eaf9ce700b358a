"""Numbers over seeds: by hand, against SciPy, and against brute force."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from hinterland.report.statistics import (
    bootstrap_interval,
    interquartile_mean,
    intervals_overlap,
    mean,
    probability_of_improvement,
    t_interval,
    t_quantile,
)


def test_interquartile_mean_by_hand() -> None:
    # of eight values two fall away on each side: (3 + 4 + 5 + 6) / 4
    assert interquartile_mean(np.array([8, 1, 7, 2, 6, 3, 5, 4])) == 4.5
    # of five values one: (2 + 3 + 10) / 3
    assert interquartile_mean(np.array([10, 100, 1, 3, 2])) == 5
    # of three none
    assert interquartile_mean(np.array([1, 2, 6])) == 3
    assert math.isnan(interquartile_mean(np.array([])))


@pytest.mark.parametrize("n", [1, 3, 4, 7, 8, 10, 33])
def test_interquartile_mean_is_the_trimmed_mean(n: int) -> None:
    values = np.random.default_rng(n).normal(size=n)
    assert interquartile_mean(values) == pytest.approx(stats.trim_mean(values, 0.25), abs=1e-12)


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 9, 29, 30, 100, 999])
def test_t_quantile_is_that_of_scipy(degrees: int) -> None:
    assert t_quantile(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), rel=1e-9)
    assert t_quantile(degrees, 0.9) == pytest.approx(stats.t.ppf(0.9, degrees), rel=1e-9)


def test_t_interval_by_hand() -> None:
    # mean 2, standard deviation 1, error 1/sqrt(3), quantile with 2 degrees 4.30265
    low, high = t_interval(np.array([1.0, 2.0, 3.0]))
    assert (low, high) == pytest.approx((2 - 4.30265 / 3**0.5, 2 + 4.30265 / 3**0.5), abs=1e-4)
    # 1..5: mean 3, standard deviation sqrt(2.5), quantile with 4 degrees 2.776445
    half = 2.776445 * (2.5 / 5) ** 0.5
    found = t_interval(np.array([1.0, 2, 3, 4, 5]))
    assert found == pytest.approx((3 - half, 3 + half), rel=1e-6)
    assert all(map(math.isnan, t_interval(np.array([1.0]))))
    assert t_interval(np.array([2.0, 2.0])) == (2, 2)


def test_t_interval_covers_as_often_as_it_says() -> None:
    # 2000 samples of 5: 0.95 +- 0.005 (one standard deviation); 0.93 would fail by chance in 1e-4
    random = np.random.default_rng(0)
    inside = [low < 0 < high for low, high in map(t_interval, random.normal(size=(2000, 5)))]
    assert 0.93 < np.mean(inside) < 0.97


def test_bootstrap_is_the_distribution_of_all_resamples() -> None:
    values = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    every = [np.mean(sample) for sample in itertools.product(values, repeat=5)]
    exact = np.percentile(every, [2.5, 97.5])
    found = bootstrap_interval([values], mean, draws=20_000)
    assert found == pytest.approx(exact, abs=0.25)
    assert found == bootstrap_interval([values], mean, draws=20_000), "seeded"


def test_bootstrap_never_moves_a_seed_between_strata() -> None:
    # whatever is drawn within them, two constant tasks have the mean 5
    strata = [np.zeros(3), np.full(3, 10.0)]
    assert bootstrap_interval(strata, mean, draws=50) == (5, 5)
    mixed = bootstrap_interval([np.concatenate(strata)], mean, draws=200)
    assert mixed[0] < 4
    assert mixed[1] > 6


def test_bootstrap_of_one_seed_is_unknown() -> None:
    assert all(map(math.isnan, bootstrap_interval([np.array([1.0])])))
    assert all(map(math.isnan, bootstrap_interval([])))


def test_probability_of_improvement_by_hand_and_by_brute_force() -> None:
    # of the pairs (1,1) tie, (1,2) lose, (3,1) win, (3,2) win
    assert probability_of_improvement(np.array([1, 3]), np.array([1, 2])) == (0.5 + 0 + 1 + 1) / 4
    random = np.random.default_rng(1)
    ours, theirs = random.integers(0, 4, 6), random.integers(0, 4, 9)
    pairs = [(x > y) + 0.5 * (x == y) for x in ours for y in theirs]
    assert probability_of_improvement(ours, theirs) == pytest.approx(np.mean(pairs))
    assert probability_of_improvement(theirs, ours) == pytest.approx(1 - np.mean(pairs))
    u = stats.mannwhitneyu(ours, theirs, method="asymptotic").statistic
    assert probability_of_improvement(ours, theirs) == pytest.approx(u / 54)
    assert math.isnan(probability_of_improvement(np.array([]), theirs))


def test_intervals_overlap() -> None:
    nowhere = (math.nan, math.nan)
    assert intervals_overlap((0, 2), (1, 3))
    assert intervals_overlap((0, 9), (1, 3)), "one within the other"
    assert intervals_overlap((0, 1), (1, 2)), "they touch"
    assert not intervals_overlap((0, 1), (1.1, 2))
    assert not intervals_overlap((1.1, 2), (0, 1))
    assert intervals_overlap((0, 1), nowhere), "an unknown interval is apart from none"
