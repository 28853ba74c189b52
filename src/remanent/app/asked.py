"""A plan that somebody asks about: the controls of a form become the steps of `plan.plans`, read by the parser of `run --plans`, and refused by it."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Literal

import numpy as np
import yaml
from pydantic import BaseModel, Field, create_model

from remanent.plan.parse import parse_plans, written_steps
from remanent.plan.plans import STANDARD, Ect, PlanSpec, Stop, Stress, Taper
from remanent.plan.simulate import stress_tests
from remanent.stages.live import OnePatient

ACTIONS: Mapping[str, str] = {
    "continue": "Continue all doses as they stand",
    "taper": "Taper all drugs to zero",
    "stop": "Stop all drugs on one day",
}
SHAPES: Mapping[str, str] = {
    "hyperbolic": "Equal steps of effect (hyperbolic)",
    "linear": "Equal steps of dose (linear)",
}
ECT_EVERY_DAYS = 28.0
MOST_DOSES = 60
NAME = "asked"
_ACTIONS = {plan.name: plan for plan in STANDARD}


class Asked(BaseModel):
    """What the form sends. `also`: further steps, written as `plan.parse.parse_plan_text` reads them."""

    action: Literal["continue", "taper", "stop"] = "taper"
    shape: Literal["hyperbolic", "linear"] = "hyperbolic"
    start_days: float = Field(0, ge=0, le=182)
    weeks: float = Field(12, ge=0, le=52)
    tablets: bool = False
    poor_sleep: bool = False
    crp_doubled: bool = False
    ect_sessions: int = Field(0, ge=0, le=12)
    also: str = Field("", max_length=300)


def _twice() -> dict[str, Any]:
    """The fields of `Asked` for plan A and plan B."""
    fields: dict[str, Any] = {
        f"{name}_{which}": (field.annotation, field) for which in "ab" for name, field in Asked.model_fields.items()
    }
    return fields | {"action_a": (Literal["continue", "taper", "stop"], "continue")}


AskedTwice = create_model("AskedTwice", **_twice())


def both(form: BaseModel) -> tuple[Asked, Asked]:
    """Plan A and plan B of an `AskedTwice`."""
    a, b = ({name: getattr(form, f"{name}_{which}") for name in Asked.model_fields} for which in "ab")
    return Asked(**a), Asked(**b)


def plan_of(asked: Asked, one: OnePatient) -> PlanSpec:
    """The plan.

    Raises
    ------
    InputError
        It cannot be understood, or cannot be done.
    """
    return parse_plans({NAME: _steps(asked, one)}, "the form")[0]


def as_line(asked: Asked, one: OnePatient) -> str:
    """The plan as a file for `run --plans` has it."""
    return (
        f"{NAME}: {yaml.safe_dump(_steps(asked, one), default_flow_style=True, sort_keys=False, width=10_000).strip()}"
    )


def _steps(asked: Asked, one: OnePatient) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = []
    if asked.action == "stop" or (asked.action == "taper" and asked.weeks == 0):
        steps.append({"stop": {"from_day": asked.start_days}})
    elif asked.action == "taper":
        steps.append(
            {"taper": {"weeks": asked.weeks, "from_day": asked.start_days, "shape": asked.shape} | _tablets(asked)}
        )
    if asked.poor_sleep:
        steps.append({"stress": asdict(stress_tests()["poor sleep"])})
    if asked.crp_doubled:
        steps.append({"stress": asdict(stress_tests()["CRP doubled"])})
    if asked.ect_sessions:
        days = [(k + 1) * ECT_EVERY_DAYS for k in range(asked.ect_sessions)]
        steps.append({"ect": {"days": days, "placement": _placement(one)}})
    return steps + written_steps(asked.also)


def _tablets(asked: Asked) -> dict[str, bool]:
    return {"tablets": True} if asked.tablets else {}


def _placement(one: OnePatient) -> str:
    """Electrodes as at the patient's last session; the study's most common where that is not on record."""
    panel, design = one.results.panel, one.results.design
    mine = panel.ect_placement[panel.ect_patient == panel.patients.index(one.participant_id)]
    last = int(design.placement_of([mine[-1] if len(mine) else None])[0])
    return design.placements[last] if design.placements else "RUL"


def in_circumstances(plan: PlanSpec, action: str) -> PlanSpec:
    """A standard plan with the stress tests and the ECT of another plan."""
    return PlanSpec(action, (*_ACTIONS[action].steps, *(s for s in plan.steps if isinstance(s, Ect | Stress))))


def short_words(plan: PlanSpec) -> str:
    """A plan in two or three words, for the end of a curve."""
    match plan.doses:
        case ():
            return "continue"
        case (Taper(weeks=weeks, drugs=()),):
            return f"taper over {weeks:g} weeks"
        case (Stop(from_day=day, drugs=()),):
            return "stop today" if day == 0 else f"stop on day {day:g}"
    return "this plan"


def subject(plan: PlanSpec) -> str:
    """A plan as the subject of a sentence."""
    match plan.doses:
        case ():
            return "continuing all doses"
        case (Taper(weeks=weeks, from_day=day, drugs=()),):
            return f"a {weeks:g}-week taper{_from(day)}"
        case (Stop(from_day=day, drugs=()),):
            return f"stopping all drugs{_from(day) or ' today'}"
    return "this plan"


def _from(day: float) -> str:
    return f" from day {day:g}" if day else ""


def doses_of(one: OnePatient, plan: PlanSpec) -> str:
    """The doses of the plan, drug by drug and step by step."""
    day = float(one.results.timeline.today[0])
    made = plan.applied(one.given.doses, day)
    steps: dict[str, list[str]] = {}
    for k in np.argsort(made.start_day, kind="stable")[-MOST_DOSES:]:
        if made.stop_day[k] > day:
            when = "now" if made.start_day[k] <= day else f"from day {made.start_day[k] - day:.0f}"
            steps.setdefault(made.drug[k], []).append(f"{made.dose_mg_day[k]:.3g} {when}")
    for drug, of in steps.items():
        end = max(stop for name, stop in zip(made.drug, made.stop_day, strict=True) if name == drug)
        of.extend([f"none from day {end - day:.0f}"] if np.isfinite(end) else [])
    if not steps:
        return "No drug is taken today."
    return (
        "Doses in mg/day, days from today: " + "; ".join(f"{drug} {', '.join(of)}" for drug, of in steps.items()) + "."
    )
