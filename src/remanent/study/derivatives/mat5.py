"""MATLAB 5 files: numbers, text and cells, from bytes that may be damaged.

SciPy's reader ends the whole process on some damaged files (segmentation fault in 1.17); a patient's bad file must not stop
the others. This one checks every length before it reads. Format: MathWorks, "MAT-File Format", level 5.
"""

import math
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_MATRIX, _COMPRESSED = 14, 15
_CELL, _CHAR, _NUMERIC = 1, 4, frozenset(range(6, 16))
_COMPLEX = 0x0800
_LARGEST = 1 << 30
_DEEPEST = 8
_HEADER = 128


class DamagedError(ValueError):
    """The bytes are not a whole MATLAB 5 file."""


@dataclass(frozen=True, slots=True)
class _Element:
    kind: int
    data: memoryview


def read_mat5(content: bytes, wanted: Callable[[str], bool]) -> dict[str, Any]:
    """Read the wanted variables.

    Returns
    -------
    dict
        Real numeric arrays as `numpy.ndarray` in their stored type, text as a list of rows, cells as a list of their
        contents (in MATLAB's order). Variables of other classes, and complex ones, are left out.

    Raises
    ------
    DamagedError
        The bytes are cut off, contradict themselves, or are not MATLAB 5.
    """
    if len(content) < _HEADER or content[126:128] not in {b"IM", b"MI"}:
        raise DamagedError("no MATLAB 5 header")
    order = "<" if content[126:128] == b"IM" else ">"
    found = {}
    for element in _elements(memoryview(content)[_HEADER:], order):
        matrix = _inflated(element, order) if element.kind == _COMPRESSED else element
        if matrix.kind != _MATRIX:
            continue
        name, value = _matrix(matrix.data, order, wanted)
        if value is not None:
            found[name] = value
    return found


def _elements(data: memoryview, order: str) -> Iterator[_Element]:
    position = 0
    while position < len(data):
        if len(data) - position < 8:
            raise DamagedError("cut off in a tag")
        first, size = struct.unpack_from(f"{order}II", data, position)
        start = position + 8
        if first >> 16:  # a small element: type, size and data in eight bytes
            kind, size, start = first & 0xFFFF, first >> 16, position + 4
            position += 8
            if size > 4:
                raise DamagedError("a small element that is not small")
        else:
            kind = first
            position = start + (size if kind == _COMPRESSED else -(-size // 8) * 8)
        if start + size > len(data):
            raise DamagedError("cut off in an element")
        yield _Element(kind, data[start : start + size])


def _inflated(element: _Element, order: str) -> _Element:
    try:
        unpacker = zlib.decompressobj()
        head = unpacker.decompress(element.data, 8)
        if len(head) < 8:
            raise DamagedError("cut off in a compressed tag")
        kind, size = struct.unpack(f"{order}II", head)
        if kind != _MATRIX or size > _LARGEST:
            raise DamagedError("compressed data that are not one array")
        body = unpacker.decompress(unpacker.unconsumed_tail, max(1, size))
    except zlib.error as error:
        raise DamagedError(str(error)) from error
    if len(body) != size:
        raise DamagedError("cut off in compressed data")
    return _Element(kind, memoryview(body))


def _matrix(data: memoryview, order: str, wanted: Callable[[str], bool], depth: int = 0) -> tuple[str, Any]:
    """Name and value of one array; the value is None where it is not wanted or of a class that is not read."""
    parts = _elements(data, order)
    flags, shape, name = (next(parts, _Element(0, memoryview(b""))) for _ in range(3))
    if len(flags.data) < 8 or len(shape.data) % 4 or len(shape.data) < 8:
        raise DamagedError("an array without class or size")
    text = bytes(name.data).decode("latin-1")
    if not wanted(text):
        return text, None
    flag = struct.unpack_from(f"{order}I", flags.data)[0]
    size = tuple(struct.unpack(f"{order}{len(shape.data) // 4}i", shape.data))
    if min(size) < 0 or math.prod(size) > _LARGEST:
        raise DamagedError("an array of impossible size")
    kind = flag & 0xFF
    if kind == _CELL:
        return text, _cell(parts, order, math.prod(size), depth)
    if kind == _CHAR:
        return text, _char(next(parts, None), order, size)
    return text, _numeric(next(parts, None), order, size) if kind in _NUMERIC and not flag & _COMPLEX else None


def _cell(parts: Iterator[_Element], order: str, count: int, depth: int) -> list[Any]:
    if depth > _DEEPEST:
        raise DamagedError("cells nested too deep")
    contents = [
        _matrix(part.data, order, lambda _: True, depth + 1)[1] if len(part.data) else None
        for part in parts
        if part.kind == _MATRIX
    ]
    if len(contents) != count:
        raise DamagedError("a cell array with too few cells")
    return contents


def _char(part: _Element | None, order: str, size: tuple[int, ...]) -> list[str]:
    if part is None or part.kind not in _TEXTS:
        raise DamagedError("text without characters")
    encoding = _TEXTS[part.kind]
    ending = {"<": "-le", ">": "-be"}[order] if encoding in {"utf-16", "utf-32"} else ""
    try:
        text = bytes(part.data).decode(encoding + ending)
    except UnicodeDecodeError as error:
        raise DamagedError("text in a wrong encoding") from error
    if len(text) != math.prod(size):
        raise DamagedError("text of another length than stated")
    n_rows = size[0]
    return [text[row::n_rows] for row in range(n_rows)]


def _numeric(part: _Element | None, order: str, size: tuple[int, ...]) -> np.ndarray:
    if part is None or part.kind not in _NUMBERS:
        raise DamagedError("an array without numbers")
    dtype = np.dtype(order + _NUMBERS[part.kind])
    if len(part.data) != math.prod(size) * dtype.itemsize:
        raise DamagedError("an array of another length than stated")
    return np.frombuffer(part.data, dtype).reshape(size, order="F")
