"""Population parameters from published trials: simulated likelihood, adaptive importance sampling, a Gaussian posterior in the priors' own coordinates.

Coordinates are those of dynamics/priors.py: standard normal a priori, x = centre + spread theta (log x where the prior is on the log). The likelihood of a
trial is that of its published counts,

    p(counts | theta) = sum_k w_k prod_arm Binomial(relapsed_arm; n_arm, pi_arm,k(theta))

with pi simulated (replay.py) at each node k of the trial's own effect. Its Monte Carlo error enters the weights, so it widens the posterior and does not hide.
Draws come from the prior, then from Gaussians fitted to the weighted draws so far; all of them count, each weighted by prior x likelihood over the mixture it
could have come from (deterministic mixture weights).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp
from scipy.stats import binom, multivariate_normal

from remanent.dynamics.priors import MECHANISMS, SWITCHES, table
from remanent.trial.replay import Population, expected, node_weights, replay
from remanent.trial.trials import SCALE, Trial, document, trials

DYNAMIC = ("k_f", "r", "c_ratio", "a_ratio", "p", "sd_p", "mu_gs", "sd_gs", "sd_gf", "sig_f", "sig_s")
RATED = ("mu", "sd_mu", "l_f", "sigma")
OWN = ("trial_sd", "later_ect")
NAMES = (*DYNAMIC, *(f"{name}[{SCALE}]" for name in RATED), *OWN)
LANES = 80
AT_ONCE = 16
LEAST_EFFECTIVE = 60.0
BROADER = 1.5
PRIOR_SHARE = 0.15

Theta = Float[np.ndarray, " param"]
Draws = Float[np.ndarray, "draw param"]
Job = tuple[np.ndarray, int, int]  # theta [draw, param], mechanism, seed
Mapper = Callable[[Callable[[Job], np.ndarray], Sequence[Job]], Iterator[np.ndarray]]


@dataclass(frozen=True)
class Coordinate:
    """Centre and spread of one coordinate, on the log where `is_log`."""

    centre: float
    spread: float
    is_log: bool

    def value(self, theta: Any) -> np.ndarray:
        """Natural-scale values."""
        x = self.centre + self.spread * np.asarray(theta)
        return np.exp(x) if self.is_log else x


@dataclass(frozen=True)
class Weighted:
    """Weighted draws of theta under one mechanism; `log_evidence` is the log of the marginal likelihood of the fitted trials."""

    mechanism: str
    theta: Draws
    weight: np.ndarray
    log_evidence: float

    @property
    def effective(self) -> float:
        """Effective number of draws."""
        return float(1.0 / (self.weight**2).sum())

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and covariance of theta; the covariance is drawn towards the prior's where few draws carry it."""
        return _moments(self.theta, self.weight)

    def resample(self, rng: np.random.Generator, count: int) -> Draws:
        """Draws of equal weight."""
        return self.theta[rng.choice(len(self.theta), count, p=self.weight)]


@cache
def coordinates() -> dict[str, Coordinate]:
    """Every coordinate of the replay, by name, in the order of NAMES."""
    entries: list[dict[str, Any]] = [
        *(table()["dynamics"][name] for name in DYNAMIC),
        *(table()["symptom"][name] for name in RATED),
        *(document()["population"][name] for name in OWN),
    ]
    return {name: coordinate(entry) for name, entry in zip(NAMES, entries, strict=True)}


def coordinate(entry: Any) -> Coordinate:
    """One coordinate from its entry in priors.yaml."""
    is_log = entry["scale"] == "log"
    mean = float(entry["mean"])
    return Coordinate(float(np.log(mean)) if is_log else mean, float(entry["sd"]), is_log)


def population(theta: Draws, mechanism: int) -> Population:
    """Natural-scale parameters of some draws; what the mechanism forbids is 0."""
    columns = theta.T[:, :, None, None]
    x = {name.split("[", 1)[0]: one.value(t) for (name, one), t in zip(coordinates().items(), columns, strict=True)}
    passive, active = (float(v) for v in SWITCHES[mechanism])
    c = x["r"] * x.pop("c_ratio")
    x |= {"a": active * c * x.pop("a_ratio"), "c": c, "p": passive * x["p"], "sd_p": passive * x["sd_p"]}
    return Population(**x)


def log_likelihood(job: Job, lanes: int = LANES, split: str = "fitted") -> np.ndarray:
    """Simulated log likelihood of the counts of every trial of a split, [draw]."""
    theta, mechanism, seed = job
    q, total = population(theta, mechanism), np.zeros(len(theta))
    for number, trial in enumerate(trials()):
        if trial.split == split:
            total += trial_log_likelihood(trial, q, np.random.default_rng([seed, number]), lanes)
    return total


def trial_log_likelihood(trial: Trial, q: Population, rng: np.random.Generator, lanes: int) -> np.ndarray:
    """Log likelihood of one trial's counts, its own effect integrated out, [draw]."""
    share = expected(replay(trial, q, rng, lanes), trial)
    counts = np.array([[arm.relapsed, arm.n] for arm in trial.arms])
    per_node = binom.logpmf(counts[:, :1], counts[:, 1:], share).sum(axis=1)
    return np.asarray(logsumexp(per_node, b=node_weights(), axis=-1))


def fit(mechanism: int, rounds: Sequence[int], seed: int, mapper: Mapper = map) -> Weighted:
    """Posterior draws under one mechanism; `rounds` is the number of draws of each round, the first from the prior."""
    size, rng = len(NAMES), np.random.default_rng([seed, mechanism])
    prior = multivariate_normal(np.zeros(size), np.eye(size))
    theta, log_lik = np.empty((0, size)), np.empty(0)
    proposals: list[tuple[int, Any]] = []
    for number, count in enumerate(rounds):
        if number == 0:
            fresh, law = rng.standard_normal((count, size)), prior
        else:
            mean, cov = _moments(theta, _weights(theta, log_lik, proposals, prior, LEAST_EFFECTIVE)[0])
            law = multivariate_normal(mean, BROADER * cov)
            from_prior = rng.random(count) < PRIOR_SHARE
            fresh = np.where(from_prior[:, None], rng.standard_normal((count, size)), law.rvs(count, random_state=rng))
        parts = np.array_split(fresh, max(1, count // AT_ONCE))
        jobs = [(part, mechanism, seed + 1_000_003 * number + k) for k, part in enumerate(parts)]
        log_lik = np.concatenate([log_lik, *mapper(log_likelihood, jobs)])
        theta = np.concatenate([theta, fresh])
        proposals.append((count, law))
    weight, log_evidence = _weights(theta, log_lik, proposals, prior, 0.0)
    return Weighted(MECHANISMS[mechanism], theta, weight, log_evidence)


def _weights(
    theta: Draws, log_lik: np.ndarray, proposals: Sequence[tuple[int, Any]], prior: Any, least: float
) -> tuple[np.ndarray, float]:
    """Normalised deterministic-mixture weights and the log evidence; the likelihood is tempered until `least` draws are effective."""
    log_prior, total = prior.logpdf(theta), sum(count for count, _ in proposals)
    parts = [
        np.log(count / total)
        + (
            law.logpdf(theta)
            if k == 0
            else np.logaddexp(np.log1p(-PRIOR_SHARE) + law.logpdf(theta), np.log(PRIOR_SHARE) + log_prior)
        )
        for k, (count, law) in enumerate(proposals)
    ]
    ratio = log_prior - logsumexp(parts, axis=0)
    heat = 1.0
    while True:
        log_w = ratio + heat * log_lik
        weight = np.exp(log_w - logsumexp(log_w))
        if least <= 0 or 1 / (weight**2).sum() >= min(least, len(weight) / 4) or heat < 1e-3:
            return weight, float(logsumexp(ratio + log_lik) - np.log(total))
        heat *= 0.8


def _moments(theta: Draws, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean = weight @ theta
    centred = theta - mean
    cov = (weight[:, None] * centred).T @ centred
    effective = 1 / (weight**2).sum()
    trust = effective / (effective + theta.shape[1])
    return mean, trust * cov + (1 - trust) * np.diag(np.diag(cov) + 0.05)
