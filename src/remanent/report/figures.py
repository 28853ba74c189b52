"""A patient's figures besides the time line: forecasts, remanence and hold, mechanisms, features against what the model expects."""

from collections.abc import Sequence

import numpy as np

from remanent.report import theme
from remanent.report.sheet import Panel, Sheet
from remanent.report.timeline import Z90, day_range
from remanent.report.views import Forecast, Forecasts, Indicator, Interval, Mechanisms, Remanence, Timeline
from remanent.report.words import clean, percent

MOST_INDICATORS, PLANS_IN_A_ROW = 6, 4


def plot_forecasts(forecasts: Forecasts) -> Sheet:
    """Draw the probability of relapse from today, one panel per plan: mean and 90 % band, with the means of all other plans in grey behind.

    Where the data do not inform the forecasts, the figure says so and draws nothing.
    """
    plans = forecasts.plans
    if not forecasts.basis.informed or not plans:
        return theme.unsaid(forecasts.basis)
    heads = [(plan.label, plan.doses) for plan in plans]
    sheet, panels = theme.headed_rows(heads, PLANS_IN_A_ROW, height_in=1.9, gap_in=0.45)
    top = nice_top(max(float(np.nanmax(plan.upper, initial=0.05)) for plan in plans))
    for k, (panel, plan) in enumerate(zip(panels, plans, strict=True)):
        panel.x_limits = 0, float(np.max(plan.horizon_days, initial=28))
        _probability_axis(panel, top, labels=panel.left == panels[0].left)
        _draw_forecast(panel, plan, [p for p in plans if p is not plan], k)
        theme.day_axis(panel, "days from today", most=5)
    return sheet


def _draw_forecast(panel: Panel, plan: Forecast, others: Sequence[Forecast], index: int) -> None:
    colour, dash = theme.PLAN_STYLE.get(plan.plan, (theme.SEQUENCE[(index + 3) % 6], 3))
    for other in others:
        panel.line(other.horizon_days, other.mean, theme.GREY, width=1)
    panel.band(plan.horizon_days, plan.lower, plan.upper, colour, 0.2)
    panel.line(plan.horizon_days, plan.mean, colour, dash=theme.DASHES[dash], width=2)


def plot_remanence(remanence: Remanence) -> Sheet:
    """Draw, at each horizon after all drugs are withdrawn today, what remains of the function and the probability of no relapse (mean, 90 % interval).

    Where the data do not inform them, the figure says so and draws nothing.
    """
    if not remanence.basis.informed or not remanence.horizon_days:
        return theme.unsaid(remanence.basis)
    sheet, (left, right) = theme.row(2, height_in=1.55, gap_in=0.75)
    lowest = min(0.0, *(part.lower for part in remanence.remanence))
    left.y_limits = lowest, 1.05 * max(1.0, *(part.upper for part in remanence.remanence))
    theme.y_ticks(left, theme.nice_ticks(*left.y_limits, count=4))
    left.through_y(1, theme.SOFT, width=0.6, dash=theme.DASHES[2], level=0)
    _draw_intervals(left, remanence.horizon_days, remanence.remanence, theme.BLUE, "o")
    theme.head(left, "Remanence", "fraction of today's function that remains")
    _probability_axis(right, 1.0, labels=True)
    _draw_intervals(right, remanence.horizon_days, remanence.hold, theme.GREEN, "s")
    theme.head(right, "Hold", "probability of no relapse")
    return sheet


def _draw_intervals(
    panel: Panel, horizons: Sequence[float], parts: Sequence[Interval], colour: str, marker: str
) -> None:
    x = np.arange(len(horizons))
    panel.upright(x, [part.lower for part in parts], [part.upper for part in parts], colour, width=2)
    panel.points(x, [part.mean for part in parts], marker, 7, colour)
    panel.x_limits = -0.5, len(horizons) - 0.5
    theme.x_ticks(panel, x, [f"{h:g}\nwk {h / 7:.0f}" for h in horizons], stub=False)
    panel.x_label = "days after all drugs are withdrawn"


def plot_mechanisms(mechanisms: Mechanisms) -> Sheet:
    """Draw each mechanism's probability as a bar, its prior as an open diamond; where the data cannot tell them apart, say so instead."""
    if not mechanisms.identifiable or not mechanisms.names:
        return theme.message("Not identifiable from these data.", clean(mechanisms.reason, 110))
    sheet, (panel,) = theme.stack([0.3 * len(mechanisms.names) + 0.1], bottom_in=0.5)
    y = np.arange(len(mechanisms.names))
    panel.points(mechanisms.prior, y, "D", 7, "white", edge=theme.INK)
    for k, (probability, prior) in enumerate(zip(mechanisms.probability, mechanisms.prior, strict=True)):
        panel.box((0, k - 0.275), (probability, k + 0.275), theme.BLUE, alpha=0.85, level=1)
        panel.words(percent(probability), 1.06, k, upright="center", across="right", bold=True)
        panel.words(f"prior {percent(prior)}", 1.08, k, upright="center", colour=theme.SOFT, size=8.5)
    panel.y_limits = len(y) - 0.45, -0.55
    panel.x_limits = 0, 1.2
    theme.y_ticks(panel, y, mechanisms.names, stub=False)
    theme.x_ticks(panel, [0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    panel.x_label = "probability (bar); prior (open diamond)"
    return sheet


def plot_indicators(indicators: Sequence[Indicator], timeline: Timeline | None = None) -> Sheet:
    """Draw up to six features over time: each value with its 90 % sampling interval against the model's expectation (90 % band).

    Values the model did not use are crosses. `timeline` gives the same time axis as the patient's other figure.
    """
    shown = list(indicators)[:MOST_INDICATORS]
    if not shown:
        return theme.message("No feature was measured.")
    sheet, panels = theme.stack([0.72] * len(shown), gap_in=0.2)
    days = np.concatenate([np.asarray(i.days, dtype=float) for i in shown])
    lower, upper = (float(days.min()) - 7, float(days.max()) + 7) if timeline is None else day_range(timeline)
    for panel, indicator in zip(panels, shown, strict=True):
        panel.x_limits = lower, upper
        theme.day_grid(panel)
        _draw_indicator(panel, indicator)
    for panel in panels[:-1]:
        theme.no_x(panel)
    theme.day_axis(panels[-1], f"Days since {(timeline or Timeline()).origin} (wk: weeks)")
    return sheet


def _draw_indicator(panel: Panel, indicator: Indicator) -> None:
    informs = f"; informs {indicator.informs}" if indicator.informs else ""
    theme.side_title(panel, indicator.label, f"{indicator.unit}{informs}")
    days, observed, use = indicator.days, indicator.observed, np.asarray(indicator.usable, dtype=bool)
    low, high = indicator.fitted - Z90 * indicator.fitted_sd, indicator.fitted + Z90 * indicator.fitted_sd
    half = Z90 * np.nan_to_num(indicator.se)
    panel.band(days, low, high, theme.SKY, 0.3)
    panel.line(days, indicator.fitted, theme.BLUE, width=1.3, dash=theme.DASHES[1])
    panel.upright(days[use], (observed - half)[use], (observed + half)[use], theme.INK, width=1.1)
    panel.points(days[use], observed[use], "o", 4.2, theme.INK)
    panel.points(days[~use], observed[~use], "x", 5, theme.VERMILLION)
    seen = np.concatenate([low, high, observed - half, observed + half])
    seen = seen[np.isfinite(seen)]
    if seen.size:
        pad = 0.08 * float(np.ptp(seen)) or 0.1 * abs(float(seen[0])) or 0.1
        panel.y_limits = float(seen.min()) - pad, float(seen.max()) + pad
        theme.y_ticks(panel, theme.nice_ticks(*panel.y_limits))


def nice_top(highest: float) -> float:
    """Return a round probability above the highest that is shown, for the end of an axis."""
    return next((top for top in (0.1, 0.2, 0.3, 0.4, 0.5, 0.8) if highest <= top), 1.0)


def _probability_axis(panel: Panel, top: float, *, labels: bool) -> None:
    ticks = theme.nice_ticks(0, top, count=5)
    panel.y_limits = 0, 1.02 * top
    theme.y_ticks(panel, ticks, [f"{100 * t:.0f} %" if labels else "" for t in ticks])
    panel.through_y(ticks[1:], theme.FAINT, width=0.7, level=0)
