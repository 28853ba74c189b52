"""Figures of the checks on a cohort: calibration of forecasts, sites before and after harmonisation; each with its words and its numbers."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from remanent.report import theme
from remanent.report.checks import Calibration, CalibrationCurve, SiteMeasure, Sites
from remanent.report.data_tables import DataTable, table
from remanent.report.words import NB, clean, count, minus, number, percent, span_label

MOST_SITES = 12
_SITE_IN, _GAP_IN, _TOP_IN, _BOTTOM_IN, _BETWEEN_IN = 0.22, 0.78, 0.45, 0.5, 0.35


@theme.styled
def plot_calibration(found: Calibration) -> Figure:
    """Draw observed against predicted relapse in groups of equal size by forecast, a panel per horizon."""
    width = max(2, len(found.curves))
    figure, axes = theme.row(width, height_in=2.7, gap_in=1.0, left_in=1.0)
    for axis in axes[len(found.curves) :]:
        axis.set_axis_off()
    for axis, curve in zip(axes, found.curves, strict=False):
        _draw_curve(axis, curve)
    return figure


def _draw_curve(axis: Axes, curve: CalibrationCurve) -> None:
    known = [group for group in curve.groups if np.isfinite(group.observed)]
    x, y = (np.array([getattr(group, name) for group in known]) for name in ("predicted", "observed"))
    low, high = (np.array([getattr(group, name) for group in known]) for name in ("lower", "upper"))
    axis.plot([0, 1], [0, 1], color=theme.SOFT, linewidth=1, linestyle=theme.DASHES[1])
    axis.vlines(x, low, high, color=theme.SKY, linewidth=2.5)
    theme.points(axis, x, y, "o", 6, theme.INK)
    ticks = np.linspace(0, 1, 6)
    labels = [f"{100 * tick:.0f}{NB}%" for tick in ticks]
    axis.set_xlim(-0.02, 1.02)
    axis.set_ylim(-0.02, 1.02)
    axis.set_xticks(ticks, labels)
    theme.y_ticks(axis, ticks, labels)
    axis.set_xlabel("predicted probability of relapse", fontsize=9)
    theme.head(axis, f"Relapse within {span_label(curve.horizon_days)}", "observed share, 90 % interval; dashed: ideal")


def calibration_summary(found: Calibration) -> str:
    """Return how far predicted and observed lie apart at each horizon."""
    parts = []
    for curve in found.curves:
        apart = _with_interval(curve.in_the_large, 100, "percentage points")
        slope = _with_interval(curve.slope, 1, "")
        parts.append(
            f"within {span_label(curve.horizon_days)}, {curve.relapsed} of {count(curve.patients, 'patient')} relapsed; "
            f"observed less predicted: {apart}; slope (1 is ideal): {slope}"
        )
    return ". ".join(part[0].upper() + part[1:] for part in parts) + "."


def _with_interval(parts: tuple[float, float, float], scale: float, unit: str) -> str:
    value, low, high = parts
    if not np.isfinite(value):
        return "cannot be estimated"
    digits = 0 if scale == 100 else 2
    shown = f"{minus(f'{scale * value:.{digits}f}')} {unit}".strip()
    if not np.isfinite(low):
        return f"{shown}, without an interval"
    return f"{shown} ({minus(f'{scale * low:.{digits}f}')} to {minus(f'{scale * high:.{digits}f}')})"


def calibration_table(curve: CalibrationCurve) -> DataTable:
    """Return the groups of one curve."""
    rows = [
        (
            str(k),
            str(group.forecasts),
            percent(group.predicted),
            "cannot be estimated"
            if not np.isfinite(group.observed)
            else f"{percent(group.observed)} ({percent(group.lower)} to {percent(group.upper)})",
        )
        for k, group in enumerate(curve.groups, start=1)
    ]
    heads = ("Group, lowest forecasts first", "Forecasts", "Predicted, mean", "Observed (90 % interval)")
    return table(f"Relapse within {span_label(curve.horizon_days)}", heads, rows)


@theme.styled
def plot_sites(found: Sites) -> Figure:
    """Draw each measure by site before and after: median, quartiles, 5 to 95 % of scans."""
    heights = [_SITE_IN * min(len(m.sites), MOST_SITES) for m in found.measures]
    total = sum(heights) + len(heights) * (_TOP_IN + _BOTTOM_IN)
    figure = Figure(figsize=(theme.WIDTH_IN, total))
    left, width = 1.6, (theme.WIDTH_IN - 1.6 - theme.RIGHT_IN - _BETWEEN_IN) / 2
    edge = total
    for measure, height in zip(found.measures, heights, strict=True):
        edge -= _TOP_IN + height
        both = [
            figure.add_axes(
                (
                    (left + k * (width + _BETWEEN_IN)) / theme.WIDTH_IN,
                    edge / total,
                    width / theme.WIDTH_IN,
                    height / total,
                )
            )
            for k in range(2)
        ]
        _draw_measure(both, measure)
        edge -= _BOTTOM_IN
    return figure


def _draw_measure(axes: Sequence[Axes], measure: SiteMeasure) -> None:
    everything = np.concatenate([*measure.before, *measure.after])
    low, high = float(everything.min()), float(everything.max())
    margin = 0.04 * (high - low or 1.0)
    ticks = theme.nice_ticks(low, high, count=4)
    sites = measure.sites[:MOST_SITES]
    for k, (axis, values, when) in enumerate(
        zip(axes, (measure.before, measure.after), ("before", "after"), strict=True)
    ):
        axis.set_xlim(low - margin, high + margin)
        axis.set_xticks(ticks, [minus(f"{tick:g}") for tick in ticks])
        theme.grid(axis, ticks, theme.FAINT)
        axis.set_ylim(len(sites) - 0.5, -0.5)
        theme.y_ticks(axis, range(len(sites)), [clean(s, 20) for s in sites] if k == 0 else [""] * len(sites))
        parts = np.array([np.quantile(one, (0.05, 0.25, 0.5, 0.75, 0.95)) for one in values[:MOST_SITES]]).T
        axis.hlines(range(len(sites)), parts[0], parts[4], color=theme.BLUE, linewidth=1)
        axis.hlines(range(len(sites)), parts[1], parts[3], color=theme.SKY, linewidth=4)
        theme.points(axis, parts[2], list(range(len(sites))), "o", 4.5, theme.INK)
        theme.head(axis, f"{measure.label}, {when}", "" if measure.unit == "1" else measure.unit)


def sites_summary(found: Sites) -> str:
    """Return how far the sites lie apart before and after."""
    parts = [f"{m.label}: {m.apart_before:.1f} before, {m.apart_after:.1f} after" for m in found.measures]
    return f"Distance between site means, in standard deviations within a site. {'; '.join(parts)}."


def sites_table(found: Sites) -> DataTable:
    """Return median and quartiles of every measure that is shown, by site."""
    rows = [
        (m.label, m.unit, clean(site, 40), str(len(before)), _quartiles(before), _quartiles(after))
        for m in found.measures
        for site, before, after in zip(m.sites, m.before, m.after, strict=True)
    ]
    heads = ("Measure", "Unit", "Site", "Scans", "Before: median (quartiles)", "After: median (quartiles)")
    return table("Measures by site", heads, rows)


def _quartiles(values: np.ndarray) -> str:
    low, middle, high = (number(float(q)) for q in np.quantile(values, (0.25, 0.5, 0.75)))
    return f"{middle} ({low} to {high})"
