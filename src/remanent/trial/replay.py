"""Published trials replayed: each arm simulated with its own entry rule, doses, visits, relapse rule, dropout and denominator.

Relapse here is what the trial's rule sees in the ratings, not a drawn event: a patient goes through ECT, is let in if the scores after it allow, takes the
arm's drugs, is rated on the 24-item Hamilton scale at the trial's visits, and relapses when the rule says so. No hazard enters; that the hazard falls with
time is an outcome.

Trials differ by more than chance, in two ways that the arms of a trial share. Its patients' mean gain of structure is mu_gs + trial_sd z1, and its drugs do
exp(drug_sd z2) times what they do on average (passive and active alike), z1 and z2 standard normal: random effects of baseline and treatment, as in a
meta-analysis. A likelihood integrates over both by Gauss-Hermite nodes; a new trial is predicted at places drawn at random.
"""

from dataclasses import dataclass, fields
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float

from remanent.relapse.definition import relapse_day
from remanent.trial.reference import start_sd
from remanent.trial.trajectory import Person, Push, advance
from remanent.trial.trials import Arm, Trial, arm_exposure, document, visit_days
from remanent.trial.world import rated

STEP_DAYS = 3.5
FASTEST = 0.3  # 1/day: faster rates are simulated at this one, which visits a week apart cannot tell from them
NODES = (5, 3)  # Gauss-Hermite nodes of a trial's gain of structure and of its drugs' effect
CANDIDATES = (
    4  # people through ECT per patient that an arm needs: enough for a remission rate of a quarter without repeats
)
RANDOMISED_DAY = 7.0  # a week without drugs after the course, as in Sackeim 2001 and CORE

PerDraw = Float[np.ndarray, "draw 1 1"]
Lanes = Float[np.ndarray, "draw node lane"]
Places = Float[np.ndarray, "*draw node 2"]  # standard normal places of a trial's own two effects


@dataclass(frozen=True)
class Population:
    """Natural-scale parameters of several draws, each [draw, 1, 1]; the names are those of dynamics/priors.yaml and of trials.yaml's `population`."""

    k_f: PerDraw
    r: PerDraw
    c: PerDraw
    a: PerDraw
    p: PerDraw
    sd_p: PerDraw
    mu_gs: PerDraw
    sd_gs: PerDraw
    sd_gf: PerDraw
    sig_f: PerDraw
    sig_s: PerDraw
    mu: PerDraw
    sd_mu: PerDraw
    l_f: PerDraw
    sigma: PerDraw
    trial_sd: PerDraw
    drug_sd: PerDraw
    later_ect: PerDraw


@dataclass(frozen=True)
class ArmCourse:
    """What became of the simulated patients of one arm, by node of the trial's own effects.

    Attributes
    ----------
    relapse_day
        Days since randomisation by the trial's rule, inf for none.
    dropout_day
        Days since randomisation.
    """

    relapse_day: Lanes
    dropout_day: Lanes

    def relapsed(self, arm: Arm) -> np.ndarray:
        """Expected share relapsed by the arm's own denominator, [draw, node]; shrunk by half a patient, so that it is never 0 or 1."""
        end = 7.0 * arm.weeks
        event = (self.relapse_day <= self.dropout_day) & (self.relapse_day <= end)
        left = ~event & (self.dropout_day < end)
        count = (~left).sum(axis=-1) if arm.denominator == "completers" else left.shape[-1]
        return np.asarray((event.sum(axis=-1) + 0.5) / (count + 1.0))


@dataclass(frozen=True)
class _Group:
    """Patients on the day of randomisation."""

    person: Person
    f: Lanes
    s: Lanes
    own_mean: Lanes


def replay(
    trial: Trial, population: Population, rng: np.random.Generator, lanes: int, places: Places | None = None
) -> tuple[ArmCourse, ...]:
    """Simulate every arm of a trial, `lanes` patients per node and arm; the trial's own effects at `places`, or at the nodes.

    A trial that takes nobody in under these parameters gives arms in which everyone has relapsed: as far from the published counts as can be.
    """
    followed, nobody = _everyone(trial, population, rng, lanes, node_places() if places is None else places)
    return tuple(ArmCourse(np.where(nobody, 0.0, one.relapse_day), one.dropout_day) for one, _ in followed)


def replay_states(
    trial: Trial, population: Population, rng: np.random.Generator, lanes: int
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Of each arm: days of relapse [draw, node, lane], days of the visits, and function at them [visit, draw, node, lane]."""
    followed, _ = _everyone(trial, population, rng, lanes, node_places())
    return [
        (course.relapse_day, np.array(visit_days(arm.weeks)), seen)
        for (course, seen), arm in zip(followed, trial.arms, strict=True)
    ]


def _everyone(
    trial: Trial, population: Population, rng: np.random.Generator, lanes: int, places: Places
) -> tuple[list[tuple[ArmCourse, np.ndarray]], np.ndarray]:
    """Every arm followed, and where nobody was let in."""
    pool, allowed = _candidates(trial, population, rng, lanes, places)
    rows, nobody = _enrol(allowed, lanes)

    def taken(values: np.ndarray) -> np.ndarray:
        return np.take_along_axis(values, rows, -1)

    parts = {one.name: getattr(pool.person, one.name) for one in fields(Person)}
    person = Person(**{k: taken(v) if isinstance(v, np.ndarray) else v for k, v in parts.items()})
    group = _Group(person, taken(pool.f), taken(pool.s), taken(pool.own_mean))
    return [_follow(trial, arm, population, group, rng) for arm in trial.arms], nobody


def node_weights() -> np.ndarray:
    """Weights of the nodes of a trial's own effects, [node]."""
    return _nodes()[1]


def node_places() -> Places:
    """Places of these nodes, [node, 2]."""
    return _nodes()[0]


def expected(courses: tuple[ArmCourse, ...], trial: Trial) -> np.ndarray:
    """Expected share relapsed, [draw, arm, node]."""
    return np.stack([course.relapsed(arm) for course, arm in zip(courses, trial.arms, strict=True)], axis=1)


@cache
def _nodes() -> tuple[np.ndarray, np.ndarray]:
    (x, wx), (y, wy) = (np.polynomial.hermite_e.hermegauss(n) for n in NODES)
    weights = np.outer(wx, wy).ravel()
    return np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2), weights / weights.sum()


def _score(population: Population, f: np.ndarray, own_mean: np.ndarray, z: np.ndarray) -> np.ndarray:
    return rated(own_mean + population.l_f * f + population.sigma * z)


def _candidates(
    trial: Trial, q: Population, rng: np.random.Generator, lanes: int, places: Places
) -> tuple[_Group, np.ndarray]:
    """People through ECT and a week without drugs, more than are needed, and whether the trial takes them."""
    shape = (len(q.k_f), places.shape[-2], CANDIDATES * lanes)
    shift = q.trial_sd * places[..., 0, None]
    strength = np.exp(q.drug_sd * places[..., 1, None])
    z = rng.standard_normal((6, *shape))
    person = Person(
        p=strength * (q.p + q.sd_p * z[0]),
        g_f=1.0 + q.sd_gf * z[1],
        g_s=q.mu_gs + shift + q.sd_gs * z[2],
        c=np.broadcast_to(q.c, shape),
        a=np.broadcast_to(strength * q.a, shape),
    )
    own_mean = q.mu + q.sd_mu * z[3]
    f, s = start_sd() * z[4], start_sd() * z[5]
    course = document()["defaults"]["course"]
    push, n = Push(np.minimum(person.c, FASTEST), np.zeros(shape)), int(course["sessions"])
    before = _score(q, f, own_mean, rng.standard_normal(shape))
    for k in range(n):
        f, s = f + person.g_f / n, s + person.g_s / n
        if k < n - 1:
            f, s = advance(q, person, (f, s), push, course["gap_days"], rng.standard_normal((2, *shape)))
    allowed, day = np.ones(shape, bool), 0.0
    for when in trial.entry.days:
        f, s = advance(q, person, (f, s), push, when - day, rng.standard_normal((2, *shape)))
        score, day = _score(q, f, own_mean, rng.standard_normal(shape)), when
        allowed &= (score <= trial.entry.at_most) & (score <= (1 - trial.entry.fall) * before)
    f, s = advance(q, person, (f, s), push, RANDOMISED_DAY - day, rng.standard_normal((2, *shape)))
    return _Group(person, f, s, own_mean), allowed


def _enrol(allowed: np.ndarray, lanes: int) -> tuple[np.ndarray, np.ndarray]:
    """Who takes part: the first that were let in, again from the first where they are too few; and where nobody was, [draw, node, 1]."""
    order = np.argsort(~allowed, axis=-1, kind="stable")
    count = np.maximum(allowed.sum(axis=-1, keepdims=True), 1)
    rows = np.take_along_axis(order, np.arange(lanes) % count, -1)
    return rows, np.asarray(~allowed.any(axis=-1, keepdims=True))


def _follow(
    trial: Trial, arm: Arm, q: Population, group: _Group, rng: np.random.Generator
) -> tuple[ArmCourse, np.ndarray]:
    """One arm, and function at its visits."""
    shape, person = group.f.shape, group.person
    days = np.arange(0.0, 7.0 * arm.weeks + STEP_DAYS, STEP_DAYS)
    dose = _doses(arm, days, shape[-1])
    given = np.isin(np.arange(len(days)), np.round((np.array(arm.ect_days) - RANDOMISED_DAY) / STEP_DAYS))
    gain = q.later_ect / int(document()["defaults"]["course"]["sessions"])
    visits = visit_days(arm.weeks)
    at = {round(day / STEP_DAYS): day for day in visits}
    f, s, scores, seen = group.f, group.s, [], []
    for k in range(len(days)):
        if given[k]:
            f, s = f + gain * person.g_f, s + gain * person.g_s
        if k in at:
            seen.append(f)
            scores.append(_score(q, f, group.own_mean, rng.standard_normal(shape)).ravel())
        if k < len(days) - 1:
            mean_dose = (dose[k] + dose[k + 1]) / 2
            push = Push(np.minimum(person.c + person.a * mean_dose, FASTEST), person.p * mean_dose)
            f, s = advance(q, person, (f, s), push, STEP_DAYS, rng.standard_normal((2, *shape)))
    grid = np.repeat(np.array(visits)[:, None], f.size, axis=1)
    found = relapse_day(trial.rule, grid, np.stack(scores)).reshape(shape)
    left = rng.exponential(size=shape) / arm.dropout_rate if arm.dropout_rate > 0 else np.full(shape, np.inf)
    return ArmCourse(found, left), np.stack(seen)


def _doses(arm: Arm, days: np.ndarray, lanes: int) -> np.ndarray:
    """Exposure of each lane, [day, lane]: regimens dealt out by their shares."""
    edges = np.round(np.cumsum([0.0, *(share for share, _ in arm.mix)]) * lanes).astype(int)
    dose = np.zeros((len(days), lanes))
    for (_, drugs), first, last in zip(arm.mix, edges[:-1], edges[1:], strict=True):
        dose[:, first:last] = _regimen(tuple(sorted(drugs.items())), len(days))[:, None]
    return dose


@cache
def _regimen(drugs: tuple[tuple[str, Any], ...], steps: int) -> np.ndarray:
    return arm_exposure(dict(drugs), 0.0, STEP_DAYS * np.arange(steps))
