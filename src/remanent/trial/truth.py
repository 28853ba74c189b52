"""What is true of a virtual study, as one long table: parameters, random effects, states, and the probabilities that a forecast should hit.

Quantities (columns participant_id, quantity, day, horizon_days, plan, value):

=================== ===========================================================================================================
params.<name>       population parameter (participant_id `cohort`); `params.l_f.hdrs24` for one that each indicator has
mechanism           share of each mechanism (`cohort`: `mechanism.dual`), or the name of the patient's own
arm, event          what was planned for the patient's drugs, and what ended the follow-up
p, g_f, g_s         the patient's random effects; `intercept.<indicator>` too
relapse_day         when relapse comes under the arm's own plan, on record or not; n/a if not within the follow-up
function, structure, withdrawal, ect_trace     state on every whole day on record
today               day of the last record
relapse, function_ahead                        for patients still at risk, at `horizon_days` from today under each `plan`: probability of relapse, mean function
remanence, hold                                after a stop of all drugs today (`plan` n/a): mean function then over function today; probability of no relapse
=================== ===========================================================================================================

Probabilities are over the futures of the true state under the true parameters, with stressors held at today's level: the mean over simulated paths of
1 - exp(-integral of the hazard). Remanence is n/a where function today is below 0.2.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from remanent.dynamics.model import Params
from remanent.relapse.definition import HORIZONS_DAYS
from remanent.treatment.exposure import DoseHistory
from remanent.treatment.taper import stop, taper
from remanent.trial.cohort import Cohort, held_exposure
from remanent.trial.extras import acting
from remanent.trial.people import stream
from remanent.trial.reference import PER_INDICATOR, STRESSORS, indicators
from remanent.trial.trajectory import Forcing, State, integrate
from remanent.trial.tsv import NA, read_tsv

HORIZONS = tuple(map(int, HORIZONS_DAYS))
PLANS = ("continue", "taper", "stop")
COLUMNS = ("participant_id", "quantity", "day", "horizon_days", "plan", "value")
LANES_AT_ONCE = 4000
LEAST_FUNCTION = 0.2  # below it a fraction of function today means nothing

Row = tuple[str, str, float | None, int | None, str | None, float | str]


def truth(cohort: Cohort) -> dict[str, list[object]]:
    """Columns of truth.tsv."""
    rows = [*_population(cohort), *_patients(cohort), *_states(cohort), *_futures(cohort)]
    return {name: list(column) for name, column in zip(COLUMNS, zip(*rows, strict=True), strict=True)}


def read_truth(study: Path | str) -> dict[tuple[str, str, float | None, int | None, str | None], float | str]:
    """truth.tsv of a virtual study: (participant_id, quantity, day, horizon_days, plan) -> value; None where a column is n/a.

    Raises
    ------
    InputError
        The folder holds no truth.tsv.
    """
    table = read_tsv(Path(study) / "truth.tsv")
    found = {}
    for who, quantity, day, horizon, plan, value in zip(*(table[name] for name in COLUMNS), strict=True):
        key = (who, quantity, _float(day), None if horizon == NA else int(horizon), None if plan == NA else plan)
        found[key] = _number_or_text(value)
    return found


def plan_doses(history: DoseHistory, day: float) -> Mapping[str, DoseHistory]:
    """The standard plans from `day` on, of doses as they stand on record."""
    return {"continue": history, "taper": taper(history, day), "stop": stop(history, day)}


def _float(text: str) -> float | None:
    return None if text == NA else float(text)


def _number_or_text(text: str) -> float | str:
    if text == NA:
        return float("nan")
    try:
        return float(text)
    except ValueError:
        return text


def _population(cohort: Cohort) -> Iterator[Row]:
    for name, share in cohort.spec.mechanism.items():
        yield "cohort", f"mechanism.{name}", None, None, None, share
    names = [one.name for one in indicators()]
    for field, value in cohort.params._asdict().items():
        axis = names if field in PER_INDICATOR else STRESSORS if field == "b" else None
        if field in Params._field_defaults:
            continue  # not simulated
        if axis is None:
            yield "cohort", f"params.{field}", None, None, None, float(value)
        else:
            yield from (
                ("cohort", f"params.{field}.{a}", None, None, None, float(v)) for a, v in zip(axis, value, strict=True)
            )


def _patients(cohort: Cohort) -> Iterator[Row]:
    people, person = cohort.people, cohort.person
    for i, who in enumerate(people.participant):
        facts: dict[str, float | str] = {
            "mechanism": str(people.mechanism[i]),
            "arm": str(people.arm[i]),
            "event": str(cohort.event[i]) or "none",
            "p": person.p[i],
            "g_f": person.g_f[i],
            "g_s": person.g_s[i],
            "relapse_day": cohort.relapse_day[i] if np.isfinite(cohort.relapse_day[i]) else np.nan,
            "today": cohort.end_day[i],
        }
        facts |= {f"intercept.{one.name}": cohort.intercept[j, i] for j, one in enumerate(indicators())}
        yield from ((who, name, None, None, None, value) for name, value in facts.items())


def _states(cohort: Cohort) -> Iterator[Row]:
    course = cohort.course
    named = {"function": course.f, "structure": course.s, "withdrawal": course.w, "ect_trace": course.e}
    for i, who in enumerate(cohort.people.participant):
        days = np.arange(cohort.people.start_day[i], cohort.end_day[i] + 1)
        k = np.searchsorted(course.days, days - 1e-9)
        for name, path in named.items():
            yield from ((who, name, day, None, None, value) for day, value in zip(days, path[k, i], strict=True))


def _futures(cohort: Cohort) -> Iterator[Row]:
    at_risk = np.flatnonzero(cohort.event != "relapse")
    at_once = max(1, LANES_AT_ONCE // cohort.spec.truth_paths)
    for start in range(0, len(at_risk), at_once):
        yield from _futures_of(cohort, at_risk[start : start + at_once])


def _futures_of(cohort: Cohort, patients: np.ndarray) -> Iterator[Row]:
    plans = [plan_doses(cohort.doses[i], cohort.end_day[i]) for i in patients]
    for plan in PLANS:
        relapse, f = roll_forward(cohort, patients, cohort.end_day[patients], [p[plan] for p in plans])
        for lane, i in enumerate(patients):
            who, today = cohort.people.participant[i], float(cohort.end_day[i])
            now = cohort.course.at(today, int(i)).f
            for h, horizon in enumerate(HORIZONS):
                yield who, "relapse", today, horizon, plan, relapse[h, lane]
                yield who, "function_ahead", today, horizon, plan, f[h, lane]
                if plan == "stop":
                    yield who, "hold", today, horizon, None, 1 - relapse[h, lane]
                    yield who, "remanence", today, horizon, None, f[h, lane] / now if now >= LEAST_FUNCTION else np.nan


def roll_forward(
    cohort: Cohort, patients: np.ndarray, since: np.ndarray, doses: list[DoseHistory]
) -> tuple[np.ndarray, np.ndarray]:
    """Probability of relapse and mean function at each of HORIZONS from the true states on the days `since`, [horizon, patient].

    The same random numbers serve every plan.
    """
    n = cohort.spec.truth_paths
    ahead = np.arange(HORIZONS[-1] + 1.0)
    extras = cohort.spec.extras
    given = [acting(d, day + ahead, extras) for d, day in zip(doses, since, strict=True)]
    total, passive, active, talk = (
        np.repeat(np.column_stack([getattr(one, name) for one in given]), n, axis=1)
        for name in ("total", "passive", "active", "talk")
    )
    lanes = np.repeat(patients, n)
    now = [cohort.course.at(day, int(i)) for i, day in zip(patients, since, strict=True)]
    start = State(*(np.repeat([getattr(x, name) for x in now], n) for name in "fswe"))
    person = cohort.person.of(lanes)
    stress = np.stack(
        [cohort.stress.acting(np.array([day]))[:, 0, i] for i, day in zip(patients, since, strict=True)], axis=1
    )
    forcing = Forcing(
        ahead,
        total,
        np.repeat(stress, n, axis=1)[:, None],
        np.zeros((1, 1)),
        np.zeros(len(lanes)),
        held_exposure(cohort.people, extras)[lanes],
        passive,
        active,
        talk=talk,
    )
    course = integrate(stream(cohort.spec, f"future {patients[0]}"), cohort.params, person, forcing, start)
    k = list(HORIZONS)
    relapse = -np.expm1(-course.cumulative_hazard[k].reshape(len(k), len(patients), n)).mean(axis=2)
    return relapse, course.f[k].reshape(len(k), len(patients), n).mean(axis=2)
