"""Cells to typed, checked tables; the clinical rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from remanent._errors import Problem
from remanent.study.schema import TableSpec

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
