"""One small figure as SVG, written directly: the what-if answers several times a second, and matplotlib takes as long for one figure as a whole answer may.

Measured and argued in docs/decisions/0055-what-if-charts.md. Same colours, dashes and words as the reports' figures.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from remanent.report import theme
from remanent.report.words import clean

WIDTH, HEIGHT = 640, 250
LEFT, RIGHT, TOP, BOTTOM = 48, 150, 12, 42
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


STYLES = (
    (theme.BLUE, ""),
    (theme.GREEN, "7 3"),
    (theme.VERMILLION, "2 2"),
)


def relapse_chart(curves: Sequence[Curve], key: str, title: str, summary: str) -> str:
    """Probability of relapse over the days from today; at most three curves, named at their ends."""
    top = _nice_top(max((float(np.max(c.upper if c.band else c.mean)) for c in curves), default=0.5))
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{key}-title {key}-desc" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="{theme.INK}">'
        f'<title id="{key}-title">{escape(clean(title, 200))}</title><desc id="{key}-desc">{escape(clean(summary, 2000))}</desc>'
    )
    bands = "".join(_band(curve, top) for curve in curves if curve.band)
    lines = "".join(_line(curve, top) for curve in curves)
    return head + _axes(top) + bands + lines + _names(curves, top) + "</svg>"


def _nice_top(highest: float) -> float:
    return next((top for top in (0.1, 0.2, 0.3, 0.4, 0.5, 0.8) if highest <= top), 1.0)


def _x(days: np.ndarray | float) -> np.ndarray:
    return LEFT + (WIDTH - LEFT - RIGHT) * np.asarray(days, dtype=float) / TICKS_DAYS[-1]


def _y(p: np.ndarray | float, top: float) -> np.ndarray:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * np.asarray(p, dtype=float) / top


def _points(x: np.ndarray, y: np.ndarray) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))


def _band(curve: Curve, top: float) -> str:
    x = np.concatenate([_x(curve.days), _x(curve.days)[::-1]])
    y = np.concatenate([_y(curve.upper, top), _y(curve.lower, top)[::-1]])
    return f'<polygon points="{_points(x, y)}" fill="{STYLES[curve.style][0]}" fill-opacity="0.16"/>'


def _line(curve: Curve, top: float) -> str:
    colour, dash = STYLES[curve.style]
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    points = _points(_x(curve.days), _y(curve.mean, top))
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.2"{dashes}/>'


def _names(curves: Sequence[Curve], top: float) -> str:
    """Names at the curves' ends, moved apart where they would touch."""
    ends = sorted(((float(_y(c.mean[-1], top)), c) for c in curves), key=lambda pair: pair[0])
    text, last = "", -np.inf
    for y, curve in ends:
        last = max(y, last + 15, TOP + 8)
        colour = {theme.GREEN: theme.GREEN_TEXT, theme.VERMILLION: theme.RED_TEXT}.get(
            STYLES[curve.style][0], "#00558a"
        )
        text += (
            f'<text x="{WIDTH - RIGHT + 8}" y="{last + 4:.1f}" fill="{colour}" font-weight="600">'
            f"{escape(clean(curve.label, 22))}</text>"
        )
    return text


def _axes(top: float) -> str:
    ticks = theme.nice_ticks(0, top, count=5)
    parts = []
    for value in ticks:
        y = float(_y(value, top))
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{theme.FAINT}"/>'
            f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{100 * value:.0f} %</text>'
        )
    for day in TICKS_DAYS:
        x = float(_x(day))
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{day}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle:.0f}" y="{HEIGHT - 8}" text-anchor="middle">days from today</text>')
    return "".join(parts)
