"""Intervals over seeds. NumPy and SciPy only."""

import numpy as np
from jaxtyping import Float


def mean_interval(values: Float[np.ndarray, " n"]) -> tuple[float, float]:
    """(mean, half width of the 95 % interval by Student's t); the width is NaN for one value."""
    from scipy.stats import t

    values = np.asarray(values, np.float64)
    if len(values) < 2:
        return float(values.mean()), float("nan")
    error = values.std(ddof=1) / len(values) ** 0.5
    return float(values.mean()), float(t.ppf(0.975, len(values) - 1) * error)


def interquartile_mean(values: Float[np.ndarray, " n"]) -> float:
    """Mean of the middle half; the outer values of that half count by their share in it.

    As in Agarwal et al. (2021): a quarter of the mass is cut off on each side.
    """
    ordered = np.sort(np.asarray(values, np.float64))
    n = len(ordered)
    edges = np.arange(n + 1) / n
    weight = np.clip(np.minimum(edges[1:], 0.75) - np.maximum(edges[:-1], 0.25), 0, None)
    return float((ordered * weight).sum() / weight.sum())


def bootstrap_interval(
    values: Float[np.ndarray, " n"], draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the interquartile mean."""
    random = np.random.default_rng(seed)
    values = np.asarray(values, np.float64)
    samples = random.choice(values, (draws, len(values)))
    means = [interquartile_mean(sample) for sample in samples]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def intervals_overlap(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " m"]) -> bool:
    """Whether the 95 % t-intervals of two means overlap; single values always do."""
    (mean_a, half_a), (mean_b, half_b) = mean_interval(a), mean_interval(b)
    distance = abs(mean_a - mean_b)
    return not distance > half_a + half_b
