"""One column at a time: cells to numbers, levels and texts; what cannot be used is set aside with the reason.

The work is done on distinct values or on whole columns; Python sees a single cell only to say what is wrong with it.
"""

import re
from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from remanent._errors import Action, Problem
from remanent.study.schema import Column
from remanent.study.tsv import Sheet

Reason = str | Callable[[int], str]

_NUMBER = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"
_MISSING = ("", "n/a")
_SPELLED_MISSING = "(?i)^(na|nan)$"
_NO_VALUE = "(?i)^(n/a|na|nan)?$"
_MONTH = "jan feb mar mär apr may mai jun jul aug sep oct okt nov dec dez ene abr ago dic fév avr aoû déc"
_DATE = re.compile(rf"\d{{1,4}}[-/.]\d{{1,2}}[-/.]\d{{1,4}}|\b({'|'.join(_MONTH.split())})[a-zé]*\b", re.IGNORECASE)
DAY_FROM_DATE = (
    "A day is the date minus the date of the last session of the index ECT course, in days (negative before it): "
    "compute it where the dates are kept."
)


class Rows:
    """The rows of a sheet under examination: which are still in, and what was said.

    Attributes
    ----------
    file, line
        As in `Sheet`, [row].
    kept
        Whether the row is still in, [row].
    problems
        What was said, in order.
    """

    def __init__(self, sheet: Sheet) -> None:
        self.file, self.line = sheet.file, sheet.line
        self.kept = np.ones(len(sheet), dtype=bool)
        self.problems: list[Problem] = []

    def set_aside(self, wrong: np.ndarray, column: str, reason: Reason) -> None:
        """Set aside those rows of the mask that are still in; a row goes once, with its first reason."""
        self._say(wrong, column, reason, "set_aside")
        self.kept &= ~wrong

    def drop_value(self, wrong: np.ndarray, column: str, reason: Reason) -> None:
        """Say that the value of `column` is set aside, and that its row stays."""
        self._say(wrong, column, reason, "set_aside")

    def note(self, rows: np.ndarray, column: str, reason: Reason) -> None:
        """Say something about rows that are used."""
        self._say(rows, column, reason, "used")

    def note_once(self, rows: np.ndarray, column: str, reason: Callable[[int], str]) -> None:
        """Say it for the first of the rows only, with their number."""
        found = np.flatnonzero(rows & self.kept)
        if len(found):
            first = np.zeros(len(rows), dtype=bool)
            first[found[0]] = True
            self._say(first, column, reason(len(found)), "used")

    def _say(self, rows: np.ndarray, column: str, reason: Reason, action: Action) -> None:
        for row in np.flatnonzero(rows & self.kept):
            words = reason if isinstance(reason, str) else reason(int(row))
            self.problems.append(Problem(self.file[row], int(self.line[row]), column, words, action))


def _array(values: pa.Array) -> np.ndarray:
    """An Arrow array without nulls as NumPy; by DLPack, as `to_numpy` would import pandas wherever it is installed."""
    if pa.types.is_boolean(values.type):
        return np.from_dlpack(pc.cast(values, pa.uint8())).astype(bool)
    return np.from_dlpack(values)


def coded(cells: pa.StringArray) -> tuple[np.ndarray, list[str]]:
    """Cells as indices into their distinct values."""
    encoded = cells.dictionary_encode()
    return _array(encoded.indices), encoded.dictionary.to_pylist()


def mapped(cells: pa.StringArray, f: Callable[[str], str | None]) -> np.ndarray:
    """`f` of every cell as objects, called once per distinct value, [row]."""
    codes, values = coded(cells)
    results = np.empty(len(values) + 1, dtype=object)
    results[:-1] = [f(value) for value in values]
    return results[codes]


def flagged(cells: pa.StringArray, test: Callable[[str], bool]) -> np.ndarray:
    """Mask of the cells that pass a test, called once per distinct value, [row]."""
    codes, values = coded(cells)
    return np.array([test(value) for value in values], dtype=bool)[codes]


def texts(cells: pa.StringArray) -> np.ndarray:
    """Text as it stands; None where it is missing (empty or n/a), [row]."""
    return mapped(cells, lambda text: None if is_missing(text) else text)


def is_missing(text: str) -> bool:
    """Whether a cell says that there is no value."""
    return text.casefold() in _MISSING


def absent(values: np.ndarray) -> np.ndarray:
    """Mask of missing values of either kind, [row]."""
    return np.isnan(values) if values.dtype.kind == "f" else np.array([value is None for value in values], dtype=bool)


def numbers(cells: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers, with NaN for missing, and the mask of cells that are neither, [row]."""
    valid = pc.match_substring_regex(cells, _NUMBER)
    is_number = _array(valid)
    values = np.full(len(cells), np.nan)
    values[is_number] = _array(pc.cast(cells.filter(valid), pa.float64()))
    fine = is_number | _array(pc.match_substring_regex(cells, _NO_VALUE))
    wrong = ~fine | np.isinf(values)
    return np.where(wrong, np.nan, values), wrong


def read_column(
    cells: pa.StringArray,
    column: Column,
    rows: Rows,
    spelling: Mapping[str, str] | None = None,
    factor: float = 1.0,
) -> np.ndarray:
    """Check one column against its definition.

    A value that is missing or wrong sets its row aside where the column is required (or is a day, whose absence would
    mean something else); otherwise the value alone is set aside.

    Parameters
    ----------
    spelling
        For levels: every accepted spelling, case-folded, and the level.
    factor
        For numbers: what one unit of the file is worth in the unit of the column.

    Returns
    -------
    values
        float64 with NaN, or objects with None, [row].
    """
    if column.kind == "text":
        values = texts(cells)
    elif column.kind == "level":
        values = _levels(cells, column, rows, spelling or {level.casefold(): level for level in column.levels})
    else:
        values = _numbers(cells, column, rows, factor)
    if column.required:
        rows.set_aside(
            absent(values), column.name, f'"{column.name}" is missing, and the row means nothing without it.'
        )
    return values


def _numbers(cells: pa.StringArray, column: Column, rows: Rows, factor: float) -> np.ndarray:
    if column.unit == "year":  # BIDS allows "89+" for everyone of 89 and above
        cells = pc.replace_substring_regex(cells, r"^([0-9]+)\+$", r"\1")
    values, wrong = numbers(cells)
    _reject(wrong, column, rows, lambda row: not_a_number(cells[row].as_py(), column))
    spelled = _array(pc.match_substring_regex(cells, _SPELLED_MISSING))
    rows.note_once(spelled, column.name, lambda n: f'NA or NaN is read as missing (in {n} rows); BIDS writes "n/a".')
    return _within(values * factor, cells, column, rows)


def _within(values: np.ndarray, cells: pa.StringArray, column: Column, rows: Rows) -> np.ndarray:
    low = -np.inf if column.minimum is None else column.minimum
    high = np.inf if column.maximum is None else column.maximum
    limits = f"outside the limits of this column ({_range(low, high, column.unit)}): a slip, or another unit or scale."
    beyond = (values < low) | (values > high)
    _reject(beyond, column, rows, lambda row: f'"{cells[row].as_py()[:20]}" is {limits}')
    return np.where(beyond, np.nan, values)


def _range(low: float, high: float, unit: str) -> str:
    words = f"{low:g} or more" if np.isinf(high) else f"{high:g} or less" if np.isinf(low) else f"{low:g} to {high:g}"
    return f"{words} {unit}".removesuffix(" point").rstrip()


def _reject(wrong: np.ndarray, column: Column, rows: Rows, reason: Callable[[int], str]) -> None:
    if column.required or column.unit == "day":
        rows.set_aside(wrong, column.name, reason)
    else:
        rows.drop_value(wrong, column.name, lambda row: f"{reason(row)} The row is used without this value.")


def _levels(cells: pa.StringArray, column: Column, rows: Rows, spelling: Mapping[str, str]) -> np.ndarray:
    values = mapped(cells, lambda text: spelling.get(text.casefold()))
    wrong = absent(values) & ~absent(texts(cells))
    allowed = ", ".join(column.levels)
    _reject(
        wrong,
        column,
        rows,
        lambda row: f'"{cells[row].as_py()[:40]}" is not a known {column.name}: write one of {allowed}.',
    )
    return values


_NO_NUMBER = tuple(
    (re.compile(pattern, re.IGNORECASE), words)
    for pattern, words in (
        (r"[+-]?(inf|infinity)|[+-]?[0-9.]+e[+-]?[0-9]+", 'is infinite or nearly so; write "n/a" for missing.'),
        (r"[+-]?\d+,\d+", "has a decimal comma; write a decimal point."),
        (
            r"[<>≤≥]\s*[\d.,]+",
            "is a limit, not a value; write the number to be used (for example the limit of detection).",
        ),
        (r"[−–]\s*[\d.]+", "has a typographic minus sign; write a hyphen."),
        (r"[+-]?[\d.]+\s*[^\W\d]{1,5}(/[^\W\d]{1,5})?", "has a unit in its cell; write the number alone."),
    )
)


def not_a_number(text: str, column: Column) -> str:
    """Why a cell is no number, without repeating a date or a text that might point to a person."""
    if _DATE.search(text):
        shape = re.sub(r"\d", "#", re.sub(r"[^\W\d]", "a", text))[:20]
        convert = "" if column.unit != "day" else f" {DAY_FROM_DATE}"
        return f'"{shape}" looks like a date; "{column.name}" must be a number.{convert}'
    for pattern, words in _NO_NUMBER:
        if pattern.fullmatch(text):
            return f'"{text[:20]}" {words}'
    return f'"{column.name}" must be a number, and this cell holds text.'
