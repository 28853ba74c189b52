"""The figure of what-if and of two plans compared: curves of relapse probability, named at their ends."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from remanent.report import theme
from remanent.report.figures import nice_top
from remanent.report.sheet import Panel, Sheet
from remanent.report.svg import svg
from remanent.report.words import clean

WIDTH, HEIGHT = 480.0, 187.0  # points
LEFT, RIGHT, TOP, BOTTOM = 36.0, 112.0, 9.0, 32.0
NAME_STEP, NAME_SIZE = 11.5, 9.0
TICKS_DAYS = (0, 91, 182, 273, 364)


@dataclass(frozen=True)
class Curve:
    """One line with its 90 % band; `style` is the index of colour and dash."""

    label: str
    days: np.ndarray
    mean: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    style: int = 0
    band: bool = True


# colour of the line, dash, colour of the name
STYLES = (
    (theme.BLUE, 0, theme.BLUE_TEXT),
    (theme.GREEN, 1, theme.GREEN_TEXT),
    (theme.VERMILLION, 2, theme.RED_TEXT),
)


def top_of(curves: Sequence[Curve]) -> float:
    """Where the axis of a figure of these curves ends: a round probability."""
    return nice_top(max((float(np.max(c.upper if c.band else c.mean)) for c in curves), default=0.5))


def relapse_chart(curves: Sequence[Curve], top: float, key: str, title: str, summary: str) -> Markup:
    """Probability of relapse, up to `top`, over the days from today, as SVG; at most three curves."""
    panel = Panel(LEFT, TOP, WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM, wall=False, floor=False)
    panel.x_limits, panel.y_limits, panel.x_label = (0, TICKS_DAYS[-1]), (0, top), "days from today"
    ticks = theme.nice_ticks(0, top, count=5)
    panel.through_y(ticks, theme.FAINT, width=0.7, level=0)
    theme.x_ticks(panel, TICKS_DAYS, stub=False)
    theme.y_ticks(panel, ticks, [f"{100 * value:.0f} %" for value in ticks], stub=False)
    for curve in curves:
        colour, dash, _ = STYLES[curve.style]
        if curve.band:
            panel.band(curve.days, curve.lower, curve.upper, colour, 0.16)
        panel.line(curve.days, curve.mean, colour, dash=theme.DASHES[dash], width=1.7)
    _name(panel, curves)
    return svg(Sheet(WIDTH, HEIGHT, (panel,)), key, title, summary)


def _name(panel: Panel, curves: Sequence[Curve]) -> None:
    """Write names at the curves' ends, moved apart where they would touch."""
    lowest = panel.y_limits[1] - 6 * panel.y_limits[1] / panel.height
    step = NAME_STEP * panel.y_limits[1] / panel.height
    last = np.inf
    for curve in sorted(curves, key=lambda one: -one.mean[-1]):
        last = min(float(curve.mean[-1]), last - step, lowest)
        look = {"size": NAME_SIZE, "bold": True, "colour": STYLES[curve.style][2]}
        panel.words(clean(curve.label, 22), 1, last, offset=(6, 0), frame="FD", upright="center", **look)
