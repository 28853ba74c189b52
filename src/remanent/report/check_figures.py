"""Figures of the checks on a cohort: calibration of forecasts, sites before and after harmonisation; each with its words and its numbers."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from remanent.report import theme
from remanent.report.checks import Calibration, CalibrationCurve, SiteMeasure, Sites
from remanent.report.data_tables import DataTable, table
from remanent.report.sheet import INCH, Panel, Sheet
from remanent.report.words import NB, clean, count, minus, number, percent, span_label, unit_label

MOST_SITES = 12
_SITE_IN, _TOP_IN, _BOTTOM_IN, _BETWEEN_IN = 0.22, 0.45, 0.5, 0.35


def plot_calibration(found: Calibration) -> Sheet:
    """Draw observed against predicted relapse in groups of equal size by forecast, a panel per horizon."""
    width = max(2, len(found.curves))
    sheet, panels = theme.row(width, height_in=2.7, gap_in=1.0, left_in=1.0)
    for panel, curve in zip(panels, found.curves, strict=False):
        _draw_curve(panel, curve)
    return replace(sheet, panels=tuple(panels[: len(found.curves)]))


def _draw_curve(panel: Panel, curve: CalibrationCurve) -> None:
    known = [group for group in curve.groups if np.isfinite(group.observed)]
    x, y = (np.array([getattr(group, name) for group in known]) for name in ("predicted", "observed"))
    low, high = (np.array([getattr(group, name) for group in known]) for name in ("lower", "upper"))
    panel.line([0, 1], [0, 1], theme.SOFT, width=1, dash=theme.DASHES[1])
    panel.upright(x, low, high, theme.SKY, width=2.5)
    panel.points(x, y, "o", 6, theme.INK)
    ticks = np.linspace(0, 1, 6)
    labels = [f"{100 * tick:.0f}{NB}%" for tick in ticks]
    panel.x_limits = panel.y_limits = -0.02, 1.02
    theme.x_ticks(panel, ticks, labels)
    theme.y_ticks(panel, ticks, labels)
    panel.x_label = "predicted probability of relapse"
    theme.head(
        panel, f"Relapse within {span_label(curve.horizon_days)}", "observed share, 90 % interval; dashed: ideal"
    )


def calibration_summary(found: Calibration) -> str:
    """Return how far predicted and observed lie apart at each horizon, counted by forecast."""
    parts = []
    for curve in found.curves:
        apart = _with_interval(curve.in_the_large, 100, "percentage points")
        slope = _with_interval(curve.slope, 1, "")
        parts.append(
            f"within {span_label(curve.horizon_days)}, {_both(curve)}; observed less predicted: {apart}; slope (1 is ideal): {slope}"
        )
    return ". ".join(part[0].upper() + part[1:] for part in parts) + "."


def _both(curve: CalibrationCurve) -> str:
    """What was forecast and what came, of the same forecasts."""
    made = f"{count(curve.forecasts, 'forecast')} for {count(curve.patients, 'patient')}: relapse predicted in {percent(curve.predicted)}"
    observed = curve.predicted + curve.in_the_large[0]
    return f"{made}, observed in {percent(observed)} (weighed for censoring)" if np.isfinite(observed) else made


def calibration_verdict(found: Calibration, horizon_days: float) -> str:
    """Return that forecasts within the horizon were too low or too high, where observed and predicted lie apart beyond their interval; else nothing."""
    curve = _at(found, horizon_days)
    if curve is None or not (curve.in_the_large[1] > 0 or curve.in_the_large[2] < 0):
        return ""
    way = "low" if curve.in_the_large[0] > 0 else "high"
    return f"In this study forecasts of relapse within {span_label(horizon_days)} were too {way}"


def calibration_caution(found: Calibration, horizon_days: float) -> str:
    """Return the same with the numbers, for a reader who sees forecasts and not the section on calibration."""
    verdict, curve = calibration_verdict(found, horizon_days), _at(found, horizon_days)
    if not verdict or curve is None:
        return ""
    return (
        f"{verdict}. By models that had not seen the patient, {_both(curve)}; observed less predicted: "
        f"{_with_interval(curve.in_the_large, 100, 'percentage points')}. Read every forecast and every hold here with that in mind"
    )


def _at(found: Calibration, horizon_days: float) -> CalibrationCurve | None:
    return next((one for one in found.curves if one.horizon_days == horizon_days), None)


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


def plot_sites(found: Sites) -> Sheet:
    """Draw each measure by site before and after: median, quartiles, 5 to 95 % of scans."""
    heights = [_SITE_IN * min(len(m.sites), MOST_SITES) for m in found.measures]
    total = sum(heights) + len(heights) * (_TOP_IN + _BOTTOM_IN)
    left, width = 1.6, (theme.WIDTH_IN - 1.6 - theme.RIGHT_IN - _BETWEEN_IN) / 2
    panels: list[Panel] = []
    edge = 0.0
    for measure, height in zip(found.measures, heights, strict=True):
        edge += _TOP_IN
        lefts = [left + k * (width + _BETWEEN_IN) for k in range(2)]
        both = [Panel(at * INCH, edge * INCH, width * INCH, height * INCH) for at in lefts]
        _draw_measure(both, measure)
        panels += both
        edge += height + _BOTTOM_IN
    return Sheet(theme.WIDTH_IN * INCH, total * INCH, tuple(panels))


def _draw_measure(panels: Sequence[Panel], measure: SiteMeasure) -> None:
    everything = np.concatenate([*measure.before, *measure.after])
    low, high = float(everything.min()), float(everything.max())
    margin = 0.04 * (high - low or 1.0)
    ticks = theme.nice_ticks(low, high, count=4)
    sites = measure.sites[:MOST_SITES]
    for k, (panel, values, when) in enumerate(
        zip(panels, (measure.before, measure.after), ("before", "after"), strict=True)
    ):
        panel.x_limits = low - margin, high + margin
        theme.x_ticks(panel, ticks)
        theme.grid(panel, ticks, theme.FAINT)
        panel.y_limits = len(sites) - 0.5, -0.5
        theme.y_ticks(panel, range(len(sites)), [clean(s, 20) for s in sites] if k == 0 else [""] * len(sites))
        parts = np.array([np.quantile(one, (0.05, 0.25, 0.5, 0.75, 0.95)) for one in values[:MOST_SITES]]).T
        rows = np.arange(len(sites))
        panel.lying(rows, parts[0], parts[4], theme.BLUE, width=1)
        panel.lying(rows, parts[1], parts[3], theme.SKY, width=4)
        panel.points(parts[2], rows, "o", 4.5, theme.INK)
        theme.head(panel, f"{measure.label}, {when}", unit_label(measure.unit))


def sites_summary(found: Sites) -> str:
    """Return how far the sites lie apart before and after."""
    parts = [f"{m.label}: {m.apart_before:.1f} before, {m.apart_after:.1f} after" for m in found.measures]
    return f"Distance between site means, in standard deviations within a site. {'; '.join(parts)}."


def sites_table(found: Sites) -> DataTable:
    """Return median and quartiles of every measure that is shown, by site."""
    rows = [
        (
            m.label,
            unit_label(m.unit) or "1",
            clean(site, 40),
            str(len(before)),
            _quartiles(before),
            _quartiles(after),
        )
        for m in found.measures
        for site, before, after in zip(m.sites, m.before, m.after, strict=True)
    ]
    heads = ("Measure", "Unit", "Site", "Scans", "Before: median (quartiles)", "After: median (quartiles)")
    return table("Measures by site", heads, rows)


def _quartiles(values: np.ndarray) -> str:
    low, middle, high = (number(float(q)) for q in np.quantile(values, (0.25, 0.5, 0.75)))
    return f"{middle} ({low} to {high})"
