"""How many patients two policies need to be told apart, as a curve with Monte Carlo intervals; two mechanisms: contrast.py.

Trials of n per arm are drawn from the virtual patients; power is the share in which the difference of relapse proportions is significant (two-sided z-test,
unpooled). Dropouts count as not relapsed.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from remanent.trial.design import Power
from remanent.trial.trials import wilson


@dataclass(frozen=True)
class Curve:
    """Probability of success at each number of patients, with its 90 % Monte Carlo interval (equal to it where there is none)."""

    patients: tuple[int, ...]
    mean: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]


def policy_curve(rng: np.random.Generator, relapsed: tuple[np.ndarray, np.ndarray], asked: Power) -> Curve:
    """Power to tell the relapse proportions of two policies apart, by patients per arm."""
    z = float(norm.ppf(1 - asked.alpha / 2))
    rows = []
    for n in asked.patients_per_arm:
        a, b = (rng.choice(one, (asked.resamples, n)).mean(axis=1) for one in relapsed)
        spread = np.sqrt((a * (1 - a) + b * (1 - b)) / n)
        found = int((np.abs(a - b) > z * spread + 1e-12).sum())
        rows.append((found / asked.resamples, *wilson(found, asked.resamples, 0.9)))
    mean, lower, upper = zip(*rows, strict=True)
    return Curve(asked.patients_per_arm, mean, lower, upper)
