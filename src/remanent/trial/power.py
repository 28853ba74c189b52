"""How many patients a question needs: curves over n, with Monte Carlo intervals.

Two policies: trials of n per arm are drawn from the virtual patients; power is the share in which the difference of relapse proportions is significant
(two-sided z-test, unpooled). Dropouts count as not relapsed.

Two mechanisms: a patient's visits (ratings and one measure each of function and structure) are a Gaussian vector under either mechanism, its mean and
covariance taken from simulated patients. With l the log ratio of the densities of the true mechanism and its nearest rival (the draw of the rival's
parameters least divergent from the truth), n patients decide with probability

    P(sum of n values of l > log odds) = Phi((n m - log odds) / (sd sqrt n)),   m, sd: mean and spread of l over patients

which takes parameters as known up to that choice: a bound from above.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import norm

from remanent.trial.design import Contrast, Power
from remanent.trial.trajectory import Push, advance
from remanent.trial.trials import wilson
from remanent.trial.world import STEP_DAYS, Truth, World, draw_world, score

LANES = 3000
RIVALS = 40
MEASURE_SD = (
    0.35  # noise of one measure of function or structure in units of the mean gain, both assumed: docs/trials.md
)

Answers = Float[np.ndarray, "answer lane"]


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


def mechanism_curve(
    rng: np.random.Generator, draw: Callable[[np.random.Generator, str], Truth], asked: Contrast
) -> Curve:
    """Probability that n patients give odds of at least `odds` for the first mechanism against the second when the first is true."""
    true, rival = asked.mechanisms
    own = answers(rng, draw(rng, true), asked)
    mean, cov = _moments(own)
    others = [_moments(answers(rng, draw(rng, rival), asked)) for _ in range(RIVALS)]
    nearest = min(others, key=lambda other: _divergence((mean, cov), other))
    ratio = _log_density(own, (mean, cov)) - _log_density(own, nearest)
    m, sd, bar = ratio.mean(), ratio.std(), np.log(asked.odds)
    power = tuple(float(norm.cdf((n * m - bar) / (sd * np.sqrt(n)))) for n in asked.patients)
    return Curve(asked.patients, power, power, power)


def answers(rng: np.random.Generator, truth: Truth, asked: Contrast) -> Answers:
    """What simulated patients show: a rating, a measure of function and one of structure on each day, [answer, lane]; nobody relapses or leaves."""
    last = max(*asked.scan_days, asked.taper_day)
    steps = int(np.ceil(last / STEP_DAYS)) + 1
    plan = {"steps": steps, "visits": 1, "stages": 1, "entry_at_most": None}
    world = draw_world(rng, truth, LANES, plan)
    share, f, s, rows = np.ones(LANES), world.f, world.s, []
    days = sorted(asked.scan_days)
    for k in range(steps):
        day = k * STEP_DAYS
        while days and days[0] <= day:
            rows += _looked_at(rng, world, f, s)
            days.pop(0)
        share = np.clip(share - (day >= asked.taper_day) * STEP_DAYS / 84.0, 0.0, 1.0)
        push = Push(world.person.c + world.person.a * share, world.person.p * share)
        f, s = advance(truth, world.person, (f, s), push, STEP_DAYS, world.z[k])
    while days:
        rows += _looked_at(rng, world, f, s)
        days.pop(0)
    return np.stack(rows)


def _looked_at(rng: np.random.Generator, world: World, f: np.ndarray, s: np.ndarray) -> list[np.ndarray]:
    z = rng.standard_normal((3, len(f)))
    rating = score(world.truth, world.own_mean, (f, np.zeros_like(f)), z[0])
    return [rating, f + MEASURE_SD * z[1], s + MEASURE_SD * z[2]]


def _moments(x: Answers) -> tuple[np.ndarray, np.ndarray]:
    return x.mean(axis=1), np.cov(x) + 1e-6 * np.eye(len(x))


def _divergence(p: tuple[np.ndarray, np.ndarray], q: tuple[np.ndarray, np.ndarray]) -> float:
    """Kullback-Leibler divergence of one Gaussian from another."""
    (m, C), (n, D) = p, q
    inverse = np.linalg.inv(D)
    logs = np.linalg.slogdet(D)[1] - np.linalg.slogdet(C)[1]
    return float(0.5 * (np.trace(inverse @ C) + (n - m) @ inverse @ (n - m) - len(m) + logs))


def _log_density(x: Answers, law: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    mean, cov = law
    away = x - mean[:, None]
    quadratic: np.ndarray = (away * np.linalg.solve(cov, away)).sum(axis=0)
    return -0.5 * (quadratic + np.linalg.slogdet(cov)[1] + len(mean) * np.log(2 * np.pi))
