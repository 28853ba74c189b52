"""How far the replay agrees with the trials it was not fitted to, and with what is known of the time course."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import logsumexp
from scipy.stats import beta, binom

from remanent.trial.calibrate import BETWEEN, Surface, population
from remanent.trial.replay import Lanes, expected, node_weights, replay
from remanent.trial.trials import Arm, Trial, trials

INTERVAL = (0.05, 0.95)
OFF = 1e-3  # shares are kept so far off 0 and 1
PLACES = 4  # of a new trial's own effects per draw of the population


@dataclass(frozen=True)
class ArmResult:
    """One arm: what was observed and what the fitted population predicts for it.

    Attributes
    ----------
    mean, lower, upper
        Of the arm's expected share relapsed, in a trial drawn from the population of trials, 90 %.
    count_lower, count_upper
        The same for the share observed among `n` patients.
    log_score, log_score_pooled
        Log probability of the count, and under the pooled share of the fitted arms (no model) with the same sampling.
    """

    trial: Trial
    arm: Arm
    mean: float
    lower: float
    upper: float
    count_lower: float
    count_upper: float
    log_score: float
    log_score_pooled: float

    @property
    def overlaps(self) -> bool:
        """Whether the predicted interval meets the published one."""
        return self.lower <= self.arm.ci[1] and self.upper >= self.arm.ci[0]

    @property
    def holds(self) -> bool:
        """Whether the published share lies in the interval of shares to be observed."""
        return self.count_lower <= self.arm.proportion <= self.count_upper


def predictions(fits: Sequence[Surface], draws: int, lanes: int, seed: int) -> list[ArmResult]:
    """Every arm of every trial as a new one: its own effects drawn at random, mechanisms weighted by their evidence."""
    share = _shares(fits)
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(draws, share)
    found: list[ArmResult] = []
    for number, trial in enumerate(trials()):
        parts = []
        for m, (one, n) in enumerate(zip(fits, counts, strict=True)):
            q, own = population(one.resample(rng, n), m), rng.standard_normal((n, PLACES, len(BETWEEN)))
            if n:
                courses = replay(trial, q, np.random.default_rng([seed, number, m]), lanes, own)
                parts.append(expected(courses, trial).swapaxes(1, 2).reshape(-1, len(trial.arms)))
        drawn = np.concatenate(parts)
        found += [_result(rng, trial, arm, drawn[:, k]) for k, arm in enumerate(trial.arms)]
    return found


def _shares(fits: Sequence[Surface]) -> np.ndarray:
    evidence = np.array([one.log_evidence for one in fits])
    return np.exp(evidence - logsumexp(evidence))


def _result(rng: np.random.Generator, trial: Trial, arm: Arm, drawn: np.ndarray) -> ArmResult:
    seen = rng.binomial(arm.n, drawn) / arm.n
    lower, upper = np.quantile(drawn, INTERVAL)
    count_lower, count_upper = np.quantile(seen, INTERVAL)
    chance = binom.pmf(arm.relapsed, arm.n, drawn)
    k, n = _pooled()
    flat = beta.rvs(k + 0.5, n - k + 0.5, size=4000, random_state=rng)
    pooled = binom.pmf(arm.relapsed, arm.n, flat).mean()
    return ArmResult(
        trial,
        arm,
        float(drawn.mean()),
        float(lower),
        float(upper),
        float(count_lower),
        float(count_upper),
        float(np.log(chance.mean())),
        float(np.log(pooled)),
    )


def _pooled() -> tuple[int, int]:
    arms = [arm for trial in trials() if trial.split == "fitted" for arm in trial.arms]
    return sum(arm.relapsed for arm in arms), sum(arm.n for arm in arms)


@dataclass(frozen=True)
class TimeCourse:
    """What the fitted population says of when relapse comes, mean and 90 % interval over draws each.

    Draws that say nothing of it are left out: nobody relapses, the trial takes nobody in, or (shape and ratio) everybody has relapsed by half a year.

    Attributes
    ----------
    weibull_shape
        Through the shares relapsed at 26 and 52 weeks on a continued antidepressant; below 1 the hazard falls.
    half_year_ratio
        Hazard of weeks 26-52 over that of weeks 0-26, each taken as constant.
    early_on_lithium
        Share of the relapses within 24 weeks on nortriptyline and lithium (Sackeim's rule) that come by week 5.
    weeks_to_relapse
        Mean weeks to relapse among those who relapse within 26 weeks on nortriptyline and lithium (CORE's arm).
    """

    weibull_shape: tuple[float, float, float]
    half_year_ratio: tuple[float, float, float]
    early_on_lithium: tuple[float, float, float]
    weeks_to_relapse: tuple[float, float, float]


def time_course(fits: Sequence[Surface], draws: int, lanes: int, seed: int) -> TimeCourse:
    """Time course under the fitted population; nothing of it was fitted."""
    by_name = {trial.name: trial for trial in trials()}
    sackeim, core = by_name["sackeim2001"], by_name["core2006"]
    usual = replace(sackeim, arms=(replace(sackeim.arms[1], weeks=52, dropout_rate=0.0),))
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(draws, _shares(fits))
    shape, ratio, early, weeks = [], [], [], []
    for m, (one, n) in enumerate(zip(fits, counts, strict=True)):
        if not n:
            continue
        q = population(one.resample(rng, n), m)
        year = replay(usual, q, np.random.default_rng([seed, m]), lanes)[0].relapse_day
        on_lithium = replay(sackeim, q, np.random.default_rng([seed, m, 1]), lanes)[2].relapse_day
        in_core = replay(core, q, np.random.default_rng([seed, m, 2]), lanes)[1].relapse_day
        half, full = (_share_by(year, week) for week in (26, 52))
        told = (full > OFF) & (half < 1 - OFF)
        less, more = (-np.log1p(-np.clip(share[told], OFF, 1 - OFF)) for share in (half, full))
        shape.append(np.log(more / less) / np.log(2))
        ratio.append((more - less) / less)
        by_then = _share_by(on_lithium, 24)
        early.append((_share_by(on_lithium, 5) / np.where(by_then > 0, by_then, np.nan))[by_then > 0])
        weeks.append(weeks_to_relapse(in_core, 26))
    return TimeCourse(*(_summary(np.concatenate(part)) for part in (shape, ratio, early, weeks)))


def by_rule(fits: Sequence[Surface], draws: int, lanes: int, seed: int) -> dict[str, tuple[float, float]]:
    """Share relapsed on placebo and on nortriptyline in one group (Sackeim 2001: entry, weeks, dropout) by the rule of each trial, by the rule's name."""
    sackeim = next(trial for trial in trials() if trial.name == "sackeim2001")
    rules = {trial.rule.name: trial.rule for trial in trials()}
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(draws, _shares(fits))
    at = [(m, population(one.resample(rng, n), m)) for m, (one, n) in enumerate(zip(fits, counts, strict=True)) if n]
    found = {}
    for name, rule in rules.items():
        group = replace(sackeim, rule=rule, arms=sackeim.arms[:2])
        share = [expected(replay(group, q, np.random.default_rng([seed, m]), lanes), group) for m, q in at]
        placebo, drug = (np.concatenate(share) @ node_weights()).mean(axis=0)
        found[name] = float(placebo), float(drug)
    return found


def weeks_to_relapse(day: Lanes, within: float) -> np.ndarray:
    """Mean weeks to relapse among those who relapse within so many weeks, nodes weighted, of every draw in which anybody does."""
    seen, weight = day <= 7 * within, _weights(day)
    count = (weight * seen.sum(axis=2)).sum(axis=1)
    weeks = (weight * np.where(seen, day, 0.0).sum(axis=2)).sum(axis=1) / 7
    return np.asarray(weeks[count > 0] / count[count > 0])


def _share_by(day: Lanes, week: float) -> np.ndarray:
    """Share relapsed by a week, nodes weighted, [draw]; NaN where the trial takes nobody in."""
    weight = _weights(day)
    among = weight.sum(axis=1)
    share = (weight * (day <= 7 * week).mean(axis=2)).sum(axis=1)
    return np.asarray(share / np.where(among > 0, among, np.nan))


def _weights(day: Lanes) -> np.ndarray:
    """Weights of the nodes, [draw, node]; 0 where the trial takes nobody in, whom the replay has relapse on day 0, all of them."""
    return np.where((day == 0).all(axis=2), 0.0, node_weights())


def _summary(x: np.ndarray) -> tuple[float, float, float]:
    lower, upper = np.quantile(x, INTERVAL)
    return float(x.mean()), float(lower), float(upper)
