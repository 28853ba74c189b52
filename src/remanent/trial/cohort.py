"""A virtual follow-up study with known truth: `simulate` draws it, `remanent.trial.write` turns it into files. There is no other way out of here.

The patients obey the equations of `remanent.dynamics.model`, integrated by `remanent.trial.trajectory`; what a study would record of them is drawn on top.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from remanent.dynamics.model import Params
from remanent.study.schema import INSTRUMENTS
from remanent.treatment.drugs import CLASSES
from remanent.treatment.exposure import DoseHistory, exposure
from remanent.trial.extras import Extras, acting, level, of_placement, sensitivity, tipping_point
from remanent.trial.people import People, Stress, draw_people, draw_stress, stream
from remanent.trial.reference import indicators, reference_params, start_sd
from remanent.trial.spec import CohortSpec
from remanent.trial.trajectory import Course, Forcing, Person, State, event_days, hazard_of, integrate, relapse_days

STEP_DAYS = 0.25
Columns = Mapping[str, list[Any]]


@dataclass(frozen=True)
class Scan:
    """One scan visit: the true value of each indicator (test-retest noise included, sampling error of the scan not yet)."""

    patient: int
    session: str
    day: float
    values: Mapping[str, float]
    diffusion: bool


@dataclass(frozen=True)
class Cohort:
    """A virtual study: what is true, and what is on record.

    Attributes
    ----------
    params
        Population parameters, indicators in the order of `reference.indicators()`. In a mixed cohort `a`, `p`, `sd_p` and `mu_gs` are those of the first
        mechanism; each patient's own stand in `person`.
    person
        Random effects, [patient]; `intercept` the indicators' m_i, [indicator, patient].
    course
        True states on a grid of quarter days, [step, patient].
    doses
        Dose histories as on record at `end_day`: what is planned for later is not in them.
    end_day, event
        Day of the last record and what ended the follow-up: relapse, dropout, end_of_followup or empty (still followed), [patient].
    relapse_day
        When relapse would come if the patient were followed for ever under the arm's plan; inf if not within the follow-up, [patient].
    scans
        Scan visits, by patient and day.
    """

    spec: CohortSpec
    params: Params
    people: People
    person: Person
    intercept: np.ndarray
    stress: Stress
    course: Course
    doses: tuple[DoseHistory, ...]
    end_day: np.ndarray
    event: np.ndarray
    relapse_day: np.ndarray
    scans: tuple[Scan, ...]
    ratings: Mapping[str, Columns]


def simulate(spec: CohortSpec) -> Cohort:
    """Draw a study; the same specification gives the same study."""
    people = draw_people(spec)
    by_mechanism = {name: reference_params(name, spec.params) for name in spec.mechanism}
    params = next(iter(by_mechanism.values()))
    person = _draw_person(spec, people, by_mechanism)
    days = np.arange(people.start_day.min(), spec.follow_up_days + STEP_DAYS / 2, STEP_DAYS)
    stress = draw_stress(spec, days[0], days[-1])
    course = integrate(stream(spec, "states"), params, person, _forcing(spec, people, stress, days), _start(spec))
    relapse = relapse_days(course, stream(spec, "relapse").exponential(size=spec.n_patients))
    end_day, event = _follow_up(spec, course, relapse)
    intercept = params.sd_mu[:, None] * stream(spec, "intercepts").standard_normal((len(params.mu), spec.n_patients))
    readings = _Readings(params, course, np.asarray(intercept))
    return Cohort(
        spec=spec,
        params=params,
        people=people,
        person=person,
        intercept=np.asarray(intercept),
        stress=stress,
        course=course,
        doses=tuple(on_record(history, day) for history, day in zip(people.doses, end_day, strict=True)),
        end_day=end_day,
        event=event,
        relapse_day=relapse,
        scans=_scans(spec, people, end_day, readings),
        ratings=_ratings(spec, people, end_day, readings),
    )


def on_record(history: DoseHistory, today: float) -> DoseHistory:
    """What is known of the doses on `today`: nothing that starts later, and no end that lies ahead."""
    known = history.start_day <= today
    stop = np.where(history.stop_day > today, np.inf, history.stop_day)
    names = tuple(name for name, keep in zip(history.drug, known, strict=True) if keep)
    return DoseHistory(names, history.dose_mg_day[known], history.start_day[known], stop[known])


def held_exposure(people: People, extras: Extras) -> np.ndarray:
    """Exposure of each patient at the start of the record, as the passive gain counts it, [patient]."""
    starts = zip(people.doses, people.start_day, strict=True)
    return np.array([acting(history, np.array([float(day)]), extras).passive[0] for history, day in starts])


def _draw_person(spec: CohortSpec, people: People, by_mechanism: Mapping[str, Params]) -> Person:
    def of(field: str) -> np.ndarray:
        values = {name: float(getattr(params, field)) for name, params in by_mechanism.items()}
        return np.array([values[name] for name in people.mechanism])

    z = stream(spec, "effects").standard_normal((3, spec.n_patients))
    return Person(
        p=of("p") + of("sd_p") * z[0],
        g_f=1.0 + of("sd_gf") * z[1],
        g_s=of("mu_gs") + of("sd_gs") * z[2],
        c=of("c"),
        a=of("a"),
        q=sensitivity(spec.extras, people.table, stream(spec, "sensitivity").standard_normal(spec.n_patients)),
        level=level(spec.extras, people.table),
        theta=tipping_point(spec.extras, people.table),
    )


def _start(spec: CohortSpec) -> State:
    z = start_sd() * stream(spec, "start").standard_normal((2, spec.n_patients))
    nothing = np.zeros(spec.n_patients)
    return State(z[0], z[1], nothing, nothing)


def _forcing(spec: CohortSpec, people: People, stress: Stress, days: np.ndarray) -> Forcing:
    ect = np.zeros((3, len(days), len(people.participant)))
    for i, (index, later) in enumerate(zip(people.ect_days, people.later_ect, strict=True)):
        at = np.searchsorted(days, np.concatenate([index, later[later <= days[-1]]]) - 1e-9)
        ect[:, at, i] = of_placement(spec.extras, str(people.placement[i]))[:, None] / len(index)
    given = [acting(history, days, spec.extras) for history in people.doses]
    total, passive, active, lost, talk = (
        np.column_stack([getattr(one, name) for one in given])
        for name in ("total", "passive", "active", "lost", "talk")
    )
    return Forcing(
        days=days,
        exposure=total,
        stress=stress.acting(days),
        ect=ect[0],
        start_day=people.start_day,
        held=held_exposure(people, spec.extras),
        passive=passive,
        active=active,
        lost=lost,
        talk=talk,
        ect_f=ect[0],
        ect_s=ect[1],
        ect_e=ect[2],
    )


def _follow_up(spec: CohortSpec, course: Course, relapse: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Last day on record and why: the first of relapse, dropout and the day the study is looked at; whole days, rounded up."""
    rng = stream(spec, "follow-up")
    n = spec.n_patients
    hazard = hazard_of(course.days, course.f, (spec.dropout_per_day, spec.extras.eta_d))
    dropout = event_days(course.days, hazard, rng.exponential(size=n) if spec.dropout_per_day > 0 else np.inf)
    look = spec.follow_up_days - rng.integers(0, spec.enrolment_days, n, endpoint=True).astype(float)
    planned = np.where(look >= spec.follow_up_days, "end_of_followup", "")
    end = np.maximum(np.ceil(np.minimum(np.minimum(relapse, dropout), look)), 1.0)
    event = np.where(relapse <= np.minimum(dropout, look), "relapse", np.where(dropout <= look, "dropout", planned))
    return end, event


@dataclass(frozen=True)
class _Readings:
    """Measurement of indicators: y = mu + m_i + l_f f + l_s s + l_e e + l_w w + noise."""

    params: Params
    course: Course
    intercept: np.ndarray

    def draw(self, rng: np.random.Generator, indicator: np.ndarray, patient: np.ndarray, day: np.ndarray) -> np.ndarray:
        """Values of parallel arrays of indicator, patient and day."""
        j, q = indicator, self.params
        k = np.searchsorted(self.course.days, day - 1e-9)
        states = (x[k, patient] for x in (self.course.f, self.course.s, self.course.e, self.course.w))
        loadings = (np.asarray(loading)[j] for loading in (q.l_f, q.l_s, q.l_e, q.l_w))
        expected = np.asarray(q.mu)[j] + self.intercept[j, patient]
        expected = expected + sum(loading * state for loading, state in zip(loadings, states, strict=True))
        values: np.ndarray = expected + np.asarray(q.sigma)[j] * rng.standard_normal(len(day))
        return values


def _scans(spec: CohortSpec, people: People, end_day: np.ndarray, readings: _Readings) -> tuple[Scan, ...]:
    rng = stream(spec, "scans")
    imaging = [(j, one.name) for j, one in enumerate(indicators()) if one.kind != "rating"]
    scans = []
    for i, sessions in enumerate(people.ect_days):
        planned = {float(day) if day >= 0 else min(float(day), sessions[0] - 1) for day in spec.scan_days}
        for number, day in enumerate(sorted(planned)):
            done, diffusion = rng.random(2) >= (spec.scan_missing, spec.dwi_missing)
            if done and day <= end_day[i]:
                j, who = np.array([j for j, _ in imaging]), np.full(len(imaging), i)
                drawn = readings.draw(rng, j, who, np.full(len(imaging), day))
                values = dict(zip([name for _, name in imaging], drawn.tolist(), strict=True))
                scans.append(Scan(i, f"ses-{number + 1:02d}", day, values, bool(diffusion)))
    return tuple(scans)


def _ratings(spec: CohortSpec, people: People, end_day: np.ndarray, readings: _Readings) -> Mapping[str, Columns]:
    """Rating scales: whole points within the range of the instrument; the first and the last day are never missing for HDRS-24."""
    tables: dict[str, Columns] = {}
    for name, planned in (("hdrs24", spec.rating_days), ("madrs", spec.madrs_days)):
        rng = stream(spec, name)
        j = next(j for j, one in enumerate(indicators()) if one.name == name)
        patient, day = _visits(planned, people.start_day, end_day, last=name == "hdrs24")
        fixed = (day == people.start_day[patient]) | (day == end_day[patient])
        kept = fixed | (rng.random(len(day)) >= spec.score_missing)
        value = readings.draw(rng, np.full(len(day), j), patient, day)
        limits = INSTRUMENTS[name].minimum, INSTRUMENTS[name].maximum
        total = np.clip(np.round(value), *limits).astype(int)
        tables[name] = {
            "participant_id": [people.participant[i] for i in patient[kept]],
            "day": day[kept].tolist(),
            "total": total[kept].tolist(),
        }
    return tables


def _visits(
    planned: tuple[int, ...], start: np.ndarray, end: np.ndarray, *, last: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Patient and day of every planned visit within the follow-up, of the first day and, if asked, of the last."""
    days = [
        np.unique([start[i], *(d for d in planned if start[i] < d <= end[i]), *([end[i]] if last else [])])
        for i in range(len(start))
    ]
    return np.repeat(np.arange(len(start)), [len(d) for d in days]), np.concatenate(days)


def lithium_exposure(history: DoseHistory, days: np.ndarray) -> np.ndarray:
    """Exposure to lithium, 1 on the usual full dose, [day]."""
    return exposure(history, days)[CLASSES.index("lithium")]
