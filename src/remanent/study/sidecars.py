"""JSON sidecars: what a study says about its own columns (`Units`, `Minimum`, `Maximum`, `Direction`)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf, isfinite, isnan, nan
from pathlib import Path
from typing import Any, get_args

from remanent._errors import Problem
from remanent.study import schema
from remanent.study.headers import instruments_in
from remanent.study.schema import Column, Direction, Instrument, TableSpec


@dataclass(frozen=True)
class Described:
    """A table's definition with what its sidecar adds.

    Attributes
    ----------
    spec
        Columns, with the limits of the sidecar where it gives any.
    factor
        What one unit of the sidecar is worth in ours, by column; NaN where the unit is not understood.
    """

    spec: TableSpec
    factor: Mapping[str, float]


def read_sidecar(table: Path, file: str) -> tuple[Mapping[str, Mapping[str, Any]], tuple[Problem, ...]]:
    """The sidecar beside a table, by column; empty where there is none or it cannot be read."""
    path = table.with_suffix(".json")
    name = str(Path(file).with_suffix(".json").as_posix())
    try:
        if not path.is_file():
            return {}, ()
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        reason = f"The sidecar is not readable JSON ({type(error).__name__}), so its units and limits are not known."
        return {}, (Problem(name, None, "", f"{reason} Correct it.", "refused"),)
    if not isinstance(content, dict):
        return {}, (Problem(name, None, "", "The sidecar is not a JSON object of columns; it is not read.", "refused"),)
    return {column: entry for column, entry in content.items() if isinstance(entry, dict)}, ()


def describe(
    spec: TableSpec, sidecar: Mapping[str, Mapping[str, Any]], file: str
) -> tuple[Described, tuple[Problem, ...]]:
    """Apply a sidecar to a definition."""
    entries = {name.casefold(): entry for name, entry in sidecar.items()}
    pairs = [(column, entries.get(column.name.casefold(), {})) for column in spec.columns]
    factor = {column.name: _factor(column, entry) for column, entry in pairs}
    problems = tuple(_unit_problem(column, entry, file) for column, entry in pairs if isnan(factor[column.name]))
    columns = tuple(_limited(column, entry, factor[column.name]) for column, entry in pairs)
    return Described(replace(spec, columns=columns), factor), problems


def _factor(column: Column, entry: Mapping[str, Any]) -> float:
    unit = entry.get("Units")
    if not column.unit or column.unit == "point" or not isinstance(unit, str) or not unit.strip():
        return 1.0
    return schema.unit_factors(column.unit).get(unit.strip().casefold(), nan)


def _unit_problem(column: Column, entry: Mapping[str, Any], file: str) -> Problem:
    known = ", ".join(schema.unit_factors(column.unit))
    reason = f'The sidecar gives "{str(entry["Units"])[:30]}" as unit of "{column.name}", which is not understood'
    return Problem(file, None, column.name, f"{reason}: the column is not read. Write one of {known}.", "refused")


def _limited(column: Column, entry: Mapping[str, Any], factor: float) -> Column:
    if column.kind != "number":
        return column
    low, high = (_number(entry.get(name)) for name in ("Minimum", "Maximum"))
    minimum = [limit for limit in (column.minimum, low and low * factor) if limit is not None]
    maximum = [limit for limit in (column.maximum, high and high * factor) if limit is not None]
    return replace(column, minimum=max(minimum, default=None), maximum=min(maximum, default=None))


def _number(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value):
        return float(value)
    return None


def instrument_of(
    stem: str, sidecar: Mapping[str, Mapping[str, Any]], file: str
) -> tuple[Instrument | None, tuple[Problem, ...]]:
    """The instrument of ``phenotype/<stem>.tsv``: a known one, or one that its sidecar describes."""
    total = next((entry for name, entry in sidecar.items() if name.casefold() == "total"), {})
    said = total.get("Direction")
    name = schema.spellings("instrument").get(stem.casefold())
    if name is None:
        return _unknown_instrument(stem, total, file)
    instrument = schema.INSTRUMENTS[name]
    if said in get_args(Direction) and said != instrument.direction:
        reason = f'The sidecar says {said} of "total", but {instrument.long_name} is scored {instrument.direction}'
        reason += ": the table is not read. Turn the scores back; or, if it is another scale, rename the file."
        return None, (Problem(file, None, "total", reason, "set_aside"),)
    return instrument, ()


def _unknown_instrument(
    stem: str, total: Mapping[str, Any], file: str
) -> tuple[Instrument | None, tuple[Problem, ...]]:
    said: Direction = total.get("Direction", "higher_is_worse")
    if total.get("Direction") not in get_args(Direction):
        return None, (Problem(file, None, "total", _how_to_describe(stem), "set_aside"),)
    low, high = _number(total.get("Minimum")), _number(total.get("Maximum"))
    problems = []
    if low is None or high is None:
        reason = f'The sidecar gives no Minimum or Maximum of "total", so the range of {stem} is not checked.'
        problems.append(Problem(file, None, "total", reason, "used"))
    instrument = Instrument(
        name=stem.casefold(),
        long_name=str(total.get("LongName") or stem),
        minimum=-inf if low is None else low,
        maximum=inf if high is None else high,
        direction=said,
        remission=None,
        severe=None,
        source=str(Path(file).with_suffix(".json").as_posix()),
        status="assumed",
        read="table",
        domain="other",
        synonyms=(),
    )
    return instrument, tuple(problems)


def _how_to_describe(stem: str) -> str:
    members, _ = instruments_in(stem)
    which = f" If it is {' or '.join(members)}, name the file so." if members else ""
    example = '{"total": {"Direction": "higher_is_worse", "Minimum": 0, "Maximum": 50}}'
    return (
        f'"{stem}" is not a known instrument, and whether a higher total is worse or better stands nowhere, so the '
        f"table is not read.{which} Otherwise write phenotype/{stem}.json with the true values: {example}."
    )
