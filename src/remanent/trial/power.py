"""How many patients two policies need to be told apart, as a curve; two mechanisms: contrast.py.

A trial runs in one population: of each replicate trials of n per arm are drawn from its virtual patients, and power is the share of them in which the
difference of relapse proportions is significant (two-sided z-test, unpooled). The curve is the mean over replicates. Dropouts count as not relapsed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from remanent.trial.design import Power
from remanent.trial.trials import wilson


@dataclass(frozen=True)
class Curve:
    """Probability of success at each number of patients: mean and 90 % interval over populations, or the Monte Carlo interval of the only one."""

    patients: tuple[int, ...]
    mean: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]


def policy_curve(rng: np.random.Generator, relapsed: Sequence[tuple[float, float]], asked: Power) -> Curve:
    """Power to tell two policies apart by the shares relapsed under each in every replicate, by patients per arm."""
    n = np.array(asked.patients_per_arm)[:, None]
    found = np.array([_told_apart(rng, shares, n, asked) for shares in relapsed])
    if len(found) == 1:
        low, high = np.transpose([wilson(int(k), asked.resamples, 0.9) for k in found[0]])
    else:
        low, high = np.quantile(found / asked.resamples, (0.05, 0.95), axis=0)
    mean = found.mean(axis=0) / asked.resamples
    return Curve(asked.patients_per_arm, *(tuple(map(float, part)) for part in (mean, low, high)))


def _told_apart(rng: np.random.Generator, shares: tuple[float, float], n: np.ndarray, asked: Power) -> np.ndarray:
    """In how many of the trials drawn the difference is significant, [size]."""
    a, b = (rng.binomial(n, share, (n.size, asked.resamples)) / n for share in shares)
    spread = np.sqrt((a * (1 - a) + b * (1 - b)) / n)
    return (np.abs(a - b) > float(norm.ppf(1 - asked.alpha / 2)) * spread + 1e-12).sum(axis=1)
