"""The patient list: filters and order, made on the server."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Query

from remanent.app.shelf import Person
from remanent.report import words

KINDS: Mapping[str, str] = {
    "ECT sessions": "ECT",
    "symptom visits": "ratings",
    "usable scans": "usable scans",
    "dose changes": "dose changes",
}
URGENCY = tuple(words.ADVICE)
Short = Annotated[str, Query(max_length=80)]


@dataclass(frozen=True, slots=True)
class Choice:
    """What was asked of the list, as the address has it; empty: no filter."""

    advice: Short = ""
    site: Short = ""
    diagnosis: Short = ""
    kinds: Annotated[int, Query(ge=0, le=len(KINDS))] = 0
    find: Short = ""
    sort: Short = "advice"
    down: bool = False

    def __post_init__(self) -> None:
        """Sort as usual where the address names no column."""
        if self.sort not in SORTS:
            object.__setattr__(self, "sort", "advice")


def kinds_of(person: Person) -> list[str]:
    """Kinds of data that a participant has: ECT, ratings, usable scans, dose changes."""
    return [label for count, label in KINDS.items() if person.row.counts.get(count, 0) > 0]


def chosen(people: Sequence[Person], choice: Choice) -> list[Person]:
    """Those who pass every filter, in order; missing values come last whichever way."""
    kept = [person for person in people if _passes(person, choice)]
    key = SORTS[choice.sort]
    valued = [(key(person), person) for person in kept]
    there = [pair for pair in valued if not _is_missing(pair[0])]
    there.sort(key=lambda pair: pair[0], reverse=choice.down)
    return [person for _, person in there] + [person for value, person in valued if _is_missing(value)]


def _passes(person: Person, choice: Choice) -> bool:
    return (
        choice.advice in {"", person.row.advice}
        and choice.site in {"", person.site}
        and choice.diagnosis in {"", person.diagnosis}
        and len(kinds_of(person)) >= choice.kinds
        and choice.find.casefold() in person.row.participant_id.casefold()
    )


def _is_missing(value: float | str) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _relapse(person: Person) -> float:
    first = next(iter(person.row.relapse.values()), None)
    return math.nan if first is None else first.mean


SORTS: Mapping[str, Callable[[Person], float | str]] = {
    "advice": lambda person: URGENCY.index(person.row.advice),
    "participant": lambda person: person.row.participant_id,
    "site": lambda person: person.site.casefold(),
    "diagnosis": lambda person: person.diagnosis.casefold(),
    "today": lambda person: person.row.today,
    "relapse": _relapse,
    "hold": lambda person: math.nan if person.row.hold is None else person.row.hold.mean,
    "kinds": lambda person: len(kinds_of(person)),
    "aside": lambda person: person.row.set_aside,
}
