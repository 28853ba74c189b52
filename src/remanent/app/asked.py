"""A plan that somebody asks about: what it makes of a patient's doses, stressors and ECT from today on, and how it is said."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from remanent.dynamics.forecast import Outlook
from remanent.dynamics.grid import look_ahead
from remanent.plan.plans import continued
from remanent.plan.simulate import Plan, planned_exposure
from remanent.relapse.predict import EDGES_DAYS
from remanent.stages.live import OnePatient
from remanent.treatment.exposure import DoseHistory
from remanent.treatment.taper import stop, taper

ACTIONS: Mapping[str, str] = {
    "continue": "Continue all doses as they stand",
    "taper": "Taper all drugs to zero",
    "stop": "Stop all drugs on one day",
}
SHAPES: Mapping[str, str] = {
    "hyperbolic": "Equal steps of effect (hyperbolic)",
    "linear": "Equal steps of dose (linear)",
}
POOR_SLEEP_DAYS, POOR_SLEEP_H = 28.0, 2.0
ECT_EVERY_DAYS = 28.0


@dataclass(frozen=True, slots=True)
class Ask:
    """A plan from today on, and what else happens."""

    action: str = "taper"
    shape: str = "hyperbolic"
    start_days: float = 0.0
    weeks: float = 12.0
    poor_sleep: bool = False
    crp_doubled: bool = False
    ect_sessions: int = 0

    def under(self, action: str) -> "Ask":
        """The same circumstances under another standard plan."""
        return Ask(action, poor_sleep=self.poor_sleep, crp_doubled=self.crp_doubled, ect_sessions=self.ect_sessions)


def plan_of(ask: Ask) -> Plan:
    """The plan as what it makes of a dose history."""

    def made(history: DoseHistory, day: float) -> DoseHistory:
        standing = continued(history, day)
        start = day + ask.start_days
        if ask.action == "continue":
            return standing
        if ask.action == "stop" or ask.weeks == 0:
            return stop(standing, start)
        return taper(standing, start, ask.weeks, ask.shape)

    return made


def outlook_of(one: OnePatient, ask: Ask) -> Outlook:
    """The course to roll through: planned exposure, stressors of a month or for good, continuation ECT."""
    timeline = one.results.timeline
    dose = planned_exposure(plan_of(ask), [one.given], timeline.today, EDGES_DAYS)
    course = look_ahead(timeline, dose, EDGES_DAYS)
    stress, ect = np.array(course.stress), np.array(course.ect)
    if ask.crp_doubled:
        stress[0] += np.log(2.0)
    if ask.poor_sleep:
        stress[1, EDGES_DAYS[1:] <= POOR_SLEEP_DAYS] += POOR_SLEEP_H
    for k in range(ask.ect_sessions):
        ends = np.searchsorted(EDGES_DAYS[1:], (k + 1) * ECT_EVERY_DAYS)
        if ends < ect.shape[1]:
            ect[_placement(one), ends] += 1.0 / _index_sessions(one)
    return course._replace(stress=stress, ect=ect)


def _sessions(one: OnePatient) -> tuple[np.ndarray, list[str | None]]:
    panel = one.results.panel
    mine = panel.ect_patient == panel.patients.index(one.participant_id)
    return panel.ect_day[mine], list(panel.ect_placement[mine])


def _index_sessions(one: OnePatient) -> int:
    """Sessions of the index course: one more is that share of a course; eight where no course is on record."""
    days, _ = _sessions(one)
    return int((days <= 0).sum()) or days.size or 8


def _placement(one: OnePatient) -> int:
    _, placements = _sessions(one)
    return int(one.results.design.placement_of([placements[-1] if placements else None])[0])


def words_of(ask: Ask, *, full: bool = False) -> str:
    """A plan in a few words, or in full."""
    if ask.action == "continue":
        return "all doses go on as they stand today" if full else "continue"
    when = "today" if ask.start_days == 0 else f"in {ask.start_days:g} days"
    if ask.action == "stop" or ask.weeks == 0:
        return f"all drugs stop {when}" if full else f"stop {when}"
    if not full:
        return f"taper over {ask.weeks:g} weeks"
    return f"all drugs to zero over {ask.weeks:g} weeks, beginning {when}: {SHAPES[ask.shape].casefold()}"


def doses_of(one: OnePatient, ask: Ask) -> str:
    """The doses of the plan, step by step."""
    day = float(one.results.timeline.today[0])
    made = plan_of(ask)(one.given.doses, day)
    ahead = [k for k in np.argsort(made.start_day, kind="stable") if made.stop_day[k] > day]
    if not ahead:
        return "No drug is taken today."
    steps = [
        f"{made.drug[k]} {made.dose_mg_day[k]:.3g} mg/day {'now' if made.start_day[k] <= day else f'from day {made.start_day[k] - day:.0f}'}"
        for k in ahead[:40]
    ]
    return f"Doses, days counted from today: {', '.join(steps)}."


def notes_of(ask: Ask) -> tuple[str, ...]:
    """What else happens under the plan, in words."""
    said = []
    if ask.poor_sleep:
        said.append(
            f"sleep is {POOR_SLEEP_H:g} hours a night less for {POOR_SLEEP_DAYS:.0f} days, beyond what it is now"
        )
    if ask.crp_doubled:
        said.append(
            "CRP is twice what it is now, or twice this study's median where it was not measured, for the whole year"
        )
    if ask.ect_sessions:
        said.append(
            f"{ask.ect_sessions} sessions of continuation ECT, one every {ECT_EVERY_DAYS:.0f} days, each as strong as one of the index course"
        )
    return tuple(said)
