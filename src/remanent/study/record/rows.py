"""Rows as the record keeps them, and back: SQL values, canonical text, content hash.

The canonical text of a row is a JSON object of its non-missing cells in the order of the schema, without blanks,
non-ASCII escaped, numbers in the shortest form that reads back to the same float64 (Python's ``repr``). So adding an
optional column to the end of a table changes no hash.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii
from typing import Any

import numpy as np

from remanent.study.schema import Column, TableSpec
from remanent.study.table import Table

Value = str | float | int | None

_EXTRA = Column("row_extra", "text", "", None, None, {}, required=False, meaning="", label="")


@dataclass(frozen=True)
class Rows:
    """Rows ready to be stored.

    Attributes
    ----------
    columns
        The columns of the spec in order, then the uninterpreted ones as one JSON object (or None) for each row.
    text
        Canonical text of each row.
    file, line
        Where each row stands.
    """

    columns: list[list[Value]]
    text: list[str]
    file: list[str]
    line: list[int]

    def take(self, index: Sequence[int]) -> "Rows":
        """The rows at `index`."""
        return Rows(
            [[column[i] for i in index] for column in self.columns],
            [self.text[i] for i in index],
            [self.file[i] for i in index],
            [self.line[i] for i in index],
        )

    def __len__(self) -> int:
        return len(self.line)


NOTHING = Rows([], [], [], [])


def content_hash(text: str) -> bytes:
    """SHA-256 of a row's canonical text."""
    return hashlib.sha256(text.encode("ascii")).digest()


def digest(hashes: Iterable[bytes]) -> str:
    """SHA-256 of the sorted hashes of a set of rows, hexadecimal."""
    return hashlib.sha256(b"".join(sorted(hashes))).hexdigest()


def encode(table: Table) -> Rows:
    """Make a checked table ready to be stored."""
    columns = [_TO_SQL[column.kind](table.columns[column.name]) for column in table.spec.columns]
    columns.append(_extra(table))
    files = {file: clean(file) for file in set(table.file.tolist())}
    return Rows(
        columns=columns,
        text=canonical(table.spec, columns),
        file=[files[file] for file in table.file.tolist()],
        line=[int(line) for line in table.row],
    )


def canonical(spec: TableSpec, columns: Sequence[Sequence[Value]]) -> list[str]:
    """Canonical text of each row; `columns` as in `Rows`."""
    cells = [_cells(column, values) for column, values in zip((*spec.columns, _EXTRA), columns, strict=True)]
    return ["{" + ",".join(filter(None, row)) + "}" for row in zip(*cells, strict=True)]


def decode(spec: TableSpec, columns: Sequence[Sequence[Any]], file: Sequence[str], line: Sequence[int]) -> Table:
    """Stored values as a table; the inverse of `encode`."""
    *known, extra = columns
    named = {column.name: _FROM_SQL[column.kind](values) for column, values in zip(spec.columns, known, strict=True)}
    return Table(spec, named | _unpack(extra), np.array(file, dtype=object), np.array(line, dtype=np.int64))


def clean(text: str) -> str:
    """`text` with what no database can hold (lone surrogates, NUL) spelled out."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")


def _cells(column: Column, values: Sequence[Value]) -> list[str]:
    name = encode_basestring_ascii(column.name)
    if column is _EXTRA:
        return [f"{name}:{value}" if value is not None else "" for value in values]
    if column.kind in {"text", "level"}:
        return [f"{name}:{encode_basestring_ascii(str(value))}" if value is not None else "" for value in values]
    return [f"{name}:{value!r}" if value is not None else "" for value in values]


def _text(values: np.ndarray) -> list[Value]:
    cells = values.tolist()
    joined = "".join(filter(None, cells))
    if "\0" not in joined and joined.isascii():
        return cells
    return [None if cell is None else clean(cell) for cell in cells]


def _number(values: np.ndarray) -> list[Value]:
    # SQLite keeps no sign of zero; adding zero drops it here too, so that the hash fits what is stored.
    cells = (np.asarray(values, dtype=np.float64) + 0.0).tolist()
    return [None if math.isnan(cell) else cell for cell in cells]


def _whole(values: np.ndarray) -> list[Value]:
    return [None if cell is None else int(cell) for cell in _number(values)]


def _boolean(values: np.ndarray) -> list[Value]:
    known = {"true": 1, "false": 0, None: None}
    return [known[cell] if cell is None or isinstance(cell, str) else int(cell) for cell in values.tolist()]


def _objects(values: Sequence[Any]) -> np.ndarray:
    return np.array(values, dtype=object)


def _floats(values: Sequence[Any]) -> np.ndarray:
    return np.array(values, dtype=np.float64)


def _booleans(values: Sequence[Any]) -> np.ndarray:
    return (
        _objects([None if v is None else bool(v) for v in values]) if None in values else np.array(values, dtype=bool)
    )


_TO_SQL: Mapping[str, Callable[[np.ndarray], list[Value]]] = {
    "text": _text,
    "level": _text,
    "number": _number,
    "integer": _whole,
    "boolean": _boolean,
}
_FROM_SQL: Mapping[str, Callable[[Sequence[Any]], np.ndarray]] = {
    "text": _objects,
    "level": _objects,
    "number": _floats,
    "integer": _floats,
    "boolean": _booleans,
}


def _extra(table: Table) -> list[Value]:
    names = [name for name in table.columns if name not in table.spec.column]
    if not names:
        return [None] * len(table)
    columns = [_plain(table.columns[name]) for name in names]
    rows = [{n: v for n, v in zip(names, row, strict=True) if v is not None} for row in zip(*columns, strict=True)]
    return [json.dumps(row, sort_keys=True, separators=(",", ":")) if row else None for row in rows]


def _plain(values: np.ndarray) -> list[Value]:
    if values.dtype != object:
        return _number(values)
    return _text(values)


def _unpack(extra: Sequence[str | None]) -> dict[str, np.ndarray]:
    if not any(extra):
        return {}
    rows: list[dict[str, Value]] = [json.loads(text) if text else {} for text in extra]
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: _guess([row.get(name) for row in rows]) for name in names}


def _guess(values: list[Value]) -> np.ndarray:
    text = any(isinstance(value, str) for value in values)
    return _objects(values) if text else _floats([math.nan if value is None else value for value in values])
