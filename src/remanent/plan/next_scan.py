"""What to measure next, and when: the value of information of each possible measurement for one patient.

A particle is a possible truth today: a mechanism, population parameters, and the patient's state (f, s, random effects); it carries hold, stay and tapered at
the rule's horizon and remanence. Given a particle, what a measurement would show is Gaussian (`Reading`), with the patient's own level of each measure
integrated out. For an outcome y

    w_j(y) ∝ w_j N(y; mean_j, cov_j)

are the particles' weights afterwards: exact Bayes on the particles, states, mechanisms and parameters alike. With outcomes drawn from the particles
themselves (preposterior analysis; Raiffa & Schlaifer 1961), the expected variance of remanence is E_y Var(remanence | y), and the expected regret is
E_y regret(rule(y), y). The rule is that of `decide.py`: taper where the lower end of the 90 % interval of hold reaches the threshold and tapering adds little
in the mean. Losses are in relapses, by the rule's own exchange rate: it gives up at most `most_extra_relapse` to be free of drugs for its horizon, so

    loss(taper) = max(stay - tapered, 0)      loss(hold) = most_extra_relapse,

regret is the loss less that of the better choice, with a taper at a hold below the threshold never counted as the better one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
import yaml
from jaxtyping import Bool, Float, Int

INTERVAL_TAIL = 0.05


class Particles(NamedTuple):
    """Possible truths about one patient on the day of the decision, [particle]; weights sum to 1."""

    weight: Float[np.ndarray, " particle"]
    hold: Float[np.ndarray, " particle"]
    stay: Float[np.ndarray, " particle"]
    tapered: Float[np.ndarray, " particle"]
    remanence: Float[np.ndarray, " particle"]


class Reading(NamedTuple):
    """What a measurement would show, given each particle: independent blocks are one reading."""

    mean: Float[np.ndarray, "particle measure"]
    cov: Float[np.ndarray, "particle measure measure"]


@dataclass(frozen=True)
class Value:
    """Value of one measurement on one day.

    Attributes
    ----------
    regret_before, regret_after
        Expected regret of the rule without and with it, relapses per patient.
    regret_error
        Monte Carlo standard error of the reduction.
    sd_before, sd_after
        Standard deviation of remanence without it, and the root of its expected variance with it.
    """

    regret_before: float
    regret_after: float
    regret_error: float
    sd_before: float
    sd_after: float

    @property
    def reduction(self) -> float:
        """Expected reduction of regret."""
        return self.regret_before - self.regret_after


@dataclass(frozen=True)
class Measurement:
    """One thing that can be measured, from measurements.yaml.

    Attributes
    ----------
    prefixes
        Features whose names begin so belong to it.
    symptom
        Whether it is a rating on the study's scales.
    stressor
        ``crp`` or ``sleep``; empty for measures of the state.
    days
        Days over which it is repeated.
    burden
        Cost to the patient; 1 is a short questionnaire.
    """

    name: str
    words: str
    burden: float
    prefixes: tuple[str, ...] = ()
    symptom: bool = False
    stressor: str = ""
    days: int = 1

    def measures(self, names: Sequence[str], is_symptom: Bool[np.ndarray, " indicator"]) -> Int[np.ndarray, " measure"]:
        """Indices of the indicators it would read."""
        rows = [
            j
            for j, name in enumerate(names)
            if (self.symptom if is_symptom[j] else name.startswith(self.prefixes or ("\0",)))
        ]
        return np.array(rows, int)


@cache
def settings() -> Mapping[str, Any]:
    """measurements.yaml."""
    return yaml.safe_load((files("remanent.plan") / "measurements.yaml").read_text("utf-8"))


@cache
def measurements() -> tuple[Measurement, ...]:
    """Everything that could be measured, cheapest first."""
    found = (
        Measurement(
            name=name,
            words=entry["words"],
            burden=float(entry["burden"]),
            prefixes=tuple(entry.get("prefixes", ())),
            symptom=bool(entry.get("symptom", False)),
            stressor=str(entry.get("stressor", "")),
            days=int(entry.get("days", 1)),
        )
        for name, entry in settings()["measurements"].items()
    )
    return tuple(sorted(found, key=lambda m: m.burden))


def value_of(
    particles: Particles, reading: Reading, limits: Mapping[str, float], outcomes: int, rng: np.random.Generator
) -> Value:
    """Expected regret and variance after a measurement, over outcomes drawn from the particles."""
    truth = rng.choice(particles.weight.size, outcomes, p=particles.weight / particles.weight.sum())
    after = _weights_after(particles.weight, reading, truth, rng)
    return _value(particles, after, limits)


def value_of_knowing(particles: Particles, group: Int[np.ndarray, " particle"], limits: Mapping[str, float]) -> Value:
    """The same for a measurement that tells without error to which group a particle belongs (a stressor's level)."""
    groups = np.unique(group)
    share = np.array([particles.weight[group == g].sum() for g in groups])
    after = np.where(group[None] == groups[:, None], particles.weight[None], 0.0) / share[:, None]
    return _value(particles, after, limits, share)


def _weights_after(
    weight: np.ndarray, reading: Reading, truth: Int[np.ndarray, " outcome"], rng: np.random.Generator
) -> Float[np.ndarray, "outcome particle"]:
    """Particles' weights after each outcome; an outcome is drawn from the particle `truth` points to."""
    size = reading.mean.shape[1]
    root = np.linalg.cholesky(reading.cov + 1e-12 * np.eye(size))
    y = reading.mean[truth] + (root[truth] @ rng.standard_normal((truth.size, size, 1)))[..., 0]
    inverse = np.linalg.inv(root)
    log_det = np.log(np.diagonal(root, axis1=1, axis2=2)).sum(1)
    scaled = np.einsum("jab,kjb->kja", inverse, y[:, None] - reading.mean[None], optimize=True)
    log_w = np.log(np.maximum(weight, 1e-300)) - log_det - 0.5 * (scaled**2).sum(2)
    log_w -= log_w.max(axis=1, keepdims=True)
    after = np.exp(log_w)
    return after / after.sum(1, keepdims=True)


def _value(
    particles: Particles,
    after: Float[np.ndarray, "outcome particle"],
    limits: Mapping[str, float],
    share: Float[np.ndarray, " outcome"] | None = None,
) -> Value:
    """Means over outcomes, equally likely unless `share` says otherwise.

    The regret without the measurement is averaged over the same outcomes: the difference has no noise where no outcome changes the advice.
    """
    share = np.full(len(after), 1 / len(after)) if share is None else share
    loss_taper, loss_hold = regrets(particles, limits)
    now = _tapers(particles, particles.weight[None] / particles.weight.sum(), limits)[0]
    then = _tapers(particles, after, limits)
    mean_taper, mean_hold = after @ loss_taper, after @ loss_hold
    before, chosen = mean_taper if now else mean_hold, np.where(then, mean_taper, mean_hold)
    gain = before - chosen
    error = float(np.sqrt((share**2 * (gain - share @ gain) ** 2).sum()))
    mean = after @ particles.remanence
    variance = np.maximum(after @ particles.remanence**2 - mean**2, 0.0)
    centre = particles.weight @ particles.remanence / particles.weight.sum()
    sd = float(np.sqrt(particles.weight @ (particles.remanence - centre) ** 2 / particles.weight.sum()))
    return Value(
        float(share @ before), float(share @ chosen), error, sd, float(np.minimum(sd, np.sqrt(share @ variance)))
    )


def regrets(particles: Particles, limits: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """Regret of tapering and of holding if each particle were true, [particle]."""
    taper = np.maximum(particles.stay - particles.tapered, 0.0)
    hold = np.full_like(taper, limits["most_extra_relapse"])
    allowed = particles.hold >= limits["least_hold"]
    best = np.where(allowed, np.minimum(taper, hold), hold)
    return np.maximum(taper - best, 0.0), hold - best


def _tapers(
    particles: Particles, weight: Float[np.ndarray, "outcome particle"], limits: Mapping[str, float]
) -> Bool[np.ndarray, " outcome"]:
    """Whether the rule advises a taper under each set of weights."""
    order = np.argsort(particles.hold)
    mass = np.cumsum(weight[:, order], axis=1)
    at = np.minimum((mass < INTERVAL_TAIL).sum(1), order.size - 1)
    lower = particles.hold[order][at]
    extra = weight @ (particles.stay - particles.tapered)
    return (lower >= limits["least_hold"]) & (extra <= limits["most_extra_relapse"])
