"""What counts as relapse, trial by trial (rules.yaml), and the rule as a pure function of a course of scores.

A visit counts if its score y fulfils y >= cut_off and y - baseline >= rise, baseline being the first score from day 0 on. Relapse is the last of
`consecutive` rated visits in a row that count, the first and last of them at least `apart_days` apart, or an event that the rule names, if earlier.
Between visits nothing is seen: the rule dates relapse late, as the trials did.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import numpy as np
import yaml
from jaxtyping import Float

from remanent._errors import UsageError

HORIZONS_DAYS = (28.0, 91.0, 182.0, 364.0)  # within which relapse is forecast
HEADLINE_DAYS = 182.0  # the one that pages lead with
Visits = Float[np.ndarray, "visit patient"]
PerPatient = Float[np.ndarray, " patient"]


@dataclass(frozen=True)
class Rule:
    """One trial's definition of relapse; the fields are explained in rules.yaml. `status` and `read` say how far it can be trusted."""

    name: str
    title: str
    instrument: str
    cut_off: float
    rise: float
    consecutive: int
    apart_days: float
    events: tuple[str, ...]
    doi: str | None
    status: Literal["published", "derived", "assumed"]
    read: Literal["abstract", "quoted", "recalled"]
    source: str

    def words(self) -> str:
        """The rule in one sentence, with how it is known."""
        parts = [f"{self.instrument} of {self.cut_off:g} or more"]
        if self.rise:
            parts.append(f"{self.rise:g} or more above the first score from day 0 on")
        words = ", ".join(parts)
        if self.consecutive > 1:
            apart = f" at least {self.apart_days:g} days apart" if self.apart_days else ""
            words += f", at {self.consecutive} rated visits in a row{apart}"
        words += "".join(f", or {event}" for event in self.events)
        return f"{words} ({self.title}; {self.status}, {_READ[self.read]})"


_READ = {"abstract": "read in an abstract", "quoted": "quoted second hand", "recalled": "recalled, not checked"}


@cache
def rules() -> Mapping[str, Rule]:
    """rules.yaml, by name."""
    document: dict[str, dict[str, Any]] = _document("rules.yaml")
    numbers = ("cut_off", "rise", "apart_days")
    return {
        name: Rule(name=name, **entry | {k: float(entry[k]) for k in numbers} | {"events": tuple(entry["events"])})
        for name, entry in document.items()
    }


def rule(name: str) -> Rule:
    """One rule by name.

    Raises
    ------
    UsageError
        There is none of this name.
    """
    found = rules().get(name.lower())
    if found is None:
        raise UsageError(f"no relapse rule is called {name!r}", do=f"Use one of {', '.join(rules())}.")
    return found


def relapse_day(rule: Rule, day: Visits, score: Visits, event_day: PerPatient | None = None) -> PerPatient:
    """Day of relapse of each patient by one rule, [patient]; inf: none seen; NaN: unknown (the rule asks a rise, and no score lies on day 0 or later).

    Parameters
    ----------
    day
        Ascending days of the visits of each patient; where visits are fewer, padding with NaN scores.
    score
        Score on the rule's own instrument; NaN: not rated, and the visit interrupts no row.
    event_day
        First of the rule's events of each patient, inf where there is none.
    """
    count = day.shape[1]
    baseline, have, run_start = np.full(count, np.nan), np.zeros(count, int), np.zeros(count)
    found = np.full(count, np.inf)
    for visit_day, value in zip(day, score, strict=True):
        rated = np.isfinite(value) & (visit_day >= 0)
        when = np.where(rated, visit_day, 0.0)
        # a missing baseline (NaN) makes the second condition false, unless the rule asks no rise
        counts = rated & (value >= rule.cut_off) & ((value - baseline >= rule.rise) | (rule.rise == 0))
        baseline = np.where(rated & np.isnan(baseline), value, baseline)
        run_start = np.where(counts & (have == 0), when, run_start)
        have = np.where(counts, have + 1, np.where(rated, 0, have))
        met = counts & (have >= rule.consecutive) & (when - run_start >= rule.apart_days)
        found = np.where(met, np.minimum(found, when), found)
    if event_day is not None:
        found = np.minimum(found, event_day)
    unknown = np.isnan(baseline) & (rule.rise > 0) & np.isinf(found)
    return np.where(unknown, np.nan, found)


def _document(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((files("remanent.relapse") / name).read_text("utf-8"))
    return loaded
