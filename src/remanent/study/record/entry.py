"""Rows entered by a person (in the app), beside those of the study's files: they survive every reading of the study until the study has them itself.

An entered row lies under the source ``entered/<path of its table>``. Where it corrects a row of a file, it carries that row's hash as ``replaces``: the
file's row is closed, and passed over when the file is read again, as long as it stands there unchanged. Once the study's files hold a row of the same key
with another content, they are the source again: the entered row is closed, and a difference is told.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, select

from remanent._errors import Problem, RemanentError
from remanent.study import schema
from remanent.study.record.chain import Chain
from remanent.study.record.merge import Source, merge
from remanent.study.record.metadata import FILE, ROWS, SPECS
from remanent.study.record.rows import content_hash, decode, encode
from remanent.study.table import Table, merged

ENTERED = "entered/"
REPLACES = "replaces"
ENTERABLE = ("symptoms", "medication", "labs", "sleep", "events", "ect", "ema", "pet", "eeg")


class ConflictError(RemanentError):
    """Someone else changed this participant's rows since they were shown."""


@dataclass(frozen=True)
class Held:
    """One current row of a participant: its table, its number and hash in the record, where it came from, its values."""

    table: str
    row_id: int
    row_hash: str
    file: str
    line: int
    values: Mapping[str, Any]
    opened: int

    @property
    def entered(self) -> bool:
        """Whether a person entered it, rather than a file of the study."""
        return self.file.startswith(ENTERED)


@dataclass(frozen=True)
class Entry:
    """What a person wants to change: rows to add (checked, one table each) and rows to close, by `Held.row_id`.

    Where nothing of a table is added, its closed rows are withdrawn, and the file's rows that they stood for come back.
    """

    participant_id: str
    added: Sequence[Table]
    closed: Mapping[str, Sequence[int]]
    reason: str


def held(connection: Connection, participant_id: str) -> list[Held]:
    """Current rows of a participant, by table, file and line."""
    found: list[Held] = []
    for name in ENTERABLE:
        table, spec = ROWS[name], SPECS[name]
        wanted = [table.c[column.name] for column in spec.columns]
        own = (table.c.row_id, table.c.row_hash, table.c.row_line, table.c.row_opened, FILE.c.path)
        query = select(*own, *wanted).join(FILE, FILE.c.id == table.c.row_file)
        mine = query.where(table.c.row_closed.is_(None), table.c.participant_id == participant_id)
        for row_id, row_hash, line, opened, path, *values in connection.execute(
            mine.order_by(FILE.c.path, table.c.row_line)
        ):
            cells = dict(zip(spec.column, values, strict=True))
            found.append(Held(name, row_id, bytes(row_hash).hex(), path, line, cells, opened))
    return found


def version(rows: Iterable[Held]) -> str:
    """What two readers of the same rows agree on: a hash of all of them."""
    text = "\n".join(sorted(f"{row.table} {row.row_id} {row.row_hash}" for row in rows))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def enter(connection: Connection, chain: Chain, entry: Entry, seen: str) -> int:
    """Store an entry with its reason, unless the participant's rows are not those that were seen; the number of its audit entry.

    Raises
    ------
    ConflictError
        `seen` is not the version of the rows as they stand now.
    """
    rows = held(connection, entry.participant_id)
    if version(rows) != seen:
        why = "Someone changed this participant's rows after the form was opened, and nothing is overwritten unseen."
        raise ConflictError("the rows changed meanwhile", why=why, do="Look at both, then enter yours again.")
    closing = {
        name: [row for row in rows if row.table == name and row.row_id in set(ids)]
        for name, ids in entry.closed.items()
    }
    for gone in closing.values():
        for path in sorted({row.file for row in gone if not row.entered}):
            _close(connection, chain, gone[0].table, path, [row for row in gone if row.file == path])
    for added in entry.added:
        _extend(connection, chain, added, closing.get(added.spec.name, []))
    for name in sorted(closing.keys() - {added.spec.name for added in entry.added}):
        stood_for = _replaced_by(connection, name, [row.row_id for row in closing[name]])
        _extend(connection, chain, Table(SPECS[name], *_empty(name)), closing[name])
        _bring_back(connection, chain, name, stood_for - _replaced_by(connection, name))
    detail: dict[str, str | int] = {
        "reason": entry.reason,
        "tables": " ".join(sorted({added.spec.name for added in entry.added} | closing.keys())),
        "added": sum(map(len, entry.added)),
        "closed": sum(map(len, closing.values())),
    }
    return chain.append("enter", entry.participant_id, detail)


def _empty(name: str) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    bare = merged(SPECS[name], [])
    return dict(bare.columns), bare.file, bare.row


def _close(connection: Connection, chain: Chain, name: str, path: str, gone: Sequence[Held]) -> None:
    """Close rows of one file; the others stay, and so does the file's hash."""
    kept = _current(connection, name, path, without=frozenset(row.row_id for row in gone))
    sha256 = connection.scalar(select(FILE.c.sha256).where(FILE.c.table_name == name, FILE.c.path == path))
    merge(connection, chain, Source(name, path, sha256), encode(kept))


def _bring_back(connection: Connection, chain: Chain, name: str, hashes: set[str]) -> None:
    """Open again, each in its own file, the rows of files that nothing stands for any more."""
    table, spec = ROWS[name], SPECS[name]
    wanted = [*(table.c[column.name] for column in spec.columns), table.c.row_extra, FILE.c.path, table.c.row_line]
    query = select(*wanted, table.c.row_hash).join(FILE, FILE.c.id == table.c.row_file)
    mine = query.where(table.c.row_hash.in_([bytes.fromhex(one) for one in hashes]), FILE.c.table_name == name)
    latest = {bytes(row.row_hash): row for row in connection.execute(mine.order_by(table.c.row_id))}
    for path in sorted({row.path for row in latest.values()}):
        *columns, file, line = zip(*(row[:-1] for row in latest.values() if row.path == path), strict=True)
        both = merged(spec, [_current(connection, name, path), decode(spec, columns, file, line)])
        sha256 = connection.scalar(select(FILE.c.sha256).where(FILE.c.table_name == name, FILE.c.path == path))
        merge(connection, chain, Source(name, path, sha256), encode(both.select(np.argsort(both.row, kind="stable"))))


def _extend(connection: Connection, chain: Chain, added: Table, closing: Sequence[Held]) -> None:
    """Add rows to the entered ones of a table, without those among `closing`; what these replaced is replaced by the new rows."""
    name = added.spec.name
    path = ENTERED + added.spec.path.replace("<", "").replace(">", "")
    kept = _current(connection, name, path, without=frozenset(row.row_id for row in closing))
    replaced = sorted(
        {row.row_hash for row in closing if not row.entered}
        | _replaced_by(connection, name, [r.row_id for r in closing if r.entered])
    )
    n, first = len(added), 1 + _last_line(connection, name, path)
    extra = {REPLACES: np.array([" ".join(replaced) or None] * n, dtype=object)} if n else {}
    numbered = Table(
        SPECS[name],
        {column: added[column] for column in SPECS[name].column} | extra,
        np.full(n, path, dtype=object),
        np.arange(first, first + n),
    )
    both = merged(SPECS[name], [kept, numbered])
    merge(connection, chain, Source(name, path, None), encode(both))


def _current(connection: Connection, name: str, path: str, without: frozenset[int] = frozenset()) -> Table:
    """Current rows of one source, [row]."""
    table, spec = ROWS[name], SPECS[name]
    wanted = [*(table.c[column.name] for column in spec.columns), table.c.row_extra, FILE.c.path, table.c.row_line]
    query = select(*wanted, table.c.row_id).join(FILE, FILE.c.id == table.c.row_file)
    mine = query.where(table.c.row_closed.is_(None), FILE.c.path == path, FILE.c.table_name == name)
    rows = [row for row in connection.execute(mine.order_by(table.c.row_line)) if row.row_id not in without]
    *columns, file, line = list(zip(*(row[:-1] for row in rows), strict=True)) or [()] * len(wanted)
    return decode(spec, columns, file, line)


def _last_line(connection: Connection, name: str, path: str) -> int:
    """The highest line ever given in a source, so that no two entered rows share one."""
    table = ROWS[name]
    query = select(table.c.row_line).join(FILE, FILE.c.id == table.c.row_file).where(FILE.c.path == path)
    return max(connection.scalars(query), default=0)


def _entered(connection: Connection, name: str) -> list[Row]:
    """Current rows of a table that a person entered: number, uninterpreted columns."""
    table = ROWS[name]
    query = select(table.c.row_id, table.c.row_extra).where(table.c.row_file.in_(_sources(connection, name).values()))
    return list(connection.execute(query.where(table.c.row_closed.is_(None))))


def _sources(connection: Connection, name: str) -> dict[str, int]:
    """The sources of entered rows of a table, by path, with their numbers."""
    entered = FILE.c.path.startswith(ENTERED, autoescape=True)
    return {row.path: row.id for row in connection.execute(select(FILE).where(FILE.c.table_name == name, entered))}


def _replaced_by(connection: Connection, name: str, row_ids: Sequence[int] | None = None) -> set[str]:
    """Hashes of the file rows that current entered rows stand for; of all, or of those with these numbers."""
    rows = [row for row in _entered(connection, name) if row_ids is None or row.row_id in row_ids]
    return {one for row in rows for one in str(json.loads(row.row_extra or "{}").get(REPLACES) or "").split()}


def without_replaced(connection: Connection, name: str, table: Table) -> Table:
    """The rows of the study's files, but for those that an entered row stands for."""
    replaced = _replaced_by(connection, name) if name in ENTERABLE else set()
    if not replaced:
        return table
    return table.select(np.array([content_hash(text).hex() not in replaced for text in encode(table).text], dtype=bool))


def settle(connection: Connection, chain: Chain, name: str, table: Table) -> list[Problem]:
    """Close entered rows whose key the study's files hold now; tell where these differ."""
    paths = sorted(_sources(connection, name)) if name in ENTERABLE else []
    if not paths:
        return []
    there = {_key(table, i): i for i in range(len(table))}
    problems: list[Problem] = []
    for path in paths:
        ours = _current(connection, name, path)
        stays = np.array([_key(ours, i) not in there for i in range(len(ours))], dtype=bool)
        for i in np.flatnonzero(~stays).tolist():
            problems += _differing(table, there[_key(ours, i)], ours, i)
        if not stays.all():
            merge(connection, chain, Source(name, path, None), encode(ours.select(stays)))
    return problems


def _key(table: Table, i: int) -> tuple[str, ...]:
    return tuple(str(table[column][i]) for column in table.spec.key)


def _differing(study: Table, i: int, ours: Table, j: int) -> list[Problem]:
    columns = [c for c in schema.INPUT[study.spec.name].column if str(study[c][i]) != str(ours[c][j])]
    why = "The app holds another value for this row, entered by hand; the study's file has the row now, and its value is used."
    return [Problem(study.file[i], int(study.row[i]), columns[0], why, "used")] if columns else []
