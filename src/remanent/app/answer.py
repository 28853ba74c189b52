"""The answer to what-if: a plan rolled through one patient's draws, the advice it leads to, and both as the page shows them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from markupsafe import Markup

from remanent.app.asked import doses_of, in_circumstances, short_words, subject
from remanent.app.chart import Curve, relapse_chart, top_of
from remanent.dynamics.forecast import Outlook
from remanent.dynamics.survive import Kept
from remanent.plan.decide import Advice, Interval, Situation, Thresholds, decide, thresholds_for
from remanent.plan.plans import STANDARD, PlanSpec, Step, withdraws
from remanent.plan.plans import words as in_words
from remanent.plan.simulate import check_course, planned_outlook
from remanent.relapse.predict import EDGES_DAYS, Estimate, kept, relapse_probability, summarise
from remanent.report import words
from remanent.report.data_tables import HORIZONS_DAYS, DataTable, table
from remanent.report.views import Interval as Shown
from remanent.stages.courses import people
from remanent.stages.live import OnePatient
from remanent.stages.outcome import enough_relapses, narrowed
from remanent.stages.views import not_forecast

CAPTION = "Probability of relapse, counted from today, under the plan (mean, 90 % band); dashed and dotted: the other plans' means, in the same circumstances."
HEADLINE_DAYS = 182.0
MOST_ROLLED = 64


@dataclass(frozen=True)
class Rolled:
    """A plan rolled forward: probability of relapse up to each interval's end, and whether the data inform it."""

    relapse: Estimate
    informed: bool


@dataclass(frozen=True)
class Answer:
    """What the page shows of one plan; `line`: the plan as a file for `run --plans` has it."""

    advice: Advice
    unsaid: str
    plan_words: str
    chart: Markup
    caption: str
    summary: str
    table: DataTable
    line: str = ""


@dataclass
class Lane:
    """One patient made ready, with the plans that were rolled already."""

    one: OnePatient
    rolled: dict[tuple[Step, ...], Rolled] = field(default_factory=dict)


def rolled_of(lane: Lane, plan: PlanSpec) -> Rolled:
    """A plan's forecast, computed once.

    Raises
    ------
    InputError
        The plan cannot be carried out in this patient, or the study knows nothing of what it starts.
    """
    found = lane.rolled.get(plan.steps)
    if found is None:
        found = _roll(lane.one, plan)
        if len(lane.rolled) > MOST_ROLLED:
            lane.rolled.clear()
        lane.rolled[plan.steps] = found
    return found


def difference(lane: Lane, first: PlanSpec, second: PlanSpec) -> str:
    """Plan A less plan B, in words, from the same draws under both; empty where data do not inform both."""
    if any(_unsaid(lane.one, rolled_of(lane, plan)) for plan in (first, second)):
        return ""
    ahead = [kept(lane.one.after, _outlook(lane.one, plan)) for plan in (first, second)]
    less = summarise([b.survival - a.survival for a, b in zip(*ahead, strict=True)], lane.one.after.weight)
    interval = _at(less, HEADLINE_DAYS)
    mean, low, high = (words.minus(f"{100 * part:+.0f}") for part in (interval.mean, interval.lower, interval.upper))
    span = words.span_label(HEADLINE_DAYS)
    return f"relapse within {span} under A less that under B: {mean} percentage points (90 % interval {low} to {high})"


def _outlook(one: OnePatient, plan: PlanSpec) -> Outlook:
    """The course of this patient under a plan."""
    person = people(one.results)[0]
    check_course(plan, person)
    return planned_outlook(plan, one.results.timeline, [person])


def _roll(one: OnePatient, plan: PlanSpec) -> Rolled:
    """A standard plan is known from the run's own forecasts; under stress or ECT it is informed where it is without."""
    outcome = one.results.outcome
    known = {standard.steps: standard.name for standard in STANDARD}
    if plan.steps in known:
        name = known[plan.steps]
        return Rolled(outcome.relapse[name], bool(outcome.informed[name][0]))
    outlook = _outlook(one, plan)
    rolled = kept(one.after, outlook)
    relapse = relapse_probability(one.after, rolled)
    if plan.doses in known:
        return Rolled(relapse, bool(outcome.informed[known[plan.doses]][0]))
    return Rolled(relapse, _informed(one, rolled, kept(one.before, outlook)))


def _informed(one: OnePatient, rolled: Sequence[Kept], blind: Sequence[Kept]) -> bool:
    """Whether the data moved this forecast enough to be shown, by the rule of the standard plans."""
    results, ends = one.results, ([1 - a.survival for a in rolled], [1 - a.survival for a in blind])
    can_tell = results.foreseeable[0] and enough_relapses(results.panel, results.unknown_doses)
    return bool(can_tell and narrowed(*ends, (one.after, one.before))[0])


def _at(estimate: Estimate, days: float) -> Interval:
    row = int(np.searchsorted(EDGES_DAYS[1:], days))
    return Interval(*(float(part[row, 0]) for part in (estimate.mean, estimate.lower, estimate.upper)))


def situation_of(
    one: OnePatient, plan: PlanSpec, plans: Mapping[str, Rolled], table: Mapping[str, Thresholds | None]
) -> Situation:
    """What the rule looks at, with the asked plan in the place of the standard taper and stress that begins today as if it had been measured."""
    now = one.results.situation[0]
    limits = thresholds_for(now.diagnosis, table) or table["default"] or {}
    days = float(limits["horizon_days"]["value"])
    stay, stopped, asked = (plans[name] for name in ("continue", "stop", "asked"))
    gone = _at(stopped.relapse, days)
    on_plan = _at(stay.relapse, days) if stay.informed else None
    begun = [stress for stress in plan.stress if stress.from_day == 0]
    return replace(
        now,
        hold=Interval(1 - gone.mean, 1 - gone.upper, 1 - gone.lower) if stopped.informed else None,
        relapse_91=_at(stay.relapse, 91) if stay.informed else None,
        on_plan=on_plan,
        extra_relapse=_at(asked.relapse, days).mean - on_plan.mean if asked.informed and on_plan else None,
        plan=subject(plan),
        withdraws=withdraws(plan, one.given.doses, float(one.results.timeline.today[0])),
        crp_mg_l=None if now.crp_mg_l is None else now.crp_mg_l * math.prod(s.crp_times for s in begun),
        sleep_h=None if now.sleep_h is None else now.sleep_h - sum(s.sleep_hours_lost for s in begun),
    )


def answers_of(lane: Lane, plans: Sequence[PlanSpec], table_of: Mapping[str, Thresholds | None]) -> list[Answer]:
    """The answers as the page shows them, their figures on one axis; where data do not inform a forecast, in words and without a number.

    Raises
    ------
    InputError
        A plan cannot be carried out in this patient, or the study knows nothing of what it starts.
    """
    shown = [_shown_plans(lane, plan) for plan in plans]
    top = top_of([curve for one in shown if not one.unsaid for curve in one.curves])
    return [_answer(lane, one, table_of, top, f"plan-{k}") for k, one in enumerate(shown)]


@dataclass(frozen=True)
class _Beside:
    """A plan and what it is compared with: under `asked`, `continue` and `stop`, and of these what may be shown, with its curve."""

    plan: PlanSpec
    rolled: Mapping[str, Rolled]
    unsaid: str
    told: Sequence[tuple[str, Rolled]]
    curves: Sequence[Curve]


def _shown_plans(lane: Lane, plan: PlanSpec) -> _Beside:
    under = {"asked": plan, **{name: in_circumstances(plan, name) for name in ("continue", "stop")}}
    rolled = {name: rolled_of(lane, one) for name, one in under.items()}
    asked = rolled["asked"]
    named = [(short_words(plan), asked), ("continue", rolled["continue"]), ("stop today", rolled["stop"])]
    shown = [
        (name, one, k)  # k is the look of a curve: a plan keeps it in every figure
        for k, (name, one) in enumerate(named)
        if one.informed and (k == 0 or one is not asked)
    ]
    curves = [_curve(name, one, k, band=k == 0) for name, one, k in shown]
    return _Beside(plan, rolled, _unsaid(lane.one, asked), [(name, one) for name, one, _ in shown], curves)


def _answer(lane: Lane, shown: _Beside, table_of: Mapping[str, Thresholds | None], top: float, key: str) -> Answer:
    one, plan = lane.one, shown.plan
    said = [f"{name} {words.percent_interval(_shown(rolled, HEADLINE_DAYS))}" for name, rolled in shown.told]
    summary = f"Relapse within {words.span_label(HEADLINE_DAYS)}: {'; '.join(said)}"
    rows = [
        (name, *(words.percent_interval(_shown(rolled, days)) for days in HORIZONS_DAYS)) for name, rolled in shown.told
    ]
    heads = ("Plan", *(f"{days / 7:.0f}{words.NB}weeks" for days in HORIZONS_DAYS))
    title = f"Probability of relapse, {short_words(plan)}"
    return Answer(
        advice=decide(situation_of(one, plan, shown.rolled, table_of), table_of),
        unsaid=shown.unsaid,
        plan_words=f"{words.sentence(in_words(plan))} {doses_of(one, plan)}".strip(),
        chart=Markup("") if shown.unsaid else relapse_chart(shown.curves, top, key, title, summary),
        caption=CAPTION,
        summary=words.sentence(summary),
        table=table("Probability of relapse within so many weeks, mean (90 % interval)", heads, rows),
    )


def _unsaid(one: OnePatient, asked: Rolled) -> str:
    results = one.results
    if why := not_forecast(results, 0):
        return words.sentence(why)
    if not results.posterior.converged:
        return "The fit did not converge, so its numbers are not findings."
    if not asked.informed:
        return "These data cannot say: they leave the forecast under this plan where the model's starting assumptions had it, so no number is shown."
    return ""


def _curve(label: str, plan: Rolled, style: int, *, band: bool) -> Curve:
    mean, lower, upper = (
        np.concatenate([[0.0], getattr(plan.relapse, name)[:, 0]]) for name in ("mean", "lower", "upper")
    )
    return Curve(label, EDGES_DAYS, mean, lower, upper, style, band)


def _shown(plan: Rolled, days: float) -> Shown:
    found = _at(plan.relapse, days)
    return Shown(found.mean, found.lower, found.upper)
