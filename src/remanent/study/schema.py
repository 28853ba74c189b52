"""`schema.yaml` as frozen values: what every table and column is called, holds and means."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

Kind = Literal["text", "number", "integer", "boolean", "level"]
Direction = Literal["higher_is_worse", "higher_is_better"]
T = TypeVar("T")


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes
    ----------
    kind
        ``text``, ``number``, ``integer``, ``boolean`` or ``level`` (one of `levels`).
    unit
        Unit of the numbers; empty where there is none.
    minimum, maximum
        Inclusive limits; None where there are none.
    levels
        Allowed values and their meaning; empty unless `kind` is ``level``.
    required
        In an input table, a row without it takes no part; in an output table, it is never missing.
    meaning
        One plain sentence.
    label
        A few words, for an axis or the head of a table.
    """

    name: str
    kind: Kind
    unit: str
    minimum: float | None
    maximum: float | None
    levels: Mapping[str, str]
    required: bool
    meaning: str
    label: str


@dataclass(frozen=True)
class TableSpec:
    """One table: its columns in order, the columns no two rows may share, and where it lies."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    meaning: str
    path: str

    @cached_property
    def column(self) -> Mapping[str, Column]:
        """Columns by name."""
        return {column.name: column for column in self.columns}


@dataclass(frozen=True)
class Instrument:
    """One rating scale: range and direction of its total, and conventional cut-offs with their source.

    Attributes
    ----------
    direction
        Whether a higher total means worse or better.
    remission
        Highest total (lowest, where higher is better) still counted as remission; None without an accepted cut-off.
    severe
        First total of the severe band; None where there is none.
    status
        ``published``, ``derived`` or ``assumed``: that of the weakest number here.
    read
        How the cut-offs were checked: ``table``, ``abstract``, ``quoted`` or ``recalled`` (not re-checked).
    domain
        ``depression``, ``global``, ``sleep``, ``cognition``, or ``other`` for an instrument known by its sidecar only.
    synonyms
        Other names of its file, lower case.
    """

    name: str
    long_name: str
    minimum: float
    maximum: float
    direction: Direction
    remission: float | None
    severe: float | None
    source: str
    status: str
    read: str
    domain: str
    synonyms: tuple[str, ...]


@dataclass(frozen=True)
class Analyte:
    """One laboratory analyte: the unit its values are kept in, factors from other units, the largest credible value."""

    name: str
    long_name: str
    unit: str
    units: Mapping[str, float]
    maximum: float
    source: str
    status: str
    synonyms: tuple[str, ...]


@dataclass(frozen=True)
class SleepMeasure:
    """One sleep measure: its unit, range and direction."""

    name: str
    long_name: str
    unit: str
    minimum: float
    maximum: float
    direction: Direction


class _Section(Mapping[str, T]):
    """A part of the schema, read when first looked at."""

    def __init__(self, load: Callable[[], Mapping[str, T]]) -> None:
        self._load = load

    @cached_property
    def _items(self) -> Mapping[str, T]:
        return self._load()

    def __getitem__(self, name: str) -> T:
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)


@cache
def _document() -> Mapping[str, Any]:
    from remanent._yaml import read_yaml

    document: Mapping[str, Any] = read_yaml(Path(__file__).with_name("schema.yaml").read_bytes())
    return document


def _each(section: str, build: Callable[[str, Mapping[str, Any]], T]) -> Mapping[str, T]:
    return _Section(lambda: {name: build(name, entry) for name, entry in _document()[section].items()})


def _column(name: str, entry: Mapping[str, Any]) -> Column:
    empty: dict[str, Any] = {"unit": "", "minimum": None, "maximum": None, "levels": {}, "required": False}
    return Column(**{"name": name, **empty, **entry})


def _table(name: str, entry: Mapping[str, Any]) -> TableSpec:
    columns = tuple(_column(c, e) for c, e in entry["columns"].items())
    return TableSpec(name, columns, tuple(entry["key"]), entry["meaning"], entry["path"])


def _instrument(name: str, entry: Mapping[str, Any]) -> Instrument:
    minimum, maximum = entry["range"]
    return Instrument(
        name=name,
        long_name=entry["long_name"],
        minimum=minimum,
        maximum=maximum,
        direction=entry.get("direction", "higher_is_worse"),
        remission=entry.get("remission"),
        severe=entry.get("severe"),
        source=entry["source"],
        status=entry["status"],
        read=entry["read"],
        domain=entry["domain"],
        synonyms=tuple(entry["synonyms"]),
    )


def _analyte(name: str, entry: Mapping[str, Any]) -> Analyte:
    return Analyte(**{"name": name, **entry, "synonyms": tuple(entry["synonyms"])})


INPUT: Mapping[str, TableSpec] = _each("input", _table)
OUTPUT: Mapping[str, TableSpec] = _each("output", _table)
INSTRUMENTS: Mapping[str, Instrument] = _each("instruments", _instrument)
ANALYTES: Mapping[str, Analyte] = _each("analytes", _analyte)
SLEEP_MEASURES: Mapping[str, SleepMeasure] = _each("sleep_measures", lambda name, entry: SleepMeasure(name, **entry))
DIAGNOSES: Mapping[str, str] = _each("diagnoses", lambda _, entry: entry["meaning"])
PLACEMENTS: Mapping[str, str] = _Section(lambda: INPUT["ect"].column["placement"].levels)
EVENTS: Mapping[str, str] = _Section(lambda: INPUT["events"].column["event"].levels)


def section(name: str) -> Mapping[str, Any]:
    """A part of the schema as it stands in the file: `identifiers`, `families`."""
    return _document()[name]


@cache
def unit_factors(unit: str) -> Mapping[str, float]:
    """Spellings (case-folded) of units a sidecar may give instead of `unit`, and what one of them is worth in it."""
    return {name.casefold(): float(factor) for name, factor in _document()["units"].get(unit, {unit: 1}).items()}


@cache
def cousins(column: str) -> tuple[str, ...]:
    """Names that others use for a column of ours: for advice only, never read as if they were ours."""
    return tuple(_document()["cousins"].get(column, ()))


@cache
def spellings(
    kind: Literal["instrument", "analyte", "sleep_measure", "diagnosis", "placement", "event", "sex"],
) -> Mapping[str, str]:
    """Every accepted spelling (case-folded) of a known name, and the name as this house writes it.

    >>> spellings("instrument")["hamd-17"], spellings("placement")["rul"], spellings("event")["hospitalized"]
    ('hdrs17', 'RUL', 'hospitalised')
    """
    document = _document()
    sections = {"instrument": "instruments", "analyte": "analytes", "diagnosis": "diagnoses"}
    if kind in sections:
        entries = document[sections[kind]]
        found = {synonym: name for name, entry in entries.items() for synonym in (*entry["synonyms"], name)}
    elif kind == "sleep_measure":
        found = {name: name for name in SLEEP_MEASURES}
    else:
        levels = {"placement": PLACEMENTS, "event": EVENTS, "sex": INPUT["participants"].column["sex"].levels}[kind]
        found = {name: name for name in levels} | document["synonyms"][kind]
    return {spelling.casefold(): name for spelling, name in found.items()}


def instrument_spec(instrument: Instrument) -> TableSpec:
    """The table ``phenotype/<instrument>.tsv``: participant_id, day, total."""
    long = INPUT["symptoms"]
    total = replace(
        long.column["value"],
        name="total",
        minimum=instrument.minimum,
        maximum=instrument.maximum,
        label=instrument.name,
        meaning=f"{instrument.long_name}: total score.",
    )
    columns = (long.column["participant_id"], long.column["day"], total)
    path = f"phenotype/{instrument.name}.tsv"
    return TableSpec(instrument.name, columns, ("participant_id", "day"), instrument.long_name, path)


def sidecar(spec: TableSpec) -> dict[str, dict[str, Any]]:
    """The JSON sidecar of a table, as BIDS has it, with `Direction` for the total of a known instrument.

    Source: BIDS 1.10, common principles, tabular files.
    """
    described = {column.name: _describe(column) for column in spec.columns}
    if spec.name in INSTRUMENTS and "total" in described:
        described["total"]["Direction"] = INSTRUMENTS[spec.name].direction
    return described


def _describe(column: Column) -> dict[str, Any]:
    entry: dict[str, Any] = {"LongName": column.label, "Description": column.meaning}
    if column.unit:
        entry["Units"] = column.unit
    if column.kind == "boolean":
        entry["Levels"] = {"true": "yes", "false": "no"}
    if column.levels:
        entry["Levels"] = dict(column.levels)
    limits = {"Minimum": column.minimum, "Maximum": column.maximum}
    return entry | {name: limit for name, limit in limits.items() if limit is not None}
