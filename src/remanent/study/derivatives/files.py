"""Bytes to numbers: text, JSON and tables of numbers as the programs write them; a refusal says where and why."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv

from remanent._errors import Problem
from remanent._types import Matrix, Vector

_MISSING = frozenset({"n/a", "", "N/A", "NA", "na", "NaN"})


class RefusedError(Exception):
    """A derivative file that cannot be read; carries the `Problem` and never leaves `remanent.study.derivatives`."""

    def __init__(self, file: str, problem: str, *, row: int | None = None, column: str = "") -> None:
        super().__init__(problem)
        self.problem = Problem(file, row, column, problem, "refused")


@dataclass(frozen=True, slots=True)
class NumericTable:
    """A table of numbers: column names, row names where its first column holds names, and values, NaN missing."""

    file: str
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    values: Matrix

    def column(self, name: str) -> Vector | None:
        """The values of one column; None where there is no such column."""
        return self.values[:, self.columns.index(name)] if name in self.columns else None


def read_bytes(root: Path, file: str) -> bytes:
    """The content of a file of the study; `RefusedError` where it cannot be opened or is empty."""
    try:
        content = (root / file).read_bytes()
    except OSError as error:
        why = f"This file cannot be opened ({error.strerror or error}). Check that it is there and its permissions."
        raise RefusedError(file, why) from error
    if not content.strip():
        raise RefusedError(file, "This file is empty. Copy or compute it anew.")
    return content


def read_text(root: Path, file: str) -> str:
    """The content of a UTF-8 file, line ends as line feeds, without a byte order mark."""
    try:
        text = read_bytes(root, file).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RefusedError(
            file, f"This file is not UTF-8 text (byte {error.start}). Copy or compute it anew."
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_json(root: Path, file: str) -> Mapping[str, Any]:
    """The object in a JSON file."""
    try:
        content = json.loads(read_text(root, file))
    except (ValueError, RecursionError) as error:
        raise RefusedError(file, f"This file is not valid JSON ({error}). Copy or compute it anew.") from error
    if not isinstance(content, dict):
        raise RefusedError(file, "This JSON file does not hold an object. Copy or compute it anew.")
    return content


def read_numeric(
    root: Path, file: str, *, delimiter: str = "\t", row_names: bool = False, columns: Sequence[str] = ()
) -> NumericTable:
    """Read a table of numbers with one header line.

    Parameters
    ----------
    row_names
        The first column names the rows; its header is ignored.
    columns
        Read only these, where they are there; the others may hold anything.

    Notes
    -----
    ``n/a`` and the empty cell are missing (XCP-D 26.0 writes empty cells). XCP-D's multiverse suffix ``_hash-...`` is
    taken off every column and row name.
    """
    header, _, body = read_text(root, file).rstrip("\n").partition("\n")
    names = [_name(cell) for cell in header.split(delimiter)]
    if not body:
        raise RefusedError(file, "This file has a header and no rows. Compute it anew.", row=1)
    fast = None if columns else _parse_all(body, len(names), delimiter, row_names=row_names)
    names = names[row_names:]
    _check_names(file, names)
    if fast is not None:
        return NumericTable(file, tuple(names), *fast)
    lines = body.split("\n")
    rows = [_name(line.partition(delimiter)[0]) for line in lines] if row_names else []
    _check_lengths(file, lines, len(names) + row_names, delimiter)
    chosen = [i for i, name in enumerate(names) if not columns or name in columns]
    if not chosen:
        raise RefusedError(file, f"This file has none of the columns {', '.join(columns) or 'of numbers'}.", row=1)
    values = _parse_cells(file, lines, {i + row_names: names[i] for i in chosen}, delimiter)
    return NumericTable(file, tuple(names[i] for i in chosen), tuple(rows), values)


def _name(cell: str) -> str:
    return cell.strip().split("_hash-")[0]


def _check_names(file: str, names: Sequence[str]) -> None:
    for position, name in enumerate(names, start=1):
        if not name:
            raise RefusedError(file, f"Column {position} has no name, so its values belong to no parcel.", row=1)
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise RefusedError(file, "Two columns have this name, so it is not known which is meant.", row=1, column=twice)


def _check_lengths(file: str, lines: Sequence[str], n_columns: int, delimiter: str) -> None:
    for row, line in enumerate(lines, start=2):
        found = line.count(delimiter) + 1
        if found != n_columns:
            why = f"This row is ragged: expected {n_columns} cells as in the header, got {found}. The file may be cut off."
            raise RefusedError(file, why, row=row)


def _parse_all(body: str, n_columns: int, delimiter: str, *, row_names: bool) -> tuple[tuple[str, ...], Matrix] | None:
    """Row names and numbers of a faultless table; None where a cell or a row is wrong, to be placed by slower means."""
    names = [str(i) for i in range(n_columns)]
    types = dict.fromkeys(names[row_names:], pa.float64()) | ({names[0]: pa.string()} if row_names else {})
    data = body.encode()
    try:
        table = csv.read_csv(
            pa.py_buffer(data),
            csv.ReadOptions(column_names=names, use_threads=False, block_size=len(data) + 1),
            csv.ParseOptions(delimiter=delimiter, quote_char=False, ignore_empty_lines=False),
            csv.ConvertOptions(column_types=types, null_values=["n/a", ""], strings_can_be_null=False),
        )
    except (pa.ArrowException, ValueError, OverflowError):
        return None
    empty_line = n_columns > 1 and "\n\n" in f"\n{body}"  # a row of missing values to pyarrow
    if n_columns == row_names or empty_line or table.num_rows != body.count("\n") + 1:
        return None
    rows = tuple(_name(name) for name in table.column(0).to_pylist()) if row_names else ()
    return rows, np.column_stack([column.to_numpy() for column in table.columns[row_names:]])


def _parse_cells(file: str, lines: Sequence[str], chosen: Mapping[int, str], delimiter: str) -> Matrix:
    values = np.empty((len(lines), len(chosen)))
    for row, line in enumerate(lines):
        cells = line.split(delimiter)
        values[row] = [number(file, cells[i].strip(), row + 2, name) for i, name in chosen.items()]
    return values


def number(file: str, cell: str, row: int, column: str) -> float:
    """The number in a cell, NaN where it is missing; `RefusedError` where it is neither."""
    if cell in _MISSING:
        return np.nan
    try:
        if cell.isascii() and "_" not in cell:
            return float(cell)
    except ValueError:
        pass
    shown = cell if len(cell) <= 20 else cell[:20] + "..."
    raise RefusedError(file, f"Expected a number, got '{shown}'.", row=row, column=column)
