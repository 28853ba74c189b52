"""What the advice rule looks at, from forecasts and record, for each patient."""

from collections.abc import Mapping

import numpy as np

from remanent.dynamics.grid import TimeLine, medication_of, total_exposure
from remanent.plan.decide import Interval, Situation, Thresholds, thresholds_for
from remanent.relapse.predict import EDGES_DAYS, Estimate
from remanent.stages.outcome import Outcome
from remanent.study.panel import Panel


def situation_of(
    panel: Panel,
    timeline: TimeLine,
    outcome: Outcome,
    lane: int,
    table: Mapping[str, Thresholds | None],
) -> Situation:
    """What the numbers say; what is on record beside them is added by `analyse`."""
    i, today = int(timeline.lanes[lane]), float(timeline.today[lane])
    limits = thresholds_for(panel.diagnosis[i], table) or table["default"] or {}
    horizon, recent = limits["horizon_days"]["value"], today - limits["recent_days"]["value"]
    days = np.unique(np.floor(panel.symptoms.of(i)[0]))
    relapse = {
        name: _at(estimate, horizon, lane) if outcome.informed[name][lane] else None
        for name, estimate in outcome.relapse.items()
    }
    on_plan, on_taper, stopped = relapse["continue"], relapse["taper"], relapse["stop"]
    given = medication_of(panel, i)
    return Situation(
        diagnosis=panel.diagnosis[i],
        hold=None if stopped is None else Interval(1 - stopped.mean, 1 - stopped.upper, 1 - stopped.lower),
        relapse_91=_at(outcome.relapse["continue"], 91, lane) if outcome.informed["continue"][lane] else None,
        on_plan=on_plan,
        extra_relapse=None if on_plan is None or on_taper is None else on_taper.mean - on_plan.mean,
        exposure=float(total_exposure(given.doses, given.levels, np.array([today, today + 1e-6]))[0]),
        ratings_after_day_0=int((days >= 0).sum()),
        days_since_rating=float(np.floor(today) - days.max()) if days.size else None,
        crp_mg_l=_latest(panel.labs.of(i, "crp"), recent),
        sleep_h=_latest(panel.sleep.of(i, "tst_h"), recent),
        relapse_day=None,
    )


def _at(estimate: Estimate, days: float, lane: int) -> Interval:
    row = int(np.searchsorted(EDGES_DAYS[1:], days))
    return Interval(*(float(v[row, lane]) for v in (estimate.mean, estimate.lower, estimate.upper)))


def _latest(days_values: tuple[np.ndarray, np.ndarray], since: float) -> float | None:
    days, values = days_values
    return float(values[np.argmax(days)]) if days.size and days.max() >= since else None
