"""The figures of a patient besides the time line: forecasts, remanence and hold, mechanisms, what was measured against what the model expects."""

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
    """Draw the probability of relapse from today under each plan: one panel per plan with its mean and 90 % band, the other plans' means in grey behind."""
    plans = forecasts.plans[:MOST_PLANS]
    if not forecasts.basis.informed or not plans:
        return _empty_figure(forecasts)
    figure, axes = theme.row(len(plans), height_in=1.9)
    top = _nice_top(max(float(np.nanmax(plan.upper, initial=0.05)) for plan in plans))
    for k, (axis, plan) in enumerate(zip(axes, plans, strict=True)):
        axis.set_xlim(0, float(np.max(plan.horizon_days, initial=28)))
        axis.set_ylim(0, top)
        _draw_forecast(axis, plan, [p for p in plans if p is not plan], k)
        _probability_ticks(axis, top, labels=k == 0)
        theme.day_axis(axis, "days from today")
    return figure


def _draw_forecast(axis: Axes, plan: Forecast, others: Sequence[Forecast], index: int) -> None:
    colour, dash = theme.PLAN_STYLE.get(plan.plan, (theme.SEQUENCE[(index + 3) % 6], 3))
    for other in others:
        axis.plot(other.horizon_days, other.mean, color="#b4bcc6", linewidth=1)
    axis.fill_between(plan.horizon_days, plan.lower, plan.upper, color=colour, alpha=0.2, linewidth=0)
    axis.plot(plan.horizon_days, plan.mean, color=colour, linestyle=theme.DASHES[dash], linewidth=2)
    axis.annotate(
        clean(plan.label, 34), (0, 1), (0, 14), xycoords="axes fraction", textcoords="offset points", fontweight="bold"
    )
    axis.annotate(
        clean(plan.doses, 46),
        (0, 1),
        (0, 3),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=8,
        color=theme.SOFT,
    )


@theme.styled
def plot_remanence(remanence: Remanence) -> Figure:
    """Draw what remains of the function, and the probability of staying well, at each horizon after all drugs are withdrawn today; means with 90 % intervals."""
    if not remanence.basis.informed or not remanence.horizon_days:
        return _empty_figure(remanence)
    figure, axes = theme.row(2, height_in=1.55, gap_in=0.75)
    _draw_points(axes[0], remanence.horizon_days, remanence.remanence, theme.BLUE, "o")
    highest = max(1.0, *(part.upper for part in remanence.remanence))
    axes[0].set_ylim(min(0.0, *(part.lower for part in remanence.remanence)), 1.05 * highest)
    theme.y_ticks(axes[0], theme.nice_ticks(*axes[0].get_ylim(), count=4))
    _head(axes[0], "Remanence", "fraction of today's function that remains")
    _draw_points(axes[1], remanence.horizon_days, remanence.hold, theme.GREEN, "s")
    axes[1].set_ylim(0, 1.05)
    _probability_ticks(axes[1], 1.0, labels=True)
    _head(axes[1], "Hold", "probability of no relapse")
    return figure


def _draw_points(axis: Axes, horizons: Sequence[float], parts: Sequence[Interval], colour: str, marker: str) -> None:
    x = np.arange(len(horizons))
    axis.vlines(x, [part.lower for part in parts], [part.upper for part in parts], color=colour, linewidth=2)
    axis.plot(
        x,
        [part.mean for part in parts],
        linestyle="none",
        marker=marker,
        markersize=7,
        color=colour,
        markeredgecolor="white",
    )
    axis.axhline(1, color=theme.SOFT, linewidth=0.6, linestyle=(0, (1, 2)), zorder=0)
    axis.set_xlim(-0.5, len(horizons) - 0.5)
    axis.set_xticks(x, [f"{h:g} d\n(wk {h / 7:.0f})" for h in horizons])
    axis.tick_params(axis="x", length=0)
    axis.set_xlabel("days after all drugs are withdrawn", fontsize=9)


@theme.styled
def plot_mechanisms(mechanisms: Mechanisms) -> Figure:
    """Draw each mechanism's probability as a bar beside its prior as an open diamond; where the data cannot tell them apart, say so instead."""
    if not mechanisms.identifiable or not mechanisms.names:
        figure, axes = theme.stack([0.8], bottom_in=0.1)
        axes[0].set_axis_off()
        axes[0].text(
            0.5,
            0.5,
            f"Not identifiable from these data.\n{clean(mechanisms.reason, 110)}",
            ha="center",
            va="center",
            color=theme.SOFT,
            transform=axes[0].transAxes,
        )
        return figure
    figure, (axis,) = theme.stack([0.3 * len(mechanisms.names) + 0.1], bottom_in=0.55, top_in=0.1)
    y = np.arange(len(mechanisms.names))
    axis.barh(y, mechanisms.probability, height=0.55, color=theme.BLUE, alpha=0.85)
    axis.plot(
        mechanisms.prior,
        y,
        linestyle="none",
        marker="D",
        markersize=7,
        markerfacecolor="white",
        markeredgecolor=theme.INK,
        markeredgewidth=1.3,
        label="prior",
    )
    for k, probability in enumerate(mechanisms.probability):
        axis.annotate(
            percent(probability),
            (max(probability, mechanisms.prior[k]), k),
            (9, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    axis.set_ylim(len(y) - 0.45, -0.55)
    axis.set_xlim(0, 1.08)
    theme.y_ticks(axis, y, mechanisms.names)
    axis.tick_params(axis="y", length=0)
    axis.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    axis.set_xlabel("probability (bar); prior (open diamond)", fontsize=9)
    return figure


@theme.styled
def plot_indicators(indicators: Sequence[Indicator], timeline: Timeline | None = None) -> Figure:
    """Draw up to six features: each value with its 90 % sampling interval against what the fitted model expects (band); values the model did not see as crosses."""
    shown = list(indicators)[:MOST_INDICATORS]
    if not shown:
        figure, axes = theme.stack([0.6], bottom_in=0.1)
        theme.message(axes[0], "No feature was measured.")
        return figure
    figure, axes = theme.stack([0.72] * len(shown), gap_in=0.2)
    span = Timeline(symptoms=(), scans=()) if timeline is None else timeline
    finite = np.concatenate([np.asarray(i.days, dtype=float) for i in shown])
    lower, upper = (
        day_range(span) if timeline is not None else (float(np.nanmin(finite)) - 7, float(np.nanmax(finite)) + 7)
    )
    for axis, indicator in zip(axes, shown, strict=True):
        axis.set_xlim(lower, upper)
        theme.day_grid(axis)
        _draw_indicator(axis, indicator)
    for axis in axes[:-1]:
        theme.no_x(axis)
    theme.day_axis(axes[-1], f"Days since {span.origin} (wk: weeks)")
    return figure


def _draw_indicator(axis: Axes, indicator: Indicator) -> None:
    theme.side_title(
        axis, indicator.label, f"{indicator.unit}; informs {indicator.informs}" if indicator.informs else indicator.unit
    )
    low, high = indicator.fitted - Z90 * indicator.fitted_sd, indicator.fitted + Z90 * indicator.fitted_sd
    axis.fill_between(indicator.days, low, high, color=theme.SKY, alpha=0.3, linewidth=0)
    axis.plot(indicator.days, indicator.fitted, color=theme.BLUE, linewidth=1.3, linestyle=theme.DASHES[1])
    use = np.asarray(indicator.usable, dtype=bool)
    half = Z90 * np.nan_to_num(indicator.se)
    axis.vlines(
        indicator.days[use],
        (indicator.observed - half)[use],
        (indicator.observed + half)[use],
        color=theme.INK,
        linewidth=1.1,
    )
    axis.plot(
        indicator.days[use], indicator.observed[use], linestyle="none", marker="o", markersize=4.2, color=theme.INK
    )
    axis.plot(
        indicator.days[~use],
        indicator.observed[~use],
        linestyle="none",
        marker="x",
        markersize=5,
        markeredgewidth=1.5,
        color=theme.VERMILLION,
    )
    seen = np.concatenate([low, high, indicator.observed - half, indicator.observed + half])
    seen = seen[np.isfinite(seen)]
    if seen.size:
        pad = 0.08 * float(np.ptp(seen)) or 0.1 * abs(float(seen[0])) or 0.1
        axis.set_ylim(float(seen.min()) - pad, float(seen.max()) + pad)
        theme.y_ticks(axis, theme.nice_ticks(float(seen.min()), float(seen.max())))


# ---------------------------------------------------------------------------------------------------- small parts


def _empty_figure(result: Forecasts | Remanence) -> Figure:
    figure, axes = theme.stack([0.8], bottom_in=0.1)
    theme.unsaid(axes[0], result.basis)
    return figure


def _head(axis: Axes, title: str, unit: str) -> None:
    theme.note(axis, title, (0, 1), (0, 17), coords="axes fraction", fontweight="bold")
    theme.note(axis, unit, (0, 1), (0, 6), coords="axes fraction", fontsize=8.5, color=theme.SOFT)


def _nice_top(highest: float) -> float:
    return next((top for top in (0.1, 0.2, 0.25, 0.5, 0.75) if highest <= top), 1.0)


def _probability_ticks(axis: Axes, top: float, *, labels: bool) -> None:
    ticks = np.linspace(0, top, 6 if top in {0.1, 0.25, 0.5, 1.0} else 5 if top == 0.2 else 4)
    theme.y_ticks(axis, ticks, [f"{100 * t:.0f} %" if labels else "" for t in ticks])
    for tick in ticks[1:]:
        axis.axhline(tick, color=theme.FAINT, linewidth=0.7, zorder=0)
