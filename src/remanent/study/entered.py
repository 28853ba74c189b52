"""A row that a person types, checked by the very rules that a file of the study must pass."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from remanent._errors import Problem
from remanent.study import schema
from remanent.study.chronology import SEEN, out_of_order
from remanent.study.columns import Rows, read_column
from remanent.study.examine import examine, spelled
from remanent.study.record.entry import ENTERABLE, Held
from remanent.study.rules import Context, DoubtDose
from remanent.study.schema import INPUT, Column, Instrument, TableSpec
from remanent.study.sidecars import Described
from remanent.study.table import Table, merged
from remanent.study.tables import as_symptoms
from remanent.study.tsv import Sheet

LONGEST_CELL = 500
TYPED = "the form"
_JUDGED_TOGETHER = ("medication", "ect")  # tables whose rules look at a participant's other rows


@dataclass(frozen=True)
class Checked:
    """What became of a typed row: a table of one row, or why not.

    Attributes
    ----------
    table
        The row as the record keeps it; None where it cannot be used.
    problems
        Everything that was found, `set_aside` and `refused` standing in the way.
    closes
        Rows of the participant that this row takes the place of.
    """

    table: Table | None
    problems: tuple[Problem, ...]
    closes: tuple[Held, ...] = ()


def columns_to_type(table: str) -> tuple[Column, ...]:
    """Columns a person fills in: those of the table but the participant and what the instrument says by itself."""
    known = {"participant_id", *(("direction", "minimum", "maximum") if table == "symptoms" else ())}
    return tuple(column for column in INPUT[table].columns if column.name not in known)


def check_row(
    table: str,
    cells: Mapping[str, str],
    participant_id: str,
    rows: Sequence[Held],
    drugs: tuple[Callable[[str], bool], Callable[[str], str | None], DoubtDose],
    correcting: Held | None = None,
) -> Checked:
    """Check one typed row.

    Parameters
    ----------
    cells
        Text by column name; a column left out or empty is missing.
    rows
        The participant's current rows.
    drugs
        Whether a drug is known, the nearest known name, and what speaks against a dose.
    correcting
        The row it takes the place of.
    """
    others = [
        row for row in rows if correcting is None or (row.table, row.row_id) != (correcting.table, correcting.row_id)
    ]
    typed = {name: text.strip() for name, text in cells.items() if text.strip()}
    bad = [_problem(name, why) for name, text in typed.items() if (why := _unwritable(text))]
    spec, instrument = _spec(table, typed, rows)
    if spec is None:
        bad.append(_problem("instrument", "is not a scale that is known here. Choose one of the list."))
    if bad or spec is None:
        return Checked(None, (*bad, *_rest_wrong(spec, table, typed, bad)))
    ended = _ended_by(table, typed, others)
    context = Context(
        participants=frozenset({participant_id}),
        session_day={},
        had_ect=frozenset({participant_id} if any(row.table == "ect" for row in rows) else ()),
        known_drug=drugs[0],
        suggest_drug=drugs[1],
        doubt_dose=drugs[2],
    )
    start = typed.get("start_day", "")
    beside = [row for row in others if row.table == table and table in _JUDGED_TOGETHER]
    standing = [_as_typed(row, start if row in ended else "") for row in beside]
    if wrong := _cells_wrong(spec, _sheet(spec, participant_id, [typed])):
        return Checked(None, wrong)
    sheet = _sheet(spec, participant_id, [*standing, typed])
    found, problems = examine(sheet, TYPED, Described(spec, {}), context)
    mine = tuple(p for p in problems if p.row in (None, len(sheet) + 1))
    kept = None if found is None else found.select(found.row == len(sheet) + 1)
    if kept is None or not len(kept):
        return Checked(None, mine or (_problem("", "The row cannot be used."),))
    row = as_symptoms(kept, instrument) if instrument else kept
    mine += _unknown_name(row, drugs[0])
    twin = next((other for other in others if other.table == table and _key(other) == _key_of(row)), None)
    if twin is not None:
        what = ", ".join(INPUT[table].key[1:])
        return Checked(
            None,
            (*mine, _problem(INPUT[table].key[-1], f"There is a row of the same {what} already: correct that one.")),
        )
    stopped = tuple(_stopped(old, row) for old in ended)
    return Checked(merged(INPUT[table], [*stopped, row]), mine, tuple(ended))


def _unknown_name(row: Table, known_drug: Callable[[str], bool]) -> tuple[Problem, ...]:
    """A laboratory value or sleep measure that no one here knows: kept, as a file's is, and said, as it may be a slip."""
    column, names = {"labs": ("analyte", schema.ANALYTES), "sleep": ("measure", schema.SLEEP_MEASURES)}.get(
        row.spec.name, ("", {})
    )
    if not column or str(row[column][0]) in names or known_drug(str(row[column][0])):
        return ()
    why = f'"{row[column][0]}" is not among those known here ({", ".join(names)}): it is kept and listed, and takes no part. If it is a slip, withdraw it.'
    return (Problem(TYPED, None, column, why, "used"),)


def _cells_wrong(spec: TableSpec, sheet: Sheet) -> tuple[Problem, ...]:
    """Whatever is wrong with single cells, of every column: a file's row goes with its first reason, who types wants to see them all."""
    wrong: list[Problem] = []
    for column in spec.columns:
        rows = Rows(sheet)
        read_column(sheet.column(column.name), column, rows, spelled(column.name))
        wrong += [problem for problem in rows.problems if problem.action != "used"]
    return tuple(wrong)


def _rest_wrong(
    spec: TableSpec | None, table: str, typed: Mapping[str, str], said: Sequence[Problem]
) -> tuple[Problem, ...]:
    """What is wrong with cells of which nothing was said yet; without a known scale a score has no limits."""
    if table not in ENTERABLE:
        return ()
    named = {problem.column for problem in said}
    spec = spec or replace(INPUT[table], columns=tuple(c for c in INPUT[table].columns if c.name in ("day", "value")))
    readable = {name: text for name, text in typed.items() if name not in named}
    wrong = _cells_wrong(spec, _sheet(spec, "", [readable]))
    return tuple(p for p in wrong if {"total": "value"}.get(p.column, p.column) not in {*named, "participant_id"})


def _problem(column: str, why: str) -> Problem:
    return Problem(TYPED, None, column, why, "set_aside")


def _unwritable(text: str) -> str:
    """Why a text cannot stand in a table of the study; empty where it can."""
    if len(text) > LONGEST_CELL:
        return f"is longer than {LONGEST_CELL} characters."
    return "" if text.isprintable() else "has a tab, a line end or a control character, which a table cannot hold."


def _spec(table: str, typed: Mapping[str, str], rows: Sequence[Held]) -> tuple[TableSpec | None, Instrument | None]:
    """What the row is checked against, and its instrument where it is a rating."""
    if table not in ENTERABLE:
        return None, None
    if table != "symptoms":
        return INPUT[table], None
    asked = typed.get("instrument", "").casefold()
    name = schema.spellings("instrument").get(asked)
    instrument = schema.INSTRUMENTS[name] if name else _own_scale(asked, rows)
    return (schema.instrument_spec(instrument), instrument) if instrument else (None, None)


def _own_scale(name: str, rows: Sequence[Held]) -> Instrument | None:
    """A scale that only this study's sidecar knows, as its accepted ratings describe it."""
    like = next(
        (row.values for row in rows if row.table == "symptoms" and row.values["instrument"].casefold() == name), None
    )
    if like is None or like["direction"] is None:
        return None
    low, high = (np.nan if like[limit] is None else like[limit] for limit in ("minimum", "maximum"))
    name, direction = like["instrument"], like["direction"]
    about: tuple[str, str, str] = ("the study's sidecar", "assumed", "quoted")
    return Instrument(name, name, low, high, direction, None, None, *about, domain="other", synonyms=())


def _sheet(spec: TableSpec, participant_id: str, rows: Sequence[Mapping[str, str]]) -> Sheet:
    header = tuple(spec.column)
    named = {"total": "value"} if "total" in spec.column else {}
    lines = [{**row, "participant_id": participant_id} for row in rows]
    cells = [row.get(name) or row.get(named.get(name, ""), "n/a") for row in lines for name in header]
    n = len(lines)
    return Sheet(header, pa.array(cells, pa.string()), np.full(n, TYPED, dtype=object), np.arange(2, n + 2))


def _ended_by(table: str, typed: Mapping[str, str], others: Sequence[Held]) -> list[Held]:
    """The dose that a new dose of the same drug ends: one that was going on without an end before it starts."""
    if table != "medication" or not _is_number(typed.get("start_day", "")):
        return []
    drug, start = typed.get("drug", "").casefold(), float(typed["start_day"])
    mine = [row for row in others if row.table == "medication" and str(row.values["drug"]).casefold() == drug]
    return [
        row for row in mine if _open_end(row) and (row.values["start_day"] is None or row.values["start_day"] < start)
    ]


def _open_end(row: Held) -> bool:
    stop = row.values["stop_day"]
    return stop is None or stop == float("inf")


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


def _as_typed(row: Held, stop: str) -> dict[str, str]:
    """A dose on record as a person would type it; `stop`: the day it ends now, where a new dose ends it."""
    missing_values = {None, float("inf"), float("-inf")}
    cells = {name: "n/a" if value in missing_values else str(value) for name, value in row.values.items()}
    return cells | ({"stop_day": stop} if stop else {})


def _stopped(old: Held, new: Table) -> Table:
    """The dose that ends on the day the new one starts."""
    spec = INPUT["medication"]
    values = {**old.values, "stop_day": float(new["start_day"][0])}
    columns = {
        c.name: np.array([values[c.name]], dtype=float if c.kind in ("number", "integer") else object)
        for c in spec.columns
    }
    return Table(spec, columns, new.file[:1], new.row[:1])


def _key(row: Held) -> tuple[str, ...]:
    return tuple(str(row.values[name]) for name in INPUT[row.table].key)


def _key_of(row: Table) -> tuple[str, ...]:
    return tuple(str(row[name][-1]) for name in row.spec.key)


def contradicted(new: Table, rows: Sequence[Held], scans: Sequence[float]) -> str:
    """Why a row that was checked cannot come in this order with what is on record; empty where it can.

    Parameters
    ----------
    new
        `Checked.table`, its last row the typed one.
    rows, scans
        The participant's other rows, and the days of scan visits.
    """
    day = float(new[_day_of(new.spec.name)][-1])
    event = str(new["event"][-1]) if new.spec.name == "events" else ""
    ends = [(str(row.values["event"]), float(row.values["day"])) for row in rows if row.table == "events"]
    held = [(row.values[_day_of(row.table)], row.file) for row in rows if row.values.get("event") in {None, *SEEN}]
    seen = [
        (float(at), file)
        for at, file in [*held, *((at, "scans") for at in scans)]
        if at is not None and np.isfinite(at)
    ]
    if not np.isfinite(day):
        return ""
    against = [words for i, words in out_of_order([*ends, (event, day)], seen) if i == len(ends)]
    if not event or event in SEEN:
        against += [words for _, words in out_of_order(ends, [(day, TYPED)]) if TYPED in words]
    return " ".join(dict.fromkeys(against))


def _day_of(table: str) -> str:
    return "start_day" if table == "medication" else "day"
