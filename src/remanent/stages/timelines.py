"""What was done to a patient and what was observed, in time, for the page; and the page of those of whom nothing is forecast."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from remanent._errors import Problem
from remanent.dynamics.grid import medication_of
from remanent.report import views as show
from remanent.stages.checks import Checks
from remanent.stages.comparable import Comparable
from remanent.stages.planning import Planning
from remanent.study.panel import Long, Panel
from remanent.study.schema import ANALYTES, INSTRUMENTS, SLEEP_MEASURES
from remanent.study.table import Table
from remanent.treatment.drugs import CLASSES, require
from remanent.treatment.exposure import exposure

COMPARED_WITH = (
    "a healthy participant: patients are compared with them, no model is fitted to them and nothing is forecast"
)


@dataclass(frozen=True)
class Context:
    """What the pages need beside the results; `healthy`: participants of whom nothing is forecast."""

    study: str
    tables: Mapping[str, Table]
    features: Table
    problems: tuple[Problem, ...]
    provenance: show.Provenance
    comparable: Comparable
    planning: Planning
    relapse_rule: str = ""
    checks: Checks = field(default_factory=Checks)
    healthy: Panel | None = None


def page_of(panel: Panel, context: Context, i: int, fit: show.FitStatus) -> show.PatientView:
    """What a page shows without any result."""
    who, timeline = panel.patients[i], timeline_of(panel, context, i)
    return show.PatientView(
        participant_id=who,
        study=context.study,
        timeline=timeline,
        problems=tuple(p for p in context.problems if _concerns(p, who)),
        provenance=context.provenance,
        fit=fit,
        flags=(*context.comparable.flags.get(who, ()), *_end_of_record(timeline.events)),
    )


def healthy_pages(panel: Panel, context: Context, fit: show.FitStatus) -> list[show.PatientView]:
    """What is on record of those whom patients are compared with."""
    nothing = show.Basis("nothing", COMPARED_WITH)
    return [
        replace(
            page_of(panel, context, i, fit),
            advice=show.Advice("healthy", (COMPARED_WITH,)),
            states=show.States(basis=nothing),
            remanence=show.Remanence(basis=nothing),
            forecasts=show.Forecasts(basis=nothing),
            mechanisms=show.Mechanisms(reason=COMPARED_WITH),
        )
        for i in range(len(panel.patients))
    ]


def timeline_of(panel: Panel, context: Context, i: int) -> show.Timeline:
    """Timeline of participant `i`."""
    ect = panel.ect_patient == i
    events = context.tables["events"]
    mine = events.select(events["participant_id"] == panel.patients[i])
    return show.Timeline(
        today=float(panel.last_day[i]),
        origin="the last ECT session of the index course" if ect.any() else "the first record (no ECT on record)",
        ect=tuple(
            show.EctSession(float(d), str(p or ""))
            for d, p in zip(panel.ect_day[ect], panel.ect_placement[ect], strict=True)
        ),
        doses=_doses(panel, i),
        exposure=_exposure(panel, i),
        symptoms=tuple(_series(panel.symptoms, i, n, _instrument) for n in _own(panel.symptoms, i)),
        labs=tuple(_series(panel.labs, i, n, _analyte) for n in _own(panel.labs, i)),
        sleep=tuple(_series(panel.sleep, i, n, _sleep) for n in _own(panel.sleep, i)),
        events=tuple(
            show.Event(float(d), str(e), str(t or ""))
            for d, e, t in zip(mine["day"], mine["event"], mine["detail"], strict=True)
        ),
        scans=_scans(context.features, panel.patients[i]),
        relapse_rule=context.relapse_rule,
    )


def _doses(panel: Panel, i: int) -> tuple[show.Dose, ...]:
    h = medication_of(panel, i).doses
    rows = zip(h.drug, h.dose_mg_day, h.start_day, h.stop_day, strict=True)
    return tuple(show.Dose(d, require(d).drug_class, float(mg), float(a), float(b)) for d, mg, a, b in rows)


def _exposure(panel: Panel, i: int) -> tuple[show.ExposureCurve, ...]:
    given = medication_of(panel, i)
    if not given.doses.drug or not np.isfinite(panel.first_day[i]):
        return ()
    days = np.linspace(panel.first_day[i], panel.last_day[i], 200)
    curves = exposure(given.doses, days, given.levels)
    return tuple(show.ExposureCurve(name, days, curves[k]) for k, name in enumerate(CLASSES) if curves[k].max() > 0.005)


def _own(records: Long, i: int) -> list[str]:
    return [records.names[n] for n in np.unique(records.name[records.patient == i])]


def _series(records: Long, i: int, name: str, described: Callable[[str], dict[str, Any]]) -> show.Series:
    days, values = records.of(i, name)
    return show.Series(name=name, days=days, values=values, **described(name))


def _instrument(name: str) -> dict[str, Any]:
    known = INSTRUMENTS.get(name)
    if known is None:
        return {"label": name, "unit": "points"}
    limits = (
        () if known.remission is None else (show.Threshold("remission", known.remission, known.source, known.status),)
    )
    return {
        "label": known.long_name,
        "unit": "points",
        "minimum": known.minimum,
        "maximum": known.maximum,
        "direction": known.direction,
        "thresholds": limits,
    }


def _analyte(name: str) -> dict[str, Any]:
    known = ANALYTES.get(name)
    return {"label": known.long_name, "unit": known.unit} if known else {"label": name, "unit": "as given"}


def _sleep(name: str) -> dict[str, Any]:
    known = SLEEP_MEASURES.get(name)
    return {"label": known.long_name, "unit": known.unit} if known else {"label": name, "unit": "as given"}


def _scans(features: Table, who: str) -> tuple[show.Scan, ...]:
    mine = features.select(features["participant_id"] == who)
    scans = []
    for session in dict.fromkeys(mine["session_id"]):
        rows = mine.select(mine["session_id"] == session)
        usable = np.array([str(u).lower() == "true" for u in rows["usable"]])
        minutes = rows["value"][rows["feature"] == "qc_minutes_usable"]
        quality = f"{usable.sum()} of {len(usable)} measures usable" + (
            f", {minutes[0]:.1f} min of rest" if len(minutes) else ""
        )
        reasons = [r for r, ok in zip(rows["reason"], usable, strict=True) if r and not ok]
        scans.append(
            show.Scan(float(rows["day"][0]), str(session), bool(usable.any()), quality, reasons[0] if reasons else "")
        )
    return tuple(scans)


def _concerns(problem: Problem, who: str) -> bool:
    """Whether a problem lies in a participant's rows or own files."""
    return problem.participant_id == who or any(
        part == who or part.startswith((f"{who}_", f"{who}.")) for part in problem.file.split("/")
    )


def _end_of_record(events: Sequence[show.Event]) -> tuple[str, ...]:
    """A warning where the patient left the study: nobody knows what happened since."""
    left = [e.day for e in events if e.event == "dropout"]
    return (f"The record ends with a dropout on day {left[-1]:.0f}: what happened since is unknown.",) if left else ()
