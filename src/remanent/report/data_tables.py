"""The numbers behind each figure, as tables of text: what a screen reader, a printer or a doubter reads."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from remanent._errors import Action, Problem
from remanent.relapse.definition import HORIZONS_DAYS
from remanent.report.views import (
    CohortRow,
    CohortView,
    Forecast,
    Forecasts,
    Indicator,
    Interval,
    Mechanisms,
    PredictiveScore,
    Question,
    Remanence,
    Series,
    States,
    Timeline,
)
from remanent.report.words import (
    class_label,
    clean,
    day_label,
    fraction_interval,
    listing,
    minus,
    number,
    percent,
    percent_interval,
    span_label,
)

MOST_ROWS = 400


@dataclass(frozen=True, slots=True)
class DataTable:
    """A caption, column heads with their units, and rows of text; the first cell of a row names it."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left_out: int = 0


def table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> DataTable:
    """Return a table of at most `MOST_ROWS` rows, with the number of those left out."""
    kept = [tuple(row) for row in rows]
    return DataTable(caption, tuple(columns), tuple(kept[:MOST_ROWS]), max(0, len(kept) - MOST_ROWS))


def timeline_tables(timeline: Timeline) -> list[DataTable]:
    """Return what was done and observed: ECT, doses, scans, events and every series; kinds without a row are left out."""
    ect = [(day_label(s.day), s.placement or "n/a") for s in timeline.ect]
    doses = [
        (d.drug, class_label(d.drug_class), number(d.dose_mg_day, 4), day_label(d.start_day), day_label(d.stop_day))
        for d in timeline.doses
    ]
    scans = [
        (day_label(s.day), s.session_id, "yes" if s.usable else "no", s.quality or "n/a", s.reason)
        for s in timeline.scans
    ]
    events = [(day_label(e.day), e.event.replace("_", " "), e.detail) for e in timeline.events]
    made = [
        table("ECT sessions", ("Day", "Placement"), ect),
        table("Doses", ("Drug", "Class", "Dose (mg/day)", "From", "To (first day without)"), doses),
        table("Scans", ("Day", "Session", "Usable", "Quality", "Why not"), scans),
        table("Events", ("Day", "Event", "Detail"), events),
        *(_series_table(series) for series in (*timeline.symptoms, *timeline.labs, *timeline.sleep)),
    ]
    return [t for t in made if t.rows]


def _series_table(series: Series) -> DataTable:
    rows = [(day_label(float(d)), number(float(v), 4)) for d, v in zip(series.days, series.values, strict=True)]
    levels = "; ".join(f"{t.label}, {t.status} {t.source}".strip(" ,") for t in series.thresholds)
    return table(
        f"{series.label}{f' (line: {levels})' if levels else ''}", ("Day", f"{series.label} ({series.unit})"), rows
    )


def state_table(states: States) -> DataTable:
    """Return function, structure (mean and standard deviation) and withdrawal by day."""
    columns = (
        states.function_mean,
        states.function_sd,
        states.structure_mean,
        states.structure_sd,
        states.withdrawal_mean,
    )
    rows = [(day_label(float(d)), *(number(float(c[k]), 3) for c in columns)) for k, d in enumerate(states.days)]
    heads = ("Day", "Function, mean", "Function, SD", "Structure, mean", "Structure, SD", "Withdrawal, mean")
    return table(
        "Function, structure and withdrawal (0 = before treatment, 1 = mean gain of the cohort right after ECT)",
        heads,
        rows,
    )


def forecast_table(forecasts: Forecasts) -> DataTable:
    """Return the probability of relapse within 28, 91, 182 and 364 days under each plan."""
    rows = [(plan.label, *(risk(plan, horizon) for horizon in HORIZONS_DAYS)) for plan in forecasts.plans]
    heads = ("Plan", *(f"within {span_label(h)}" for h in HORIZONS_DAYS))
    return table("Probability of relapse: mean (90 % interval)", heads, rows)


def plan_table(cohort: CohortView, plans: Sequence[str]) -> DataTable:
    """Return the probability of relapse within the cohort's horizon of every patient who has one under any of these plans."""
    rows = [
        (row.participant_id, *(percent_interval(row.relapse[p]) if p in row.relapse else row.unsaid for p in plans))
        for row in cohort.rows
        if not row.relapse.keys().isdisjoint(plans)
    ]
    caption = f"Relapse within {span_label(cohort.horizon_days)} of the last record under plans of your own: mean (90 % interval)"
    return table(caption, ("Patient", *(clean(plan) for plan in plans)), rows)


def at(days: np.ndarray, curves: Sequence[np.ndarray], horizon: float) -> Interval:
    """Return mean, lower and upper of a curve at a horizon (linear between its points), NaN beyond its end."""
    if not len(days):
        return Interval(np.nan, np.nan, np.nan)
    return Interval(*(float(np.interp(horizon, days, curve, left=np.nan, right=np.nan)) for curve in curves))


def risk(plan: Forecast, horizon: float) -> str:
    """Return the probability of relapse within a horizon under a plan, with its 90 % interval."""
    return percent_interval(at(plan.horizon_days, (plan.mean, plan.lower, plan.upper), horizon))


def remanence_table(remanence: Remanence) -> DataTable:
    """Return remanence and hold at each horizon."""
    rows = [
        (span_label(horizon), fraction_interval(kept), percent_interval(hold))
        for horizon, kept, hold in zip(remanence.horizon_days, remanence.remanence, remanence.hold, strict=True)
    ]
    heads = (
        "After all drugs are withdrawn",
        "Remanence (fraction of today's function)",
        "Hold (probability of no relapse)",
    )
    return table("Remanence and hold: mean (90 % interval)", heads, rows)


def mechanism_table(mechanisms: Mechanisms) -> DataTable:
    """Return the probability of each mechanism beside its prior."""
    rows = [
        (name, percent(p), percent(q))
        for name, p, q in zip(mechanisms.names, mechanisms.probability, mechanisms.prior, strict=True)
    ]
    return table("Mechanisms", ("Mechanism", "Probability", "Prior"), rows)


def score_table(scores: Iterable[PredictiveScore]) -> DataTable:
    """Return how well each mechanism predicts patients it has not seen, in words where it is the best or as good."""
    rows = [(s.mechanism, minus(f"{s.score:.1f}"), _against_the_best(s), s.note) for s in scores]
    heads = ("Mechanism", "Score (nats; higher is better)", "Against the best", "To be relied on?")
    return table("How well each mechanism predicts a patient from all the others", heads, rows)


def _against_the_best(score: PredictiveScore) -> str:
    if score.difference == 0:
        return "the best"
    words = minus(f"{score.difference:.1f} ± {score.difference_se:.1f}")
    return words if -score.difference > 2 * score.difference_se else f"{words}: no worse"


ALMOST_0 = 1e-9  # a mechanism is never certain, whatever the rounding


def question_table(questions: Iterable[Question]) -> DataTable:
    """Return what can and cannot be told about how the medication acts."""
    rows = [
        (
            q.words,
            "cannot be told from these data"
            if q.probability is None
            else f"yes with probability {percent(min(max(q.probability, ALMOST_0), 1 - ALMOST_0))}",
            percent(q.prior),
            q.answered_by or "no data",
        )
        for q in questions
    ]
    return table("What can be told", ("Question", "Answer", "Before any data", "Answered by"), rows)


def indicator_table(indicators: Iterable[Indicator]) -> DataTable:
    """Return every feature value with its standard error beside the fitted value."""
    rows = [
        (
            i.label,
            day_label(float(i.days[k])),
            i.unit,
            number(float(i.observed[k])),
            number(float(i.se[k])),
            number(float(i.fitted[k])),
            "yes" if i.usable[k] else "no",
            i.note,
        )
        for i in indicators
        for k in range(len(i.days))
    ]
    return table(
        "Features, observed and fitted",
        ("Feature", "Day", "Unit", "Observed", "Standard error", "Fitted", "Used", "Note"),
        rows,
    )


def problem_table(problems: Iterable[Problem]) -> DataTable:
    """Return what was set aside and why, one row for rows of one file that share a problem."""
    grouped: dict[tuple[str, str, str, str], list[int | None]] = {}
    for p in problems:
        grouped.setdefault((p.action, p.file, p.column, p.problem), []).append(p.row)
    order = {"refused": 0, "set_aside": 1, "used": 2}
    keys = sorted(
        grouped, key=lambda key: (order.get(key[0], 3), key[1], min(row or 0 for row in grouped[key]), key[2])
    )
    rows = [(k[1], _row_label(grouped[k]), k[2], k[3], k[0].replace("_", " ")) for k in keys]
    return table(
        "What was set aside, refused, or used with a doubt", ("File", "Row", "Column", "Problem", "What was done"), rows
    )


def _row_label(rows: Sequence[int | None]) -> str:
    known = [r for r in rows if r is not None]
    if not known:
        return "" if len(rows) == 1 else f"({len(rows)} times)"
    shown = ", ".join(str(r) for r in known[:5])
    return shown if len(known) <= 5 else f"{shown} and {len(known) - 5} more"


def completeness_table(rows: Sequence[CohortRow]) -> DataTable:
    """Return for each kind of data how many patients have any, and the median and range per patient."""
    kinds = list(dict.fromkeys(kind for row in rows for kind in row.counts))
    body = []
    for kind in kinds:
        n = np.array([row.counts.get(kind, 0) for row in rows])
        any_of = f"{int((n > 0).sum())} of {len(rows)}"
        body.append((kind, any_of, number(float(np.median(n))), f"{n.min()} to {n.max()}"))
    return table("Data per patient", ("Kind", "Patients with any", "Median per patient", "Range"), body)


def problem_sentence(problems: Sequence[Problem]) -> str:
    """Return how many rows, columns or files were refused, set aside and used with a doubt."""
    n = Counter(p.action for p in problems)
    kinds: tuple[tuple[Action, str], ...]
    kinds = (("refused", "refused"), ("set_aside", "set aside"), ("used", "used with a doubt"))
    said = [f"{n[action]} {label}" for action, label in kinds if n[action]]
    return f"Rows, columns or files: {listing(said)}." if said else "Nothing."


def count_table(rows: Sequence[CohortRow]) -> DataTable:
    """Return how many of each kind of data every patient has."""
    kinds = list(dict.fromkeys(kind for row in rows for kind in row.counts))
    body = [(row.participant_id, *(str(row.counts.get(kind, 0)) for kind in kinds)) for row in rows]
    return table("Data of each patient (number)", ("Patient", *kinds), body)
