"""The figures of the index page: everybody's follow-up on one time axis, and who would probably hold without drugs."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from remanent.report import theme
from remanent.report.views import CohortRow, CohortView
from remanent.report.words import clean, span_label

MARKS = {
    "ect": ("ECT", "|", theme.SOFT, 4.0),
    "symptoms": ("symptoms", ".", theme.BLUE, 4.0),
    "scan": ("usable scan", "D", theme.INK, 3.6),
    "dose change": ("dose change", "^", theme.ORANGE, 4.4),
    "relapse": ("relapse", "X", theme.VERMILLION, 5.6),
    "dropout": ("dropout", "4", theme.PURPLE, 6.0),
}
OTHER = ("other event", "s", theme.PURPLE, 3.2)


@theme.styled
def plot_follow_up(cohort: CohortView) -> Figure:
    """Draw one line per patient from the first record to the last, with ECT, symptom visits, scans, dose changes, relapse and dropout on it."""
    rows = list(cohort.rows)
    row_in = 0.17 if len(rows) <= 60 else max(0.045, 10.2 / len(rows))
    figure, (axis,) = theme.stack([max(0.5, row_in * len(rows))], top_in=0.35)
    days = np.array([d for row in rows for marks in row.visits.values() for d in marks] + [row.today for row in rows])
    days = days[np.isfinite(days)]
    lower, upper = (float(days.min()), float(days.max())) if days.size else (0.0, 28.0)
    margin = 0.02 * max(upper - lower, 14.0)
    axis.set_xlim(lower - margin, upper + margin)
    axis.set_ylim(len(rows) - 0.4, -0.6)
    theme.day_grid(axis)
    starts = [min([d for marks in row.visits.values() for d in marks], default=np.nan) for row in rows]
    axis.hlines(np.arange(len(rows)), starts, [row.today for row in rows], color="#c3cad3", linewidth=1, zorder=1)
    _draw_marks(axis, rows)
    theme.y_ticks(
        axis, range(len(rows)) if row_in > 0.1 else [], [row.participant_id for row in rows] if row_in > 0.1 else []
    )
    axis.tick_params(axis="y", length=0, labelsize=8)
    axis.spines["left"].set_visible(False)
    theme.day_axis(
        axis, "Days since the last ECT session of the index course, or the first record without ECT (wk: weeks)"
    )
    return figure


def _draw_marks(axis: Axes, rows: Sequence[CohortRow]) -> None:
    present = {kind for row in rows for kind, days in row.visits.items() if days}
    groups: dict[tuple[str, str, str, float], list[tuple[float, int]]] = {MARKS[k]: [] for k in MARKS if k in present}
    for y, row in enumerate(rows):
        for kind, days in row.visits.items():
            groups.setdefault(MARKS.get(kind, OTHER), []).extend((d, y) for d in days)
    for label, marker, colour, size in groups:
        points = np.array(groups[label, marker, colour, size]).reshape(-1, 2)
        axis.plot(
            points[:, 0],
            points[:, 1],
            linestyle="none",
            marker=marker,
            markersize=size,
            color=colour,
            markeredgewidth=1,
            label=label,
            zorder=2,
        )
    if groups:
        axis.legend(
            loc="lower left", bbox_to_anchor=(0, 1), ncols=7, borderaxespad=0.1, handletextpad=0.1, columnspacing=1.2
        )


@theme.styled
def plot_holds(cohort: CohortView) -> Figure:
    """Draw the hold of each patient whose data inform it, highest first: probability of no relapse within the horizon if all drugs were withdrawn, with its 90 % interval."""
    known = sorted(
        ((row.hold, row.participant_id) for row in cohort.rows if row.hold is not None), key=lambda pair: -pair[0].mean
    )
    if not known:
        figure, axes = theme.stack([0.6], bottom_in=0.1)
        axes[0].set_axis_off()
        axes[0].text(
            0.5, 0.5, "The data of no patient inform this.", ha="center", color=theme.SOFT, transform=axes[0].transAxes
        )
        return figure
    row_in = 0.17 if len(known) <= 60 else max(0.045, 10.2 / len(known))
    figure, (axis,) = theme.stack([max(0.5, row_in * len(known))], bottom_in=0.45)
    y = np.arange(len(known))
    axis.hlines(
        y, [hold.lower for hold, _ in known], [hold.upper for hold, _ in known], color=theme.GREEN, linewidth=1.8
    )
    axis.plot(
        [hold.mean for hold, _ in known],
        y,
        linestyle="none",
        marker="s",
        markersize=4.5,
        color=theme.GREEN,
        markeredgecolor="white",
        markeredgewidth=0.6,
    )
    axis.set_xlim(0, 1.01)
    axis.set_ylim(len(known) - 0.4, -0.6)
    axis.set_xticks(np.linspace(0, 1, 6), [f"{p} %" for p in range(0, 101, 20)])
    axis.set_xlabel(
        clean(f"Probability of no relapse within {span_label(cohort.horizon_days)} if all drugs were withdrawn"),
        fontsize=9,
    )
    for p in np.linspace(0.2, 1, 5):
        axis.axvline(p, color=theme.FAINT, linewidth=0.7, zorder=0)
    theme.y_ticks(axis, y if row_in > 0.1 else [], [name for _, name in known] if row_in > 0.1 else [])
    axis.tick_params(axis="y", length=0, labelsize=8)
    axis.spines["left"].set_visible(False)
    return figure
