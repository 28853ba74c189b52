"""A sheet as a matplotlib figure, for papers: to be changed, saved as PDF or PNG, or put beside others."""

from functools import singledispatch
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedFormatter, FixedLocator, NullFormatter, NullLocator

from remanent.report.sheet import (
    INCH,
    LABEL_SIZE,
    TEXT_SIZE,
    TICK_SIZE,
    Band,
    Box,
    Frame,
    Line,
    Panel,
    Points,
    Sheet,
    Strokes,
    Words,
)
from remanent.report.theme import INK, SOFT

_STYLE: dict[Any, Any] = {
    "font.size": TEXT_SIZE,
    "font.family": ["DejaVu Sans"],
    "text.color": INK,
    "text.parse_math": False,  # text from studies may hold dollars
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": TICK_SIZE,
    "ytick.labelsize": TICK_SIZE,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "figure.dpi": 72,
    "figure.facecolor": "white",
}


def figure(sheet: Sheet) -> Figure:
    """Return the figure; matplotlib's own settings are as before afterwards."""
    with rc_context(_STYLE):
        made = Figure(figsize=(sheet.width / INCH, sheet.height / INCH))
        for panel in sheet.panels:
            bottom = sheet.height - panel.top - panel.height
            box = (
                panel.left / sheet.width,
                bottom / sheet.height,
                panel.width / sheet.width,
                panel.height / sheet.height,
            )
            _fill(made.add_axes(box), panel)
        if sheet.said:
            made.text(0.5, 0.5, "\n".join(sheet.said), ha="center", va="center", color=SOFT)
        return made


def _fill(axes: Axes, panel: Panel) -> None:
    if panel.x_log:
        axes.set_xscale("log")
    axes.set_xlim(*panel.x_limits)
    axes.set_ylim(*panel.y_limits)
    if panel.x_log:
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
    for axis, scale in ((axes.xaxis, panel.x_scale), (axes.yaxis, panel.y_scale)):
        axis.set_major_locator(FixedLocator(list(scale.places)))
        axis.set_major_formatter(FixedFormatter(list(scale.labels)))
        if not scale.stub:
            axis.set_tick_params(length=0)
    axes.spines["bottom"].set_visible(panel.floor)
    axes.spines["left"].set_visible(panel.wall)
    axes.set_xlabel(panel.x_label, fontsize=LABEL_SIZE)
    for mark in panel.marks:
        _put(mark, axes)


def _transform(axes: Axes, frame: Frame) -> Any:
    return {
        "DD": axes.transData,
        "DF": axes.get_xaxis_transform(),
        "FD": axes.get_yaxis_transform(),
        "FF": axes.transAxes,
    }[frame]


@singledispatch
def _put(mark: object, axes: Axes) -> None:
    raise TypeError(f"no mark for {axes}: {type(mark).__name__}")


@_put.register
def _(mark: Line, axes: Axes) -> None:
    look: dict[str, Any] = {"linewidth": mark.width, "linestyle": (0, mark.dash), "zorder": mark.level}
    transform = _transform(axes, mark.frame)
    axes.plot(mark.x, mark.y, color=mark.colour, transform=transform, clip_on=mark.clip, **look)


@_put.register
def _(mark: Band, axes: Axes) -> None:
    look: dict[str, Any] = {"color": mark.colour, "alpha": mark.alpha, "linewidth": 0, "zorder": mark.level}
    axes.fill_between(mark.x, mark.low, mark.high, **look)


@_put.register
def _(mark: Strokes, axes: Axes) -> None:
    look: dict[str, Any] = {"linewidth": mark.width, "linestyle": (0, mark.dash), "zorder": mark.level}
    ends = np.stack([np.column_stack([mark.x0, mark.y0]), np.column_stack([mark.x1, mark.y1])], axis=1)
    drawn = LineCollection(list(ends), colors=mark.colour, transform=_transform(axes, mark.frame), **look)
    axes.add_collection(drawn, autolim=False)


@_put.register
def _(mark: Points, axes: Axes) -> None:
    look: dict[str, Any] = {"marker": mark.marker, "markersize": mark.size, "color": mark.colour, "zorder": mark.level}
    look |= {"markeredgecolor": mark.edge or mark.colour, "markeredgewidth": 1.5 if mark.marker == "x" else 0.8}
    transform = _transform(axes, mark.frame)
    axes.plot(mark.x, mark.y, linestyle="none", transform=transform, clip_on=mark.clip, **look)


@_put.register
def _(mark: Box, axes: Axes) -> None:
    corner, width, height = (mark.left, mark.bottom), mark.right - mark.left, mark.top - mark.bottom
    place: dict[str, Any] = {"transform": _transform(axes, mark.frame), "zorder": mark.level}
    axes.add_patch(Rectangle(corner, width, height, facecolor=mark.colour, alpha=mark.alpha, edgecolor="none", **place))
    if mark.edge:
        axes.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=mark.edge, linewidth=0.7, **place))


@_put.register
def _(mark: Words, axes: Axes) -> None:
    look: dict[str, Any] = {"ha": mark.across, "va": mark.upright, "fontsize": mark.size, "zorder": mark.level}
    look |= {"color": mark.colour or INK, "fontweight": "bold" if mark.bold else "normal"}
    coords = _transform(axes, mark.frame)
    axes.annotate(
        mark.text,
        (mark.x, mark.y),
        mark.offset,
        xycoords=coords,
        textcoords="offset points",
        annotation_clip=False,
        **look,
    )
