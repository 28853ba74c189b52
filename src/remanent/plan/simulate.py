"""What if: one patient's posterior rolled forward under any plans and stress tests, all with the same draws.

The draws are those of `relapse.predict.Ensemble`: what is unknown today. Every plan goes through the same draws, and within a draw future diffusion is
integrated over, so that the difference between two plans has no simulation noise of its own: its interval is that of the difference, not of two forecasts.

    hold(H)                  = P(no relapse within H days | all drugs at zero from today)
    autonomous stability(H)  = P(no relapse within H days | all drugs at zero from today, and the stress test)

Plans go one by one through one compiled program (`relapse.predict.kept`), so a new plan compiles nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

import numpy as np
import yaml
from jaxtyping import Float

from remanent._errors import InputError
from remanent.dynamics.design import Design
from remanent.dynamics.forecast import Outlook
from remanent.dynamics.grid import Medication, TimeLine, exposure_by_class, look_ahead
from remanent.dynamics.steps import Grid
from remanent.dynamics.survive import Kept
from remanent.plan.plans import STANDARD, STOP, Ect, PlanSpec, Stress, needs, words
from remanent.relapse.predict import EDGES_DAYS, Ensemble, Estimate, kept, summarise
from remanent.treatment.drugs import CLASSES, NOT_DRUGS
from remanent.treatment.exposure import DoseHistory, Levels

Plan = Callable[[DoseHistory, float], DoseHistory]
STANDARD_PLANS: Mapping[str, Plan] = {plan.name: plan.applied for plan in STANDARD}
PLAN_WORDS: Mapping[str, str] = {plan.name: words(plan) for plan in STANDARD}
DAYS_PER_MONTH = 30.4375


@dataclass(frozen=True)
class Person:
    """One patient of a fit: lane of the time line, what is given, and today.

    Attributes
    ----------
    lane
        Index of the patient in the ensemble and the time line.
    index_sessions
        ECT sessions of the index course; 0 without ECT.
    """

    lane: int
    given: Medication
    index_sessions: int


@dataclass(frozen=True)
class WhatIf:
    """One patient under several plans; all arrays end with the axis plan.

    Attributes
    ----------
    days
        Ends of the intervals, days from today, [interval].
    relapse
        Probability of relapse up to each interval's end, [interval, plan].
    added
        The same less that under the first plan, draw by draw.
    function
        Expected function, relapse or not.
    drug_months
        Months on any drug, weighted with exposure (1: usual full dose), up to each interval's end and as long as there is no relapse, [interval, plan].
    """

    plans: tuple[PlanSpec, ...]
    days: Float[np.ndarray, " interval"]
    relapse: Estimate
    added: Estimate
    function: Estimate
    drug_months: Float[np.ndarray, "interval plan"]


def what_if(ensemble: Ensemble, timeline: TimeLine, person: Person, plans: Sequence[PlanSpec]) -> WhatIf:
    """Roll one patient forward under each plan, the first being the one that others are compared with.

    Raises
    ------
    InputError
        A plan cannot be carried out in this patient, or the study knows nothing of what it starts.
    """
    mine, line, alone = ensemble.of(person.lane), _lane_of(timeline, person.lane), replace(person, lane=0)
    rolled = []
    for plan in plans:
        check_course(plan, person)
        rolled.append(kept(mine, planned_outlook(plan, line, [alone])))
    edges, given = float(line.today[0]) + EDGES_DAYS, person.given
    each = [exposure_by_class(p.applied(given.doses, edges[0]), given.levels, edges) for p in plans]
    exposure = np.stack(each, axis=-1)
    ahead = [
        Kept(*(np.concatenate(part, axis=-1) for part in zip(*one, strict=True))) for one in zip(*rolled, strict=True)
    ]
    alive = [a.survival for a in ahead]
    share = np.repeat(mine.weight, len(plans), 0)
    months = [months_on_drugs(s, exposure).mean(1) for s in alive]
    return WhatIf(
        plans=tuple(plans),
        days=EDGES_DAYS[1:],
        relapse=summarise([1 - s for s in alive], share),
        added=summarise([s[..., :1] - s for s in alive], share),
        function=summarise([a.function for a in ahead], share),
        drug_months=sum((share[:, m] * v for m, v in enumerate(months)), np.zeros(months[0].shape)),
    )


def check_known(plan: PlanSpec, design: Design) -> None:
    """Refuse a plan that starts what nobody in the study had: the model would call it without effect.

    Raises
    ------
    InputError
        A drug class, psychotherapy or an electrode placement is new to the fit.
    """
    had = (*design.classes, *NOT_DRUGS) if design.psychotherapy else design.classes
    new = [c for c in needs(plan) if c not in had]
    if new:
        raise InputError(
            f"starts {new[0]}",
            where=f"plan {plan.name}",
            why=f"No patient of this study {'had' if new[0] in NOT_DRUGS else 'took'} it, so nothing is known of its effect here.",
            do=f"Plan one of {', '.join(had) or 'no drugs'}.",
        )
    unseen = [e.placement for e in plan.ect if e.placement not in design.placements]
    if unseen:
        raise InputError(
            f"ECT by placement {unseen[0]}",
            where=f"plan {plan.name}",
            why="No patient of this study had it.",
            do=f"Plan one of {', '.join(design.placements) or 'no ECT'}.",
        )


def check_course(plan: PlanSpec, person: Person) -> None:
    """Refuse continuation ECT in a patient without an index course.

    Raises
    ------
    InputError
        What a session does is scaled by the patient's own course, and there is none.
    """
    if plan.ect and not person.index_sessions:
        raise InputError(
            "continuation ECT without an index course",
            where=f"plan {plan.name}",
            why="What a session does is scaled by the patient's own course.",
            do="Leave out ECT.",
        )


@cache
def stress_tests() -> Mapping[str, Stress]:
    """The stress tests of stress.yaml."""
    found = yaml.safe_load((files("remanent.plan") / "stress.yaml").read_text("utf-8"))
    fields = ("sleep_hours_lost", "crp_times", "from_day", "days")
    return {name: Stress(**{k: float(entry[k]) for k in fields}) for name, entry in found.items()}


def stability_plans() -> tuple[PlanSpec, ...]:
    """Withdrawal without stress, and with each stress test."""
    return (PlanSpec("none", STOP.steps), *(PlanSpec(k, (*STOP.steps, s)) for k, s in stress_tests().items()))


def planned_outlook(plan: PlanSpec, timeline: TimeLine, people: Sequence[Person | None]) -> Outlook:
    """Everybody's course under one plan; None: a patient in whom it cannot be carried out, rolled through no doses, to be left out.

    Raises
    ------
    InputError
        The study knows nothing of what the plan starts.
    """
    check_known(plan, timeline.design)
    empty = Medication(DoseHistory((), np.zeros(0), np.zeros(0), np.zeros(0)), Levels((), np.zeros(0), np.zeros(0)))
    today = timeline.today.tolist()
    dose = np.stack(
        [
            exposure_by_class(plan.applied(p.given.doses, d), p.given.levels, d + EDGES_DAYS)
            if p is not None
            else exposure_by_class(empty.doses, empty.levels, d + EDGES_DAYS)
            for p, d in zip(people, today, strict=True)
        ],
        axis=-1,
    )
    placements = timeline.design.placements
    ect = [ect_shares(plan.ect, 0 if p is None else p.index_sessions, placements, EDGES_DAYS) for p in people]
    outlook = look_ahead(timeline, dose, EDGES_DAYS, ect=np.stack(ect, axis=-1))
    stress = outlook.stress.copy()
    stress[:2] += added_stress(plan.stress, EDGES_DAYS)[..., None]
    return outlook._replace(stress=stress)


def planned_exposure(
    plan: Plan,
    given: Sequence[Medication],
    today: Float[np.ndarray, " patient"],
    edges_days: Float[np.ndarray, " edge"],
) -> Float[np.ndarray, "class interval patient"]:
    """Mean exposure of each patient to each of `CLASSES` over intervals that start today; edges in days from today.

    Serum levels carry over to later doses.
    """
    columns = [
        exposure_by_class(plan(one.doses, float(day)), one.levels, day + edges_days)
        for one, day in zip(given, today, strict=True)
    ]
    return np.stack(columns, axis=-1) if columns else np.zeros((len(CLASSES), len(edges_days) - 1, 0))


def added_stress(stresses: Sequence[Stress], edges_days: Float[np.ndarray, " edge"]) -> Float[np.ndarray, "2 interval"]:
    """What stress tests add to the two stressors, mean over each interval: log CRP, and hours of sleep lost."""
    out = np.zeros((2, edges_days.size - 1))
    for s in stresses:
        overlap = np.minimum(edges_days[1:], s.from_day + s.days) - np.maximum(edges_days[:-1], s.from_day)
        share = np.maximum(overlap, 0.0) / np.diff(edges_days)
        out += share[None] * np.array([[np.log(s.crp_times)], [s.sleep_hours_lost]])
    return out


def ect_shares(
    sessions: Sequence[Ect], index_sessions: int, placements: Sequence[str], edges_days: Float[np.ndarray, " edge"]
) -> Float[np.ndarray, "placement interval"]:
    """Share of the index course given at each interval's end; a session counts at the end of the interval it falls into."""
    out = np.zeros((len(placements), edges_days.size - 1))
    for step in sessions:
        row = list(placements).index(step.placement)
        at = np.minimum(np.searchsorted(edges_days[1:], step.days), edges_days.size - 2)
        np.add.at(out[row], at, 1.0 / max(index_sessions, 1))
    return out


def _lane_of(timeline: TimeLine, lane: int) -> TimeLine:
    """A time line of one patient; only what an outlook reads."""
    at = [lane]
    grid: Grid = timeline.grid._replace(**{k: getattr(timeline.grid, k)[..., at] for k in ("held", "tether", "risk")})
    return replace(
        timeline,
        grid=grid,
        lanes=timeline.lanes[at],
        steps=timeline.steps[at],
        today=timeline.today[at],
        held=timeline.held[:, at],
        stress_today=timeline.stress_today[:, at],
    )


def months_on_drugs(
    survival: Float[np.ndarray, "interval draw plan"], exposure: Float[np.ndarray, "class interval plan"]
) -> Float[np.ndarray, "interval draw plan"]:
    """Expected months on drugs up to each interval's end, as long as there is no relapse, weighted with exposure up to the usual full dose."""
    before = np.concatenate([np.ones_like(survival[:1]), survival[:-1]])
    drugs = np.array([c not in NOT_DRUGS for c in CLASSES])
    dose = np.minimum(exposure[drugs].sum(0), 1.0)[:, None]
    return np.cumsum((before + survival) / 2 * dose * np.diff(EDGES_DAYS)[:, None, None], axis=0) / DAYS_PER_MONTH
