"""Advice for one patient from forecasts and thresholds: taper, hold, treat first, act, or not enough data. Research use; never a prescription.

The rule, in this order, with every number from thresholds.yaml, and from treatment/taken.yaml what counts as a drug taken:

1. A relapse on record -> act.
2. Anything that makes the forecast void (doses not fully known, a drug class new to the fit, a fit that did not converge, a death) -> not_enough_data.
3. Relapse within 91 days at least `act_relapse` probable on unchanged doses -> act.
4. Too few or too old ratings, or a forecast that rests on the prior -> not_enough_data.
5. CRP above `crp_mg_l` or sleep below `sleep_h` -> treat_first.
6. Nothing to withdraw, a plan that withdraws nothing, or hold surely below `least_hold` -> hold.
7. Hold surely at least `least_hold` and the plan (a 12-week taper, where none is asked about) adds at most `most_extra_relapse` -> taper.
8. Else the interval straddles the threshold: hold, and say what would narrow it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml

from remanent.treatment.sourced import least_exposure

AdviceCode = Literal["taper", "hold", "treat_first", "act", "not_enough_data"]
# What each threshold is, in words, and its unit.
LIMITS: Mapping[str, tuple[str, str]] = {
    "horizon_days": ("how far ahead the advice looks", "days"),
    "least_hold": ("least probability of no relapse without drugs, for a taper", ""),
    "most_extra_relapse": ("most that a taper may add to the probability of relapse", ""),
    "act_relapse": ("probability of relapse within 91 days from which to act", ""),
    "crp_mg_l": ("CRP above which to treat first", "mg/L"),
    "sleep_h": ("sleep below which to treat first", "h a night"),
    "recent_days": ("oldest rating that says something about today", "days"),
    "least_ratings": ("fewest ratings after day 0 that show a course", "ratings"),
}


@dataclass(frozen=True)
class Interval:
    """Posterior mean and 90 % interval of a probability."""

    mean: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Situation:
    """What the rule looks at; None where unknown or where only the prior would speak.

    Attributes
    ----------
    hold
        No relapse within the rule's horizon if all drugs are withdrawn today.
    relapse_91, on_plan
        Relapse within 91 days, and within the rule's horizon, on unchanged doses.
    extra_relapse
        What `plan` adds to the probability of relapse within the horizon, in the mean.
    exposure
        Total drug exposure today.
    ratings_after_day_0
        Days from day 0 on with a rating of symptoms.
    days_since_rating
        From the last such day to today.
    crp_mg_l, sleep_h
        The last value, where it is recent.
    relapse_day
        Day of the relapse on record.
    void
        Why no forecast of this patient can be relied on, in words; empty where nothing stands against it.
    lacks
        What the whole study lacks, in words.
    plan
        The plan that is asked about, in words.
    withdraws
        Whether it lowers any drug's dose.
    """

    diagnosis: str | None
    hold: Interval | None
    relapse_91: Interval | None
    on_plan: Interval | None
    extra_relapse: float | None
    exposure: float
    ratings_after_day_0: int
    days_since_rating: float | None
    crp_mg_l: float | None
    sleep_h: float | None
    relapse_day: float | None
    lacks: tuple[str, ...] = ()
    void: tuple[str, ...] = ()
    plan: str = "a 12-week taper"
    withdraws: bool = True


@dataclass(frozen=True)
class Advice:
    """An advice, its reasons and what is missing, in words."""

    code: AdviceCode
    reasons: tuple[str, ...]
    missing: tuple[str, ...] = ()


Thresholds = Mapping[str, Any]


@cache
def shipped_thresholds() -> Mapping[str, Thresholds | None]:
    """thresholds.yaml."""
    return yaml.safe_load((files("remanent.plan") / "thresholds.yaml").read_text("utf-8"))


def thresholds_for(diagnosis: str | None, table: Mapping[str, Thresholds | None]) -> Thresholds | None:
    """Thresholds of a diagnosis, laid over the default; None where no advice is given for it."""
    own = table.get((diagnosis or "default").lower(), table["default"])
    return None if own is None else {**(table["default"] or {}), **own}


def decide(situation: Situation, table: Mapping[str, Thresholds | None] | None = None) -> Advice:
    """Apply the rule."""
    limits = thresholds_for(situation.diagnosis, table or shipped_thresholds())
    if limits is None:
        return Advice(
            "not_enough_data",
            (f"no advice is given for diagnosis '{situation.diagnosis}': there is no treatment episode",),
        )
    value = {name: float(entry["value"]) for name, entry in limits.items()}
    steps = (_act, _not_enough, _treat_first, _hold, _taper)
    advice = next((a for a in (step(situation, value) for step in steps) if a is not None), None)
    advice = advice or _straddles(situation, value)
    return _with_staying(advice, situation.on_plan, value) if advice.code == "hold" else advice


def _with_staying(advice: Advice, on_plan: Interval | None, value: Mapping[str, float]) -> Advice:
    """The advice to hold with what holding means: it is no promise, and where it is not safe that is said first."""
    if on_plan is None:
        return advice
    words = f"on unchanged doses, relapse within {value['horizon_days']:.0f} days: {_percent(on_plan)}"
    if on_plan.mean < value["act_relapse"]:
        return replace(advice, reasons=(*advice.reasons, words))
    return replace(advice, reasons=(f"{words}; staying is not safe either: see the patient soon", *advice.reasons))


def _act(s: Situation, value: Mapping[str, float]) -> Advice | None:
    if s.relapse_day is not None:
        return Advice("act", (f"a relapse is on record, day {s.relapse_day:.0f}: the new episode comes first",))
    if s.void:
        return Advice("not_enough_data", s.void, s.lacks)
    if s.relapse_91 is not None and s.relapse_91.mean >= value["act_relapse"]:
        return Advice("act", (f"relapse within 91 days on unchanged doses: {_percent(s.relapse_91)}",))
    return None


def _not_enough(s: Situation, value: Mapping[str, float]) -> Advice | None:
    why, missing = [], list(s.lacks)
    if s.days_since_rating is None or s.ratings_after_day_0 < value["least_ratings"]:
        why.append(
            f"symptoms rated on {s.ratings_after_day_0} days after day 0, {value['least_ratings']:g} are needed to see a course"
        )
        missing.append("symptom ratings")
    elif s.days_since_rating > value["recent_days"]:
        why.append(f"the last symptom rating is {s.days_since_rating:.0f} days older than the last record")
        missing.append("a symptom rating now")
    if s.hold is None or s.relapse_91 is None or s.extra_relapse is None:
        which = "the forecast" if s.relapse_91 is None else "the forecast without drugs"
        why.append(f"{which} rests on the model's starting assumptions, not on data")
    return Advice("not_enough_data", tuple(why), tuple(dict.fromkeys(missing))) if why else None


def _treat_first(s: Situation, value: Mapping[str, float]) -> Advice | None:
    reasons = []
    if s.crp_mg_l is not None and s.crp_mg_l > value["crp_mg_l"]:
        reasons.append(
            f"CRP {s.crp_mg_l:.1f} mg/L, above {value['crp_mg_l']:g} mg/L (a convention, not validated for relapse)"
        )
    if s.sleep_h is not None and s.sleep_h < value["sleep_h"]:
        reasons.append(f"sleep {s.sleep_h:.1f} h a night, below {value['sleep_h']:g} h (not validated for relapse)")
    return Advice("treat_first", tuple(reasons)) if reasons else None


def _hold(s: Situation, value: Mapping[str, float]) -> Advice | None:
    if s.exposure <= least_exposure():
        return Advice("hold", ("no drug is taken: there is nothing to withdraw",))
    if not s.withdraws:
        return Advice("hold", (f"{s.plan} withdraws nothing: whether to taper is not asked",))
    if s.hold is not None and s.hold.upper < value["least_hold"]:
        return Advice(
            "hold",
            (
                f"without drugs, no relapse within {value['horizon_days']:.0f} days: {_percent(s.hold)}, below {100 * value['least_hold']:.0f} %",
            ),
        )
    return None


def _taper(s: Situation, value: Mapping[str, float]) -> Advice | None:
    if s.hold is None or s.extra_relapse is None:
        return None
    if s.hold.lower >= value["least_hold"] and s.extra_relapse <= value["most_extra_relapse"]:
        reasons = (
            f"without drugs, no relapse within {value['horizon_days']:.0f} days: {_percent(s.hold)}",
            _extra(s.plan, s.extra_relapse),
        )
        return Advice("taper", reasons)
    return None


def _straddles(s: Situation, value: Mapping[str, float]) -> Advice:
    reasons = [
        f"without drugs, no relapse within {value['horizon_days']:.0f} days: {_percent(s.hold)}; a taper needs at least {100 * value['least_hold']:.0f} %"
    ]
    if s.extra_relapse is not None and s.extra_relapse > value["most_extra_relapse"]:
        reasons.append(_extra(s.plan, s.extra_relapse))
    return Advice("hold", tuple(reasons), s.lacks)


def _extra(plan: str, extra_relapse: float) -> str:
    return f"{plan} adds {100 * extra_relapse:.0f} percentage points to the probability of relapse"


def _percent(p: Interval | None) -> str:
    return (
        "unknown" if p is None else f"{100 * p.mean:.0f} % (90 % interval {100 * p.lower:.0f} to {100 * p.upper:.0f} %)"
    )
