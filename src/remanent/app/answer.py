"""The answer to what-if: a plan rolled through one patient's draws, the advice it leads to, and both as the page shows them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from markupsafe import Markup

from remanent.app.asked import POOR_SLEEP_H, Ask, doses_of, notes_of, outlook_of, words_of
from remanent.app.chart import Curve, relapse_chart
from remanent.dynamics.compare import settings
from remanent.dynamics.survive import Kept
from remanent.plan.decide import Advice, Interval, Situation, Thresholds, decide, thresholds_for
from remanent.relapse.predict import EDGES_DAYS, Estimate, contraction, kept, relapse_probability, summarise
from remanent.report import words
from remanent.report.data_tables import HORIZONS_DAYS, DataTable, table
from remanent.report.views import Interval as Shown
from remanent.stages.live import OnePatient

CAPTION = "Probability of relapse, counted from today, under the plan (mean, 90 % band); dashed and dotted: the other plans' means, in the same circumstances."
HEADLINE_DAYS = 182.0
MOST_ROLLED = 64
REFERENCES = ("continue", "taper", "stop")


@dataclass(frozen=True)
class Rolled:
    """A plan rolled forward: probability of relapse up to each interval's end, and whether the data inform it."""

    relapse: Estimate
    informed: bool


@dataclass(frozen=True)
class Answer:
    """What the page shows of one plan."""

    advice: Advice
    unsaid: str
    plan_words: str
    notes: tuple[str, ...]
    chart: Markup
    caption: str
    summary: str
    table: DataTable


@dataclass
class Lane:
    """One patient made ready, with the plans that were rolled already."""

    one: OnePatient
    rolled: dict[Ask, Rolled] = field(default_factory=dict)


def rolled_of(lane: Lane, ask: Ask) -> Rolled:
    """A plan's forecast, computed once."""
    found = lane.rolled.get(ask)
    if found is None:
        found = _roll(lane.one, ask)
        if len(lane.rolled) > MOST_ROLLED:
            lane.rolled.clear()
        lane.rolled[ask] = found
    return found


def difference(lane: Lane, first: Ask, second: Ask) -> str:
    """Plan A less plan B, in words, from the same draws under both; empty where data do not inform both."""
    if any(_unsaid(lane.one, rolled_of(lane, ask)) for ask in (first, second)):
        return ""
    ahead = [kept(lane.one.after, outlook_of(lane.one, ask)) for ask in (first, second)]
    less = summarise([b.survival - a.survival for a, b in zip(*ahead, strict=True)], lane.one.after.weight)
    interval = _at(less, HEADLINE_DAYS)
    mean, low, high = (words.minus(f"{100 * part:+.0f}") for part in (interval.mean, interval.lower, interval.upper))
    span = words.span_label(HEADLINE_DAYS)
    return f"relapse within {span} under A less that under B: {mean} percentage points ({low} to {high}), 90 % interval of the same draws under both"


def _roll(one: OnePatient, ask: Ask) -> Rolled:
    """A standard plan is informed where it is without stressors, and known already without them."""
    outcome = one.results.outcome
    reference = ask.action in REFERENCES and ask == ask.under(ask.action)
    if reference and ask == Ask(ask.action):
        return Rolled(outcome.relapse[ask.action], bool(outcome.informed[ask.action][0]))
    outlook = outlook_of(one, ask)
    rolled = kept(one.after, outlook)
    relapse = relapse_probability(one.after, rolled)
    if reference:
        return Rolled(relapse, bool(outcome.informed[ask.action][0]))
    return Rolled(relapse, _informed(one, rolled, kept(one.before, outlook)))


def _informed(one: OnePatient, rolled: Sequence[Kept], blind: Sequence[Kept]) -> bool:
    """Whether the data moved this forecast enough to be shown, by the rule of the standard plans."""
    limits = settings()["informed"]
    enough = one.results.panel.relapsed.sum() >= limits["relapses"]["value"]
    parts = ([1 - a.survival for a in rolled], [1 - a.survival for a in blind])
    moved = contraction(*parts, (one.after.weight, one.before.weight))[0]
    return bool(enough and moved >= limits["contraction"]["value"])


def _at(estimate: Estimate, days: float) -> Interval:
    row = int(np.searchsorted(EDGES_DAYS[1:], days))
    return Interval(*(float(part[row, 0]) for part in (estimate.mean, estimate.lower, estimate.upper)))


def situation_of(
    one: OnePatient, ask: Ask, plans: Mapping[str, Rolled], table: Mapping[str, Thresholds | None]
) -> Situation:
    """What the rule looks at, with the asked plan in the place of the standard taper and the stressors as if they had been measured."""
    now = one.results.situation[0]
    limits = thresholds_for(now.diagnosis, table) or table["default"] or {}
    days = float(limits["horizon_days"]["value"])
    stay, stopped, asked = (plans[name] for name in ("continue", "stop", "asked"))
    gone = _at(stopped.relapse, days)
    on_plan = _at(stay.relapse, days) if stay.informed else None
    return replace(
        now,
        hold=Interval(1 - gone.mean, 1 - gone.upper, 1 - gone.lower) if stopped.informed else None,
        relapse_91=_at(stay.relapse, 91) if stay.informed else None,
        on_plan=on_plan,
        extra_relapse=_at(asked.relapse, days).mean - on_plan.mean if asked.informed and on_plan else None,
        crp_mg_l=None if now.crp_mg_l is None else now.crp_mg_l * (2 if ask.crp_doubled else 1),
        sleep_h=None if now.sleep_h is None else now.sleep_h - (POOR_SLEEP_H if ask.poor_sleep else 0),
    )


def answer_of(lane: Lane, ask: Ask, table_of: Mapping[str, Thresholds | None], key: str = "plan") -> Answer:
    """The answer as the page shows it; where data do not inform the forecast, in words and without a number. `key` is unique in the page."""
    under = {"asked": ask, "continue": ask.under("continue"), "stop": ask.under("stop")}
    plans = {name: rolled_of(lane, one) for name, one in under.items()}
    one, asked = lane.one, plans["asked"]
    advice = decide(situation_of(one, ask, plans, table_of), table_of)
    named = [(words_of(ask), asked, True), ("continue", plans["continue"], False), ("stop today", plans["stop"], False)]
    kept = [
        (label, plan, band)
        for k, (label, plan, band) in enumerate(named)
        if plan.informed and (k == 0 or plan is not asked)
    ]
    unsaid = _unsaid(one, asked)
    curves = [_curve(label, plan, k, band) for k, (label, plan, band) in enumerate(kept)]
    summary = "; ".join(f"{label}: {_in_words(plan)}" for label, plan, _ in kept)
    title = f"Probability of relapse, {words_of(ask)}"
    rows = [(label, *(words.percent_interval(_shown(plan, days)) for days in HORIZONS_DAYS)) for label, plan, _ in kept]
    heads = ("Plan", *(f"within {days:.0f} days" for days in HORIZONS_DAYS))
    return Answer(
        advice=advice,
        unsaid=unsaid,
        plan_words=f"{words.sentence(words_of(ask, full=True))} {doses_of(one, ask)}".strip(),
        notes=notes_of(ask),
        chart=Markup("") if unsaid else Markup(relapse_chart(curves, key, title, summary)),  # noqa: S704 - chart.py escapes
        caption=CAPTION,
        summary=words.sentence(summary),
        table=table("Relapse, mean (90 % interval)", heads, rows),
    )


def _unsaid(one: OnePatient, asked: Rolled) -> str:
    results = one.results
    if results.gone[0]:
        return "A relapse or a death is on record: this patient is no longer at risk of a first relapse."
    if not results.posterior.converged:
        return "The fit did not converge, so its numbers are not findings."
    if not asked.informed:
        return "These data cannot say: they leave the forecast under this plan where the model's starting assumptions had it, so no number is shown."
    return ""


def _curve(label: str, plan: Rolled, style: int, band: bool) -> Curve:
    mean, lower, upper = (
        np.concatenate([[0.0], getattr(plan.relapse, name)[:, 0]]) for name in ("mean", "lower", "upper")
    )
    return Curve(label, EDGES_DAYS, mean, lower, upper, style, band)


def _shown(plan: Rolled, days: float) -> Shown:
    found = _at(plan.relapse, days)
    return Shown(found.mean, found.lower, found.upper)


def _in_words(plan: Rolled) -> str:
    days = HEADLINE_DAYS
    return f"{words.percent_interval(_shown(plan, days))} within {words.span_label(days)}"
