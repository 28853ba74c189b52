"""Column names: which are ours, which point to a person and are refused, and what can be said about the rest.

Nothing is read under a name that is not ours. What looks like something we could use is named, with the file to write.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from remanent._errors import Problem
from remanent.study import schema
from remanent.study.schema import TableSpec

_MANY = 4
_AS_ROWS = (
    "Measures of single days belong in rows: phenotype/ema.tsv (participant_id, day, item, value) for daily or "
    "momentary ratings, phenotype/labs.tsv (participant_id, day, analyte, value, unit) for blood values, "
    "phenotype/sleep.tsv (participant_id, day, measure, value) for sleep."
)


@dataclass(frozen=True)
class Header:
    """The columns of a file by what can be done with them.

    Attributes
    ----------
    ours
        Our name and the name in the file.
    identifiers
        Columns that look as if they pointed to a person.
    others
        Columns that are kept without being interpreted.
    """

    ours: Mapping[str, str]
    identifiers: tuple[str, ...]
    others: tuple[str, ...]


def sort_header(names: Sequence[str], wanted: Iterable[str]) -> Header:
    """Sort the columns of a file; `wanted` are ours, matched exactly, else without regard to case."""
    folded = {name.casefold(): name for name in reversed(names) if name}
    ours = {
        column: column if column in names else folded[column.casefold()]
        for column in wanted
        if column.casefold() in folded
    }
    rest = [name for name in names if name and name not in ours.values()]
    identifiers = tuple(name for name in rest if points_to_person(name))
    return Header(ours, identifiers, tuple(name for name in rest if name not in identifiers))


def points_to_person(column: str) -> bool:
    """Whether a column's name looks like a name, record number, e-mail, phone, birth date or address.

    >>> points_to_person("PatientName"), points_to_person("drug_name"), points_to_person("Geburtsdatum")
    (True, False, True)
    """
    lists = _identifiers()
    words = [word for word in _words(column) if word not in lists["fillers"]]
    joined = f" {' '.join(words)} "
    named = not lists["names"].isdisjoint(words) and lists["things"].isdisjoint(words)
    return named or not lists["words"].isdisjoint(words) or any(f" {phrase} " in joined for phrase in lists["phrases"])


@cache
def _identifiers() -> Mapping[str, frozenset[str]]:
    return {kind: frozenset(words) for kind, words in schema.section("identifiers").items()}


def _words(name: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", name.replace("ß", "ss")).encode("ascii", "ignore").decode()
    return [word.casefold() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", plain)]


def instruments_in(column: str) -> tuple[tuple[str, ...], str]:
    """Instruments whose name stands in a column's name, and what else stands there.

    Several are returned where the name leaves open which one is meant.

    >>> instruments_in("Zung_SDS_ses-pre"), instruments_in("HAMD17_T0"), instruments_in("weight")
    ((('zung_sds',), 'ses-pre'), (('hdrs17',), 'T0'), ((), ''))
    """
    tokens = [match.span() for match in re.finditer(r"[^\W_]+", column)]
    for length in range(min(4, len(tokens)), 0, -1):
        for first in range(len(tokens) - length + 1):
            start, end = tokens[first][0], tokens[first + length - 1][1]
            found = _instrument_names().get(_bare(column[start:end]))
            if found:
                return found, (column[:start] + column[end:]).strip("_-:. ")
    return (), ""


@cache
def _instrument_names() -> Mapping[str, tuple[str, ...]]:
    families = schema.section("families").values()
    vague = {_bare(spelling): tuple(family["members"]) for family in families for spelling in family["spellings"]}
    return vague | {_bare(spelling): (name,) for spelling, name in schema.spellings("instrument").items()}


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def refuse_identifiers(header: Header, file: str) -> list[Problem]:
    """One problem for each column that points to a person."""
    reason = (
        "The name of this column looks like one that identifies a person, so the column is not read and its values "
        "reach no output. Remove it from the study; if it is harmless, rename it."
    )
    return [Problem(file, 1, name[:80], reason, "refused") for name in header.identifiers]


def account_for_others(header: Header, spec: TableSpec, file: str) -> list[Problem]:
    """What can be said about the columns that are kept without being interpreted: once per file."""
    others = [name for name in header.others if not ("total" in spec.column and _is_item(name))]
    rest = [name for name in others if not instruments_in(name)[0]]
    if not rest:
        return []
    words = f"{len(rest)} column{'s are' if len(rest) > 1 else ' is'} kept, not interpreted: {_grouped(rest)}."
    for column in spec.columns:
        like = None if column.name in header.ours else lookalike(column.name, rest)
        words += f' If "{like}" is {column.name}, rename it.' if like else ""
    return [Problem(file, 1, rest[0] if len(rest) == 1 else "", words + _belong_in_rows(rest, spec), "used")]


def account_for_ratings(header: Header, spec: TableSpec, file: str) -> list[Problem]:
    """Where ratings stand side by side in columns: how to write them in rows, once per instrument."""
    found: dict[tuple[str, ...], list[str]] = {}
    for name in header.others:
        members, _ = instruments_in(name)
        if members and not ("total" in spec.column and _is_item(name)):
            found.setdefault(members, []).append(name)
    return [Problem(file, 1, names[0], _rating_advice(members, names), "used") for members, names in found.items()]


def account_for_dates(
    header: Header, spec: TableSpec, file: str, cells: Callable[[str], Iterable[str]]
) -> list[Problem]:
    """Where a column seems to hold dates and no day is given: in how many forms they are written, and what to write.

    `cells` gives the distinct cells of a column.
    """
    dated = lookalike("acq_time", header.others)
    if dated is None or "day" not in spec.column or "day" in header.ours:
        return []
    forms = sorted({re.sub(r"\d", "#", text)[:20] for text in cells(dated)})
    words = (
        f'"{dated}" seems to hold dates, in {len(forms)} form{"s" * (len(forms) > 1)} ({_listed(forms, 4)}). Day and month '
        "cannot be told apart for certain, so it is not read. Write day (a number), or in a sessions.tsv acq_time "
        "(as 2024-05-31T09:30:00). The order of rows does not matter."
    )
    return [Problem(file, 1, dated, words, "used")]


def _is_item(name: str) -> bool:
    members, rest = instruments_in(name)
    return bool(re.fullmatch(r"(item|q)?[_-]?\d+[a-z]?", rest if members else name, re.IGNORECASE))


def _rating_advice(members: tuple[str, ...], names: Sequence[str]) -> str:
    points = list(dict.fromkeys(point for _, point in map(instruments_in, names) if point))
    which = members[0] if len(members) == 1 else f"<one of {', '.join(members)}>"
    when = f" at {_listed(points)}" if points else ""
    return (
        f"{_listed(names)}: looks like ratings{when}, side by side; not interpreted. A rating needs a row and a day: write "
        f"phenotype/{which}.tsv with participant_id, day (days since the last session of the index ECT course; without "
        "ECT, since the first record) and total, one row per rating. Or session_id in place of day, with the day of each "
        "session in sub-<label>/sub-<label>_sessions.tsv."
    )


def _grouped(names: Sequence[str]) -> str:
    """Names in a list, those with one prefix (before a colon) together."""
    groups: dict[str, int] = {}
    for name in names:
        group = name.partition(":")[0] + ":" if ":" in name else name
        groups[group] = groups.get(group, 0) + 1
    return _listed([group if n == 1 else f"{group} ({n} columns)" for group, n in groups.items()], quote="")


def _belong_in_rows(names: Sequence[str], spec: TableSpec) -> str:
    return f" {_AS_ROWS}" if spec.name == "sessions" and len(names) >= _MANY else ""


def lookalike(column: str, names: Sequence[str]) -> str | None:
    """The name in the file that others use for our column, if there is one."""
    known = {_bare(cousin) for cousin in (*schema.cousins(column), column)}
    totals = {name for name in names if column == "total" and instruments_in(name)[0]}
    spelled = {name: _bare(instruments_in(name)[1]) if name in totals else _bare(name) for name in names}
    return next((name for name, bare in spelled.items() if bare in known or (name in totals and not bare)), None)


def lacking(header: Header, spec: TableSpec, file: str, rows: int) -> Problem | None:
    """The problem of a file without a column it cannot do without; a day may come from session_id."""
    needed = [column.name for column in spec.columns if column.required and column.name not in header.ours]
    if "session_id" in header.ours and "day" in needed:
        needed.remove("day")
    if not needed:
        return None
    instead = {name: lookalike(name, header.others) for name in needed}
    rename = "".join(
        f' Rename "{found}" to "{name}" if that is what it holds.' for name, found in instead.items() if found
    )
    have = f"The file has: {_grouped([*header.ours.values(), *header.others])}."
    wanted = " and ".join(f'"{name}"' + (' (or "session_id")' if name == "day" else "") for name in needed)
    words = f"Column {wanted} is missing, so none of the {rows} rows can be used. {have}{rename}"
    advice = _one_row_per_value(spec, needed) + _belong_in_rows(header.others, spec)
    return Problem(file, 1, needed[0], words + advice, "refused")


def _one_row_per_value(spec: TableSpec, needed: Sequence[str]) -> str:
    if "value" not in needed:
        return ""
    return f" This table has one row per value, with the columns {', '.join(column.name for column in spec.columns)}."


def _listed(names: Sequence[str], limit: int = 8, quote: str = '"') -> str:
    shown = ", ".join(f"{quote}{name[:40]}{quote}" for name in names[:limit])
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")
