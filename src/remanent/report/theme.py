"""How figures look: one set-up for all of them, colours that colour-blind readers can tell apart, and never colour alone.

Colours: Okabe and Ito, Color Universal Design (2008), jfly.uni-koeln.de/color.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from textwrap import wrap
from typing import Any

import numpy as np
from jaxtyping import Float

from remanent.report.sheet import INCH, TICK_SIZE, Panel, Scale, Sheet
from remanent.report.views import Basis
from remanent.report.words import clean, minus, week

INK, SOFT, GREY, FAINT = "#1c2430", "#556070", "#b4bcc6", "#d9dee5"
BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9"
RED_TEXT, GREEN_TEXT, BLUE_TEXT = (
    "#a63603",
    "#00664a",
    "#00558a",
)  # vermillion, green and blue, dark enough for text (4.5:1 on white)
SEQUENCE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
DASHES: tuple[tuple[float, ...], ...] = ((), (5, 2), (1.5, 1.5), (6, 2, 1.5, 2), (8, 3))
MARKERS = ("o", "s", "^", "D", "v", "P")
PLAN_STYLE: Mapping[str, tuple[str, int]] = {"continue": (BLUE, 0), "taper": (GREEN, 1), "stop": (VERMILLION, 2)}

WIDTH_IN, LEFT_IN, RIGHT_IN = 9.6, 2.0, 0.2
LETTER = 0.56  # width of a letter of text, of its size: to keep names apart


def stack(
    heights_in: Sequence[float], *, gap_in: float = 0.16, top_in: float = 0.1, bottom_in: float = 0.62
) -> tuple[Sheet, list[Panel]]:
    """Return a figure of panels one below the other, all with the same x axis, room for titles on the left and for one x label below."""
    total = top_in + bottom_in + sum(heights_in) + gap_in * (len(heights_in) - 1)
    panels, top = [], top_in
    for height in heights_in:
        width = WIDTH_IN - LEFT_IN - RIGHT_IN
        panels.append(Panel(LEFT_IN * INCH, top * INCH, width * INCH, height * INCH))
        top += height + gap_in
    return Sheet(WIDTH_IN * INCH, total * INCH, tuple(panels)), panels


_BELOW_IN = 0.62  # for the labels of an x axis


def row(
    count: int, *, height_in: float, gap_in: float = 0.3, left_in: float = 0.55, top_in: float = 0.42
) -> tuple[Sheet, list[Panel]]:
    """Return a figure of `count` equal panels side by side."""
    panels = _beside(count, count, (left_in, gap_in))
    for panel in panels:
        panel.top, panel.height = top_in * INCH, height_in * INCH
    return Sheet(WIDTH_IN * INCH, (height_in + top_in + _BELOW_IN) * INCH, tuple(panels)), panels


def headed_rows(
    heads: Sequence[tuple[str, str]], most: int, *, height_in: float, gap_in: float, left_in: float = 0.55
) -> tuple[Sheet, list[Panel]]:
    """Return a figure of equal panels in rows of `most` or fewer, each below its head (`head`) in full, on as many lines as that takes."""
    beside = math.ceil(len(heads) / math.ceil(len(heads) / most))
    panels, edge = [], 0.0
    for start in range(0, len(heads), beside):
        mine = heads[start : start + beside]
        made = _beside(len(mine), beside, (left_in, gap_in))
        lines = [_wrapped(panel, *texts) for panel, texts in zip(made, mine, strict=True)]
        most_units = max(len(units) for _, units in lines)
        edge += 0.15 * INCH + TITLE_STEP * max(len(titles) for titles, _ in lines) + UNIT_STEP * most_units
        for panel, (titles, units) in zip(made, lines, strict=True):
            panel.top, panel.height = edge, height_in * INCH
            _write_head(panel, titles, units, most_units)
        edge += (height_in + _BELOW_IN) * INCH
        panels += made
    return Sheet(WIDTH_IN * INCH, edge, tuple(panels)), panels


def _beside(count: int, room_for: int, edges_in: tuple[float, float]) -> list[Panel]:
    """Panels side by side, as wide as if there were so many; `edges_in`: the margin on the left and the gap between two."""
    left_in, gap_in = edges_in
    width = (WIDTH_IN - left_in - RIGHT_IN - gap_in * (room_for - 1)) / room_for
    return [Panel((left_in + k * (width + gap_in)) * INCH, 0.0, width * INCH, 0.0) for k in range(count)]


UNIT_STEP, TITLE_STEP = 11.0, 12.5
_UNIT_LETTER, _TITLE_LETTER = 4.9, 6.2  # points a letter takes


def head(panel: Panel, title: str, unit: str, lines: int = 1) -> None:
    """Name a panel and its unit above it, cut to the panel's width and to so many lines of unit."""
    units = wrap(clean(unit), int(panel.width / _UNIT_LETTER), max_lines=lines, placeholder="…")
    _write_head(panel, [clean(title, int(panel.width / _TITLE_LETTER))], units, lines)


def _wrapped(panel: Panel, title: str, unit: str) -> tuple[list[str], list[str]]:
    return wrap(clean(title), int(panel.width / _TITLE_LETTER)), wrap(clean(unit), int(panel.width / _UNIT_LETTER))


def _write_head(panel: Panel, titles: Sequence[str], units: Sequence[str], lines: int) -> None:
    up = 6 + UNIT_STEP * lines
    for k, line in enumerate(reversed(titles)):
        panel.words(line, 0, 1, offset=(0, up + TITLE_STEP * k), frame="FF", bold=True)
    for k, line in enumerate(units, start=1):
        panel.words(line, 0, 1, offset=(0, up - UNIT_STEP * k), frame="FF", size=TICK_SIZE, colour=SOFT)


def side_title(panel: Panel, title: str, unit: str) -> None:
    """Name a panel and its unit in the left margin, horizontally, so that nobody tilts the head."""
    y = 1.0
    lines: list[tuple[str, dict[str, Any]]]
    most = 3 if panel.height > 50 else 2
    lines = [(line, {"bold": True, "size": 9.0}) for line in wrap(clean(title), 19, max_lines=most, placeholder="…")]
    lines += [(line, {"colour": SOFT, "size": 8.0}) for line in wrap(clean(unit), 23, max_lines=2, placeholder="…")]
    for line, style in lines:
        panel.words(line, 0, 1, offset=(MARGIN, y), frame="FF", upright="top", **style)
        y -= 1.25 * style["size"]


def side_keys(panel: Panel, keys: Sequence[tuple[str, str, int]], *, below_in: float = 0.42) -> None:
    """Write a key (name, colour, index of the dash pattern) into the left margin, `below_in` inches under the panel's top."""
    step_in, height_in = 0.155, panel.height / INCH
    left, right = MARGIN / panel.width, (MARGIN + 0.3 * INCH) / panel.width
    for k, (name, colour, dash) in enumerate(keys[: max(1, int((height_in - below_in) / step_in) + 1)]):
        y = 1 - (below_in + step_in * k) / height_in
        panel.line([left, right], [y, y], colour, dash=DASHES[dash], width=1.8, frame="FF", clip=False)
        panel.words(clean(name, 18), right, y, offset=(0.08 * INCH, 0), frame="FF", size=8.0, upright="center")


MARGIN = -(LEFT_IN - 0.08) * INCH  # where the left margin begins, from a panel's left edge


def legend(panel: Panel, keys: Sequence[tuple[str, str, float, str]]) -> None:
    """Write a key of markers (name, marker, size, colour) in one line above a panel."""
    x = 4.0
    for name, marker, size, colour in keys:
        y = 1 + 9 / panel.height
        panel.points([x / panel.width], [y], marker, size, colour, frame="FF", clip=False)
        panel.words(name, x / panel.width, y, offset=(7, 0), frame="FF", size=TICK_SIZE, upright="center")
        x += 7 + LETTER * TICK_SIZE * len(name) + 16


def no_x(panel: Panel) -> None:
    """Leave the x axis to the panel below."""
    panel.x_scale, panel.floor = Scale(), False


def x_ticks(panel: Panel, values: Iterable[float], labels: Iterable[str] | None = None, *, stub: bool = True) -> None:
    """Mark places on the x axis."""
    panel.x_scale = _scale(values, labels, stub=stub)


def y_ticks(panel: Panel, values: Iterable[float], labels: Iterable[str] | None = None, *, stub: bool = True) -> None:
    """Mark places on the y axis."""
    panel.y_scale = _scale(values, labels, stub=stub)


def _scale(values: Iterable[float], labels: Iterable[str] | None, *, stub: bool) -> Scale:
    places = tuple(float(v) for v in values)
    shown = [minus(f"{v:g}") for v in places] if labels is None else labels
    return Scale(places, tuple(shown), stub)


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


def day_axis(panel: Panel, label: str, most: int = 8) -> None:
    """Mark days and weeks on the x axis; limits must be set."""
    ticks = day_ticks(*panel.x_limits, most)
    x_ticks(panel, ticks, [minus(f"{d:.0f}\nwk {week(d)}") for d in ticks])
    panel.x_label = clean(label, 110)


def day_grid(panel: Panel) -> None:
    """Draw faint vertical lines at the days that `day_axis` marks, and a stronger one at day 0."""
    days = day_ticks(*panel.x_limits)
    grid(panel, days[days != 0], FAINT)
    grid(panel, days[days == 0], SOFT)


def grid(panel: Panel, x: Sequence[float] | np.ndarray, colour: str) -> None:
    """Draw vertical lines through a panel, behind everything."""
    if len(x):
        panel.through_x(x, colour, width=0.7, level=0)


def message(*lines: str) -> Sheet:
    """Return a figure that says in words why it is empty."""
    return Sheet(WIDTH_IN * INCH, 0.9 * INCH, said=lines)


def unsaid(basis: Basis) -> Sheet:
    """Return a figure that says that nothing can be said, and why: a prior is not drawn as a finding."""
    said = "Only the prior speaks: not drawn." if basis.rests_on == "prior" else "Not given."
    return message(said, clean(basis.reason, 110))
