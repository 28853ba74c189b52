"""Population parameters from published trials: simulated arms, an emulator of them, a Gaussian posterior in the priors' own coordinates.

Coordinates are those of dynamics/priors.py: standard normal a priori, x = centre + spread theta (log x where the prior is on the log). The likelihood of a
trial is that of its published counts,

    p(counts | theta) = sum_k w_k prod_arm Binomial(relapsed_arm; n_arm, pi_arm,k(theta))

with pi simulated (replay.py) at each node k of the trial's own effect. A simulated share is noisy, but the share itself is smooth in theta: logit pi is
laid out as a quadratic in theta over all evaluations (ridge regression, those near the best counting most), drawn first from the prior, then from the posterior
so far. The posterior under the emulator is sampled by many Metropolis chains; its evidence comes from importance sampling. Where the counts say nothing
about a direction the prior stays. `misfit` says how far emulated and simulated log likelihoods differ near the top.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import expit, gammaln, logit, logsumexp
from scipy.stats import multivariate_normal

from remanent.dynamics.priors import MECHANISMS, SWITCHES, table
from remanent.trial.replay import FASTEST, NODES, Population, expected, node_weights, replay
from remanent.trial.trials import SCALE, Trial, document, trials

DYNAMIC = ("k_f", "r", "c_ratio", "a_ratio", "p", "sd_p", "mu_gs", "sd_gs", "sd_gf", "sig_f", "sig_s")
RATED = ("mu", "sd_mu", "l_f", "sigma")
OWN = ("trial_sd", "later_ect")
NAMES = (*DYNAMIC, *(f"{name}[{SCALE}]" for name in RATED), *OWN)
LANES = 40
AT_ONCE = 16
BROADER = 1.3
PRIOR_SHARE = 0.1
TEMPERATURE, LEAST_WEIGHT = 8.0, 0.02  # nats below the best at which a simulation counts 1/e; the least it counts
RIDGE = (
    0.1,
    2.0,
)  # noise variance of a logit share, about 0.1, over the prior variance of linear and of quadratic coefficients
CHAINS, STEPS, THIN = 100, 240, 10
EVIDENCE_DRAWS = 8000

Theta = Float[np.ndarray, " param"]
Draws = Float[np.ndarray, "draw param"]
Job = tuple[np.ndarray, int, int]  # theta [draw, param], mechanism, seed
Emulator = Callable[[Draws], np.ndarray]
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
    """Posterior of theta under one mechanism, as a Gaussian.

    Attributes
    ----------
    mean, cov
        Of theta, [param] and [param, param].
    draws
        Draws of theta from the posterior itself.
    log_evidence
        Log marginal likelihood of the fitted trials.
    misfit
        Mean absolute difference of emulated and simulated log likelihood over the last round (nats): Monte Carlo error and the emulator's together.
    evaluations
        Simulations of all trials it rests on.
    """

    mechanism: str
    mean: Theta
    cov: Float[np.ndarray, "param param"]
    draws: Draws
    log_evidence: float
    misfit: float
    evaluations: int

    def resample(self, rng: np.random.Generator, count: int) -> Draws:
        """Draws of theta."""
        return self.draws[rng.integers(0, len(self.draws), count)]


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


def shares(job: Job) -> Float[np.ndarray, "draw arm node"]:
    """Simulated share relapsed of every arm of the fitted trials."""
    theta, mechanism, seed = job
    q = population(theta, mechanism)
    parts = [
        expected(replay(trial, q, np.random.default_rng([seed, number]), LANES), trial)
        for number, trial in enumerate(fitted_trials())
    ]
    return np.concatenate(parts, axis=1)


def fitted_trials() -> tuple[Trial, ...]:
    """The trials that are fitted, in order."""
    return tuple(trial for trial in trials() if trial.split == "fitted")


def log_likelihood(share: Float[np.ndarray, "draw arm node"]) -> Float[np.ndarray, " draw"]:
    """Log likelihood of the published counts given the arms' shares, each trial's own effect integrated out."""
    total, first = np.zeros(len(share)), 0
    for trial in fitted_trials():
        counts = np.array([[arm.relapsed, arm.n] for arm in trial.arms])[:, :, None]
        mine = share[:, first : first + len(counts)]
        k, n = counts[:, 0], counts[:, 1]
        constant = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
        per_node = (constant + k * np.log(mine) + (n - k) * np.log1p(-mine)).sum(axis=1)
        total = total + logsumexp(per_node, b=node_weights(), axis=-1)
        first += len(counts)
    return total


def fit(mechanism: int, rounds: Sequence[int], seed: int, mapper: Mapper = map) -> Surface:
    """Posterior under one mechanism; `rounds` is the number of simulations of each round, the first at draws from the prior."""
    size, rng = len(NAMES), np.random.default_rng([seed, mechanism])
    theta, share = np.empty((0, size)), np.empty((0, *_arm_shape()))
    chains, misfit = np.empty((0, size)), np.nan
    emulator: Emulator = _unknown
    for number, count in enumerate(rounds):
        fresh = rng.standard_normal((count, size))
        if number:
            near = chains[rng.integers(0, len(chains), count)]
            near = chains.mean(0) + BROADER * (near - chains.mean(0))
            fresh = np.where(rng.random((count, 1)) < PRIOR_SHARE, fresh, near)
        parts = np.array_split(fresh, max(1, count // AT_ONCE))
        jobs = [(part, mechanism, seed + 1_000_003 * number + k) for k, part in enumerate(parts)]
        simulated = np.concatenate(list(mapper(shares, jobs)))
        if number:
            misfit = _misfit(emulator(fresh), simulated)
        theta, share = np.concatenate([theta, fresh]), np.concatenate([share, simulated])
        emulator = emulate(theta, share)
        chains = metropolis(rng, emulator, chains)
    mean, cov = chains.mean(axis=0), np.cov(chains.T)
    return Surface(MECHANISMS[mechanism], mean, cov, chains, _evidence(rng, emulator, (mean, cov)), misfit, len(theta))


def _unknown(theta: Draws) -> np.ndarray:
    """The emulator before the first simulation: every share a half."""
    return np.full((len(theta), *_arm_shape()), 0.5)


def _arm_shape() -> tuple[int, int]:
    return sum(len(trial.arms) for trial in fitted_trials()), NODES


def _misfit(emulated: np.ndarray, simulated: np.ndarray) -> float:
    """Mean absolute difference of the log likelihoods, over the better half of the draws."""
    a, b = log_likelihood(emulated), log_likelihood(simulated)
    better = b >= np.median(b)
    return float(np.abs(a - b)[better].mean())


def emulate(theta: Draws, share: Float[np.ndarray, "draw arm node"]) -> Emulator:
    """Quadratic of logit share in theta, arm by arm and node by node, as a function of theta."""
    log_lik = log_likelihood(share)
    weight = np.maximum(np.exp((log_lik - log_lik.max()) / TEMPERATURE), LEAST_WEIGHT)
    x, y = _features(theta), logit(share).reshape(len(theta), -1)
    size = theta.shape[1]
    ridge = np.concatenate([[1e-9], np.full(size, RIDGE[0]), np.full(x.shape[1] - size - 1, RIDGE[1])])
    wx = weight[:, None] * x
    found = np.linalg.solve(wx.T @ x + np.diag(ridge), wx.T @ y)

    def emulator(at: Draws) -> np.ndarray:
        return np.asarray(expit(np.clip(_features(at) @ found, -7.0, 7.0)).reshape(len(at), *share.shape[1:]))

    return emulator


def _features(theta: Draws) -> np.ndarray:
    upper = np.triu_indices(theta.shape[1])
    return np.concatenate([np.ones((len(theta), 1)), theta, theta[:, upper[0]] * theta[:, upper[1]]], axis=1)


def metropolis(rng: np.random.Generator, emulator: Emulator, start: Draws) -> Draws:
    """Draws from prior times emulated likelihood: the second half of many random walks, their step from the spread of all."""
    size = len(NAMES)
    at = rng.standard_normal((CHAINS, size)) if not len(start) else start[rng.integers(0, len(start), CHAINS)]
    value, kept = _log_joint(emulator, at), []
    for step in range(STEPS):
        spread = np.cov(at.T) + 0.01 * np.eye(size)
        move = (
            rng.standard_normal(at.shape) @ np.linalg.cholesky(spread).T * (2.4 / np.sqrt(size)) * rng.choice([1, 0.4])
        )
        there = at + move
        new = _log_joint(emulator, there)
        accept = np.log(rng.random(CHAINS)) < new - value
        at, value = np.where(accept[:, None], there, at), np.where(accept, new, value)
        if step >= STEPS // 2 and step % THIN == 0:
            kept.append(at)
    return np.concatenate(kept)


def _log_joint(emulator: Emulator, theta: Draws) -> np.ndarray:
    return log_likelihood(emulator(theta)) - 0.5 * (theta**2).sum(axis=1)


def _evidence(rng: np.random.Generator, emulator: Emulator, moments: tuple[np.ndarray, np.ndarray]) -> float:
    """Log marginal likelihood under the emulator, by importance sampling from a Gaussian a little broader than the posterior."""
    mean, cov = moments
    law = multivariate_normal(mean, 1.3 * cov)
    theta = law.rvs(EVIDENCE_DRAWS, random_state=rng)
    log_prior = -0.5 * (theta**2).sum(axis=1) - 0.5 * len(mean) * np.log(2 * np.pi)
    ratio = log_likelihood(emulator(theta)) + log_prior - law.logpdf(theta)
    return float(logsumexp(ratio) - np.log(len(ratio)))
