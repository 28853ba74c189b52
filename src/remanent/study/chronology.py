"""Whether what is on record of a person can have come in this order: nothing follows a death, a dropout or the end of follow-up."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from remanent._errors import Problem
from remanent.study.table import Table

Dated = tuple[float, str]  # the day of a record, and where it stands

SEEN = frozenset({"relapse", "hospitalised"})  # events that somebody must have seen
_RECORDS = ("symptoms", "sessions", "medication", "ect", "labs", "sleep", "ema", "pet", "eeg", "events")
_ENDS = {
    "death": (
        "as the day of a death",
        "one of the two cannot be. The death stands and no advice is given",
        "Correct the day of the death, or whose records they are.",
    ),
    "dropout": (
        "as the day of a dropout",
        "who dropped out gives no more data. The risk of relapse is counted up to this day only, the records are used",
        "Give the day of the last contact, or remove the dropout.",
    ),
    "end_of_followup": (
        "as the end of follow-up",
        "follow-up went on. The risk of relapse is counted up to this day only, the records are used",
        "Give the day of the last contact.",
    ),
}


def contradictions(tables: Mapping[str, Table]) -> list[Problem]:
    """Events that what is on record of the same participant speaks against; their rows are used."""
    events = tables["events"]
    ends: dict[str, list[int]] = {}
    for row in np.flatnonzero(np.isin(events["event"].astype(str), [*_ENDS, "relapse"])).tolist():
        ends.setdefault(events["participant_id"][row], []).append(row)
    later = _later(tables, {who: float(events["day"][rows].min()) for who, rows in ends.items()})
    found: list[tuple[int, str]] = []
    for who, rows in ends.items():
        own = [(events["event"][row], float(events["day"][row])) for row in rows]
        found += [(rows[i], words) for i, words in out_of_order(own, later.get(who, ()))]
    return [Problem(events.file[row], int(events.row[row]), "day", words, "used") for row, words in sorted(found)]


def out_of_order(events: Sequence[tuple[str, float]], seen: Sequence[Dated]) -> list[tuple[int, str]]:
    """Which of one person's events (name, day) cannot be, by place in the sequence, and why; `seen` is what else is on record."""
    found = [(i, _too_early(event, day, seen)) for i, (event, day) in enumerate(events)]
    first = min((day for event, day in events if event == "relapse"), default=math.inf)
    found += [(i, _again(day, first)) for i, (event, day) in enumerate(events) if event == "relapse" and day > first]
    return [(i, words) for i, words in found if words]


def _too_early(event: str, day: float, seen: Sequence[Dated]) -> str:
    """What contradicts what, why it matters and what to do; empty where nothing does."""
    later = [one for one in seen if math.floor(one[0]) > math.floor(day)]
    if event not in _ENDS or not later:
        return ""
    what, why, do = _ENDS[event]
    last, where = max(later)
    there = f'"{len(later)}" later records of this participant, the last of them on day "{last:g}" ("{where}")'
    return f'"{day:g}" {what} does not go with {there}: {why}. {do}'


def _again(day: float, first: float) -> str:
    return (
        f'"{day:g}" is the day of another relapse of this participant, after that of day "{first:g}": the model counts a first '
        "relapse only, as nobody is at risk of it later. If this is the right one, remove the other."
    )


def _later(tables: Mapping[str, Table], end: Mapping[str, float]) -> dict[str, list[Dated]]:
    """What somebody must have seen of each participant after the day given."""
    found: dict[str, list[Dated]] = {}
    for name in _RECORDS:
        for who, day, file in _after(tables[name], end):
            found.setdefault(who, []).append((day, file))
    return found


def _after(table: Table, end: Mapping[str, float]) -> Iterator[tuple[str, float, str]]:
    day = table["start_day" if table.spec.name == "medication" else "day"]
    limit = np.array([end.get(who, math.inf) for who in table["participant_id"].tolist()], dtype=float)
    rows = np.isfinite(day) & (day > limit)
    if table.spec.name == "events":
        rows &= np.isin(table["event"].astype(str), list(SEEN))
    return zip(table["participant_id"][rows].tolist(), day[rows].tolist(), table.file[rows].tolist(), strict=True)
