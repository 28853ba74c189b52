"""A REDCap export and a mapping file to the same tables as a BIDS study, checked by the same rules.

The export is REDCap's flat CSV with raw codes; long format (``redcap_event_name``, ``redcap_repeat_instrument``,
``redcap_repeat_instance``) and checkboxes (``field___code``) included. Only fields that the mapping names are read.

The mapping is YAML::

    participant: record_id              # the field that identifies a row's participant
    day_zero: ect_last_date             # optional: the field with the date of the last session of the index ECT course
    events: {baseline_arm_1: -3}        # optional: the day of a REDCap event
    tables:                             # a table of docs/formats.md, or an instrument; one block or a list of them
      participants: {columns: {age: age_years, sex: sex}, codes: {sex: {"1": M, "2": F}}}
      hdrs17: {columns: {total: hdrs_total}, date: hdrs_date}
      medication: {form: medication, columns: {drug: med_name, dose_mg_day: med_dose, start_day: med_start}}
      labs: [{columns: {value: crp}, constants: {analyte: crp, unit: mg/L}, events: [baseline_arm_1]}]
      ect: {form: ect, date: ect_date, checkboxes: {placement: {ect_placement___1: RUL, ect_placement___2: BT}}}

In a block, ``columns`` gives the field of each of our columns, ``constants`` what stands in no field, ``codes`` what a raw
code means, ``checkboxes`` which box stands for which value, ``form`` the repeating instrument, ``events`` the REDCap events
it is limited to, ``date`` a field whose date becomes `day` by way of `day_zero`; ``dates`` the same for other columns.
"""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date
from pathlib import Path
from typing import Any

from remanent._errors import InputError, Problem
from remanent._yaml import read_written
from remanent.study import schema
from remanent.study.examine import examine
from remanent.study.rules import Context, DoubtDose, as_participant
from remanent.study.schema import INPUT, INSTRUMENTS, TableSpec
from remanent.study.sidecars import Described
from remanent.study.table import Table, merged, without_duplicates
from remanent.study.tables import as_symptoms
from remanent.study.tsv import sheet_of

Lost = dict[str, list[list[str]]]  # cells by file of the study

_FORM, _EVENT = "redcap_repeat_instrument", "redcap_event_name"
_NO_DATE = (
    "The date of this row or of the last session of the index ECT course (`day_zero`) is missing, contradictory or not "
    "written as 2024-05-31, so the row cannot be placed in time. Complete it in REDCap."
)


@dataclass(frozen=True)
class Block:
    """Where the rows of one of our tables stand in the export; see the head of this file."""

    columns: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    codes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    checkboxes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    dates: Mapping[str, str] = field(default_factory=dict)
    form: str = ""
    events: tuple[str, ...] = ()

    @property
    def ours(self) -> tuple[str, ...]:
        """The columns of ours that it fills."""
        return tuple(dict.fromkeys([*self.columns, *self.constants, *self.checkboxes, *self.dates]))

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields it reads."""
        boxes = (box for options in self.checkboxes.values() for box in options)
        return (*self.columns.values(), *self.dates.values(), *boxes)


@dataclass(frozen=True)
class Mapped:
    """A mapping file."""

    participant: str
    day_zero: str
    events: Mapping[str, float]
    tables: Mapping[str, tuple[Block, ...]]


@dataclass(frozen=True)
class Record:
    """One row of the export, with its line."""

    line: int
    cells: Mapping[str, str]


def read_redcap(
    export: Path,
    mapping: Path,
    known_drugs: Callable[[str], bool] | None = None,
    suggest_drug: Callable[[str], str | None] | None = None,
    doubt_dose: DoubtDose | None = None,
) -> tuple[dict[str, Table], tuple[Problem, ...], Lost]:
    """Read and check a REDCap export, as `remanent.study.tables.read_tables` does a study.

    The third value holds the rows that were set aside, as cells under the columns of each table's specification, so that a
    study written from the export holds them too and every later run says what is not known of whom.

    Raises
    ------
    InputError
        A file cannot be read, the mapping asks for something that is not there, or there is no participant.
    """
    mapped = _mapping(mapping)
    records, ragged = _records(export)
    _ask_only_for_what_is_there(mapped, records, mapping)
    file = export.name
    people, said = _people(mapped, records, file)
    ids = frozenset(people["participant_id"].tolist())
    blocks = mapped.tables.get("ect", ())
    treated = frozenset(_participant(mapped, record) for block in blocks for record in _of(block, records))
    context = Context(ids, None, {}, treated, known_drugs, suggest_drug, doubt_dose)
    tables = {"participants": people}
    problems = [*ragged, *_not_named(mapped, records, file), *said]
    parts: dict[str, list[Table]] = {name: [] for name in INPUT}
    lost: dict[str, list[list[str]]] = {}
    for name in mapped.tables:
        if name != "participants":
            found, more, rest = _table(mapped, name, records, context, file)
            lost[_spec(_canonical(name)).path] = rest
            parts[name if name in INPUT else "symptoms"] += found
            problems += more
    for name in INPUT:
        if name != "participants":
            tables[name], twice = without_duplicates(merged(INPUT[name], parts[name]))
            problems += twice
    return tables, tuple(problems), lost


def _mapping(path: Path) -> Mapped:
    import yaml

    try:
        content = read_written(path.read_bytes())
        tables = {name: _blocks(name, blocks) for name, blocks in content["tables"].items()}
        days = {str(event): float(day) for event, day in (content.get("events") or {}).items()}
        return Mapped(content["participant"], content.get("day_zero", ""), days, tables)
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        do = "See docs/formats.md for a whole mapping file"
        raise InputError(f"The mapping cannot be read ({error})", where=str(path), do=do) from error


def _blocks(name: str, blocks: Any) -> tuple[Block, ...]:
    spec = _spec(_canonical(name))
    found = []
    for given in blocks if isinstance(blocks, list) else [blocks]:
        entry = dict(given)
        if "date" in entry:
            entry["dates"] = entry.get("dates", {}) | {"day": entry.pop("date")}
        if unknown := entry.keys() - {one.name for one in fields(Block)}:
            raise ValueError(f"{name}: unknown key {', '.join(sorted(unknown))}")
        block = Block(**entry | {"events": tuple(entry.get("events", ()))})
        if strange := set(block.ours) - set(spec.column):
            raise ValueError(f"{name} has no column {', '.join(sorted(strange))}")
        found.append(block)
    return tuple(found)


def _canonical(name: str) -> str:
    return schema.spellings("instrument").get(name.casefold(), name)


def _spec(name: str) -> TableSpec:
    if name in INSTRUMENTS:
        return schema.instrument_spec(INSTRUMENTS[name])
    if name in INPUT and name not in ("sessions", "symptoms"):
        return INPUT[name]
    raise ValueError(f"{name} is neither a table nor a known instrument")


def _records(export: Path) -> tuple[list[Record], list[Problem]]:
    """The rows of the export; those that cannot be told apart into cells are problems."""
    try:
        raw = export.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(export)) from error
    text = raw.decode("utf-8-sig") if _is_utf8(raw) else raw.decode("cp1252", errors="replace")
    lines = csv.reader(io.StringIO(text, newline=""))
    try:
        header = next(lines, [])
        records, problems, line = [], [], lines.line_num
        for cells in lines:
            start, line = line + 1, lines.line_num
            if len(cells) == len(header):
                records.append(Record(start, dict(zip(header, cells, strict=True))))
            elif cells:
                words = f"The row has {len(cells)} cells, the header {len(header)}: its values cannot be told apart."
                problems.append(Problem(export.name, start, "", words, "set_aside"))
    except csv.Error as error:
        raise InputError(f"is not CSV ({error})", where=f"{export}, line {lines.line_num}") from error
    return records, problems


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _ask_only_for_what_is_there(mapped: Mapped, records: Sequence[Record], mapping: Path) -> None:
    if not records:
        raise InputError(
            "The export has no rows", why="Nothing can be read from it", do="Export all records as CSV (raw)"
        )
    wanted = {mapped.participant, *([mapped.day_zero] if mapped.day_zero else [])}
    wanted |= {name for blocks in mapped.tables.values() for block in blocks for name in block.fields}
    if lost := sorted(map(str, wanted - records[0].cells.keys())):
        do = "Correct the mapping, or export these fields too"
        raise InputError(f"The export has no field {', '.join(lost)}", where=str(mapping), do=do)


def _not_named(mapped: Mapped, records: Sequence[Record], file: str) -> list[Problem]:
    named = {name for blocks in mapped.tables.values() for block in blocks for name in block.fields}
    known = {mapped.participant, mapped.day_zero, _FORM, _EVENT, "redcap_repeat_instance"}
    rest = [name for name in records[0].cells if name not in named | known and not name.endswith("_complete")]
    if not rest:
        return []
    shown = ", ".join(rest[:8]) + (f" and {len(rest) - 8} more" if len(rest) > 8 else "")
    words = (
        "1 field stands in no mapping and is" if len(rest) == 1 else f"{len(rest)} fields stand in no mapping and are"
    )
    return [Problem(file, 1, "", f"{words} not read: {shown}.", "used")]


def _day_zero(mapped: Mapped, records: Sequence[Record]) -> dict[str, str]:
    """The date of each participant's day 0; contradictory ones do not count."""
    found: dict[str, set[str]] = {}
    for record in records:
        if text := record.cells.get(mapped.day_zero, "").strip():
            found.setdefault(_participant(mapped, record), set()).add(text)
    return {participant: texts.pop() for participant, texts in found.items() if len(texts) == 1}


def _of(block: Block, records: Sequence[Record]) -> list[Record]:
    """Records of the block's form and events in which any of its fields is filled in (a box: ticked)."""

    def holds(record: Record) -> bool:
        filled = any(record.cells[name].strip() for name in (*block.columns.values(), *block.dates.values()))
        return filled or any(record.cells[box].strip() == "1" for boxes in block.checkboxes.values() for box in boxes)

    return [
        record
        for record in records
        if record.cells.get(_FORM, "").strip() == block.form
        and (not block.events or record.cells.get(_EVENT, "") in block.events)
        and holds(record)
    ]


def _participant(mapped: Mapped, record: Record) -> str:
    """The id with its prefix; what cannot be one is left to the rules to say so."""
    raw = record.cells[mapped.participant].strip()
    return as_participant(raw) or raw


def _cells(mapped: Mapped, block: Block, record: Record, zero: Mapping[str, str]) -> dict[str, str]:
    """One row of our table; a date that cannot become a day raises ValueError."""
    participant = _participant(mapped, record)
    event = mapped.events.get(record.cells.get(_EVENT, ""))
    found = {"participant_id": participant, "day": "" if event is None else f"{event:g}", **block.constants}
    for column, name in block.columns.items():
        text = record.cells[name].strip()
        found[column] = block.codes.get(column, {}).get(text, text)
    for column, options in block.checkboxes.items():
        found[column] = " + ".join(value for box, value in options.items() if record.cells[box].strip() == "1")
    for column, name in block.dates.items():
        if text := record.cells[name].strip():
            found[column] = str((_date(text) - _date(zero.get(participant, ""))).days)
    return found


def _date(text: str) -> date:
    return date.fromisoformat(text[:10])


def _table(
    mapped: Mapped, name: str, records: Sequence[Record], context: Context, file: str
) -> tuple[list[Table], list[Problem], list[list[str]]]:
    """The tables of the blocks of one table of ours, checked, and the rows that are in none of them."""
    known = _canonical(name)
    spec = _spec(known)
    header = [column.name for column in spec.columns]
    zero = _day_zero(mapped, records)
    rows, lines, problems, lost = [], [], [], []
    for block in mapped.tables[name]:
        for record in _of(block, records):
            try:
                cells = _cells(mapped, block, record, zero)
            except ValueError:
                problems.append(Problem(file, record.line, next(iter(block.dates.values())), _NO_DATE, "set_aside"))
                undated = _cells(mapped, replace(block, dates={}), record, zero) | dict.fromkeys(block.dates, "undated")
                lost.append([undated.get(column, "") for column in header])
                continue
            rows.append([cells.get(column, "") for column in header])
            lines.append(record.line)
    table, said = examine(sheet_of(header, rows, file, lines), file, Described(spec, {}), context)
    out = set(lines) if table is None else {problem.row for problem in said if problem.action == "set_aside"}
    lost += [row for row, line in zip(rows, lines, strict=True) if line in out]
    tables = [table] if table is not None else []
    if known in INSTRUMENTS:
        tables = [as_symptoms(table, INSTRUMENTS[known]) for table in tables]
    return tables, [*problems, *said], lost


def _people(mapped: Mapped, records: Sequence[Record], file: str) -> tuple[Table, list[Problem]]:
    """One row for each participant: the first value that stands in any of their rows."""
    spec = INPUT["participants"]
    found: dict[str, dict[str, str]] = {}
    lines: dict[str, int] = {}
    for record in records:
        own = found.setdefault(_participant(mapped, record), {})
        lines.setdefault(_participant(mapped, record), record.line)
        for block in mapped.tables.get("participants", ()):
            cells = _cells(mapped, replace(block, dates={}), record, {})
            own |= {name: text for name, text in cells.items() if text and name not in own}
    header = [column.name for column in spec.columns]
    rows = [[own.get(name, "") if name != "participant_id" else who for name in header] for who, own in found.items()]
    table, problems = examine(sheet_of(header, rows, file, list(lines.values())), file, Described(spec, {}), Context())
    if table is None or not len(table):
        raise InputError(f'No participants in the field "{mapped.participant}"', where=file)
    return table, list(problems)
