"""Numbers over seeds: means, intervals, comparisons. NumPy only; same input, same output.

An array holds one final return per seed. "Strata" are several such arrays, one per task (system);
the bootstrap draws seeds within each stratum and never moves one between strata.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Real

Values = Real[np.ndarray, " seeds"]
Statistic = Callable[[Values], float]


def mean(values: Values) -> float:
    """Arithmetic mean; NaN of nothing."""
    return float(np.mean(values)) if len(values) else math.nan


def interquartile_mean(values: Values) -> float:
    """Mean without the lowest and the highest quarter; NaN of nothing.

    As in rliable (Agarwal et al. 2021), the number cut on each side is rounded down: of fewer than
    four values it is the mean.
    """
    ordered = np.sort(np.asarray(values, np.float64))
    cut = len(ordered) // 4
    return mean(ordered[cut : len(ordered) - cut])


def t_quantile(degrees: int, probability: float = 0.975) -> float:
    """Quantile of Student's t for a whole number of degrees of freedom, above its median."""
    low, high = 0.0, 2.0
    while _t_cdf(high, degrees) < probability:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_cdf(middle, degrees) < probability else (low, middle)
    return (low + high) / 2


def _t_cdf(t: float, degrees: int) -> float:
    """The finite sums 26.7.3 and 26.7.4 of Abramowitz and Stegun, exact for whole degrees."""
    angle = math.atan2(t, math.sqrt(degrees))
    square = math.cos(angle) ** 2
    odd = degrees % 2
    term = math.cos(angle) if odd else 1.0
    total = 0.0
    for k in range(degrees // 2):
        total += term
        term *= square * ((2 * k + 2) / (2 * k + 3) if odd else (2 * k + 1) / (2 * k + 2))
    total *= math.sin(angle)
    inside = 2 / math.pi * (angle + total) if odd else total
    return 0.5 + inside / 2


def t_interval(values: Values) -> tuple[float, float]:
    """95 % interval of the mean by Student's t, right for few seeds; NaN for fewer than two."""
    n = len(values)
    if n < 2:
        return math.nan, math.nan
    centre, error = mean(values), float(np.std(values, ddof=1)) / math.sqrt(n)
    half = t_quantile(n - 1) * error
    return centre - half, centre + half


def bootstrap_interval(
    strata: Sequence[Values],
    statistic: Statistic = interquartile_mean,
    draws: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """95 % stratified percentile bootstrap of a statistic of all values; NaN below two per stratum.

    Args:
        strata: one array per task.
        statistic: of the values of all strata together.
        draws: resamples.
        seed: of the resampling.
    """
    if not strata or min(len(values) for values in strata) < 2:
        return math.nan, math.nan
    random = np.random.default_rng(seed)
    resampled = np.concatenate(
        [random.choice(np.asarray(v, np.float64), (draws, len(v))) for v in strata], axis=1
    )
    low, high = np.percentile([statistic(sample) for sample in resampled], [2.5, 97.5])
    return float(low), float(high)


def probability_of_improvement(ours: Values, theirs: Real[np.ndarray, " others"]) -> float:
    """How often a random seed of ours is better than one of theirs; a tie counts half."""
    if not len(ours) or not len(theirs):
        return math.nan
    difference = np.asarray(ours)[:, None] - np.asarray(theirs)[None]
    return float(np.mean((difference > 0) + 0.5 * (difference == 0)))


def intervals_overlap(a: tuple[float, float], b: tuple[float, float]) -> bool:
    """Whether two intervals share a point; an unknown one (NaN) may be anywhere, so it does."""
    return not (a[1] < b[0] or b[1] < a[0])
