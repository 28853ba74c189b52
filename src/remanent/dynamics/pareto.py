"""Pareto-smoothed importance weights (Vehtari 2024, arXiv 1507.02646): the largest weights are replaced by what their own tail predicts."""

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp

_LEAST_TAIL = 5


def highest_k(draws: int) -> float:
    """Shape above which an average over this many draws is not to be trusted: 1 - 1 / log10(draws), 0.7 at most."""
    return min(1 - 1 / np.log10(draws), 0.7)


def smoothed(log_ratio: Float[np.ndarray, " draw"]) -> tuple[Float[np.ndarray, " draw"], float]:
    """Log weights that sum to one, and the shape k of the generalised Pareto fitted to the largest ratios; k is infinite where these cannot be fitted."""
    out, k = tail_smoothed(log_ratio)
    return out - logsumexp(out), k


def tail_smoothed(log_ratio: Float[np.ndarray, " draw"]) -> tuple[Float[np.ndarray, " draw"], float]:
    """The same, not normalised: their mean estimates a normalising constant."""
    shift = log_ratio.max()
    log_ratio = log_ratio - shift
    tail = int(np.ceil(min(0.2 * log_ratio.size, 3 * np.sqrt(log_ratio.size))))
    order = np.argsort(log_ratio)
    top, cut = order[-tail:], log_ratio[order[-tail - 1]]
    excess = np.exp(log_ratio[top]) - np.exp(cut)
    if tail < _LEAST_TAIL or not excess[0] > 0:
        return log_ratio + shift, -np.inf if np.ptp(log_ratio) < 1e-9 else np.inf
    k, scale = fit_pareto(excess)
    p = (np.arange(1, tail + 1) - 0.5) / tail
    quantile = scale * np.expm1(-k * np.log1p(-p)) / k if abs(k) > 1e-12 else -scale * np.log1p(-p)
    out = log_ratio.copy()
    out[top] = np.minimum(np.log(quantile + np.exp(cut)), 0.0)
    return out + shift, k


def fit_pareto(excess: Float[np.ndarray, " tail"]) -> tuple[float, float]:
    """Shape and scale of a generalised Pareto from sorted excesses (Zhang and Stephens 2009, DOI 10.1198/tech.2009.08017), shape drawn slightly to 0.5."""
    n = excess.size
    m = 30 + int(np.sqrt(n))
    b = (1 - np.sqrt(m / (np.arange(1, m + 1) - 0.5))) / (3 * excess[int(n / 4 + 0.5) - 1]) + 1 / excess[-1]
    shape = np.log1p(-b[:, None] * excess).mean(1)
    profile = n * (np.log(-b / shape) - shape - 1)
    b_mean = np.exp(profile - logsumexp(profile)) @ b
    k = float(np.log1p(-b_mean * excess).mean())
    return (k * n + 5) / (n + 10), -k / b_mean
