"""How often the advice is wrong: for each patient over the posterior, and for the rule as such over virtual patients of the same design."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from remanent.dynamics.compare import settings
from remanent.dynamics.compile import compiled
from remanent.dynamics.filter import log_likelihood, replicate
from remanent.dynamics.forecast import Today, draw_today
from remanent.dynamics.grid import TimeLine, look_ahead
from remanent.dynamics.priors import SWITCHES, Layout, to_params
from remanent.dynamics.steps import Grid, without_events
from remanent.dynamics.survive import survive
from remanent.plan.decide import AdviceCode, decide, shipped_thresholds, thresholds_for
from remanent.plan.errors import AdviceErrors, Chance, Truths, of_patient, of_rule
from remanent.plan.errors import words as in_words
from remanent.plan.simulate import STANDARD_PLANS, months_on_drugs
from remanent.relapse.predict import (
    EDGES_DAYS,
    Ensemble,
    contraction,
    kept,
    posterior_ensemble,
    prior_ensemble,
    summarise,
)
from remanent.stages.analyse import DRAWS, Outcome, Results, situation_of

VIRTUAL_PATIENTS = 200
MOST_COHORTS = 5
VIRTUAL_DRAWS = 60
RULE = "rule"
_NOTHING_TAKEN = 0.02


@dataclass(frozen=True)
class ErrorRates:
    """By participant, and by advice for the rule as such."""

    patients: Mapping[str, AdviceErrors]
    rule: Mapping[AdviceCode, AdviceErrors]


def error_rates(results: Results, seed: int, thresholds: Mapping[str, Any] | None) -> ErrorRates:
    """Expected errors of every advice given, and realised errors of the rule in virtual patients."""
    table = thresholds or shipped_thresholds()
    rng = np.random.default_rng([seed, 5])
    people = [results.panel.patients[i] for i in results.timeline.lanes]
    limits = [_limits(results, lane, table) for lane in range(len(people))]
    takes = [results.situation[lane].exposure > _NOTHING_TAKEN for lane in range(len(people))]
    asked = [k for k in range(len(people)) if limits[k] is not None and takes[k] and not results.gone[k]]
    truths = _posterior_truths(results, limits, rng)
    patients = {
        people[k]: of_patient(results.advice[k].code, truths, k, limits[k] or {})
        for k in asked
        if results.advice[k].code in ("taper", "hold")
    }
    return ErrorRates(patients, _rule_errors(results, table, limits, rng))


def table(rates: ErrorRates | None) -> dict[str, list[Any]]:
    """advice_errors.tsv."""
    rows = [] if rates is None else [*((RULE, e) for e in rates.rule.values()), *rates.patients.items()]
    columns: dict[str, list[Any]] = {
        "participant_id": [who for who, _ in rows],
        "advice": [e.code for _, e in rows],
        "cases": [e.cases for _, e in rows],
    }
    for name in ("below", "caused", "needless", "needless_months"):
        chances = [getattr(e, name) or Chance(np.nan, np.nan) for _, e in rows]
        columns |= {name: [c.mean for c in chances], f"{name}_error": [c.error for c in chances]}
    return columns


def words(rates: ErrorRates | None, who: str, code: str, horizon_days: float) -> str:
    """Both rates of one patient's advice, each labelled with where it comes from."""
    if rates is None or who not in rates.patients:
        return ""
    own = in_words(rates.patients[who], horizon_days, "for this patient, by the model's posterior")
    rule = next((e for c, e in rates.rule.items() if c == code), None)
    general = (
        "the rule as such could not be tried on enough virtual patients who get this advice"
        if rule is None
        else in_words(
            rule, horizon_days, f"for the rule as such, in {rule.cases:.0f} virtual patients who get this advice"
        )
    )
    return f"{own}; {general}"


def _limits(results: Results, lane: int, table: Mapping[str, Any]) -> dict[str, float] | None:
    limits = thresholds_for(results.situation[lane].diagnosis, table)
    return None if limits is None else {name: float(entry["value"]) for name, entry in limits.items()}


def _rows(limits: list[dict[str, float] | None]) -> np.ndarray:
    """Interval that ends at the rule's horizon, [lane]."""
    return np.searchsorted(EDGES_DAYS[1:], [one["horizon_days"] if one else EDGES_DAYS[-1] for one in limits])


def _posterior_truths(results: Results, limits: list[dict[str, float] | None], rng: np.random.Generator) -> Truths:
    line = results.timeline
    weight = np.repeat(results.comparison.evidence_weight[None], len(line.lanes), 0)
    ensemble = posterior_ensemble(results.posterior, line.grid, weight, DRAWS, rng)
    at, lanes = _rows(limits), np.arange(len(line.lanes))
    rolled = {
        plan: [a.survival for a in kept(ensemble, look_ahead(line, dose, EDGES_DAYS))]
        for plan, dose in results.outcome.dose.items()
        if plan in STANDARD_PLANS
    }
    ends = {plan: np.concatenate([s[at, :, lanes].T for s in parts]) for plan, parts in rolled.items()}
    months = np.concatenate(
        [months_on_drugs(s, results.outcome.dose["continue"])[at, :, lanes].T for s in rolled["continue"]]
    )
    counts = [s.shape[1] for s in rolled["continue"]]
    w = np.concatenate([np.repeat(ensemble.weight[:, [m]].T, n, 0) / n for m, n in enumerate(counts)])
    return Truths(ends["stop"], ends["continue"], ends["taper"], months, w)


# Virtual patients


class _Virtual(NamedTuple):
    """One virtual cohort of the study's design: what was seen, the truth today, and how likely each is to be still at risk."""

    line: TimeLine
    today: Today
    switches: np.ndarray
    weight: np.ndarray


def _rule_errors(
    results: Results, table: Mapping[str, Any], limits: list[dict[str, float] | None], rng: np.random.Generator
) -> dict[AdviceCode, AdviceErrors]:
    """The rule on virtual cohorts whose parameters are draws from the posterior, each patient advised from its own virtual records."""
    line = results.timeline
    count = len(line.lanes)
    asked = np.array([one is not None for one in limits]) & np.array(
        [s.exposure > _NOTHING_TAKEN for s in results.situation]
    )
    if not asked.any():
        return {}
    codes: list[AdviceCode] = []
    truths: list[Truths] = []
    cohorts = min(MOST_COHORTS, -(-VIRTUAL_PATIENTS // count))
    blind = _blind(results)
    for _ in range(cohorts):
        virtual = _cohort(results, rng)
        outcome = _outcome(results, virtual.line, blind, rng)
        situations = [situation_of(results.panel, virtual.line, outcome, k, table) for k in range(count)]
        codes += [decide(s, table).code for s, a in zip(situations, asked, strict=True) if a]
        truth = _truth(results, virtual, _rows(limits))
        truths.append(Truths(*(v[:, asked] for v in truth)))
    cases = Truths(*(np.concatenate(parts, axis=1) for parts in zip(*truths, strict=True)))
    each = [one for one, a in zip(limits, asked, strict=True) if a and one is not None] * cohorts
    return of_rule(codes, cases, {name: np.array([one[name] for one in each]) for name in each[0]})


class _Blind(NamedTuple):
    """What the prior says under each standard plan, and its weights."""

    relapse: dict[str, list[np.ndarray]]
    weight: np.ndarray


def _blind(results: Results) -> _Blind:
    line = results.timeline
    rng = np.random.default_rng(results.seed)
    before = prior_ensemble(results.posterior, line.grid, len(line.lanes), VIRTUAL_DRAWS, rng)
    return _Blind({plan: _relapse(before, line, results.outcome.dose[plan]) for plan in STANDARD_PLANS}, before.weight)


def _relapse(ensemble: Ensemble, line: TimeLine, dose: np.ndarray) -> list[np.ndarray]:
    return [1 - a.survival for a in kept(ensemble, look_ahead(line, dose, EDGES_DAYS))]


def _outcome(results: Results, line: TimeLine, blind: _Blind, rng: np.random.Generator) -> Outcome:
    """Forecasts of a virtual cohort under the standard plans, as `analyse.forecast` makes them."""
    limits = settings()["informed"]
    enough = results.panel.relapsed.sum() >= limits["relapses"]["value"]
    weight = np.repeat(results.comparison.evidence_weight[None], len(line.lanes), 0)
    after = posterior_ensemble(results.posterior, line.grid, weight, VIRTUAL_DRAWS, rng)
    relapse, informed = {}, {}
    for plan in STANDARD_PLANS:
        draws = _relapse(after, line, results.outcome.dose[plan])
        relapse[plan] = summarise(draws, after.weight)
        moved = contraction(draws, blind.relapse[plan], (after.weight, blind.weight))
        informed[plan] = enough & (moved >= limits["contraction"]["value"])
    return replace(results.outcome, relapse=relapse, informed=informed)


def _cohort(results: Results, rng: np.random.Generator) -> _Virtual:
    posterior, line = results.posterior, results.timeline
    weight = results.comparison.evidence_weight
    m = int(rng.choice(weight.size, p=weight / weight.sum()))
    theta = posterior.fits[m].draw(rng, 1)
    value, log_survival = _replica(posterior.layout)(
        jax.random.key(int(rng.integers(2**31))),
        jnp.asarray(theta[0]),
        jnp.asarray(SWITCHES[m]),
        Grid(*map(jnp.asarray, line.grid)),
    )
    seen = line.grid._replace(
        value=np.asarray(value), relapse=np.zeros_like(line.grid.dt), dropout=np.zeros_like(line.grid.dt)
    )
    lanes = len(line.lanes)
    drawn = draw_today(posterior.layout, theta, SWITCHES[m], seen, rng)
    today = drawn.of(slice(lanes))
    return _Virtual(replace(line, grid=seen), today, SWITCHES[m], np.exp(np.asarray(log_survival)[:lanes]))


@lru_cache(maxsize=8)
def _replica(layout: Layout) -> Callable[..., Any]:
    """Program: observations of the same design from the model's own law, and the log probability of no event until today given them."""

    def replica(key: Any, theta: Any, switches: Any, grid: Grid) -> tuple[Any, Any]:
        params = to_params(theta, layout, switches)
        seen = replicate(key, params, grid, layout.form)
        quiet = jnp.zeros_like(grid.dt)
        at_risk = grid._replace(value=seen.value, relapse=quiet, dropout=quiet)
        return seen.value, log_likelihood(params, at_risk, layout.form) - log_likelihood(
            params, without_events(at_risk), layout.form
        )

    return compiled(replica)


def _truth(results: Results, virtual: _Virtual, at: np.ndarray) -> Truths:
    """What is true of each virtual patient, one draw."""
    lanes = np.arange(at.size)
    alive = {}
    for plan in STANDARD_PLANS:
        outlook = look_ahead(virtual.line, results.outcome.dose[plan], EDGES_DAYS)
        alive[plan] = survive(results.posterior.layout, virtual.switches, virtual.today, outlook).survival
    months = months_on_drugs(alive["continue"], results.outcome.dose["continue"])
    ends = (alive["stop"], alive["continue"], alive["taper"], months)
    hold, stay, tapered, on_drugs = (v[at, 0, lanes][None] for v in ends)
    return Truths(hold, stay, tapered, on_drugs, virtual.weight[None])
