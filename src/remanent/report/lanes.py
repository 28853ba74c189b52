"""The top of the time line: one lane each for ECT, scans, events and every drug."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from remanent.report import theme
from remanent.report.sheet import Panel
from remanent.report.views import Dose, EctSession, Event, Scan, Timeline
from remanent.report.words import clean, number

LANE_IN = 0.27
MOST_DRUGS, MOST_EVENTS = 6, 12


@dataclass(frozen=True, slots=True)
class Lane:
    """One row: its name, a note in grey, and how to draw it at height y."""

    name: str
    note: str
    draw: Callable[[Panel, float], None]


def lanes(timeline: Timeline, span: tuple[float, float]) -> list[Lane]:
    """Return the lanes that have something to show between the first and the last day of `span`."""
    made = []
    if timeline.ect:
        placements = Counter(session.placement or "unknown" for session in timeline.ect)
        note = ", ".join(f"{name} ×{n}" for name, n in placements.most_common(3))
        made.append(Lane("ECT", note, partial(_draw_ect, timeline.ect)))
    if timeline.scans:
        usable = sum(scan.usable for scan in timeline.scans)
        made.append(Lane("Scans", f"{usable} of {len(timeline.scans)} usable", partial(_draw_scans, timeline.scans)))
    for k, events in enumerate(_apart(timeline.events[:MOST_EVENTS], span)):
        made.append(Lane("" if k else "Events", "", partial(_draw_events, events)))
    return made + _drug_lanes(timeline)


def _apart(events: Sequence[Event], span: tuple[float, float]) -> list[list[Event]]:
    """Deal events into as few rows as keep their names apart."""
    length = span[1] - span[0]
    rows: list[tuple[float, list[Event]]] = []
    for event in sorted(events, key=lambda e: e.day):
        width = length * (0.025 + 0.0095 * min(len(event.event), 22))
        left = event.day - width if _late(event.day, span) else event.day
        row = next((k for k, (end, _) in enumerate(rows) if end <= left), len(rows))
        kept = rows[row][1] if row < len(rows) else []
        rows[row : row + 1] = [(max(left + width, event.day + 0.01 * length), [*kept, event])]
    return [dealt for _, dealt in rows]


def _late(day: float, span: tuple[float, float]) -> bool:
    """Return whether a name must stand to the left of its mark to stay inside the figure."""
    return day > span[0] + 0.75 * (span[1] - span[0])


def _drug_lanes(timeline: Timeline) -> list[Lane]:
    colours = class_colours(timeline)
    by_drug: dict[str, list[Dose]] = {}
    for dose in timeline.doses:
        by_drug.setdefault(dose.drug, []).append(dose)
    shown = list(by_drug.items())[:MOST_DRUGS]
    return [Lane(drug, "mg/day", partial(_draw_doses, doses, colours[doses[0].drug_class][0])) for drug, doses in shown]


def class_colours(timeline: Timeline) -> dict[str, tuple[str, int]]:
    """Return drug class to (colour, index of the dash pattern), in the order of first appearance."""
    given, computed = (d.drug_class for d in timeline.doses), (c.drug_class for c in timeline.exposure)
    names = dict.fromkeys([*given, *computed])
    return {name: (theme.SEQUENCE[k % len(theme.SEQUENCE)], k % len(theme.DASHES)) for k, name in enumerate(names)}


def draw_lanes(rows: Sequence[Lane], panel: Panel) -> None:
    """Draw the lanes from top to bottom into one panel."""
    panel.y_limits = len(rows) - 0.5, -0.5
    panel.wall = False
    for y, lane in enumerate(rows):
        panel.words(clean(lane.name, 16), 0, y, offset=(theme.MARGIN, 0), frame="FD", upright="center", bold=True)
        note = {"across": "right", "upright": "center", "size": 8.0, "colour": theme.SOFT}
        panel.words(clean(lane.note, 20), 0, y, offset=(-6, 0), frame="FD", **note)
        lane.draw(panel, y)


def _draw_ect(sessions: Sequence[EctSession], panel: Panel, y: float) -> None:
    for k, placement in enumerate(dict.fromkeys(session.placement for session in sessions)):
        days = [session.day for session in sessions if session.placement == placement]
        colour = theme.SEQUENCE[k % len(theme.SEQUENCE)]
        panel.upright(days, y - 0.34, y + 0.36, colour, width=1.2, level=3)
        panel.points(days, y - 0.32, theme.MARKERS[k % len(theme.MARKERS)], 2.6, colour)


def _draw_scans(scans: Sequence[Scan], panel: Panel, y: float) -> None:
    for usable, marker, size, colour in ((True, "D", 5.5, theme.INK), (False, "x", 6, theme.VERMILLION)):
        days = [scan.day for scan in scans if scan.usable is usable]
        panel.points(days, y, marker, size, colour)


def _draw_events(events: Sequence[Event], panel: Panel, y: float) -> None:
    span = panel.x_limits
    for event in events:
        colour = theme.RED_TEXT if event.event == "relapse" else theme.INK
        late = _late(event.day, span)
        panel.points(event.day, y, "X", 6, colour)
        name = clean(event.event.replace("_", " "), 22)
        look = {"across": "right" if late else "left", "upright": "center", "size": 8.5, "colour": colour}
        panel.words(name, event.day, y, offset=(-7 if late else 7, 0), **look)


def _draw_doses(doses: Sequence[Dose], colour: str, panel: Panel, y: float) -> None:
    lower, upper = panel.x_limits
    largest = max(dose.dose_mg_day for dose in doses)
    for dose in doses:
        left, right = max(dose.start_day, lower), min(dose.stop_day, upper)
        if right <= left or not dose.dose_mg_day > 0:
            continue
        height = 0.28 + 0.44 * dose.dose_mg_day / largest
        panel.box((left, y - height / 2), (right, y + height / 2), colour, alpha=0.28, edge=colour)
        text = number(dose.dose_mg_day, 4)
        if (right - left) / (upper - lower) > 0.012 * len(text) + 0.004:
            panel.words(text, (left + right) / 2, y, across="center", upright="center", size=8.0)
