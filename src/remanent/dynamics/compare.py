"""Which mechanism the data speak for, for the cohort and for each patient, and whether this design could tell at all.

A mechanism is two answers: does the drug hold function up (passive), does it rebuild structure (active)? Natural is no-no, dual yes-yes.

Cohort: posterior probabilities from the Laplace evidences and equal priors. Patients: random-effects model selection on the patients' log evidences
(Stephan 2009, DOI 10.1016/j.neuroimage.2009.03.025), with protected exceedance probabilities (Rigoux 2014, DOI 10.1016/j.neuroimage.2013.08.065).

Identifiability is a property of the design, judged on data simulated on the patients' own days, doses and instruments with effects of the prior's typical
size. The cohort can answer a question if the expected Fisher information, all other parameters being unknown too, shrinks the sd of that gain to a set
fraction of the prior's; a patient can, if also the expected weight of evidence of this patient alone reaches a set number of nats. A question that cannot be
answered is answered by its prior (one half for the cohort, the cohort's answer for a patient), and a mechanism's probability is marked identifiable only if
no answer to the open question would move it much. The same information is reported for every parameter and every pair of mechanisms.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from itertools import combinations
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import yaml
from jaxtyping import Bool, Float
from scipy.special import digamma, gammaln, logsumexp

from remanent.dynamics.compile import compiled
from remanent.dynamics.filter import replicate
from remanent.dynamics.infer import Posterior, by_lane
from remanent.dynamics.priors import MECHANISMS, SWITCHES, Layout, Mechanism, meaning, table, to_params
from remanent.dynamics.steps import Grid

PRIOR = np.full(len(MECHANISMS), 1 / len(MECHANISMS))
EFFECTS = ("passive", "active")
_DUAL = MECHANISMS.index("dual")
_GAIN = ("p", "a_ratio")
# Mechanism pairs that differ in one effect only: _PAIR[effect][other effect absent, present] = (without, with).
_PAIR = (((0, 1), (2, 3)), ((0, 2), (1, 3)))


@dataclass(frozen=True)
class Contrast:
    """Whether this design can tell two mechanisms apart.

    Attributes
    ----------
    sd_ratio
        Expected posterior over prior sd of the gain in which they differ, the other gain being unknown wherever one of them has it; of the
        better known one where they differ in both.
    nats
        Expected weight of evidence of the whole cohort for the true one, the smaller of the two directions, were all parameters known: a bound from above, and
        often a hundred times too much, since the other mechanism's parameters give way.
    traded_against, if_known
        The parameter that the data trade that gain against most (empty: none in particular), and the ratio that would be left were it known.
    informed
        Whether `sd_ratio` meets the threshold of settings.yaml.
    """

    one: Mechanism
    other: Mechanism
    sd_ratio: float
    nats: float
    traded_against: str
    if_known: float
    informed: bool


@dataclass(frozen=True)
class Identifiability:
    """What this design can tell, whatever the outcome.

    Attributes
    ----------
    sd_ratio
        Expected posterior over prior sd of the cohort's (passive, active) gain; 1: the design says nothing, [effect].
    weight_of_evidence
        Expected nats of each patient alone about each effect, the smaller of the two directions, [lane, effect].
    cohort, patient
        Whether the thresholds of settings.yaml are met, [effect] and [lane, effect].
    reason
        In words.
    parameter_sd
        Expected posterior over prior sd of every parameter under the dual mechanism, which has them all, [param].
    contrasts
        Every pair of mechanisms.
    """

    sd_ratio: np.ndarray
    weight_of_evidence: np.ndarray
    cohort: np.ndarray
    patient: np.ndarray
    reason: str
    parameter_sd: np.ndarray
    contrasts: tuple[Contrast, ...]


@dataclass(frozen=True)
class Comparison:
    """Mechanism probabilities.

    Attributes
    ----------
    evidence_weight
        Posterior over mechanisms as the evidence has it, for averaging forecasts, [mechanism].
    cohort, patient
        The same as reported, questions this design cannot answer put back to their prior: [mechanism], [lane, mechanism].
    cohort_identifiable, patient_identifiable
        Whether the data determine the probability beside it.
    effect
        Probability that the drug acts passively and actively in the cohort, [effect].
    exceedance
        Protected exceedance probability of each mechanism being the most frequent, [mechanism].
    """

    evidence_weight: np.ndarray
    cohort: np.ndarray
    cohort_identifiable: np.ndarray
    patient: np.ndarray
    patient_identifiable: np.ndarray
    effect: np.ndarray
    exceedance: np.ndarray
    identifiability: Identifiability


@cache
def settings() -> Mapping[str, Any]:
    """settings.yaml: thresholds of this room, each with its status."""
    return yaml.safe_load((files("remanent.dynamics") / "settings.yaml").read_text("utf-8"))


def compare(posterior: Posterior, grid: Grid, lanes: int, seed: int) -> Comparison:
    """Compare the four mechanisms on the first `lanes` lanes of `grid`."""
    weight = _normalise(np.array([f.log_evidence for f in posterior.fits]))
    known = identifiability(posterior, grid, lanes, seed, weight)
    half = np.full_like(weight, 0.25)
    cohort, cohort_known = _answer(weight[None], known.cohort[None], half[None])
    selected = random_effects_selection(np.stack([f.patient_log_lik[:lanes] for f in posterior.fits], axis=1))
    by_patient, _ = _answer(selected.patient, np.repeat(known.cohort[None], lanes, 0), np.repeat(half[None], lanes, 0))
    patient, patient_known = _answer(by_patient, known.patient, np.repeat(cohort, lanes, 0))
    return Comparison(
        evidence_weight=weight,
        cohort=cohort[0],
        cohort_identifiable=cohort_known[0],
        patient=patient,
        patient_identifiable=patient_known,
        effect=_effects(cohort)[0],
        exceedance=selected.protected_exceedance if known.cohort.all() else PRIOR,
        identifiability=known,
    )


def _effects(probability: Float[np.ndarray, "row mechanism"]) -> Float[np.ndarray, "row effect"]:
    """Probability of each effect: passive is present in passive and dual, active in active and dual."""
    return np.clip(probability @ SWITCHES, 0.0, 1.0)


def _answer(
    probability: Float[np.ndarray, "row mechanism"],
    known: Bool[np.ndarray, "row effect"],
    prior: Float[np.ndarray, "row mechanism"],
) -> tuple[Float[np.ndarray, "row mechanism"], Bool[np.ndarray, "row mechanism"]]:
    """Put unanswerable questions back to their prior; tell which probabilities would hardly move whatever the answer to those."""
    both = known.all(1, keepdims=True)
    present = np.where(known, _effects(probability), _effects(prior))
    factors = np.where(SWITCHES[None] > 0, present[:, None], 1 - present[:, None])
    answered = np.clip(np.where(both, probability, factors.prod(2)), 0.0, 1.0)
    most = np.where(known[:, None], factors, 1.0).prod(2)
    least = np.where(known[:, None], factors, 0.0).prod(2)
    return answered, both | (most - least <= settings()["identifiable"]["range"]["value"])


def _normalise(log_weights: np.ndarray) -> np.ndarray:
    return np.exp(log_weights - logsumexp(log_weights))


@dataclass(frozen=True)
class Selection:
    """Random-effects model selection: frequencies, patient assignments, exceedance."""

    frequency: np.ndarray
    patient: np.ndarray
    exceedance: np.ndarray
    protected_exceedance: np.ndarray


def random_effects_selection(log_evidence: Float[np.ndarray, "patient mechanism"], draws: int = 20_000) -> Selection:
    """Variational Dirichlet-multinomial over mechanisms from per-patient log evidences (Stephan 2009), alpha0 = 1."""
    patients, models = log_evidence.shape
    alpha = np.ones(models)
    g = np.full((patients, models), 1 / models)
    for _ in range(1000):
        log_u = log_evidence + digamma(alpha) - digamma(alpha.sum())
        g = np.exp(log_u - logsumexp(log_u, axis=1, keepdims=True))
        updated = 1.0 + g.sum(0)
        if np.abs(updated - alpha).max() < 1e-8:
            break
        alpha = updated
    samples = np.random.default_rng(0).dirichlet(alpha, draws)
    exceedance = np.bincount(samples.argmax(1), minlength=models) / draws
    omnibus = _bayesian_omnibus_risk(log_evidence, g, alpha)
    return Selection(alpha / alpha.sum(), g, exceedance, exceedance * (1 - omnibus) + omnibus / models)


def _bayesian_omnibus_risk(log_evidence: np.ndarray, g: np.ndarray, alpha: np.ndarray) -> float:
    """Probability that all mechanisms are equally frequent (Rigoux 2014, eqs. A.1-A.5)."""
    models = alpha.size
    null = (logsumexp(log_evidence, axis=1) - np.log(models)).sum()
    expected_log_r = digamma(alpha) - digamma(alpha.sum())
    entropy_g = -(g * np.log(np.maximum(g, 1e-300))).sum()
    entropy_r = gammaln(alpha).sum() - gammaln(alpha.sum()) - ((alpha - 1) * expected_log_r).sum()
    joint = (g * (log_evidence + expected_log_r)).sum() + gammaln(models)
    return float(1 / (1 + np.exp(np.clip(joint + entropy_g + entropy_r - null, -700, 700))))


def identifiability(
    posterior: Posterior, grid: Grid, lanes: int, seed: int, weight: Float[np.ndarray, " mechanism"]
) -> Identifiability:
    """Expected information of the design about each effect (module docstring); `weight` says which background is likely for the other effect."""
    limits = settings()["identifiable"]
    replicates = -(-int(limits["simulated_patients"]["value"]) // grid.dt.shape[1])
    layout = posterior.layout
    typical = _typical_effects(posterior)
    rng = np.random.default_rng(seed)
    simulated = [
        _simulated(layout, rng, (typical[m], layout.acting(m)), grid, replicates) for m in range(len(MECHANISMS))
    ]
    other = (weight @ SWITCHES)[::-1]
    cov = {
        m: _expected_cov(layout, typical[m], layout.acting(m), simulated[m])
        for m in range(len(MECHANISMS))
        if SWITCHES[m].any()
    }
    known = {
        (m, effect): _known(layout, cov[m], effect)
        for m in cov
        for effect in range(len(EFFECTS))
        if SWITCHES[m, effect]
    }
    background = [_PAIR[effect][int(other[effect] >= 0.5)][1] for effect in range(len(EFFECTS))]
    gains = [known[m, effect] for effect, m in enumerate(background)]
    sd_ratio = np.array([gain.sd_ratio for gain in gains])
    expected = _expected_log_lik(layout, typical, simulated)[..., :lanes]
    nats = _weights_of_evidence(expected, other)
    limit = limits["sd_ratio"]["value"]
    cohort = sd_ratio <= limit
    patient = cohort[None] & (nats >= limits["patient_nats"]["value"])
    pairs = combinations(range(len(MECHANISMS)), 2)
    contrasts = tuple(_contrast(known, expected.sum(2), pair, limit) for pair in pairs)
    sd = np.sqrt(np.diag(cov[_DUAL]))
    return Identifiability(sd_ratio, nats, cohort, patient, _reason(gains, cohort), sd, contrasts)


class _Known(NamedTuple):
    """What is expected to be known of a gain: its sd over the prior's, the parameter it is traded against most, and the ratio were that known."""

    sd_ratio: float
    traded_against: str
    if_known: float


def _known(layout: Layout, cov: Float[np.ndarray, "param param"], effect: int) -> _Known:
    gain, sd = layout.index(_GAIN[effect]), np.sqrt(np.diag(cov))
    correlation = cov[gain] / (sd[gain] * sd)
    correlation[gain] = 0.0
    most = int(np.abs(correlation).argmax())
    left = float(np.sqrt(1 - correlation[most] ** 2))
    matters = 1 - left >= settings()["identifiable"]["trade"]["value"]
    return _Known(float(sd[gain]), layout.names[most] if matters else "", float(sd[gain]) * left)


def _contrast(
    known: Mapping[tuple[int, int], _Known],
    expected: Float[np.ndarray, "model data"],
    pair: tuple[int, int],
    limit: float,
) -> Contrast:
    one, other = pair
    differ = np.flatnonzero(SWITCHES[one] != SWITCHES[other])
    background = int(np.flatnonzero((np.maximum(SWITCHES[one], SWITCHES[other]) == SWITCHES).all(1))[0])
    best = min((known[background, int(effect)] for effect in differ), key=lambda gain: gain.sd_ratio)
    nats = float(min(expected[a, a] - expected[b, a] for a, b in (pair, pair[::-1])))
    ratio, traded, if_known = best
    return Contrast(MECHANISMS[one], MECHANISMS[other], ratio, nats, traded, if_known, ratio <= limit)


def _expected_cov(layout: Layout, theta: np.ndarray, switches: np.ndarray, data: Sequence[Grid]) -> np.ndarray:
    """Expected posterior covariance in prior sds: prior precision plus Fisher information (mean outer product of scores over replicates), inverted."""
    information = np.eye(layout.size)
    for one in data:
        scores = np.asarray(by_lane(layout)(jnp.asarray(theta), jnp.asarray(switches), one)[1])
        information += scores @ scores.T / len(data)
    return np.linalg.inv(information)


def _typical_effects(posterior: Posterior) -> list[np.ndarray]:
    """Each mechanism's mode, with the two gains put back to the prior's centre: the design is judged at effects of typical size."""
    out = []
    for fit in posterior.fits:
        theta = fit.mode.copy()
        theta[[posterior.layout.index("p"), posterior.layout.index("a_ratio")]] = 0.0
        out.append(theta)
    return out


@lru_cache(maxsize=8)
def replicator(layout: Layout) -> Any:
    """Program: the same design with observations from the model's own law, by standard normal noise at given theta and switches."""
    return compiled(
        lambda noise, theta, switches, grid: replicate(noise, to_params(theta, layout, switches), grid, layout.form)
    )


def _simulated(
    layout: Layout, rng: np.random.Generator, truth: tuple[np.ndarray, np.ndarray], grid: Grid, replicates: int
) -> list[Grid]:
    """Replicates of the cohort, one at a time: the programs, and the shapes, are those of the fit."""
    given, (*slots, lanes) = Grid(*map(jnp.asarray, grid)), grid.value.shape
    noise = np.split(rng.standard_normal((*slots, lanes * replicates)), replicates, axis=-1)
    return [replicator(layout)(jnp.asarray(z), *map(jnp.asarray, truth), given) for z in noise]


def _expected_log_lik(
    layout: Layout, typical: list[np.ndarray], simulated: list[list[Grid]]
) -> Float[np.ndarray, "model data lane"]:
    """Mean log likelihood (nats) of each lane's simulated data under each mechanism."""

    def mean(model: int, data: list[Grid]) -> np.ndarray:
        at = jnp.asarray(typical[model]), jnp.asarray(layout.acting(model))
        return np.mean([np.asarray(by_lane(layout)(*at, one)[0]) for one in data], axis=0)

    return np.stack([np.stack([mean(m, data) for data in simulated]) for m in range(len(MECHANISMS))])


def _weights_of_evidence(
    expected: Float[np.ndarray, "model data lane"], other: Float[np.ndarray, " effect"]
) -> Float[np.ndarray, "lane effect"]:
    """Expected nats of each lane for the true one of two mechanisms that differ in one effect, the worse direction."""

    def worse_direction(pair: tuple[int, int]) -> np.ndarray:
        a, b = pair
        return np.minimum(expected[a, a] - expected[b, a], expected[b, b] - expected[a, b])

    columns = [
        (1 - other[e]) * worse_direction(_PAIR[e][0]) + other[e] * worse_direction(_PAIR[e][1])
        for e in range(len(EFFECTS))
    ]
    return np.stack(columns, axis=1)


def posterior_sd(posterior: Posterior, weight: Float[np.ndarray, " mechanism"]) -> Float[np.ndarray, " param"]:
    """Posterior over prior sd of every parameter in this fit, averaged over mechanisms by their weight."""
    variance = np.stack([np.diag(fit.cov) for fit in posterior.fits])
    return np.sqrt(weight @ variance)


def deciding_priors(layout: Layout, sd_ratio: Float[np.ndarray, " param"]) -> str:
    """Which parameters of the dynamics the data left as their priors had them, in words."""
    limit = settings()["identifiable"]["prior_decides"]["value"]
    of_a_measure = table()["symptom"].keys() | table()["feature"].keys()
    names = [
        meaning(name) or name
        for name, ratio in zip(layout.names, sd_ratio, strict=True)
        if name.split("[")[0] not in of_a_measure and ratio > limit
    ]
    if not names:
        return "The data said something about every parameter of the dynamics."
    many = f"{len(names)} parameters" if len(names) > 1 else "one parameter"
    return f"The data left {many} of the dynamics as the prior had it; where it matters, the prior decides: {'; '.join(names)}."


_QUESTION = ("whether the drug holds function up (passive)", "whether it rebuilds structure (active)")


def _reason(gains: Sequence[_Known], cohort: np.ndarray) -> str:
    if all(gain.sd_ratio > 0.99 for gain in gains):
        return "These data say nothing about how the drug acts: no drug is taken, or its dose does not change while measurements go on."
    parts = [
        f"{question} {'can' if told else 'cannot'} be told (expected to leave {100 * gain.sd_ratio:.0f} % of the prior uncertainty"
        + (")" if told else _trade(gain))
        for question, gain, told in zip(_QUESTION, gains, cohort, strict=True)
    ]
    return "From this design, " + "; ".join(parts) + "."


def _trade(gain: _Known) -> str:
    """What stands in the way, where one parameter does."""
    if not gain.traded_against:
        return ")"
    named = meaning(gain.traded_against) or gain.traded_against
    return f"; {100 * gain.if_known:.0f} % if this were known: {named})"
