"""Population parameters from published trials: simulated arms, an emulator of them, a Gaussian posterior in the priors' own coordinates.

Coordinates are those of dynamics/priors.py: standard normal a priori, x = centre + spread theta (log x where the prior is on the log). The likelihood of a
trial is that of its published counts,

    p(counts | theta) = sum_k w_k prod_arm Binomial(relapsed_arm; n_arm, pi_arm,k(theta))

with pi simulated (replay.py) at each node k of the trial's own effects. A simulated share is noisy, but the share itself is smooth in theta. So

1. an emulator (emulator.py) learns pi from many cheap simulations, at draws from the prior first and then, round by round, from the prior times the emulated
   likelihood to a power that grows to 1. A trial's own effects are a shift of mu_gs and a factor of p, sd_p and a, so each simulation teaches the emulator
   the shares of every arm at several places, drawn at random;
2. many Metropolis chains sample the prior times the emulated likelihood;
3. draws of these are simulated once more with many patients and the same random numbers, and weighted by exp(simulated - emulated log likelihood). The
   posterior is that of the simulator; the emulator only proposed. Effective sample size and the remaining difference are kept and printed.

Where the counts say nothing about a direction the prior stays.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import gammaln, logsumexp
from scipy.stats import multivariate_normal

from remanent.dynamics.priors import MECHANISMS, SWITCHES, table
from remanent.trial.emulator import Layers, trained, untrained
from remanent.trial.emulator import share as emulated_share
from remanent.trial.replay import FASTEST, Places, Population, expected, node_places, node_weights, replay
from remanent.trial.trials import SCALE, Trial, document, trials

DYNAMIC = ("k_f", "r", "c_ratio", "a_ratio", "p", "sd_p", "mu_gs", "sd_gs", "sd_gf", "sig_f", "sig_s")
RATED = ("mu", "sd_mu", "l_f", "sigma")
BETWEEN = ("trial_sd", "drug_sd")  # between trials, in the order of `Places`
OWN = (*BETWEEN, "later_ect")
NAMES = (*DYNAMIC, *(f"{name}[{SCALE}]" for name in RATED), *OWN)
LANES, MANY_LANES = 40, 200  # patients per place and arm while the emulator learns, and at the end
PLACES = 5  # of a trial's own effects in each simulation that the emulator learns from
AT_ONCE = 16
FORGET, LEAST_WEIGHT = 0.6, 0.05  # what a simulation counts a round later; the least it counts
FIRST_STEPS, LATER_STEPS = 1500, 1000  # of the emulator's training
CHAINS, STEPS, THIN = 100, 240, 10
KEPT = 600
EVIDENCE_DRAWS = 8000

Theta = Float[np.ndarray, " param"]
Draws = Float[np.ndarray, "draw param"]
Job = tuple[
    np.ndarray, Places, int, int, int
]  # theta [draw, param], places, mechanism, seed, patients per place and arm
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
    """Posterior of theta under one mechanism.

    Attributes
    ----------
    mean, cov
        Of theta, [param] and [param, param]; the covariance is drawn to the emulator's as if that were as many draws as there are parameters.
    draws
        Draws of theta from the posterior itself.
    log_evidence
        Log marginal likelihood of the fitted trials.
    misfit
        Mean absolute difference of emulated and simulated log likelihood over the posterior (nats), at draws the emulator had not seen.
    evaluations
        Simulations of all trials it rests on.
    effective
        Effective number of draws after they were weighted by the simulated likelihood.
    """

    mechanism: str
    mean: Theta
    cov: Float[np.ndarray, "param param"]
    draws: Draws
    log_evidence: float
    misfit: float
    evaluations: int
    effective: float = np.inf

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
    theta, places, mechanism, seed, lanes = job
    q = population(theta, mechanism)
    parts = [
        expected(replay(trial, q, np.random.default_rng([seed, number]), lanes, places), trial)
        for number, trial in enumerate(fitted_trials())
    ]
    return np.concatenate(parts, axis=1)


def fitted_trials() -> tuple[Trial, ...]:
    """The trials that are fitted, in order."""
    return tuple(trial for trial in trials() if trial.split == "fitted")


def log_likelihood(share: Float[np.ndarray, "draw arm node"]) -> Float[np.ndarray, " draw"]:
    """Log likelihood of the published counts given the arms' shares at the nodes, each trial's own effects integrated out."""
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


def fit(mechanism: int, rounds: Sequence[int], final: int, seed: int, mapper: Mapper = map) -> Surface:
    """Posterior under one mechanism; `rounds`: simulations of each round, the first at draws from the prior; `final`: those with many patients."""
    size, rng = len(NAMES), np.random.default_rng([seed, mechanism])
    inputs, arms = size - len(BETWEEN), sum(len(trial.arms) for trial in fitted_trials())
    x, y, age = np.empty((0, inputs)), np.empty((0, arms)), np.empty(0)
    layers = untrained(rng, inputs, arms)
    chains = rng.standard_normal((CHAINS, size))
    powers = np.append(np.linspace(0.25, 1.0, max(len(rounds) - 2, 1)) ** 2, [1.0, 1.0])
    for number, (count, power) in enumerate(zip(rounds, powers[-len(rounds) :], strict=True)):
        fresh = rng.standard_normal((count, size)) if number == 0 else chains[rng.integers(0, len(chains), count)]
        places = rng.standard_normal((count, PLACES, len(BETWEEN)))
        jobs = _jobs(fresh, places, (mechanism, LANES), seed + 1_000_003 * number, 1)
        share = np.concatenate(list(mapper(shares, jobs)))
        x = np.concatenate([x, at_places(fresh, places).reshape(-1, inputs)])
        y = np.concatenate([y, share.swapaxes(1, 2).reshape(-1, arms)])
        age = np.append(age + 1, np.zeros(count * PLACES))
        weight = np.maximum(FORGET**age, LEAST_WEIGHT)
        layers = trained(layers, x, y, weight, (LATER_STEPS if number else FIRST_STEPS, seed + number))
        chains = metropolis(rng, emulator_of(layers), chains, power)
    emulator = emulator_of(layers)
    proposed = chains[rng.choice(len(chains), final, replace=final > len(chains))]
    nodes = np.broadcast_to(node_places(), (final, *node_places().shape))
    simulated = np.concatenate(list(mapper(shares, _jobs(proposed, nodes, (mechanism, MANY_LANES), seed, 0))))
    difference = log_likelihood(simulated) - log_likelihood(emulator(proposed))
    weight, gain = weighted(difference)
    effective = float(1 / (weight**2).sum())
    emulated = np.cov(chains.T)
    return Surface(
        MECHANISMS[mechanism],
        weight @ proposed,
        (effective * np.cov(proposed.T, aweights=weight) + size * emulated) / (effective + size),
        proposed[rng.choice(final, KEPT, p=weight)],
        _evidence(rng, emulator, (chains.mean(axis=0), emulated)) + gain,
        float(weight @ np.abs(difference)),
        sum(rounds) + final,
        effective,
    )


def weighted(difference: Float[np.ndarray, " draw"]) -> tuple[Float[np.ndarray, " draw"], float]:
    """Weights of draws of the emulated posterior, and what the log evidence gains, from simulated less emulated log likelihood."""
    total = logsumexp(difference)
    return np.exp(difference - total), float(total - np.log(len(difference)))


def _jobs(theta: Draws, places: Places, what: tuple[int, int], seed: int, stride: int) -> list[Job]:
    """The draws in parts; `what`: mechanism and patients; with a stride of 0 all parts have the same random numbers."""
    count = max(1, len(theta) // AT_ONCE)
    parts = zip(np.array_split(theta, count), np.array_split(places, count), strict=True)
    return [(part, where, what[0], seed + stride * k, what[1]) for k, (part, where) in enumerate(parts)]


def at_places(theta: Draws, places: Places) -> Float[np.ndarray, "draw node input"]:
    """What a share depends on at places of the trial's own effects: theta without their spreads, mu_gs moved, and p, sd_p and a multiplied."""
    known = coordinates()
    at = {name: NAMES.index(name) for name in (*BETWEEN, "mu_gs", "p", "sd_p", "a_ratio")}
    gain, strength = (known[name].value(theta[:, at[name], None]) * places[..., k] for k, name in enumerate(BETWEEN))
    out = np.repeat(theta[:, None], places.shape[-2], axis=1)
    out[:, :, at["mu_gs"]] += gain / known["mu_gs"].spread
    passive = known["p"].value(out[:, :, at["p"]]) * np.exp(strength)
    out[:, :, at["p"]] = (passive - known["p"].centre) / known["p"].spread
    for name in ("sd_p", "a_ratio"):
        out[:, :, at[name]] += strength / known[name].spread
    return np.delete(out, [at[name] for name in BETWEEN], axis=2)


def emulator_of(layers: Layers) -> Emulator:
    """The network as a function of theta, at the nodes, [draw, arm, node]."""
    return lambda theta: emulated_share(layers, at_places(theta, node_places())).swapaxes(1, 2)


def metropolis(rng: np.random.Generator, emulator: Emulator, start: Draws, power: float = 1.0) -> Draws:
    """Draws from the prior times the emulated likelihood to a power: the second half of many random walks, their step from the spread of all."""
    size = len(NAMES)
    at = start[rng.integers(0, len(start), CHAINS)]
    value, kept = _log_joint(emulator, at, power), []
    for step in range(STEPS):
        spread = np.cov(at.T) + 0.01 * np.eye(size)
        move = (
            rng.standard_normal(at.shape) @ np.linalg.cholesky(spread).T * (2.4 / np.sqrt(size)) * rng.choice([1, 0.4])
        )
        there = at + move
        new = _log_joint(emulator, there, power)
        accept = np.log(rng.random(CHAINS)) < new - value
        at, value = np.where(accept[:, None], there, at), np.where(accept, new, value)
        if step >= STEPS // 2 and step % THIN == 0:
            kept.append(at)
    return np.concatenate(kept)


def _log_joint(emulator: Emulator, theta: Draws, power: float) -> np.ndarray:
    return power * log_likelihood(emulator(theta)) - 0.5 * (theta**2).sum(axis=1)


def _evidence(rng: np.random.Generator, emulator: Emulator, moments: tuple[np.ndarray, np.ndarray]) -> float:
    """Log marginal likelihood under the emulator, by importance sampling from a Gaussian a little broader than the posterior."""
    mean, cov = moments
    law = multivariate_normal(mean, 1.3 * cov)
    theta = law.rvs(EVIDENCE_DRAWS, random_state=rng)
    log_prior = -0.5 * (theta**2).sum(axis=1) - 0.5 * len(mean) * np.log(2 * np.pi)
    ratio = log_likelihood(emulator(theta)) + log_prior - law.logpdf(theta)
    return float(logsumexp(ratio) - np.log(len(ratio)))
