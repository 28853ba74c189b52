"""A figure as values: panels on a sheet, marks on a panel. `svg` writes it for a page, `paper` as a matplotlib figure; neither knows what it shows.

Lengths are points (1/72 inch). A mark's `frame` says what its coordinates are: `D` data, `F` a fraction of the panel (x to the right, y upward);
first letter for x, second for y.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

Frame = Literal["DD", "DF", "FD", "FF"]
Coordinates = Float[np.ndarray, " point"]
INCH = 72.0
TEXT_SIZE, TICK_SIZE, LABEL_SIZE = 9.5, 8.5, 9.0


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A line through points, broken where one is missing; `dash` in multiples of its width, empty: solid."""

    x: Coordinates
    y: Coordinates
    colour: str
    width: float = 1.5
    dash: tuple[float, ...] = ()
    frame: Frame = "DD"
    clip: bool = True
    level: int = 2


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """The area between two lines."""

    x: Coordinates
    low: Coordinates
    high: Coordinates
    colour: str
    alpha: float
    frame: Frame = "DD"
    level: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Strokes:
    """Straight strokes, each from (x0, y0) to (x1, y1)."""

    x0: Coordinates
    y0: Coordinates
    x1: Coordinates
    y1: Coordinates
    colour: str
    width: float
    dash: tuple[float, ...] = ()
    frame: Frame = "DD"
    level: int = 2


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Markers; `marker` as matplotlib calls it, `edge` the colour around (empty: that of the marker)."""

    x: Coordinates
    y: Coordinates
    marker: str
    size: float
    colour: str
    edge: str = ""
    frame: Frame = "DD"
    clip: bool = True
    level: int = 3


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle between two corners; `edge` empty: none."""

    left: float
    bottom: float
    right: float
    top: float
    colour: str
    alpha: float = 1.0
    edge: str = ""
    frame: Frame = "DD"
    level: int = 2


@dataclass(frozen=True, slots=True)
class Words:
    """Text at a place, shifted by `offset` points; never cut at the panel's edge."""

    text: str
    x: float
    y: float
    offset: tuple[float, float] = (0.0, 0.0)
    frame: Frame = "DD"
    across: Literal["left", "center", "right"] = "left"
    upright: Literal["baseline", "center", "top"] = "baseline"
    size: float = TEXT_SIZE
    bold: bool = False
    colour: str = ""
    level: int = 4


Mark = Line | Band | Strokes | Points | Box | Words


@dataclass(frozen=True, slots=True)
class Scale:
    """Where an axis has ticks, and what stands at them; `stub`: whether a tick has a line."""

    places: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()
    stub: bool = True


@dataclass(slots=True, eq=False)
class Panel:
    """A frame with two axes, and what is drawn in it.

    Attributes
    ----------
    left, top, width, height
        Its place on the sheet, from the upper left corner, points.
    floor, wall
        Whether the lower and the left edge are drawn.
    """

    left: float
    top: float
    width: float
    height: float
    x_limits: tuple[float, float] = (0.0, 1.0)
    y_limits: tuple[float, float] = (0.0, 1.0)
    x_scale: Scale = Scale()
    y_scale: Scale = Scale()
    x_label: str = ""
    x_log: bool = False
    floor: bool = True
    wall: bool = True
    marks: list[Mark] = field(default_factory=list)

    def line(self, x: Any, y: Any, colour: str, **look: Any) -> None:
        """Draw a `Line`."""
        self.marks.append(Line(_array(x), _array(y), colour, **look))

    def band(self, x: Any, low: Any, high: Any, colour: str, alpha: float) -> None:
        """Fill between two lines."""
        x, low, high = np.broadcast_arrays(*map(_array, (x, low, high)))
        self.marks.append(Band(x, low, high, colour, alpha))

    def upright(self, x: Any, low: Any, high: Any, colour: str, **look: Any) -> None:
        """Draw vertical strokes from `low` to `high`."""
        x, low, high = np.broadcast_arrays(*map(_array, (x, low, high)))
        self.marks.append(Strokes(x, low, x, high, colour, **look))

    def lying(self, y: Any, left: Any, right: Any, colour: str, **look: Any) -> None:
        """Draw horizontal strokes from `left` to `right`."""
        y, left, right = np.broadcast_arrays(*map(_array, (y, left, right)))
        self.marks.append(Strokes(left, y, right, y, colour, **look))

    def through_x(self, x: Any, colour: str, **look: Any) -> None:
        """Draw vertical lines from the lower edge to the upper."""
        self.upright(x, 0, 1, colour, frame="DF", **look)

    def through_y(self, y: Any, colour: str, **look: Any) -> None:
        """Draw horizontal lines from the left edge to the right."""
        self.lying(y, 0, 1, colour, frame="FD", **look)

    def points(self, x: Any, y: Any, marker: str, size: float, colour: str, **look: Any) -> None:
        """Draw markers."""
        x, y = np.broadcast_arrays(_array(x), _array(y))
        self.marks.append(Points(x, y, marker, size, colour, **look))

    def box(self, corner: tuple[float, float], opposite: tuple[float, float], colour: str, **look: Any) -> None:
        """Draw a rectangle."""
        (left, bottom), (right, top) = corner, opposite
        self.marks.append(Box(left, bottom, right, top, colour, **look))

    def words(self, text: str, x: float, y: float, **look: Any) -> None:
        """Write text."""
        self.marks.append(Words(text, float(x), float(y), **look))

    def place(self, x: Any, y: Any, frame: Frame = "DD") -> tuple[Coordinates, Coordinates]:
        """Return where coordinates lie on the sheet: points from the left and from the top."""
        across, up = _array(x), _array(y)
        if frame[0] == "D":
            scaled = np.log if self.x_log else np.asarray
            across = _share(scaled(across), *scaled(self.x_limits))
        if frame[1] == "D":
            up = _share(up, *self.y_limits)
        return self.left + self.width * across, self.top + self.height * (1 - up)


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """A figure: its size in points, its panels, and `said`: text in the middle of one that has no panel."""

    width: float
    height: float
    panels: tuple[Panel, ...] = ()
    said: tuple[str, ...] = ()


def _share(values: Coordinates, first: float, last: float) -> Coordinates:
    """How far values lie from one limit to the other."""
    return (values - first) / (last - first or 1.0)


def _array(values: Any) -> Coordinates:
    return np.atleast_1d(np.asarray(values, dtype=float))


def ordered(marks: Sequence[Mark]) -> list[Mark]:
    """Return marks from the lowest level to the highest."""
    return sorted(marks, key=lambda mark: mark.level)
