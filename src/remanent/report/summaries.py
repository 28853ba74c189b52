"""What a figure shows, in words: read by screen readers, printed below the figure, and the first thing a hurried reader takes in."""

from collections import Counter

import numpy as np

from remanent.report.data_tables import risk
from remanent.report.views import CohortView, Forecasts, Indicator, Mechanisms, Remanence, Series, States, Timeline
from remanent.report.words import (
    ADVICE,
    advice_under_fit,
    clean,
    count,
    day_label,
    fraction_interval,
    listing,
    minus,
    number,
    percent,
    percent_interval,
    span_label,
)


def timeline_summary(timeline: Timeline, states: States | None = None) -> str:
    """Return the course in a few sentences: what was given, what was observed, first and last values, what happened."""
    parts = [
        _ect(timeline),
        _doses(timeline),
        *(_series(series) for series in (*timeline.symptoms, *timeline.labs, *timeline.sleep)),
        _scans(timeline),
        _events(timeline),
    ]
    if states is not None and states.basis.informed and states.days.size:
        last = (
            f"{minus(f'{states.function_mean[-1]:.2f}')} and structure at {minus(f'{states.structure_mean[-1]:.2f}')}"
        )
        parts.append(
            f"On {day_label(float(states.days[-1]))} the model puts function at {last} (0: before treatment, 1: the mean gain after ECT)."
        )
    return " ".join(part for part in parts if part) or "Nothing dated was recorded."


def _ect(timeline: Timeline) -> str:
    if not timeline.ect:
        return "No ECT session on record."
    days = [session.day for session in timeline.ect]
    kinds = Counter(session.placement or "unknown placement" for session in timeline.ect)
    placements = listing([f"{n} {name}" for name, n in kinds.most_common()])
    return f"{count(len(days), 'ECT session')} ({placements}) from {day_label(min(days))} to {day_label(max(days))}."


def _doses(timeline: Timeline) -> str:
    if not timeline.doses:
        return "No medication on record."
    today = timeline.today
    now = (
        [d for d in timeline.doses if d.start_day <= today < d.stop_day and d.dose_mg_day > 0]
        if np.isfinite(today)
        else []
    )
    given = listing([f"{d.drug} {number(d.dose_mg_day, 4)} mg/day" for d in now])
    drugs = listing(list(dict.fromkeys(d.drug for d in timeline.doses)))
    return f"Medication on record: {drugs}. On {day_label(today)}: {given or 'none'}."


def _series(series: Series) -> str:
    known = np.flatnonzero(np.isfinite(series.values))
    if not known.size:
        return f"{series.label}: no value."
    first, last = known[0], known[-1]
    start = (
        f"{series.label}: {number(float(series.values[first]))} {series.unit} on {day_label(float(series.days[first]))}"
    )
    if first == last:
        return f"{start}."
    return (
        f"{start}, {number(float(series.values[last]))} on {day_label(float(series.days[last]))} ({len(known)} values)."
    )


def _scans(timeline: Timeline) -> str:
    usable = sum(scan.usable for scan in timeline.scans)
    return f"{count(len(timeline.scans), 'scan visit')}, {usable} usable." if timeline.scans else "No scans."


def _events(timeline: Timeline) -> str:
    return " ".join(f"{clean(e.event.replace('_', ' ')).capitalize()} on {day_label(e.day)}." for e in timeline.events)


def forecast_summary(forecasts: Forecasts, horizon_days: float) -> str:
    """Return the probability of relapse within one horizon under each plan."""
    said = [f"{plan.label}: {risk(plan, horizon_days)}" for plan in forecasts.plans]
    return f"Probability of relapse within {span_label(horizon_days)}, mean and 90 % interval. {'; '.join(said)}."


def remanence_summary(remanence: Remanence) -> str:
    """Return remanence and hold at the last horizon."""
    if not remanence.horizon_days:
        return ""
    span = span_label(remanence.horizon_days[-1])
    kept, hold = fraction_interval(remanence.remanence[-1]), percent_interval(remanence.hold[-1])
    return f"{span} after all drugs are withdrawn, {kept} of today's function remains, and the probability of no relapse by then is {hold}."


def mechanism_summary(mechanisms: Mechanisms) -> str:
    """Return the most probable mechanism against its prior; says when none stands out."""
    if not mechanisms.names:
        return ""
    best = int(np.argmax(mechanisms.probability))
    moved = (
        f"{mechanisms.names[best]} {percent(mechanisms.probability[best])} (prior {percent(mechanisms.prior[best])})"
    )
    verdict = "" if mechanisms.probability[best] >= 0.9 else " No mechanism reaches 90 %: keep the others in mind."
    return f"Most probable: {moved}.{verdict}"


def indicator_summary(indicators: tuple[Indicator, ...]) -> str:
    """Return how many features and values there are, and how many lie outside what the model expects."""
    used = outside = 0
    for i in indicators:
        use = np.asarray(i.usable, dtype=bool) & np.isfinite(i.observed) & np.isfinite(i.fitted)
        spread = np.sqrt(np.nan_to_num(i.se) ** 2 + np.nan_to_num(i.fitted_sd) ** 2)
        used += int(use.sum())
        outside += int((use & (np.abs(i.observed - i.fitted) > 1.645 * spread)).sum())
    return f"{count(len(indicators), 'feature')}, {count(used, 'value')} used; {outside} outside the interval that should hold 9 in 10."


def cohort_summary(cohort: CohortView) -> str:
    """Return how many patients stand where."""
    n = Counter(advice_under_fit(row.advice, cohort.fit) for row in cohort.patients)
    said = [f"{n[code]} {words.split(':')[0].split(',')[0].lower()}" for code, words in ADVICE.items() if n[code]]
    healthy = len(cohort.rows) - len(cohort.patients)
    beside = f" {count(healthy, 'healthy participant')}, whom patients are compared with." if healthy else ""
    if not cohort.patients:
        return f"No patient on record.{beside}"
    return f"{count(len(cohort.patients), 'patient')}: {listing(said)}.{beside}"


def follow_up_summary(cohort: CohortView) -> str:
    """Return how long patients were followed and how many relapsed or left."""
    lasts = np.array([row.today for row in cohort.patients if np.isfinite(row.today)])
    n = Counter(kind for row in cohort.patients for kind, days in row.visits.items() if days)
    if not lasts.size:
        return "No dated record."
    first, middle, last = (day_label(float(f(lasts))) for f in (np.min, np.median, np.max))
    length = f"Last records run from {first} to {last}, median {middle}."
    return f"{count(len(cohort.patients), 'patient')}. {length} {n['relapse']} relapsed, {n['dropout']} dropped out."


def hold_summary(cohort: CohortView) -> str:
    """Return how many patients have a hold the data inform, and its range over them."""
    means = [row.hold.mean for row in cohort.rows if row.hold is not None]
    if not means:
        return "The data of no patient inform this."
    return f"{len(means)} of {len(cohort.patients)} patients have data that inform it; their means run from {percent(min(means))} to {percent(max(means))}."
