"""How often the advice is wrong: for each patient over the posterior, and for the rule as such over virtual patients of the same design."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from remanent.dynamics.compare import replicator
from remanent.dynamics.grid import TimeLine, look_ahead
from remanent.dynamics.infer import by_lane
from remanent.dynamics.priors import Layout
from remanent.dynamics.steps import Grid, without_events
from remanent.plan.decide import AdviceCode, decide, shipped_thresholds, thresholds_for
from remanent.plan.errors import AdviceErrors, Chance, Truths, of_patient, of_rule
from remanent.plan.errors import words as in_words
from remanent.plan.simulate import STANDARD_PLANS, months_on_drugs
from remanent.relapse.predict import EDGES_DAYS, Ensemble, ensemble_at, kept, shared_out, summarise
from remanent.stages.analyse import Results
from remanent.stages.outcome import Outcome, enough_relapses, narrowed
from remanent.stages.situation import situation_of
from remanent.treatment.sourced import least_exposure

VIRTUAL_PATIENTS = 200
MOST_COHORTS = 5
VIRTUAL_DRAWS = 60
RULE = "rule"


@dataclass(frozen=True)
class ErrorRates:
    """By participant, and by advice for the rule as such; `horizon_days`: how far ahead the rule looks, by participant."""

    patients: Mapping[str, AdviceErrors]
    rule: Mapping[AdviceCode, AdviceErrors]
    horizon_days: Mapping[str, float]


def error_rates(results: Results, now: Ensemble, seed: int, thresholds: Mapping[str, Any] | None) -> ErrorRates:
    """Expected errors of every advice given, and realised errors of the rule in virtual patients.

    `now`: draws of today other than those that the advice rests on, which would find it too good.
    """
    table = thresholds or shipped_thresholds()
    rng = np.random.default_rng([seed, 5])
    people = [results.panel.patients[i] for i in results.timeline.lanes]
    limits = [_limits(results, lane, table) for lane in range(len(people))]
    takes = _takes(results)
    asked = [k for k in range(len(people)) if limits[k] is not None and takes[k] and not results.gone[k]]
    truths = _posterior_truths(results, now, limits)
    patients = {
        people[k]: of_patient(results.advice[k].code, truths, k, limits[k] or {})
        for k in asked
        if results.advice[k].code in ("taper", "hold")
    }
    ahead = {people[k]: (limits[k] or {})["horizon_days"] for k in asked}
    return ErrorRates(patients, _rule_errors(results, table, limits, rng), ahead)


def _takes(results: Results) -> np.ndarray:
    """Who takes a drug, doses being known and none of them such as the fitted population never saw, [lane]."""
    return results.foreseeable & np.array([s.exposure > least_exposure() for s in results.situation], bool)


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


def words(rates: ErrorRates | None, who: str, code: str) -> str:
    """Both rates of one patient's advice: over the posterior, and of the rule in virtual patients."""
    if rates is None or who not in rates.patients:
        return ""
    rule = next((e for c, e in rates.rule.items() if c == code), None)
    return in_words(rates.patients[who], rule, rates.horizon_days[who])


def _limits(results: Results, lane: int, table: Mapping[str, Any]) -> dict[str, float] | None:
    limits = thresholds_for(results.situation[lane].diagnosis, table)
    return None if limits is None else {name: float(entry["value"]) for name, entry in limits.items()}


def _rows(limits: list[dict[str, float] | None]) -> np.ndarray:
    """Interval that ends at the rule's horizon, [lane]."""
    return np.searchsorted(EDGES_DAYS[1:], [one["horizon_days"] if one else EDGES_DAYS[-1] for one in limits])


def _posterior_truths(results: Results, ensemble: Ensemble, limits: list[dict[str, float] | None]) -> Truths:
    line = results.timeline
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
    """One virtual cohort of the study's design.

    `line` holds what was seen, `today` draws given that, the truth last among those of its mechanism, number `truth` of the ensemble.
    `weight`: how likely each is still at risk.
    """

    line: TimeLine
    today: Ensemble
    truth: int
    weight: np.ndarray


def _rule_errors(
    results: Results, table: Mapping[str, Any], limits: list[dict[str, float] | None], rng: np.random.Generator
) -> dict[AdviceCode, AdviceErrors]:
    """The rule on virtual cohorts whose parameters are draws from the posterior, each patient advised from its own virtual records."""
    line = results.timeline
    count = len(line.lanes)
    asked = np.array([one is not None for one in limits]) & _takes(results)
    if not asked.any():
        return {}
    codes: list[AdviceCode] = []
    truths: list[Truths] = []
    cohorts = min(MOST_COHORTS, -(-VIRTUAL_PATIENTS // count))
    for _ in range(cohorts):
        virtual = _cohort(results, rng)
        relapse = {plan: _relapse(virtual.today, virtual.line, results.outcome.dose[plan]) for plan in STANDARD_PLANS}
        outcome = _outcome(results, virtual, relapse)
        situations = [situation_of(results.panel, virtual.line, outcome, k, table) for k in range(count)]
        codes += [decide(s, table).code for s, a in zip(situations, asked, strict=True) if a]
        truth = _truth(results, virtual, relapse, _rows(limits))
        truths.append(Truths(*(v[:, asked] for v in truth)))
    cases = Truths(*(np.concatenate(parts, axis=1) for parts in zip(*truths, strict=True)))
    each = [one for one, a in zip(limits, asked, strict=True) if a and one is not None] * cohorts
    return of_rule(codes, cases, {name: np.array([one[name] for one in each]) for name in each[0]})


def _relapse(ensemble: Ensemble, line: TimeLine, dose: np.ndarray) -> list[np.ndarray]:
    return [1 - a.survival for a in kept(ensemble, look_ahead(line, dose, EDGES_DAYS))]


def _outcome(results: Results, virtual: _Virtual, relapse: dict[str, list[np.ndarray]]) -> Outcome:
    """Forecasts of a virtual cohort under the standard plans, as `outcome.forecast` makes them."""
    enough = enough_relapses(results.panel, results.unknown_doses)
    found, informed = {}, {}
    for plan, every in relapse.items():
        draws = [d[:, :-1] if m == virtual.truth else d for m, d in enumerate(every)]
        found[plan] = summarise(draws, virtual.today.weight)
        informed[plan] = enough & narrowed(draws, results.outcome.unseen[plan], (virtual.today, results.before))
    return replace(results.outcome, relapse=found, informed=informed)


def _truth(results: Results, virtual: _Virtual, relapse: dict[str, list[np.ndarray]], at: np.ndarray) -> Truths:
    """What is true of each virtual patient, one draw."""
    lanes = np.arange(at.size)
    alive = {plan: 1 - every[virtual.truth][:, -1:] for plan, every in relapse.items()}
    months = months_on_drugs(alive["continue"], results.outcome.dose["continue"])
    ends = (alive["stop"], alive["continue"], alive["taper"], months)
    hold, stay, tapered, on_drugs = (v[at, 0, lanes][None] for v in ends)
    return Truths(hold, stay, tapered, on_drugs, virtual.weight[None])


def _cohort(results: Results, rng: np.random.Generator) -> _Virtual:
    """A draw of the population, records that it would have made, and what these say of today: the truth is one more draw of the same law."""
    posterior, line = results.posterior, results.timeline
    lanes, layout = len(line.lanes), posterior.layout
    weight = np.repeat(results.comparison.evidence_weight[None], lanes, 0)
    thetas = {m: posterior.fits[m].draw(rng, n) for m, n in shared_out(VIRTUAL_DRAWS, weight).items()}
    which = tuple(thetas)
    truth = int(rng.choice(len(which), p=weight[0, which] / weight[0, which].sum()))
    m, theta = which[truth], thetas[which[truth]][-1]
    noise, given = jnp.asarray(rng.standard_normal(line.grid.value.shape)), Grid(*map(jnp.asarray, line.grid))
    drawn = replicator(layout)(noise, jnp.asarray(theta), jnp.asarray(layout.acting(m)), given)
    quiet = np.zeros_like(line.grid.dt)
    seen = line.grid._replace(
        value=np.asarray(drawn.value), beyond=np.asarray(drawn.beyond), relapse=quiet, dropout=quiet
    )
    today = ensemble_at(posterior, thetas, seen, weight, rng)
    return _Virtual(replace(line, grid=seen), today, truth, _at_risk(layout, m, theta, seen)[:lanes])


def _at_risk(layout: Layout, mechanism: int, theta: np.ndarray, seen: Grid) -> np.ndarray:
    """Probability of no event until today given the records, [lane]; by the program that fitted the population."""
    at = jnp.asarray(theta), jnp.asarray(layout.acting(mechanism))
    both, measured = (
        np.asarray(by_lane(layout)(*at, Grid(*map(jnp.asarray, grid)))[0]) for grid in (seen, without_events(seen))
    )
    return np.exp(both - measured)
