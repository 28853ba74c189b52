"""A sheet as inline SVG: small, deterministic, text selectable, named for screen readers; no style attribute, which a content security policy may forbid."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import singledispatch
from html import escape
from typing import Any

import numpy as np
from markupsafe import Markup

from remanent.report.sheet import (
    LABEL_SIZE,
    TEXT_SIZE,
    TICK_SIZE,
    Band,
    Box,
    Coordinates,
    Line,
    Panel,
    Points,
    Scale,
    Sheet,
    Strokes,
    Words,
    ordered,
)
from remanent.report.words import clean

INK, FRAME = "#1c2430", "#556070"
FAR = 1e5  # points: what lies further out is drawn there, outside every panel
STUB, GAP = 2.5, 3.5
BASELINE: Mapping[str, float] = {"baseline": 0.0, "center": 0.34, "top": 0.8}  # of the size, below the place
ANCHOR: Mapping[str, str] = {"left": "", "center": ' text-anchor="middle"', "right": ' text-anchor="end"'}

_D = 0.5**0.5
# outlines of markers of size 1 around (0, 0): closed and filled, or strokes
_FILLED: Mapping[str, str] = {
    "s": "-.5 -.5 1 0 0 1 -1 0",
    "D": f"0 -{_D} {_D} {_D} -{_D} {_D} -{_D} -{_D}",
    "^": "0 -.5 .5 1 -1 0",
    "v": "0 .5 .5 -1 -1 0",
    "X": "-.25 -.5 .25 .25 .25 -.25 .25 .25 -.25 .25 .25 .25 -.25 .25 -.25 -.25 -.25 .25 -.25 -.25 .25 -.25 -.25 -.25",
    "P": "-.167 -.5 .334 0 0 .333 .333 0 0 .334 -.333 0 0 .333 -.334 0 0 -.333 -.333 0 0 -.334 .333 0",
}
_STROKES: Mapping[str, tuple[str, ...]] = {
    "x": ("-.5 -.5 1 1", "-.5 .5 1 -1"),
    "|": ("0 -.5 0 1",),
    "4": ("0 0 .5 0", "0 0 -.25 .4", "0 0 -.25 -.4"),
}


def svg(sheet: Sheet, key: str, title: str, description: str) -> Markup:
    """Return a figure as one ``<svg>`` element that stands in a page or in a file of its own.

    Parameters
    ----------
    key
        Starts every id in the element; unique in the page.
    title, description
        What a screen reader says: the name of the figure, and its content in words.

    Returns
    -------
    Markup
        The same bytes for the same figure; no date, no address loaded, all text escaped.
    """
    body = "".join(_panel(panel, f"{key}-{k}") for k, panel in enumerate(sheet.panels))
    return Markup(  # noqa: S704 - the only place that makes markup of a figure: every text in it is escaped
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(sheet.width)} {_n(sheet.height)}" role="img"'
        f' aria-labelledby="{key}-title {key}-desc" font-family="system-ui, sans-serif" font-size="{TEXT_SIZE}"'
        f' fill="{INK}" stroke-linejoin="round" stroke-linecap="butt">'
        f'<title id="{key}-title">{escape(clean(title, 200))}</title>'
        f'<desc id="{key}-desc">{escape(clean(description, 4000))}</desc>{body}{_said(sheet)}</svg>'
    )


def _said(sheet: Sheet) -> str:
    """The lines of a figure that says something instead of showing it."""
    x, first, step = sheet.width / 2, sheet.height / 2 - 0.6 * TEXT_SIZE * (len(sheet.said) - 1), 1.2 * TEXT_SIZE
    look: dict[str, Any] = {"across": "center", "upright": "center", "colour": FRAME}
    return "".join(_text(Words(line, x, first + step * k, **look)) for k, line in enumerate(sheet.said))


def _panel(panel: Panel, name: str) -> str:
    """One panel: what is cut at its edges, then its axes, then what is not cut."""
    marks = ordered(panel.marks)
    inside = "".join(_drawn(mark, panel) for mark in marks if _is_cut(mark))
    outside = "".join(_drawn(mark, panel) for mark in marks if not _is_cut(mark))
    place = f'x="{_n(panel.left)}" y="{_n(panel.top)}" width="{_n(panel.width)}" height="{_n(panel.height)}"'
    cut = f'<clipPath id="{name}"><rect {place}/></clipPath><g clip-path="url(#{name})">{inside}</g>' if inside else ""
    return f"{cut}{_axes(panel)}{outside}"


def _is_cut(mark: object) -> bool:
    return not isinstance(mark, Words) and getattr(mark, "clip", True)


# ---------------------------------------------------------------------------------------------------- axes


def _axes(panel: Panel) -> str:
    bottom, right = panel.top + panel.height, panel.left + panel.width
    wall = f"M{_n(panel.left)} {_n(panel.top)}V{_n(bottom)}" if panel.wall else ""
    floor = f"M{_n(panel.left)} {_n(bottom)}H{_n(right)}" if panel.floor else ""
    x_stubs, x_labels = _x_ticks(panel, bottom)
    y_stubs, y_labels = _y_ticks(panel)
    lines = max((label.count("\n") + 1 for label in panel.x_scale.labels), default=0)
    y = bottom + STUB + 2 * GAP + 1.2 * TICK_SIZE * lines
    named = Words(panel.x_label, (panel.left + right) / 2, y, across="center", upright="top", size=LABEL_SIZE)
    return _path(wall + floor + x_stubs + y_stubs, FRAME, 0.7) + x_labels + y_labels + _text(named)


def _x_ticks(panel: Panel, bottom: float) -> tuple[str, str]:
    stubs, labels = "", ""
    for x, label in _ticks(panel.place(panel.x_scale.places, 0, "DF")[0], panel.x_scale):
        stubs += f"M{_n(x)} {_n(bottom)}v{STUB}"
        for k, line in enumerate(label.split("\n")):
            y = bottom + STUB + GAP + 1.2 * TICK_SIZE * k
            labels += _text(Words(line, x, y, across="center", upright="top", size=TICK_SIZE))
    return stubs if panel.x_scale.stub else "", labels


def _y_ticks(panel: Panel) -> tuple[str, str]:
    stubs, labels, left = "", "", panel.left - STUB - GAP
    for y, label in _ticks(panel.place(0, panel.y_scale.places, "FD")[1], panel.y_scale):
        stubs += f"M{_n(panel.left)} {_n(y)}h-{STUB}"
        labels += _text(Words(label, left, y, across="right", upright="center", size=TICK_SIZE))
    return stubs if panel.y_scale.stub else "", labels


def _ticks(places: Coordinates, scale: Scale) -> Iterable[tuple[float, str]]:
    return ((at, label) for at, label in zip(places.tolist(), scale.labels, strict=True) if np.isfinite(at))


# ---------------------------------------------------------------------------------------------------- marks


@singledispatch
def _drawn(mark: object, panel: Panel) -> str:
    raise TypeError(f"no mark for {panel}: {type(mark).__name__}")


@_drawn.register
def _(mark: Line, panel: Panel) -> str:
    x, y = panel.place(mark.x, mark.y, mark.frame)
    return _path("".join(_run(x[part], y[part]) for part in _runs(x, y)), mark.colour, mark.width, mark.dash)


@_drawn.register
def _(mark: Band, panel: Panel) -> str:
    x, low = panel.place(mark.x, mark.low, mark.frame)
    _, high = panel.place(mark.x, mark.high, mark.frame)
    outlines = ((np.append(x[p], x[p][::-1]), np.append(high[p], low[p][::-1])) for p in _runs(x, low, high))
    path = "".join(f"{_run(across, down)}z" for across, down in outlines)
    return f'<path d="{path}" fill="{mark.colour}" fill-opacity="{_n(mark.alpha)}"/>' if path else ""


@_drawn.register
def _(mark: Strokes, panel: Panel) -> str:
    x0, y0 = panel.place(mark.x0, mark.y0, mark.frame)
    x1, y1 = panel.place(mark.x1, mark.y1, mark.frame)
    ends = np.column_stack([x0, y0, x1, y1])
    ends = ends[np.isfinite(ends).all(axis=1)]
    path = "".join(_stroke(*row) for row in ends.tolist())
    return _path(path, mark.colour, mark.width, mark.dash)


def _stroke(x0: float, y0: float, x1: float, y1: float) -> str:
    if x0 == x1:
        return f"M{_n(x0)} {_n(y0)}V{_n(y1)}"
    return f"M{_n(x0)} {_n(y0)}H{_n(x1)}" if y0 == y1 else f"M{_n(x0)} {_n(y0)}L{_n(x1)} {_n(y1)}"


@_drawn.register
def _(mark: Points, panel: Panel) -> str:
    x, y = panel.place(mark.x, mark.y, mark.frame)
    known = np.isfinite(x) & np.isfinite(y)
    at = [(_n(a), _n(b)) for a, b in zip(x[known].tolist(), y[known].tolist(), strict=True)]
    if not at:
        return ""
    size = mark.size / 2 if mark.marker == "." else mark.size
    edge = mark.edge or mark.colour
    if mark.marker in {"o", "."}:
        return _discs(at, size, mark.colour, edge)
    if mark.marker in _STROKES:
        shapes = [_split(_scaled(part, size)) for part in _STROKES[mark.marker]]
        path = "".join(f"M{a} {b}m{first}l{rest}" for a, b in at for first, rest in shapes)
        return _path(path, mark.colour, 1.5 if mark.marker == "x" else 0.8)
    first, rest = _split(_scaled(_FILLED[mark.marker], size))
    path = "".join(f"M{a} {b}m{first}l{rest}z" for a, b in at)
    return f'<path d="{path}" fill="{mark.colour}" stroke="{edge}" stroke-width=".8"/>'


def _discs(at: list[tuple[str, str]], size: float, colour: str, edge: str) -> str:
    """Discs as the round ends of strokes without length."""
    path, ends = "".join(f"M{a} {b}h0" for a, b in at), ' stroke-linecap="round"'
    outer = _path(path, edge, size + 0.8, more=ends)
    return outer if edge == colour else outer + _path(path, colour, size - 0.8, more=ends)


def _scaled(shape: str, size: float) -> str:
    return " ".join(_n(float(part) * size) for part in shape.split())


def _split(shape: str) -> tuple[str, str]:
    parts = shape.split(" ", 2)
    return " ".join(parts[:2]), parts[2]


@_drawn.register
def _(mark: Box, panel: Panel) -> str:
    x, y = panel.place([mark.left, mark.right], [mark.bottom, mark.top], mark.frame)
    (left, right), (low, high) = sorted(map(_bounded, x.tolist())), sorted(map(_bounded, y.tolist()))
    edge = f' stroke="{mark.edge}" stroke-width=".7"' if mark.edge else ""
    return (
        f'<rect x="{_n(left)}" y="{_n(low)}" width="{_n(right - left)}" height="{_n(high - low)}"'
        f' fill="{mark.colour}" fill-opacity="{_n(mark.alpha)}"{edge}/>'
    )


@_drawn.register
def _(mark: Words, panel: Panel) -> str:
    x, y = panel.place(mark.x, mark.y, mark.frame)
    if not (np.isfinite(x[0]) and np.isfinite(y[0])):
        return ""
    return _text(replace(mark, x=float(x[0]) + mark.offset[0], y=float(y[0]) - mark.offset[1]))


# ---------------------------------------------------------------------------------------------------- parts


def _text(words: Words) -> str:
    """Text at a place of the sheet, whatever its frame."""
    if not words.text:
        return ""
    look = ANCHOR[words.across]
    look += f' font-size="{_n(words.size)}"' if words.size != TEXT_SIZE else ""
    look += ' font-weight="bold"' if words.bold else ""
    look += f' fill="{words.colour}"' if words.colour else ""
    y = words.y + BASELINE[words.upright] * words.size
    return f'<text x="{_n(words.x)}" y="{_n(y)}"{look}>{escape(words.text)}</text>'


def _path(path: str, colour: str, width: float, dash: tuple[float, ...] = (), *, more: str = "") -> str:
    if not path:
        return ""
    dashes = f' stroke-dasharray="{" ".join(_n(width * part) for part in dash)}"' if dash else ""
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{_n(width)}"{dashes}{more}/>'


def _run(x: Coordinates, y: Coordinates) -> str:
    pairs = [f"{_n(a)} {_n(b)}" for a, b in zip(x.tolist(), y.tolist(), strict=True)]
    return f"M{pairs[0]}" + (f"L{' '.join(pairs[1:])}" if len(pairs) > 1 else "")


def _runs(*values: Coordinates) -> list[slice]:
    """Stretches of more than one point without a missing value."""
    known = np.isfinite(np.vstack(values)).all(axis=0)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], known, [False]])))
    return [slice(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a > 1]


def _bounded(value: float) -> float:
    return min(max(value, -FAR), FAR)


def _n(value: float) -> str:
    """A number with two decimals at most."""
    text = f"{_bounded(value):.2f}".rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text
