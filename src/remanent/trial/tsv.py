"""BIDS tables as text: tab-separated, UTF-8, n/a for what is missing."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from remanent._errors import InputError

NA = "n/a"


def write_tsv(path: Path, columns: Mapping[str, Iterable[object]]) -> None:
    """Write columns of equal length; None, NaN and infinite values become n/a, whole floats lose their point."""
    cells = [[_cell(value) for value in column] for column in columns.values()]
    lines = ["\t".join(columns), *("\t".join(row) for row in zip(*cells, strict=True))]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_tsv(path: Path) -> dict[str, list[str]]:
    """Columns of a table this package wrote, as text.

    Raises
    ------
    InputError
        There is no such file.
    """
    if not path.is_file():
        raise InputError(
            "there is no such file", where=str(path), do="Give the folder of a study written by `remanent simulate`"
        )
    header, *rows = (line.split("\t") for line in path.read_text(encoding="utf-8").rstrip("\n").split("\n"))
    return {name: [row[i] for row in rows] for i, name in enumerate(header)}


def _cell(value: object) -> str:
    if isinstance(value, float):
        if not math.isfinite(value):
            return NA
        return str(int(value)) if value.is_integer() else f"{value:.6g}"
    return NA if value is None else str(value)
