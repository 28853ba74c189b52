"""Bytes to cells: encodings, line ends, ragged rows, each with a Problem; no opinion on what a cell means.

A file becomes one Arrow string array, row by row, cut at its separators without a Python object per cell.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from remanent._errors import Problem

LONGEST_LINE_BYTES = 1_000_000
LARGEST_FILE_BYTES = 2**31 - 2

_BOMS = {
    b"\xef\xbb\xbf": ("utf-8", "a byte-order mark"),
    b"\xff\xfe": ("utf-16-le", "UTF-16"),
    b"\xfe\xff": ("utf-16-be", "UTF-16"),
}


@dataclass(frozen=True)
class Sheet:
    """The rows of one or more files of equal header that could be cut into cells.

    Attributes
    ----------
    header
        Column names; names that were empty or taken are "" and not to be used.
    cells
        Arrow strings, row after row, surrounding blanks and quotes removed, [row * column].
    file, line
        Where each row stands: path relative to the study, and line, the header being line 1, [row].
    """

    header: tuple[str, ...]
    cells: pa.StringArray
    file: np.ndarray
    line: np.ndarray

    def __len__(self) -> int:
        return len(self.line)

    def column(self, name: str) -> pa.StringArray:
        """The cells of one column, [row]."""
        return self.cells.take(_indices(np.arange(self.header.index(name), len(self.cells), len(self.header))))

    def with_column(self, name: str, value: str) -> "Sheet":
        """The sheet with a first column that holds one value; a column that had this name loses it."""
        n, width = len(self), len(self.header)
        cells = pa.concat_arrays([self.cells, _strings(value.encode(), np.array([0, len(value.encode())]))])
        order = np.insert(np.arange(n * width).reshape(n, width), 0, n * width, axis=1)
        header = (name, *("" if other == name else other for other in self.header))
        return Sheet(header, cells.take(_indices(order)), self.file, self.line)


def read_sheet(path: Path, file: str) -> tuple[Sheet | None, tuple[Problem, ...]]:
    """Read one TSV file.

    Parameters
    ----------
    path
        The file.
    file
        What problems call it: its path relative to the study.

    Returns
    -------
    sheet
        None where nothing of the file can be used.
    problems
        With line and reason for every row that is not in the sheet.
    """
    try:
        if not path.is_file():
            return None, (_refused(file, "is not a regular file, so it is not read"),)
        if path.stat().st_size > LARGEST_FILE_BYTES:
            return None, (_refused(file, "is larger than 2 GB, so it is not read. Split it"),)
        raw = path.read_bytes()
    except OSError as error:
        return None, (_refused(file, f"could not be read ({error.strerror}). Check the path and your rights to it"),)
    return parse_sheet(raw, file)


def read_lines(path: Path) -> list[str]:
    """Lines of a table as they stand, numbered as in problems: line n is item n - 1; none where the file cannot be read."""
    try:
        return _as_utf8(path.read_bytes(), "")[0].decode().split("\n")
    except OSError:
        return []


def parse_sheet(raw: bytes, file: str) -> tuple[Sheet | None, tuple[Problem, ...]]:
    """Cut the bytes of one TSV file into cells; see `read_sheet`."""
    text, problems = _as_utf8(raw, file)
    lines = _Lines(text)
    if lines.header is None:
        return None, (
            *problems,
            _refused(file, "is empty, so nothing is read. Write a header line and rows, or remove it"),
        )
    header, header_problems = _header(lines.header, file)
    problems += header_problems
    if header is None:
        return None, problems
    faults = lines.faults(len(header))
    problems += tuple(Problem(file, line, "", reason, "set_aside") for line, reason in faults)
    sheet = lines.cut(header, file, excluded={line for line, _ in faults})
    if not len(sheet) and not faults:
        problems += (Problem(file, None, "", "The file has a header and no rows.", "used"),)
    return sheet, problems


def stack(sheets: Sequence[Sheet]) -> Sheet:
    """Sheets of one header, one below the other."""
    return Sheet(
        sheets[0].header,
        pa.concat_arrays([sheet.cells for sheet in sheets]),
        np.concatenate([sheet.file for sheet in sheets]),
        np.concatenate([sheet.line for sheet in sheets]),
    )


def sheet_of(header: Sequence[str], rows: Sequence[Sequence[str]], file: str, lines: Sequence[int]) -> Sheet:
    """A sheet from cells that were read elsewhere."""
    cells = [cell.strip().encode("utf-8", "replace") for row in rows for cell in row]
    offsets = np.concatenate([[0], np.cumsum([len(cell) for cell in cells], dtype=np.int64)])
    where = np.full(len(rows), file, dtype=object)
    return Sheet(tuple(header), _strings(b"".join(cells), offsets), where, np.array(lines, dtype=np.int64))


# Arrow arrays are made from buffers: pa.array would import pandas wherever it is installed, half a second for nothing.
def _indices(positions: np.ndarray) -> pa.Int64Array:
    buffer = pa.py_buffer(np.ascontiguousarray(positions, np.int64))
    return pa.Array.from_buffers(pa.int64(), positions.size, [None, buffer])


def _strings(text: bytes | np.ndarray, offsets: np.ndarray) -> pa.StringArray:
    return pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(text))


def _refused(file: str, reason: str) -> Problem:
    return Problem(file, None, "", f"The file {reason}.", "refused")


def _as_utf8(raw: bytes, file: str) -> tuple[bytes, tuple[Problem, ...]]:
    """The text as UTF-8 with line feeds only."""
    said: list[tuple[int | None, str]] = []
    for bom, (encoding, words) in _BOMS.items():
        if raw.startswith(bom):
            raw = raw[len(bom) :]
            raw = raw if encoding == "utf-8" else raw.decode(encoding, errors="replace").encode()
            said.append((None, f"The file starts with {words}; it is read all the same. Save it as plain UTF-8."))
            break
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        line = 1 + raw.count(b"\n", 0, error.start)
        said.append(
            (line, "This is not UTF-8; the file is read as Windows-1252 (Latin-1). Check accents; save it as UTF-8.")
        )
        raw = raw.decode("cp1252", errors="replace").encode()
    if b"\r" in raw:
        said.append(
            (None, "The lines end with carriage returns; they are read all the same. BIDS wants line feeds only.")
        )
        raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return raw, tuple(Problem(file, line, "", words, "used") for line, words in said)


def _header(line: str, file: str) -> tuple[tuple[str, ...] | None, tuple[Problem, ...]]:
    names = [name.strip().strip('"').strip() for name in line.split("\t")]
    if len(names) == 1 and (separator := next((s for s in ";," if s in names[0]), "")):
        word = {",": "commas", ";": "semicolons"}[separator]
        reason = f"has its cells separated by {word}, not by tabs, so it is not read. Export it as tab-separated text"
        return None, (_refused(file, reason),)
    if not any(names):
        return None, (_refused(file, "has no column names in its first line, so it is not read"),)
    problems = []
    seen: Counter[str] = Counter()
    for position, name in enumerate(names):
        seen[name] += 1
        if not name:
            problems.append(Problem(file, 1, "", f"Column {position + 1} has no name; it is not read.", "refused"))
        elif seen[name] > 1:
            reason = f"Column {position + 1} repeats the name of an earlier one; only the first is read. Rename one."
            problems.append(Problem(file, 1, name, reason, "refused"))
            names[position] = ""
    return tuple(names), tuple(problems)


class _Lines:
    """The lines of a text as byte offsets; blank lines do not count as rows."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._data = np.frombuffer(text, np.uint8)
        ends = np.flatnonzero(self._data == ord("\n"))
        if len(text) and text[-1] != ord("\n"):
            ends = np.append(ends, len(text))
        starts = np.concatenate([[0], ends[:-1] + 1]) if len(ends) else ends
        written = self._written(starts, ends)
        self._starts, self._ends = starts[written], ends[written]
        self._number = np.flatnonzero(written) + 1
        self._tabs = np.flatnonzero(self._data == ord("\t"))

    def _written(self, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Which lines hold anything but blanks and tabs."""
        ink = np.concatenate([[0], np.cumsum((self._data > ord(" ")) | (self._data == 0), dtype=np.int64)])
        return ink[ends] > ink[starts]

    @property
    def header(self) -> str | None:
        """The first written line; None where there is none."""
        return self._text[self._starts[0] : self._ends[0]].decode() if len(self._starts) else None

    def faults(self, n_columns: int) -> list[tuple[int, str]]:
        """Rows that cannot be cut: line and reason."""
        n_cells = 1 + self._count(self._tabs)
        zero_bytes = self._count(np.flatnonzero(self._data == 0))
        too_long = self._ends - self._starts > LONGEST_LINE_BYTES
        found = []
        for row in np.flatnonzero((n_cells != n_columns) | (zero_bytes > 0) | too_long):
            if row == 0:
                continue
            if zero_bytes[row]:
                reason = "The row holds zero bytes: the file is damaged or not plain text. Save it as UTF-8."
            elif too_long[row]:
                reason = (
                    f"The row is longer than {LONGEST_LINE_BYTES} bytes: line ends are missing or the file is damaged."
                )
            else:
                reason = f"The row has {n_cells[row]} cells, the header {n_columns}: its values cannot be told apart."
            found.append((int(self._number[row]), reason))
        return found

    def _count(self, positions: np.ndarray) -> np.ndarray:
        return np.searchsorted(positions, self._ends) - np.searchsorted(positions, self._starts)

    def cut(self, header: tuple[str, ...], file: str, excluded: set[int]) -> Sheet:
        """The rows whose line is not `excluded`, cell by cell."""
        rows = np.flatnonzero(~np.isin(self._number, np.array(sorted(excluded), dtype=np.int64)))[1:]
        body = self._body(self._starts[rows], self._ends[rows])
        data = np.frombuffer(body, np.uint8)
        separators = np.flatnonzero((data == ord("\t")) | (data == ord("\n")))
        offsets = np.concatenate([[0], separators - np.arange(len(separators))])
        cells = _strings(body.replace(b"\t", b"").replace(b"\n", b""), offsets)
        where = np.full(len(rows), file, dtype=object)
        return Sheet(header, _tidy(cells, quoted=b'"' in self._text), where, self._number[rows])

    def _body(self, starts: np.ndarray, ends: np.ndarray) -> bytes:
        """These lines, each with its line feed."""
        if len(starts) and np.array_equal(starts[1:], ends[:-1] + 1):
            return self._text[starts[0] : ends[-1]] + b"\n"
        return b"".join(self._text[start:end] + b"\n" for start, end in zip(starts, ends, strict=True))


def _tidy(cells: pa.StringArray, *, quoted: bool) -> pa.StringArray:
    cells = pc.utf8_trim_whitespace(cells)
    if not quoted:
        return cells
    wrapped = pc.match_substring_regex(cells, '(?s)^".*"$')
    bare = pc.replace_substring(pc.utf8_slice_codeunits(cells, 1, -1), '""', '"')
    return pc.if_else(wrapped, pc.utf8_trim_whitespace(bare), cells)
