"""The one figure of a patient's course: what was done, what was observed, what the model makes of it, on one time axis."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from remanent.report import theme
from remanent.report.lanes import LANE_IN, MOST_EVENTS, class_colours, draw_lanes, lanes
from remanent.report.sheet import Panel, Sheet
from remanent.report.views import Series, States, Timeline
from remanent.report.words import class_label, clean, minus

MOST_SYMPTOMS, MOST_LABS, MOST_SLEEP = 3, 2, 2
LONGEST_LEAD_DAYS, LEAST_WITHDRAWAL = 56.0, 0.005
Z90 = 1.6448536269514722

LEVEL: dict[str, Any] = {"across": "right", "size": 8.0, "colour": theme.GREEN_TEXT}

Drawing = tuple[float, Callable[[Panel], None]]


def plot_timeline(timeline: Timeline, states: States | None = None) -> Sheet:
    """Draw ECT, scans, events, doses, exposure, symptoms, labs, sleep and, where data inform them, function and structure with 90 % bands.

    Panels that have nothing to show are left out. Time is in days (weeks below), with a line at day 0, at a relapse and at the last record.

    Parameters
    ----------
    timeline
        What was done and observed.
    states
        Posterior states; drawn only if their basis says that data inform them.
    """
    lower, upper = day_range(timeline, states)
    drawings = _panels(timeline, states, (lower, upper))
    if not drawings:
        return theme.message("Nothing dated was recorded.")
    sheet, panels = theme.stack([height for height, _ in drawings], top_in=0.3)
    for panel, (_, draw) in zip(panels, drawings, strict=True):
        panel.x_limits = lower, upper
        theme.day_grid(panel)
        draw(panel)
        _mark_days(panel, timeline)
    for panel in panels[:-1]:
        theme.no_x(panel)
    _name_marks(panels[0], timeline)
    theme.day_axis(panels[-1], f"Days since {timeline.origin} (wk: weeks)")
    return sheet


def plot_states(states: States) -> Sheet:
    """Draw function and structure alone, with 90 % bands, and withdrawal where there is any; only for states that data inform."""
    lower, upper = day_range(Timeline(), states)
    drawings = _state_panels(states)
    sheet, panels = theme.stack([height for height, _ in drawings])
    for panel, (_, draw) in zip(panels, drawings, strict=True):
        panel.x_limits = lower, upper
        theme.day_grid(panel)
        draw(panel)
    for panel in panels[:-1]:
        theme.no_x(panel)
    theme.day_axis(panels[-1], f"Days since {Timeline().origin} (wk: weeks)")
    return sheet


def _state_panels(states: States) -> list[Drawing]:
    panels: list[Drawing] = [(1.45, partial(_draw_states, states))]
    if np.nanmax(np.abs(states.withdrawal_mean), initial=0) > LEAST_WITHDRAWAL:
        panels.append((0.5, partial(_draw_withdrawal, states)))
    return panels


def day_range(timeline: Timeline, states: States | None = None) -> tuple[float, float]:
    """Return the first and last day to draw, with a margin of 2 %; a dose that began long ago does not stretch the axis."""
    curves = [s.days for s in (*timeline.symptoms, *timeline.labs, *timeline.sleep)] + [
        c.days for c in timeline.exposure
    ]
    single = [s.day for s in timeline.ect] + [s.day for s in timeline.scans] + [e.day for e in timeline.events]
    modelled = [states.days] if states is not None and states.basis.informed else []
    days = np.concatenate([np.asarray(d, dtype=float) for d in (*curves, *modelled, single, [timeline.today])])
    days = days[np.isfinite(days)]
    edges = np.array([edge for dose in timeline.doses for edge in (dose.start_day, dose.stop_day) if np.isfinite(edge)])
    if days.size:
        edges = np.clip(edges, days.min() - LONGEST_LEAD_DAYS, max(days.max(), 0.0))
    days = np.concatenate([days, edges])
    if not days.size:
        return -7.0, 28.0
    lower, upper = float(days.min()), max(float(days.max()), float(days.min()) + 14)
    margin = 0.02 * (upper - lower)
    return lower - margin, upper + margin


def _panels(timeline: Timeline, states: States | None, span: tuple[float, float]) -> list[Drawing]:
    rows = lanes(timeline, span)
    panels: list[Drawing] = [(LANE_IN * len(rows), partial(draw_lanes, rows))] if rows else []
    if timeline.exposure:
        panels.append((max(0.75, 0.4 + 0.155 * len(timeline.exposure)), partial(_draw_exposure, timeline)))
    panels += [(0.85, partial(_draw_series, series, k)) for k, series in enumerate(timeline.symptoms[:MOST_SYMPTOMS])]
    others = [*timeline.labs[:MOST_LABS], *timeline.sleep[:MOST_SLEEP]]
    panels += [(0.5, partial(_draw_series, series, k + 3)) for k, series in enumerate(others)]
    if states is not None and states.basis.informed and states.days.size:
        panels += _state_panels(states)
    return panels


def _draw_exposure(timeline: Timeline, panel: Panel) -> None:
    colours = class_colours(timeline)
    theme.side_title(panel, "Exposure", "1 = usual full dose")
    top = max([1.0, *(float(np.nanmax(curve.exposure, initial=0)) for curve in timeline.exposure)])
    panel.y_limits = 0, 1.08 * top
    theme.y_ticks(panel, [0, 1])
    for curve in timeline.exposure:
        colour, dash = colours[curve.drug_class]
        panel.line(curve.days, curve.exposure, colour, dash=theme.DASHES[dash], width=1.6)
    theme.side_keys(panel, [(class_label(c.drug_class), *colours[c.drug_class]) for c in timeline.exposure])


def _draw_series(series: Series, index: int, panel: Panel) -> None:
    worse = {"higher_is_worse": ", higher is worse", "higher_is_better": ", higher is better"}.get(series.direction, "")
    theme.side_title(panel, series.label, f"{series.unit}{worse}")
    levels = [level.value for level in series.thresholds]
    seen = np.array([*np.asarray(series.values, dtype=float), *levels])
    seen = seen[np.isfinite(seen)]
    lowest, highest = float(seen.min(initial=np.inf)), float(seen.max(initial=-np.inf))
    floor = series.minimum if np.isfinite(series.minimum) else lowest
    if seen.size:
        pad = 0.14 * (highest - floor) or 0.1 * abs(floor) or 1.0
        panel.y_limits = floor - (0.3 if np.isfinite(series.minimum) else 1) * pad, highest + pad
        theme.y_ticks(panel, theme.nice_ticks(*panel.y_limits, count=3 if np.isfinite(series.minimum) else 2))
    marker = theme.MARKERS[index % len(theme.MARKERS)]
    panel.line(series.days, series.values, theme.INK, width=1)
    panel.points(series.days, series.values, marker, 3.8, theme.INK)
    for level in series.thresholds:
        panel.through_y(level.value, theme.GREEN, width=0.9, dash=(4, 3), level=1)
        panel.words(clean(level.label, 40), 1, level.value, offset=(-2, 2), frame="FD", **LEVEL)


def _draw_states(states: States, panel: Panel) -> None:
    theme.side_title(panel, "Function, structure", "0: before treatment, 1: mean gain after ECT")
    parts = (
        ("function", states.function_mean, states.function_sd, theme.BLUE, 0),
        ("structure", states.structure_mean, states.structure_sd, theme.VERMILLION, 1),
    )
    lows, highs = [-0.1], [1.1]
    for _, mean, sd, colour, dash in parts:
        low, high = mean - Z90 * sd, mean + Z90 * sd
        panel.band(states.days, low, high, colour, 0.16)
        panel.line(states.days, mean, colour, dash=theme.DASHES[dash], width=1.7)
        lows.append(float(np.nanmin(low, initial=0)))
        highs.append(float(np.nanmax(high, initial=1)))
    for level in (0, 1):
        panel.through_y(level, theme.SOFT, width=0.6, dash=(1, 2), level=1)
    panel.y_limits = max(min(lows), -2), min(max(highs), 3)
    theme.y_ticks(panel, theme.nice_ticks(*panel.y_limits, count=4))
    theme.side_keys(panel, [(name, colour, dash) for name, _, _, colour, dash in parts], below_in=0.66)


def _draw_withdrawal(states: States, panel: Panel) -> None:
    theme.side_title(panel, "Withdrawal", "transient, not relapse")
    panel.band(states.days, 0, states.withdrawal_mean, theme.PURPLE, 0.35)
    panel.line(states.days, states.withdrawal_mean, theme.INK, width=1.2)
    top = max(float(np.nanmax(states.withdrawal_mean, initial=0)), 0.1)
    panel.y_limits = 0, 1.15 * top
    theme.y_ticks(panel, theme.nice_ticks(0, top, count=2))


def _mark_days(panel: Panel, timeline: Timeline) -> None:
    for event in timeline.events[:MOST_EVENTS]:
        if event.event == "relapse":
            panel.through_x(event.day, theme.VERMILLION, width=1, dash=(3, 2), level=1)
    if np.isfinite(timeline.today):
        panel.through_x(timeline.today, theme.INK, width=0.9, dash=(1, 1.5), level=1)


def _name_marks(panel: Panel, timeline: Timeline) -> None:
    above: dict[str, Any] = {"frame": "DF", "size": 8.5}
    lower, upper = panel.x_limits
    crowded = np.isfinite(timeline.today) and abs(timeline.today) < 0.15 * (upper - lower)
    if lower <= 0 <= upper and not crowded:
        panel.words("day 0", 0, 1, offset=(0, 5), colour=theme.SOFT, across="center", **above)
    if np.isfinite(timeline.today):
        label = minus(f"today: day {timeline.today:.0f}")
        panel.words(label, timeline.today, 1, offset=(6, 5), bold=True, across="right", **above)
