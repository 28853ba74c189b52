"""Population parameters from published trials: simulated likelihood, a quadratic surface, a Gaussian posterior in the priors' own coordinates.

Coordinates are those of dynamics/priors.py: standard normal a priori, x = centre + spread theta (log x where the prior is on the log). The likelihood of a
trial is that of its published counts,

    p(counts | theta) = sum_k w_k prod_arm Binomial(relapsed_arm; n_arm, pi_arm,k(theta))

with pi simulated (replay.py) at each node k of the trial's own effect. It is noisy, so no single evaluation is believed: the log likelihood is evaluated at
draws from the prior and then around the best, and a quadratic is laid through all of them (synthetic likelihood and Laplace in one). Where the counts say
nothing about a direction, the quadratic is flat there and the prior stays.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp
from scipy.stats import binom

from remanent.dynamics.priors import MECHANISMS, SWITCHES, table
from remanent.trial.replay import FASTEST, Population, expected, node_weights, replay
from remanent.trial.trials import SCALE, Trial, document, trials

DYNAMIC = ("k_f", "r", "c_ratio", "a_ratio", "p", "sd_p", "mu_gs", "sd_gs", "sd_gf", "sig_f", "sig_s")
RATED = ("mu", "sd_mu", "l_f", "sigma")
OWN = ("trial_sd", "later_ect")
NAMES = (*DYNAMIC, *(f"{name}[{SCALE}]" for name in RATED), *OWN)
LANES = 80
AT_ONCE = 16
BROADER = 1.3
PRIOR_SHARE = 0.1
TEMPERATURE = 6.0  # nats below the best at which a point counts 1/e
RIDGE = (0.2, 6.0)  # noise variance of about 1.5 nats² over the prior variance of linear and of quadratic coefficients

Theta = Float[np.ndarray, " param"]
Draws = Float[np.ndarray, "draw param"]
Job = tuple[np.ndarray, int, int]  # theta [draw, param], mechanism, seed
Mapper = Callable[[Callable[[Job], np.ndarray], Sequence[Job]], Iterable[np.ndarray]]


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
class Surface:
    """Posterior of theta under one mechanism: prior times a quadratic log likelihood, hence Gaussian.

    Attributes
    ----------
    mean, cov
        Of theta, [param] and [param, param].
    log_evidence
        Log marginal likelihood of the fitted trials.
    noise
        Spread of the simulated log likelihood about the quadratic near its top (nats): Monte Carlo error and misfit together.
    evaluations
        Simulated log likelihoods it rests on.
    """

    mechanism: str
    mean: Theta
    cov: Float[np.ndarray, "param param"]
    log_evidence: float
    noise: float
    evaluations: int

    def resample(self, rng: np.random.Generator, count: int) -> Draws:
        """Draws of theta."""
        return self.mean + rng.standard_normal((count, len(self.mean))) @ np.linalg.cholesky(self.cov).T


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
    x |= {"k_f": np.minimum(x["k_f"], FASTEST), "r": np.minimum(x["r"], FASTEST)}
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


def fit(mechanism: int, rounds: Sequence[int], seed: int, mapper: Mapper = map) -> Surface:
    """Posterior under one mechanism; `rounds` is the number of evaluations of each round, the first at draws from the prior."""
    size, rng = len(NAMES), np.random.default_rng([seed, mechanism])
    theta, log_lik = np.empty((0, size)), np.empty(0)
    for number, count in enumerate(rounds):
        fresh = rng.standard_normal((count, size))
        if number:
            top = surface(mechanism, theta, log_lik)
            near = top.mean + BROADER * (top.resample(rng, count) - top.mean)
            fresh = np.where(rng.random((count, 1)) < PRIOR_SHARE, fresh, near)
        parts = np.array_split(fresh, max(1, count // AT_ONCE))
        jobs = [(part, mechanism, seed + 1_000_003 * number + k) for k, part in enumerate(parts)]
        log_lik = np.concatenate([log_lik, *mapper(log_likelihood, jobs)])
        theta = np.concatenate([theta, fresh])
    return surface(mechanism, theta, log_lik)


def surface(mechanism: int, theta: Draws, log_lik: np.ndarray) -> Surface:
    """Weighted ridge regression of the log likelihood on a + b theta - theta' H theta / 2, points near the top counting most; H is kept positive.

    With the standard normal prior the posterior is N(C b, C), C = (H + I)^-1, and log evidence = a + b' C b / 2 + log|C| / 2.
    """
    size = theta.shape[1]
    upper = np.triu_indices(size)
    x = np.concatenate([np.ones((len(theta), 1)), theta, theta[:, upper[0]] * theta[:, upper[1]]], axis=1)
    weight = np.exp(np.maximum(log_lik - log_lik.max(), -60.0) / TEMPERATURE)
    ridge = np.concatenate([[0.0], np.full(size, RIDGE[0]), np.full(len(upper[0]), RIDGE[1])])
    wx = weight[:, None] * x
    found = np.linalg.solve(wx.T @ x + np.diag(ridge + 1e-9), wx.T @ log_lik)
    H = np.zeros((size, size))
    H[upper] = -found[1 + size :]
    H = H + H.T
    values, vectors = np.linalg.eigh(H)
    H = (vectors * np.maximum(values, 0.0)) @ vectors.T
    linear = found[1 : 1 + size]
    cov = np.linalg.inv(H + np.eye(size))
    mean = cov @ linear
    residual = log_lik - x @ found
    return Surface(
        mechanism=MECHANISMS[mechanism],
        mean=mean,
        cov=cov,
        log_evidence=float(found[0] + 0.5 * linear @ mean + 0.5 * np.linalg.slogdet(cov)[1]),
        noise=float(np.sqrt((weight * residual**2).sum() / weight.sum())),
        evaluations=len(theta),
    )
