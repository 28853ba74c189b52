"""A study, and what was computed from it, on the way into the record."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, select, union

from remanent._errors import InputError, Problem, UsageError
from remanent.study import schema
from remanent.study.record.chain import Chain
from remanent.study.record.entry import ENTERED, settle, without_replaced
from remanent.study.record.files import file_sha256
from remanent.study.record.merge import Change, Source, merge
from remanent.study.record.metadata import ARTIFACT, FILE, ROWS, SPECS
from remanent.study.record.rows import Rows, clean, encode
from remanent.study.table import Study, Table


def take_in(connection: Connection, chain: Chain, study: Study, only: frozenset[str] | None) -> dict[str, list[Change]]:
    """Make the study's rows and problems the current ones; what was done, by file."""
    if only is None:
        _same_study(connection, study)
    changes: dict[str, list[Change]] = {}
    differing: list[Problem] = []
    sha256 = _file_hashes(study)
    for name in schema.INPUT:
        table = study.tables.get(name)
        if table is not None:
            table = without_replaced(connection, name, table)
            differing += settle(connection, chain, name, table)
        for path, rows in _by_file(connection, name, table).items():
            source = Source(name, path, sha256.get(path), only)
            changes.setdefault(path, []).append(merge(connection, chain, source, rows))
    put_problems(connection, chain, "read", study.problems, only)
    put_problems(connection, chain, "entered", differing, only)
    return changes


def put_problems(
    connection: Connection, chain: Chain, stage: str, problems: Sequence[Problem], only: frozenset[str] | None = None
) -> None:
    """Make `problems` the current ones of a stage; with `only`, those of other participants stay."""
    columns = {name: [getattr(problem, name) for problem in problems] for name in SPECS["problems"].column}
    columns["participant_id"] = [problem.participant_id or None for problem in problems]
    rows = encode(as_table("problems", columns))
    merge(connection, chain, Source("problems", stage, None, only), rows)


def put_file(connection: Connection, chain: Chain, key: str, folder: Path, path: Path) -> None:
    """Refer to a file under `folder` by its hash, in place of what `key` stood for."""
    sha256 = file_sha256(path)
    columns = {"path": [path.relative_to(folder).as_posix()], "sha256": [sha256]}
    merge(connection, chain, Source(ARTIFACT.name, key, sha256), encode(as_table(ARTIFACT.name, columns)))


def as_table(name: str, columns: Mapping[str, Any]) -> Table:
    """Computed columns as a table of the schema; a column that is not given is missing throughout."""
    spec, n = SPECS[name], len(next(iter(columns.values()), ()))
    if unknown := columns.keys() - spec.column.keys():
        raise UsageError(f"{name} has no column {', '.join(sorted(unknown))}", do="Add it to schema.yaml first.")
    empty = {c.name: np.full(n, np.nan if c.kind in {"number", "integer"} else None) for c in spec.columns}
    given = {key: np.asarray(values, dtype=empty[key].dtype) for key, values in columns.items()}
    return Table(spec, empty | given, np.full(n, name, dtype=object), np.arange(1, n + 1))


def sources(connection: Connection, name: str) -> set[str]:
    """Files that have rows in a table now, or had."""
    return set(connection.scalars(select(FILE.c.path).where(FILE.c.table_name == name)))


def _by_file(connection: Connection, name: str, table: Table | None) -> dict[str, Rows]:
    """Rows of a table by file; none for a file that the record knows and the study no longer has. What a person entered is no file."""
    rows = encode(as_table(name, {}) if table is None else table)
    known = (path for path in sources(connection, name) if not path.startswith(ENTERED))
    index: dict[str, list[int]] = {path: [] for path in sorted(known)}
    for i, path in enumerate(rows.file):
        index.setdefault(path, []).append(i)
    return {path: rows if len(part) == len(rows) else rows.take(part) for path, part in index.items()}


def _file_hashes(study: Study) -> dict[str, str]:
    paths = {path for table in study.tables.values() for path in set(table.file.tolist())}
    return {clean(path): file_sha256(study.root / path) for path in paths if (study.root / path).is_file()}


def _same_study(connection: Connection, study: Study) -> None:
    """Refuse to close everyone: a study without one participant of the record is another study, or an empty folder."""
    tables = [ROWS[name] for name in schema.INPUT]
    who = (select(t.c.participant_id).where(t.c.row_closed.is_(None)).distinct() for t in tables)
    known = set(connection.scalars(union(*who)))
    given = {person for table in study.tables.values() for person in set(table["participant_id"].tolist())}
    if known and not known & given:
        raise InputError(
            f"none of the {len(known)} participants of this record is in the study ({len(given)} participants)",
            where=str(study.root),
            why="Reading it would close every row of the record.",
            do="Is a folder not mounted? For another study choose another OUT.",
        )
