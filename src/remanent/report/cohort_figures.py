"""The figures of the index page: everybody's follow-up on one time axis, and who would probably hold without drugs."""

import math
from collections.abc import Sequence

import numpy as np

from remanent.report import theme
from remanent.report.sheet import Panel, Sheet
from remanent.report.views import CohortRow, CohortView
from remanent.report.words import clean, span_label

# what a mark is called, its shape, its colour, its size (points); drawn in this order
MARKS: dict[str, tuple[str, str, str, float]] = {
    "ect": ("ECT", "|", theme.SOFT, 4.0),
    "symptoms": ("symptoms", ".", theme.BLUE, 4.0),
    "scan": ("usable scan", "D", theme.INK, 3.6),
    "dose change": ("dose change", "^", theme.ORANGE, 4.4),
    "relapse": ("relapse", "X", theme.VERMILLION, 5.6),
    "dropout": ("dropout", "4", theme.PURPLE, 6.0),
    "other": ("other event", "s", theme.PURPLE, 3.2),
}
ROW_IN, LEAST_ROW_IN, NAMED_ROWS, TALLEST_IN = 0.17, 0.045, 60, 10.2


def plot_follow_up(cohort: CohortView) -> Sheet:
    """Draw one line per patient from the first record to the last, with ECT, symptom visits, scans, dose changes and events on it.

    Patients stand in the order of the list while their names can be read, else by the day of their last record.
    """
    rows = list(cohort.patients)
    if len(rows) > NAMED_ROWS:
        rows.sort(key=lambda row: -row.today if math.isfinite(row.today) else math.inf)
    sheet, panel = _one_row_each([row.participant_id for row in rows], top_in=0.35)
    marked = [np.array([d for days in row.visits.values() for d in days] + [row.today]) for row in rows]
    firsts, lasts = [float(np.nanmin(days, initial=np.inf)) for days in marked], [row.today for row in rows]
    days = np.concatenate([*marked, [0.0, 28.0]])
    days = days[np.isfinite(days)]
    margin = 0.02 * float(np.ptp(days))
    panel.x_limits = float(days.min()) - margin, float(days.max()) + margin
    theme.day_grid(panel)
    panel.lying(np.arange(len(rows)), firsts, lasts, theme.GREY, width=1, level=1)
    _draw_marks(panel, rows)
    theme.day_axis(panel, "Days since the last ECT session of the index course, or since the first record (wk: weeks)")
    return sheet


def _draw_marks(panel: Panel, rows: Sequence[CohortRow]) -> None:
    places: dict[str, list[tuple[float, int]]] = {kind: [] for kind in MARKS}
    for y, row in enumerate(rows):
        for kind, days in row.visits.items():
            places[kind if kind in MARKS else "other"] += [(day, y) for day in days]
    keys = []
    for kind, at in places.items():
        if at:
            label, marker, colour, size = MARKS[kind]
            x, y_at = np.array(at).T
            panel.points(x, y_at, marker, size * _scale(len(rows)), colour)
            keys.append((label, marker, size, colour))
    theme.legend(panel, keys)


def plot_holds(cohort: CohortView) -> Sheet:
    """Draw each patient's probability of no relapse within the horizon if all drugs were withdrawn (mean, 90 % interval), highest first.

    Patients whose data do not inform it are left out.
    """
    known = [(row.participant_id, row.hold) for row in cohort.rows if row.hold is not None]
    if not known:
        return theme.message("The data of no patient inform this.")
    known.sort(key=lambda pair: -pair[1].mean)
    sheet, panel = _one_row_each([name for name, _ in known], top_in=0.1)
    y, holds = np.arange(len(known)), [hold for _, hold in known]
    ticks, scale = np.linspace(0, 1, 6), _scale(len(known))
    panel.x_limits = 0, 1.01
    theme.grid(panel, ticks[1:], theme.FAINT)
    ends = [hold.lower for hold in holds], [hold.upper for hold in holds]
    panel.lying(y, *ends, theme.GREEN, width=1.8 * scale)
    panel.points([hold.mean for hold in holds], y, "s", 4.5 * scale, theme.INK, edge="white")
    theme.x_ticks(panel, ticks, [f"{100 * p:.0f} %" for p in ticks])
    panel.x_label = f"Probability of no relapse within {span_label(cohort.horizon_days)} if all drugs were withdrawn"
    return sheet


def _one_row_each(names: Sequence[str], *, top_in: float) -> tuple[Sheet, Panel]:
    """Return a panel with a row per patient; names are written while they can be read."""
    named = len(names) <= NAMED_ROWS
    sheet, (panel,) = theme.stack([max(0.5, _row_in(len(names)) * len(names))], top_in=top_in)
    panel.y_limits = len(names) - 0.4, -0.6
    panel.wall = False
    if named:
        theme.y_ticks(panel, range(len(names)), [clean(name, 24) for name in names], stub=False)
    return sheet, panel


def _row_in(rows: int) -> float:
    return ROW_IN if rows <= NAMED_ROWS else max(LEAST_ROW_IN, TALLEST_IN / rows)


def _scale(rows: int) -> float:
    """Return how much smaller marks are when rows are crowded."""
    return max(0.5, min(1.0, _row_in(rows) / 0.1))
