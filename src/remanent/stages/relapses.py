"""Relapse by a named rule, for studies that record ratings but no relapse: `remanent run --relapse-rule sackeim2001`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from remanent._errors import Problem
from remanent.relapse.definition import Rule, relapse_day, rule
from remanent.study.crosswalks import convertible, read_as
from remanent.study.outputs import NAME
from remanent.study.panel import NOT_AT_RISK_AFTER, Panel
from remanent.study.table import Table

PARAMETER = "RelapseRule"
ENDS = tuple(e for e in NOT_AT_RISK_AFTER if e != "relapse")


@dataclass(frozen=True)
class Derived:
    """A panel whose relapses come from a rule: their days by participant, the rule in words, and what stood in the way."""

    panel: Panel
    relapse_day: Mapping[str, float]
    words: str
    problems: tuple[Problem, ...]


def by_rule(panel: Panel, tables: Mapping[str, Table], name: str | None) -> Derived | None:
    """The panel with relapses by the rule; None where no rule is asked for. A study's own relapses are kept, and a problem says so."""
    if name is None:
        return None
    asked = rule(name)
    if (tables["events"]["event"].astype(str) == "relapse").any():
        why = f"the study records relapse itself: the rule {name} was not used. Leave out --relapse-rule, or the relapse rows."
        return Derived(panel, {}, "", (Problem("phenotype/events.tsv", None, "event", why, "used"),))
    source = _source(panel, asked)
    if source is None:
        why = f"the rule {name} needs {asked.instrument} or a scale that published tables join to it: no relapse was derived."
        return Derived(panel, {}, "", (Problem("phenotype", None, asked.instrument, why, "set_aside"),))
    day, score = _courses(panel, source)
    found = relapse_day(asked, day, read_as(score, source, asked.instrument), _first(panel, tables, asked.events))
    watched = np.fmin(_last(day, score), _first(panel, tables, ENDS))
    end = np.where(np.isfinite(found), np.fmin(found, np.where(np.isnan(watched), np.inf, watched)), watched)
    relapsed = np.isfinite(found) & (found <= end)
    dropped_out = panel.dropped_out & ~relapsed & (end == panel.risk_end_day)
    risk = replace(
        panel, risk_end_day=np.where(np.isnan(found), np.nan, end), relapsed=relapsed, dropped_out=dropped_out
    )
    days = {panel.patients[i]: float(found[i]) for i in np.flatnonzero(relapsed)}
    return Derived(risk, days, _words(asked, source), ())


def rule_of(out: Path) -> str | None:
    """The rule that the results in OUT were made with."""
    try:
        description = json.loads((out / "dataset_description.json").read_bytes())
    except (OSError, ValueError):
        return None
    name = description.get(NAME, {}).get(PARAMETER)
    return name if isinstance(name, str) else None


def _words(asked: Rule, source: str) -> str:
    words = f"derived from the ratings by the rule {asked.name}, not recorded by the study: {asked.words()}"
    return (
        words if source == asked.instrument else f"{words}. {source} was read as {asked.instrument} by published tables"
    )


def _source(panel: Panel, asked: Rule) -> str | None:
    """The rule's own instrument where it was rated from day 0 on, else the first such that tables join to it."""
    ratings = panel.symptoms
    rated = {ratings.names[k] for k in np.unique(ratings.name[ratings.day >= 0])}
    names = sorted(rated, key=lambda n: (n != asked.instrument, n))
    return next((n for n in names if convertible(n, asked.instrument)), None)


def _courses(panel: Panel, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Days and scores, [visit, patient]; beyond a patient's last visit the day is inf and the score NaN."""
    own = [panel.symptoms.of(i, name) for i in range(len(panel.patients))]
    most = max(len(d) for d, _ in own)
    day, score = np.full((2, most, len(own)), np.nan)
    day[:] = np.inf
    for i, (d, y) in enumerate(own):
        day[: len(d), i], score[: len(d), i] = d, y
    return day, score


def _last(day: np.ndarray, score: np.ndarray) -> np.ndarray:
    last = np.where(np.isfinite(score), day, -np.inf).max(0)
    return np.where(np.isfinite(last), last, np.nan)


def _first(panel: Panel, tables: Mapping[str, Table], wanted: tuple[str, ...]) -> np.ndarray:
    """First day from day 0 on of any of these events, [patient]; inf where there is none."""
    events, first = tables["events"], np.full(len(panel.patients), np.inf)
    index = {who: i for i, who in enumerate(panel.patients)}
    for who, day, event in zip(events["participant_id"], events["day"], events["event"], strict=True):
        if str(event) in wanted and day >= 0:
            first[index[who]] = min(first[index[who]], float(day))
    return first
