"""How figures look: one set-up for all of them, colours that colour-blind readers can tell apart, and never colour alone.

Colours: Okabe and Ito, Color Universal Design (2008), jfly.uni-koeln.de/color.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from textwrap import wrap
from typing import Any, ParamSpec

import numpy as np
from cycler import cycler
from jaxtyping import Float
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from remanent.report.views import Basis
from remanent.report.words import clean, minus, week

INK, SOFT, GREY, FAINT = "#1c2430", "#556070", "#b4bcc6", "#d9dee5"
BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9"
RED_TEXT, GREEN_TEXT = "#a63603", "#00664a"  # vermillion and green, dark enough for text (4.5:1 on white)
SEQUENCE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
DASHES: tuple[tuple[float, tuple[float, ...]], ...] = (
    (0, ()),
    (0, (5, 2)),
    (0, (1.5, 1.5)),
    (0, (6, 2, 1.5, 2)),
    (0, (8, 3)),
)
MARKERS = ("o", "s", "^", "D", "v", "P")
PLAN_STYLE: dict[Any, Any] = {"continue": (BLUE, 0), "taper": (GREEN, 1), "stop": (VERMILLION, 2)}

WIDTH_IN, LEFT_IN, RIGHT_IN = 9.6, 2.0, 0.2

_STYLE: dict[Any, Any] = {
    "font.size": 9.5,
    "font.family": ["DejaVu Sans"],
    "text.color": INK,
    "text.parse_math": False,  # text from studies may hold dollars
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.prop_cycle": cycler(color=[INK]),  # every colour is chosen; a long cycle is only copied
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "figure.dpi": 72,
    "figure.facecolor": "white",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}

P = ParamSpec("P")


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw under the house style; matplotlib's own settings are as before afterwards."""

    @wraps(draw)
    def inner(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with rc_context(_STYLE):
            return draw(*args, **kwargs)

    return inner


def stack(
    heights_in: Sequence[float], *, gap_in: float = 0.16, top_in: float = 0.1, bottom_in: float = 0.62
) -> tuple[Figure, list[Axes]]:
    """Return a figure of panels one below the other, all with the same x axis, room for titles on the left and for one x label below."""
    total = top_in + bottom_in + sum(heights_in) + gap_in * (len(heights_in) - 1)
    figure = Figure(figsize=(WIDTH_IN, total))
    axes, edge = [], total - top_in
    for height in heights_in:
        box = (LEFT_IN / WIDTH_IN, (edge - height) / total, 1 - (LEFT_IN + RIGHT_IN) / WIDTH_IN, height / total)
        axes.append(figure.add_axes(box))
        edge -= height + gap_in
    return figure, axes


def row(
    count: int, *, height_in: float, gap_in: float = 0.3, left_in: float = 0.55, top_in: float = 0.42
) -> tuple[Figure, list[Axes]]:
    """Return a figure of `count` equal panels side by side."""
    bottom_in = 0.62
    total = height_in + top_in + bottom_in
    width = (WIDTH_IN - left_in - RIGHT_IN - gap_in * (count - 1)) / count
    figure = Figure(figsize=(WIDTH_IN, total))
    boxes = ((left_in + k * (width + gap_in), bottom_in, width, height_in) for k in range(count))
    return figure, [figure.add_axes((x / WIDTH_IN, y / total, w / WIDTH_IN, h / total)) for x, y, w, h in boxes]


def note(axes: Axes, text: str, at: tuple[float, float], offset: tuple[float, float] = (0, 0), **style: Any) -> None:
    """Write text at a place, shifted by `offset` points; `coords` (default data, data) as matplotlib's `xycoords`."""
    coords = style.pop("coords", "data")
    axes.annotate(text, at, offset, xycoords=coords, textcoords="offset points", annotation_clip=False, **style)


def points(
    axes: Axes,
    x: Sequence[float] | np.ndarray,
    y: Sequence[float] | np.ndarray,
    marker: str,
    size: float,
    colour: str,
    **style: Any,
) -> None:
    """Draw markers without a line; `edge` is the colour of their edge."""
    edge = {"markeredgecolor": style.pop("edge", colour), "markeredgewidth": 1.5 if marker == "x" else 0.8}
    axes.plot(x, y, linestyle="none", marker=marker, markersize=size, color=colour, zorder=3, **edge, **style)


def head(axes: Axes, title: str, unit: str) -> None:
    """Name a panel and its unit above it, cut to the panel's width."""
    width_points = axes.get_position().width * WIDTH_IN * 72
    note(axes, clean(title, int(width_points / 6.2)), (0, 1), (0, 17), coords="axes fraction", fontweight="bold")
    note(axes, clean(unit, int(width_points / 4.9)), (0, 1), (0, 6), coords="axes fraction", fontsize=8.5, color=SOFT)


def side_title(axes: Axes, title: str, unit: str) -> None:
    """Name a panel and its unit in the left margin, horizontally, so that nobody tilts the head."""
    left, y = -(LEFT_IN - 0.08) * 72, 1.0
    lines: list[tuple[str, dict[str, Any]]]
    lines = [
        (line, {"fontweight": "bold", "fontsize": 9}) for line in wrap(clean(title), 18, max_lines=2, placeholder="…")
    ]
    lines += [(line, {"color": SOFT, "fontsize": 8}) for line in wrap(clean(unit), 23, max_lines=2, placeholder="…")]
    for line, style in lines:
        note(axes, line, (0, 1), (left, y), coords="axes fraction", va="top", **style)
        y -= 1.25 * style["fontsize"]


def side_keys(axes: Axes, keys: Sequence[tuple[str, str, int]], *, below_in: float = 0.42) -> None:
    """Write a key (name, colour, index of the dash pattern) into the left margin, `below_in` inches under the panel's top."""
    figure = axes.get_figure(root=True)
    if figure is None:
        return
    box = axes.get_position()
    width_in, height_in = box.width * WIDTH_IN, box.height * figure.get_figheight()
    left, step_in = -(LEFT_IN - 0.08) / width_in, 0.155
    for k, (name, colour, dash) in enumerate(keys[: max(1, int((height_in - below_in) / step_in) + 1)]):
        y = 1 - (below_in + step_in * k) / height_in
        ends = [left, left + 0.3 / width_in]
        look: dict[str, Any] = {"color": colour, "linestyle": DASHES[dash], "linewidth": 1.8}
        axes.add_line(Line2D(ends, [y, y], transform=axes.transAxes, clip_on=False, **look))
        note(axes, clean(name, 18), (left + 0.38 / width_in, y), coords="axes fraction", fontsize=8, va="center")


def no_x(axes: Axes) -> None:
    """Leave the x axis to the panel below."""
    axes.xaxis.set_major_locator(NullLocator())
    axes.spines["bottom"].set_visible(False)


def y_ticks(axes: Axes, values: Iterable[float], labels: Iterable[str] | None = None) -> None:
    """Fix the y ticks; matplotlib's search for nice ones costs more than drawing them."""
    places = list(values)
    shown = [minus(f"{v:g}") for v in places] if labels is None else [clean(s, 24) for s in labels]
    axes.yaxis.set_major_locator(FixedLocator(places))
    axes.yaxis.set_major_formatter(FixedFormatter(shown))
    axes.tick_params(axis="y", length=2.5)


def nice_ticks(lower: float, upper: float, count: int = 3) -> Float[np.ndarray, " tick"]:
    """Return about `count` round numbers inside [lower, upper]."""
    span = upper - lower
    if not np.isfinite(span) or span <= 0:
        return np.array([lower]) if np.isfinite(lower) else np.zeros(1)
    steps = np.array([1, 2, 2.5, 5, 10]) * 10.0 ** np.floor(np.log10(span / count))
    step = float(steps[np.argmin(np.abs(span / steps - count))])
    return np.round(np.arange(np.ceil(lower / step - 1e-9), np.floor(upper / step + 1e-9) + 1) * step, 12) + 0.0


def day_ticks(lower: float, upper: float, most: int = 8) -> Float[np.ndarray, " tick"]:
    """Return days that are whole weeks (1, 2, 4, 8, 13, 26, 52, 104, ... apart), about `most`, day 0 among them when inside."""
    span_weeks = (upper - lower) / 7
    weeks = next(
        (w for w in (1, 2, 4, 8, 13, 26, 52) if span_weeks / w <= most), 52 * math.ceil(span_weeks / (52 * most))
    )
    step = 7.0 * weeks
    return np.arange(np.ceil(lower / step), np.floor(upper / step) + 1) * step + 0.0


def day_axis(axes: Axes, label: str, most: int = 8) -> None:
    """Mark days and weeks on the x axis; limits must be set."""
    ticks = day_ticks(*axes.get_xlim(), most)
    axes.xaxis.set_major_locator(FixedLocator(list(ticks)))
    axes.xaxis.set_major_formatter(FixedFormatter([minus(f"{d:.0f}\nwk {week(d)}") for d in ticks]))
    axes.tick_params(axis="x", length=2.5)
    axes.set_xlabel(clean(label, 110), fontsize=9)


def day_grid(axes: Axes) -> None:
    """Draw faint vertical lines at the days that `day_axis` marks, and a stronger one at day 0."""
    days = day_ticks(*axes.get_xlim())
    grid(axes, days, [SOFT if day == 0 else FAINT for day in days])


def grid(axes: Axes, x: Sequence[float] | np.ndarray, colours: Sequence[str] | str) -> None:
    """Draw vertical lines through a panel, all at once: a line each would cost more than the data."""
    axes.vlines(x, 0, 1, colors=colours, linewidth=0.7, zorder=0, transform=axes.get_xaxis_transform())


def message(text: str) -> Figure:
    """Return a figure that says in words why it is empty."""
    figure, (axes,) = stack([0.8], bottom_in=0.1)
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", color=SOFT, transform=axes.transAxes)
    return figure


def unsaid(basis: Basis) -> Figure:
    """Return a figure that says that nothing can be said, and why: a prior is not drawn as a finding."""
    said = "Only the prior speaks: not drawn." if basis.rests_on == "prior" else "Not given."
    return message(f"{said}\n{clean(basis.reason, 110)}")
