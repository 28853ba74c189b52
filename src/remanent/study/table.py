"""A checked table, and the study that holds it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from remanent._errors import Problem
from remanent.study.schema import Column, TableSpec

if TYPE_CHECKING:
    from remanent.study.bids import SessionFiles


@dataclass(frozen=True)
class Table:
    """One checked table, by column.

    Attributes
    ----------
    columns
        Every column of `spec` first (filled where the file has none), then the columns that were kept without being
        interpreted. Numbers are float64 with NaN for missing, all else is object (str, or None for missing), [row].
    file, row
        For each row, the file it came from (relative to the study) and its line there, the header being line 1, [row].
    """

    spec: TableSpec
    columns: Mapping[str, np.ndarray]
    file: np.ndarray
    row: np.ndarray

    def __len__(self) -> int:
        return len(self.row)

    def __getitem__(self, column: str) -> np.ndarray:
        return self.columns[column]

    def select(self, rows: np.ndarray) -> "Table":
        """The rows of a mask or an index array."""
        columns = {name: values[rows] for name, values in self.columns.items()}
        return Table(self.spec, columns, self.file[rows], self.row[rows])


@dataclass(frozen=True)
class Study:
    """Everything read from a study folder; the arrays of the scans stay in their files until a session is loaded."""

    root: Path
    description: Mapping[str, Any]
    tables: Mapping[str, Table]
    sessions: "tuple[SessionFiles, ...]"
    problems: tuple[Problem, ...]


def missing(column: Column, n: int) -> np.ndarray:
    """A column without any value, [n]."""
    return np.full(n, np.nan) if column.kind in ("number", "integer") else np.full(n, None, dtype=object)


def merged(spec: TableSpec, parts: Sequence[Table]) -> Table:
    """Tables of one kind, one below the other; a column that only some have is filled with None in the others."""
    others = dict.fromkeys(name for part in parts for name in part.columns if name not in spec.column)
    columns = {
        column.name: np.concatenate([missing(column, 0), *(part[column.name] for part in parts)])
        for column in spec.columns
    }
    for name in others:
        filled = [part.columns.get(name, np.full(len(part), None, dtype=object)) for part in parts]
        columns[name] = np.concatenate(filled)
    file = np.concatenate([np.empty(0, dtype=object), *(part.file for part in parts)])
    row = np.concatenate([np.empty(0, dtype=np.int64), *(part.row for part in parts)])
    return Table(spec, columns, file, row)


def without_duplicates(table: Table) -> tuple[Table, tuple[Problem, ...]]:
    """Keep the first of the rows that share a key."""
    key = np.zeros(len(table), dtype=np.int64)
    for name in table.spec.key:
        codes = _codes(table[name])
        _, key = np.unique(key * (codes.max(initial=0) + 1) + codes, return_inverse=True)
    _, first, group = np.unique(key, return_index=True, return_inverse=True)
    later = np.flatnonzero(first[group] != np.arange(len(table)))
    if not len(later):
        return table, ()
    what = ", ".join(table.spec.key)
    problems = []
    for row in later:
        kept = first[group[row]]
        where = f'line "{table.row[kept]}"' + (
            "" if table.file[kept] == table.file[row] else f' of "{table.file[kept]}"'
        )
        reason = f"The row has the same {what} as {where}: only the first is used. Keep the right one."
        problems.append(Problem(table.file[row], int(table.row[row]), table.spec.key[-1], reason, "set_aside"))
    return table.select(np.setdiff1d(np.arange(len(table)), later)), tuple(problems)


def _codes(values: np.ndarray) -> np.ndarray:
    """Each value as an index into the distinct values, [row]."""
    if values.dtype.kind == "f":
        return np.unique(values, return_inverse=True)[1]
    index: dict[object, int] = {}
    return np.fromiter((index.setdefault(value, len(index)) for value in values.tolist()), np.int64, len(values))
