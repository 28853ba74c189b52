"""Policies side by side: when to withdraw the drug, decided at visits from what is then known, on the same virtual people with the same luck.

A policy is a list of stages. Each moves the dose to a share of what was taken, in equal steps of effect over some weeks, when its day has come and its
condition holds: a score at or below a limit at so many visits in a row, or a hold (no relapse for half a year without drugs, the lower end of its interval
by the filter) of at least a threshold. A stage that waits is asked again at every visit until its condition holds; one that does not is asked once, and may
name a share for those in whom it fails. Several options with probabilities are a random assignment.

    relapse: the first day on which the integral of h0 exp(-eta_f f) passes the patient's own exponential variate; then the full dose again
    loss = relapse_drug_months [relapse] + months of drug (in full doses) up to the end
    regret = loss - loss of an oracle that knows parameters, random effects and state on day 0, but not the luck to come
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from remanent.plan.simulate import DAYS_PER_MONTH
from remanent.trial.trajectory import advance
from remanent.trial.world import STEP_DAYS, World, score

INNER_FUTURES = 16

Lane = Float[np.ndarray, " lane"]
Holds = Mapping[float, Float[np.ndarray, " lane"]]


@dataclass(frozen=True)
class Stage:
    """One decision.

    Attributes
    ----------
    day
        From when on it is asked.
    options
        Share of the full dose, and probability, of each course of action.
    weeks
        How long the change takes.
    wait
        Whether it is asked again at later visits until its condition holds.
    score_at_most, visits
        Condition on ratings: so many visits in a row at or below this score; None: no condition.
    hold_at_least
        Condition on the biomarker; None: none.
    otherwise
        Share of the full dose for those in whom a stage that does not wait fails; None: as they are.
    """

    day: float
    options: tuple[tuple[float, float], ...] = ((0.0, 1.0),)
    weeks: float = 12.0
    wait: bool = False
    score_at_most: float | None = None
    visits: int = 1
    hold_at_least: float | None = None
    otherwise: float | None = None


@dataclass(frozen=True)
class Policy:
    """A named list of stages; none: never stop."""

    name: str
    stages: tuple[Stage, ...] = ()

    @property
    def uses_scans(self) -> bool:
        """Whether any stage asks the biomarker."""
        return any(stage.hold_at_least is not None for stage in self.stages)


@dataclass(frozen=True)
class Protocol:
    """What all policies share: follow-up and visits (days), dropout (1/day), what a relapse counts (drug-months), and hold by decision day."""

    follow_up_days: float
    visit_days: tuple[float, ...]
    dropout_per_day: float
    relapse_drug_months: float
    holds: Holds = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What became of each patient under one policy, [lane]: inf for a relapse or dropout that did not come within the follow-up."""

    relapse_day: Lane
    dropout_day: Lane
    drug_months: Lane
    scans: Lane
    withdrawn_day: Lane
    loss: Lane

    @property
    def relapsed(self) -> np.ndarray:
        """Whether relapse was seen."""
        return np.isfinite(self.relapse_day) & (self.relapse_day <= self.dropout_day)


@dataclass
class _Doses:
    """Where each patient stands: share of the full dose now and aimed at, how fast it moves (1/day), next stage, visits in a row that met it."""

    share: np.ndarray
    goal: np.ndarray
    rate: np.ndarray
    stage: np.ndarray
    row: np.ndarray
    scans: np.ndarray
    withdrawn: np.ndarray

    def move(self, who: np.ndarray, goal: np.ndarray | float, weeks: float) -> None:
        change = np.where(who, np.abs(goal - self.share), 0.0)
        self.goal = np.where(who, goal, self.goal)
        self.rate = np.where(who, np.maximum(change, 1e-9) / max(7.0 * weeks, STEP_DAYS), self.rate)

    def step(self) -> np.ndarray:
        """Move one step; the fall of the share."""
        before = self.share
        self.share = before + np.clip(self.goal - before, -self.rate * STEP_DAYS, self.rate * STEP_DAYS)
        return np.maximum(before - self.share, 0.0)


def run(world: World, policy: Policy, protocol: Protocol) -> Outcome:
    """Follow every patient under one policy."""
    n, truth, person = len(world.f), world.truth, world.person
    one = np.ones(n)
    doses = _Doses(
        one.copy(), one.copy(), one.copy(), np.zeros(n, int), np.zeros(n, int), np.zeros(n), np.full(n, np.inf)
    )
    f, s, w, months = world.f, world.s, np.zeros(n), np.zeros(n)
    hazard, left = np.zeros(n), np.zeros(n)
    relapse, dropout = np.full(n, np.inf), np.full(n, np.inf)
    visit = 0
    for k in range(int(np.ceil(protocol.follow_up_days / STEP_DAYS))):
        day = k * STEP_DAYS
        while visit < len(protocol.visit_days) and protocol.visit_days[visit] <= day:
            seen = score(truth, world.own_mean, (f, w), world.rating[visit])
            still = np.isinf(relapse) & np.isinf(dropout)
            _visit(policy, protocol.visit_days[visit], (seen, protocol.holds), (doses, still), world.lot)
            visit += 1
        fallen = doses.step()
        push = world.push(doses.share)
        risk = np.exp(-truth.eta_f * f)
        f, s = advance(truth, person, (f, s), push, STEP_DAYS, world.z[k])
        w = w * np.exp(-STEP_DAYS / truth.tau_w) + truth.omega * fallen
        hazard = hazard + truth.h0 * STEP_DAYS * (risk + np.exp(-truth.eta_f * f)) / 2
        left = left + protocol.dropout_per_day * STEP_DAYS
        now = np.isinf(relapse) & (hazard >= world.fate[0])
        relapse = np.where(now, day + STEP_DAYS, relapse)
        dropout = np.where(np.isinf(dropout) & (left >= world.fate[1]), day + STEP_DAYS, dropout)
        doses.move(now, 1.0, 0.0)
        months = months + doses.share * STEP_DAYS / DAYS_PER_MONTH
    loss = protocol.relapse_drug_months * np.isfinite(relapse) + months
    return Outcome(relapse, dropout, months, doses.scans, doses.withdrawn, loss)


@dataclass(frozen=True)
class Path:
    """Patients who never stop: scores at the visits [visit, lane], states at them, and the day of relapse."""

    visit_days: tuple[float, ...]
    scores: np.ndarray
    f: np.ndarray
    s: np.ndarray
    relapse_day: Lane

    def at(self, day: float) -> tuple[Lane, Lane]:
        """Function and structure at the last visit up to `day`."""
        k = int(np.searchsorted(self.visit_days, day + 1e-9)) - 1
        return self.f[k], self.s[k]


def scores_and_states(world: World, protocol: Protocol) -> Path:
    """What `run` shows of everybody on the full dose, by the same luck."""
    truth, person, push = world.truth, world.person, world.push(np.ones(len(world.f)))
    f, s, at = world.f, world.s, 0
    seen: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for k in range(len(world.z)):
        while at < len(protocol.visit_days) and protocol.visit_days[at] <= k * STEP_DAYS:
            seen.append((score(truth, world.own_mean, (f, 0.0 * f), world.rating[at]), f, s))
            at += 1
        f, s = advance(truth, person, (f, s), push, STEP_DAYS, world.z[k])
    scores, states_f, states_s = (np.stack(part) for part in zip(*seen, strict=True))
    relapse = run(world, Policy("never stop"), protocol).relapse_day
    return Path(protocol.visit_days[: len(seen)], scores, states_f, states_s, relapse)


def _visit(
    policy: Policy, day: float, known: tuple[np.ndarray, Holds], standing: tuple[_Doses, np.ndarray], lot: np.ndarray
) -> None:
    """Ask each patient's next stage."""
    (seen, holds), (doses, still) = known, standing
    for number, stage in enumerate(policy.stages):
        # visits before the stage's day count towards a row of visits
        here = still & (doses.stage == number) & ((stage.visits > 1) | (day >= stage.day))
        low = seen <= (np.inf if stage.score_at_most is None else stage.score_at_most)
        doses.row = np.where(here, np.where(low, doses.row + 1, 0), doses.row)
        due = here & (day >= stage.day)
        met = due & (doses.row >= stage.visits)
        if stage.hold_at_least is not None:
            met, asked = _biomarker(stage, holds.get(day), met)
            doses.scans = doses.scans + asked
        _assign(stage, met, doses, lot[number])
        failed = due & ~met & (not stage.wait)
        if stage.otherwise is not None:
            doses.move(failed, stage.otherwise, stage.weeks)
        doses.withdrawn = np.where(met & (doses.goal == 0.0) & np.isinf(doses.withdrawn), day, doses.withdrawn)
        passed = met | failed
        doses.stage = doses.stage + passed
        doses.row = np.where(passed, 0, doses.row)
        still = still & ~passed


def _biomarker(stage: Stage, hold: np.ndarray | None, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Who meets the threshold, and who was scanned for it; on a day without a measurement nobody is and nobody does."""
    if hold is None:
        return np.zeros_like(asked), np.zeros_like(asked)
    return asked & (hold >= (stage.hold_at_least or 0.0)), asked


def _assign(stage: Stage, met: np.ndarray, doses: _Doses, lot: np.ndarray) -> None:
    edge = np.cumsum([probability for _, probability in stage.options])
    choice = np.minimum(np.searchsorted(edge, lot), len(edge) - 1)
    shares = np.array([share for share, _ in stage.options])
    doses.move(met, shares[choice], stage.weeks)


def oracle(rng: np.random.Generator, world: World, candidates: Sequence[Policy], protocol: Protocol) -> np.ndarray:
    """Index of the candidate with the least expected loss for each patient, by futures of his own that are not those he will live, [lane]."""
    futures = world.again(rng, INNER_FUTURES)
    losses = [run(futures, one, replace(protocol, holds={})).loss for one in candidates]
    mean = np.stack([loss.reshape(len(world.f), INNER_FUTURES).mean(axis=1) for loss in losses])
    return np.asarray(mean.argmin(axis=0))


def regret(outcomes: Mapping[str, Outcome], choice: np.ndarray, candidates: Sequence[str]) -> Mapping[str, Lane]:
    """Loss of each policy beyond that of the oracle's choice, by patient, in the future that he lives, [lane]."""
    chosen: Any = np.stack([outcomes[name].loss for name in candidates])[choice, np.arange(len(choice))]
    return {name: outcome.loss - chosen for name, outcome in outcomes.items()}
