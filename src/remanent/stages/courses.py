"""Courses beyond the standard plans: plans of the user's own, and withdrawal under stress, with the draws of the standard forecasts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from remanent._errors import InputError, Problem
from remanent.dynamics.compare import posterior_sd, settings
from remanent.dynamics.design import Design, choose_design
from remanent.dynamics.forecast import Outlook
from remanent.dynamics.grid import medication_of
from remanent.dynamics.survive import Kept
from remanent.plan.plans import PlanSpec
from remanent.plan.simulate import Person, check_course, check_known, planned_outlook, stability_plans
from remanent.relapse.predict import (
    HORIZONS_DAYS,
    Estimate,
    at_horizons,
    distance_to_tipping,
    distances_to_tipping,
    kept,
    narrowing,
    summarise,
)
from remanent.stages.analyse import Results
from remanent.stages.outcome import enough_relapses, narrowed
from remanent.study.panel import Panel, build_panel
from remanent.study.people import parted
from remanent.study.table import Table


@dataclass(frozen=True)
class Stability:
    """Withdrawal under each stress test: hold, what the stress adds to relapse, and structure beyond the tipping point, [horizon, lane] each.

    `beyond` is empty in the linear form, which has no tipping point; `beyond_informed`: whether the data narrowed it under withdrawal alone, [lane].
    """

    hold: dict[str, Estimate]
    added: dict[str, Estimate]
    beyond: dict[str, Estimate]
    beyond_informed: np.ndarray


def people(results: Results) -> list[Person]:
    """Every lane's patient as plans need them."""
    return _people(results.panel, results.timeline.lanes)


def _people(panel: Panel, lanes: np.ndarray) -> list[Person]:
    out = []
    for lane, i in enumerate(lanes.tolist()):
        ect = panel.ect_day[panel.ect_patient == i]
        out.append(Person(lane, medication_of(panel, i), int((ect <= 0).sum()) or ect.size))
    return out


def check_plans(plans: Sequence[PlanSpec], tables: Mapping[str, Table], known: Design | None = None) -> None:
    """Refuse plans that nobody can have, from the tables of a record alone; `known`: the design of a population fitted before.

    Raises
    ------
    InputError
        A plan starts what no patient of the study had, or can be carried out in nobody.
    """
    panel = build_panel(parted(tables)[0])
    lanes = np.flatnonzero(np.isfinite(panel.last_day))
    if not plans or not lanes.size:
        return
    design = known or choose_design(panel)
    for plan in plans:
        check_known(plan, design)
        _able(plan, _people(panel, lanes), panel.last_day[lanes])


def with_plans(results: Results, plans: Sequence[PlanSpec], source: str = "plans") -> tuple[Results, list[Problem]]:
    """Results with a forecast under each plan, and the patients in whom a plan cannot be carried out; `source` is what problems call their file.

    Raises
    ------
    InputError
        A plan can be carried out in nobody.
    """
    if not plans:
        return results, []
    after, before = results.after, results.before
    outcome, problems = results.outcome, []
    relapse, informed = dict(outcome.relapse), dict(outcome.informed)
    can_tell = results.foreseeable & enough_relapses(results.panel, results.unknown_doses)
    for plan in plans:
        able, why = _able(plan, people(results), results.timeline.today)
        for lane, words in why:
            who = results.panel.patients[results.timeline.lanes[lane]]
            problems.append(Problem(source, None, plan.name, f"{who}: {words}", "set_aside", who))
        outlook = planned_outlook(plan, results.timeline, able)
        rolled, blind = kept(after, outlook), kept(before, outlook)
        possible = np.array([p is not None for p in able])
        found = summarise([1 - a.survival for a in rolled], after.weight)
        relapse[plan.name] = Estimate(*(np.where(possible, v, np.nan) for v in (found.mean, found.lower, found.upper)))
        ends = [1 - a.survival for a in rolled], [1 - a.survival for a in blind]
        informed[plan.name] = can_tell & possible & narrowed(*ends, (after, before))
    return replace(results, outcome=replace(outcome, relapse=relapse, informed=informed)), problems


def _able(
    plan: PlanSpec, everybody: Sequence[Person], today: np.ndarray
) -> tuple[list[Person | None], list[tuple[int, str]]]:
    """The patients in whom a plan can be carried out, None in place of the others, and the lanes of these with the reason."""
    able: list[Person | None] = []
    why: list[tuple[int, str]] = []
    errors: list[InputError] = []
    for person in everybody:
        try:
            check_course(plan, person)
            plan.applied(person.given.doses, float(today[person.lane]))
            able.append(person)
        except InputError as error:
            able.append(None)
            errors.append(error)
            why.append((person.lane, str(error)))
    if errors and not any(able):
        raise errors[0]
    return able, why


def stability(results: Results) -> Stability:
    """Hold and the distance to the tipping point under withdrawal and stress, for everyone."""
    after = results.after
    patients: list[Person | None] = list(people(results))
    hold, added, beyond = {}, {}, {}
    beyond_informed = np.zeros(len(patients), bool)
    calm: list[np.ndarray] | None = None
    for plan in stability_plans():
        outlook = planned_outlook(plan, results.timeline, patients)
        rolled = kept(after, outlook)
        alive = [a.survival for a in rolled]
        distance = distance_to_tipping(after, rolled)
        if distance is not None:
            beyond[plan.name] = at_horizons(distance)
            if calm is None:
                beyond_informed = _distance_informed(results, rolled, outlook)
        calm = alive if calm is None else calm
        hold[plan.name] = at_horizons(summarise(alive, after.weight))
        lost = [c - a for c, a in zip(calm, alive, strict=True)]
        added[plan.name] = at_horizons(summarise(lost, after.weight))
    return Stability(hold, added, beyond, beyond_informed)


def _distance_informed(results: Results, rolled: Sequence[Kept], outlook: Outlook) -> np.ndarray:
    """Whether the data narrowed the distance to the tipping point against the prior, [lane]; never where they say nothing of where that point lies."""
    known_of = posterior_sd(results.posterior, results.comparison.evidence_weight)[
        results.posterior.layout.index("theta")
    ]
    if known_of > settings()["identifiable"]["prior_decides"]["value"]:
        return np.zeros(len(results.timeline.lanes), bool)
    after, before = results.after, results.before
    known, blind = distances_to_tipping(after, rolled), distances_to_tipping(before, kept(before, outlook))
    moved = narrowing(known, blind, (after.weight, before.weight))
    return moved >= settings()["informed"]["contraction"]["value"]


def stability_table(results: Results | None, found: Stability | None) -> dict[str, list[Any]]:
    """stability.tsv; numbers only where the data inform the forecast under withdrawal."""
    names = ("participant_id", "day", "stress", "horizon_days")
    parts = [f"{what}_{part}" for what in ("hold", "added", "beyond_tipping") for part in ("mean", "lower", "upper")]
    columns: dict[str, list[Any]] = {name: [] for name in (*names, *parts, "basis")}
    if results is None or found is None:
        return columns
    for lane, i in enumerate(results.timeline.lanes.tolist()):
        gone, known = bool(results.gone[lane]), bool(results.outcome.informed["stop"][lane])
        for stress in found.hold:
            for k, horizon in enumerate(HORIZONS_DAYS):
                shown = known and not gone
                asked = (
                    (found.hold, shown),
                    (found.added, shown),
                    (found.beyond, bool(found.beyond) and shown and found.beyond_informed[lane]),
                )
                values = [
                    float(getattr(e[stress], part)[k, lane]) if told else np.nan
                    for e, told in asked
                    for part in ("mean", "lower", "upper")
                ]
                basis = "undefined" if gone else "data" if known else "prior"
                row = (results.panel.patients[i], float(results.timeline.today[lane]), stress, horizon, *values, basis)
                for column, value in zip(columns.values(), row, strict=True):
                    column.append(value)
    return columns


def stability_words(results: Results, found: Stability, lane: int, horizon_days: float) -> tuple[str, ...]:
    """What each stress test does to this patient's hold, in words; nothing where the data do not inform it."""
    if results.gone[lane] or not results.outcome.informed["stop"][lane]:
        return ()
    k = HORIZONS_DAYS.index(horizon_days)
    said = []
    for stress, hold in found.hold.items():
        numbers = [100 * float(v[k, lane]) for v in (hold.mean, hold.lower, hold.upper)]
        after = "without stress" if stress == "none" else f"after {stress} (four weeks)"
        extra = found.added[stress]
        more = (
            ""
            if stress == "none"
            else f"; the stress itself adds {100 * float(extra.mean[k, lane]):.0f} percentage points of relapse "
            f"({100 * float(extra.lower[k, lane]):.0f} to {100 * float(extra.upper[k, lane]):.0f})"
        )
        said.append(
            f"{after}: {numbers[0]:.0f} % without relapse within {horizon_days:.0f} days "
            f"(90 % interval {numbers[1]:.0f} to {numbers[2]:.0f} %){more}"
            f"{_beyond_words(found, stress, k, lane)}"
        )
    if found.beyond and not found.beyond_informed.any():
        said.append(
            "How far structure then stands from the tipping point cannot be said: where that point lies is the prior's"
        )
    return tuple(said)


def _beyond_words(found: Stability, stress: str, k: int, lane: int) -> str:
    """Where structure stands at the horizon, seen from the tipping point; nothing where there is none or the data do not say."""
    if not found.beyond or not found.beyond_informed[lane]:
        return ""
    estimate = found.beyond[stress]
    mean, lower, upper = (float(v[k, lane]) for v in (estimate.mean, estimate.lower, estimate.upper))
    side = "above" if lower > 0 else "below" if upper < 0 else "not clearly on either side of"
    return f"; structure then {side} the tipping point (distance {mean:+.2f}, {lower:+.2f} to {upper:+.2f}; full recovery is 1)"
