"""A patient's figures besides the time line: forecasts, remanence and hold, mechanisms, features against what the model expects."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from remanent.report import theme
from remanent.report.timeline import Z90, day_range
from remanent.report.views import Forecast, Forecasts, Indicator, Interval, Mechanisms, Remanence, Timeline
from remanent.report.words import clean, percent

MOST_INDICATORS, MOST_PLANS = 6, 4


@theme.styled
def plot_forecasts(forecasts: Forecasts) -> Figure:
    """Draw the probability of relapse from today, one panel per plan: mean and 90 % band, with the other plans' means in grey behind.

    Where the data do not inform the forecasts, the figure says so and draws nothing.
    """
    plans = forecasts.plans[:MOST_PLANS]
    if not forecasts.basis.informed or not plans:
        return theme.unsaid(forecasts.basis)
    figure, axes = theme.row(len(plans), height_in=1.9, gap_in=0.45)
    top = _nice_top(max(float(np.nanmax(plan.upper, initial=0.05)) for plan in plans))
    for k, (axis, plan) in enumerate(zip(axes, plans, strict=True)):
        axis.set_xlim(0, float(np.max(plan.horizon_days, initial=28)))
        _probability_axis(axis, top, labels=k == 0)
        _draw_forecast(axis, plan, [p for p in plans if p is not plan], k)
        theme.day_axis(axis, "days from today", most=5)
    return figure


def _draw_forecast(axis: Axes, plan: Forecast, others: Sequence[Forecast], index: int) -> None:
    colour, dash = theme.PLAN_STYLE.get(plan.plan, (theme.SEQUENCE[(index + 3) % 6], 3))
    for other in others:
        axis.plot(other.horizon_days, other.mean, color=theme.GREY, linewidth=1)
    axis.fill_between(plan.horizon_days, plan.lower, plan.upper, color=colour, alpha=0.2, linewidth=0)
    axis.plot(plan.horizon_days, plan.mean, color=colour, linestyle=theme.DASHES[dash], linewidth=2)
    theme.head(axis, plan.label, plan.doses)


@theme.styled
def plot_remanence(remanence: Remanence) -> Figure:
    """Draw, at each horizon after all drugs are withdrawn today, what remains of the function and the probability of no relapse (mean, 90 % interval).

    Where the data do not inform them, the figure says so and draws nothing.
    """
    if not remanence.basis.informed or not remanence.horizon_days:
        return theme.unsaid(remanence.basis)
    figure, (left, right) = theme.row(2, height_in=1.55, gap_in=0.75)
    lowest = min(0.0, *(part.lower for part in remanence.remanence))
    left.set_ylim(lowest, 1.05 * max(1.0, *(part.upper for part in remanence.remanence)))
    theme.y_ticks(left, theme.nice_ticks(*left.get_ylim(), count=4))
    left.axhline(1, color=theme.SOFT, linewidth=0.6, linestyle=theme.DASHES[2], zorder=0)
    _draw_intervals(left, remanence.horizon_days, remanence.remanence, theme.BLUE, "o")
    theme.head(left, "Remanence", "fraction of today's function that remains")
    _probability_axis(right, 1.0, labels=True)
    _draw_intervals(right, remanence.horizon_days, remanence.hold, theme.GREEN, "s")
    theme.head(right, "Hold", "probability of no relapse")
    return figure


def _draw_intervals(axis: Axes, horizons: Sequence[float], parts: Sequence[Interval], colour: str, marker: str) -> None:
    x = np.arange(len(horizons))
    axis.vlines(x, [part.lower for part in parts], [part.upper for part in parts], color=colour, linewidth=2)
    theme.points(axis, x, [part.mean for part in parts], marker, 7, colour)
    axis.set_xlim(-0.5, len(horizons) - 0.5)
    axis.set_xticks(x, [f"{h:g}\nwk {h / 7:.0f}" for h in horizons])
    axis.tick_params(axis="x", length=0)
    axis.set_xlabel("days after all drugs are withdrawn", fontsize=9)


@theme.styled
def plot_mechanisms(mechanisms: Mechanisms) -> Figure:
    """Draw each mechanism's probability as a bar, its prior as an open diamond; where the data cannot tell them apart, say so instead."""
    if not mechanisms.identifiable or not mechanisms.names:
        return theme.message(f"Not identifiable from these data.\n{clean(mechanisms.reason, 110)}")
    figure, (axis,) = theme.stack([0.3 * len(mechanisms.names) + 0.1], bottom_in=0.5)
    y = np.arange(len(mechanisms.names))
    axis.barh(y, mechanisms.probability, height=0.55, color=theme.BLUE, alpha=0.85)
    theme.points(axis, mechanisms.prior, y, "D", 7, "white", edge=theme.INK)
    for k, (probability, prior) in enumerate(zip(mechanisms.probability, mechanisms.prior, strict=True)):
        theme.note(axis, percent(probability), (1.06, k), va="center", ha="right", fontweight="bold")
        theme.note(axis, f"prior {percent(prior)}", (1.08, k), va="center", color=theme.SOFT, fontsize=8.5)
    axis.set_ylim(len(y) - 0.45, -0.55)
    axis.set_xlim(0, 1.2)
    theme.y_ticks(axis, y, mechanisms.names)
    axis.tick_params(axis="y", length=0)
    axis.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    axis.set_xlabel("probability (bar); prior (open diamond)", fontsize=9)
    return figure


@theme.styled
def plot_indicators(indicators: Sequence[Indicator], timeline: Timeline | None = None) -> Figure:
    """Draw up to six features over time: each value with its 90 % sampling interval against the model's expectation (90 % band).

    Values the model did not use are crosses. `timeline` gives the same time axis as the patient's other figure.
    """
    shown = list(indicators)[:MOST_INDICATORS]
    if not shown:
        return theme.message("No feature was measured.")
    figure, axes = theme.stack([0.72] * len(shown), gap_in=0.2)
    days = np.concatenate([np.asarray(i.days, dtype=float) for i in shown])
    lower, upper = (float(days.min()) - 7, float(days.max()) + 7) if timeline is None else day_range(timeline)
    for axis, indicator in zip(axes, shown, strict=True):
        axis.set_xlim(lower, upper)
        theme.day_grid(axis)
        _draw_indicator(axis, indicator)
    for axis in axes[:-1]:
        theme.no_x(axis)
    theme.day_axis(axes[-1], f"Days since {(timeline or Timeline()).origin} (wk: weeks)")
    return figure


def _draw_indicator(axis: Axes, indicator: Indicator) -> None:
    informs = f"; informs {indicator.informs}" if indicator.informs else ""
    theme.side_title(axis, indicator.label, f"{indicator.unit}{informs}")
    days, observed, use = indicator.days, indicator.observed, np.asarray(indicator.usable, dtype=bool)
    low, high = indicator.fitted - Z90 * indicator.fitted_sd, indicator.fitted + Z90 * indicator.fitted_sd
    half = Z90 * np.nan_to_num(indicator.se)
    axis.fill_between(days, low, high, color=theme.SKY, alpha=0.3, linewidth=0)
    axis.plot(days, indicator.fitted, color=theme.BLUE, linewidth=1.3, linestyle=theme.DASHES[1])
    axis.vlines(days[use], (observed - half)[use], (observed + half)[use], color=theme.INK, linewidth=1.1)
    theme.points(axis, days[use], observed[use], "o", 4.2, theme.INK)
    theme.points(axis, days[~use], observed[~use], "x", 5, theme.VERMILLION)
    seen = np.concatenate([low, high, observed - half, observed + half])
    seen = seen[np.isfinite(seen)]
    if seen.size:
        pad = 0.08 * float(np.ptp(seen)) or 0.1 * abs(float(seen[0])) or 0.1
        axis.set_ylim(float(seen.min()) - pad, float(seen.max()) + pad)
        theme.y_ticks(axis, theme.nice_ticks(*axis.get_ylim()))


def _nice_top(highest: float) -> float:
    return next((top for top in (0.1, 0.2, 0.3, 0.4, 0.5, 0.8) if highest <= top), 1.0)


def _probability_axis(axis: Axes, top: float, *, labels: bool) -> None:
    ticks = theme.nice_ticks(0, top, count=5)
    axis.set_ylim(0, 1.02 * top)
    theme.y_ticks(axis, ticks, [f"{100 * t:.0f} %" if labels else "" for t in ticks])
    axis.hlines(ticks[1:], 0, 1, colors=theme.FAINT, linewidth=0.7, zorder=0, transform=axis.get_yaxis_transform())
