"""Small studies built in memory, with the files they would have been read from."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from remanent._errors import Problem
from remanent.study import schema
from remanent.study.table import Study, Table

Cells = Sequence[str | float | None]


def table_of(name: str, rows: Mapping[str, Sequence[Cells]]) -> Table:
    """Rows by file, each a prefix of the schema's columns."""
    spec = schema.INPUT[name]
    flat = [(*row, *[None] * (len(spec.columns) - len(row))) for cells in rows.values() for row in cells]
    columns = {
        column.name: np.array([row[i] for row in flat], float if column.kind in {"number", "integer"} else object)
        for i, column in enumerate(spec.columns)
    }
    file = np.array([path for path, cells in rows.items() for _ in cells], object)
    line = np.array([i for cells in rows.values() for i in range(2, len(cells) + 2)], int)
    return Table(spec, columns, file, line)


def build(root: Path, files: Mapping[str, Sequence[Cells]], problems: Sequence[Problem] = ()) -> Study:
    by_table: dict[str, dict[str, Sequence[Cells]]] = {name: {} for name in schema.INPUT}
    for path, rows in files.items():
        stem = Path(path).stem
        name = "sessions" if stem.endswith("_sessions") else stem if stem in schema.INPUT else "symptoms"
        by_table[name][path] = rows
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        text = "\n".join("\t".join(map(str, row)) for row in rows)
        (root / path).write_text(text, encoding="utf-8", errors="backslashreplace")
    tables = {name: table_of(name, rows) for name, rows in by_table.items() if rows}
    return Study(root, {"Name": "Test"}, tables, (), tuple(problems))


@pytest.fixture(scope="session")
def study_in() -> Callable[..., Study]:
    """`study_in(root, {"phenotype/ema.tsv": [("sub-01", 1.0, "mood", 3.0)]})`: writes the files, returns the Study."""
    return build


@pytest.fixture
def study_of(tmp_path: Path) -> Callable[..., Study]:
    """`study_in` in one temporary folder."""
    return partial(build, tmp_path / "study")
