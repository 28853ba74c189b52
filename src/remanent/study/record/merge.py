"""One file's rows into one table of the record: what is new is added, what is gone is closed, what stayed stays."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, bindparam, false, insert, select, true, update

from remanent.study.record.chain import Chain
from remanent.study.record.metadata import FILE, ROWS
from remanent.study.record.rows import Rows, content_hash, digest


@dataclass(frozen=True)
class Source:
    """The file (or what stands for one) that rows come from.

    Attributes
    ----------
    table, path
        Name of the table and of the file; together they name the source in the record.
    sha256
        Of the file's bytes; None where there are no bytes (the file is gone, or the rows were computed).
    participants
        The only participants whose rows may be closed; None: all.
    """

    table: str
    path: str
    sha256: str | None
    participants: frozenset[str] | None = None


@dataclass(frozen=True)
class Change:
    """What a merge did."""

    added: int = 0
    closed: int = 0
    moved: int = 0
    new_bytes: bool = False  # the file is new, or its bytes changed

    def __bool__(self) -> bool:
        return bool(self.added or self.closed or self.moved or self.new_bytes)


@dataclass(frozen=True)
class _Plan:
    new: list[int]
    gone: list[tuple[int, bytes]]
    moved: list[tuple[int, int]]


def merge(connection: Connection, chain: Chain, source: Source, rows: Rows) -> Change:
    """Make `rows` the current rows of `source`, with one audit entry; nothing is written where nothing changed.

    Rows are compared by content: one that only moved to another line keeps its history and takes the new line number.
    """
    known = connection.execute(
        select(FILE).where(FILE.c.table_name == source.table, FILE.c.path == source.path)
    ).one_or_none()
    if known is None and source.sha256 is None and not len(rows):
        return Change()
    content = _content(rows)
    if known and (known.sha256, known.content) == (source.sha256, content):
        return Change()
    hashes = [content_hash(text) for text in rows.text]
    plan = _compare(connection, source, known.id if known else None, hashes, rows.line)
    complete = content if source.participants is None else None
    same = known is not None and known.sha256 == source.sha256 and complete in {None, known.content}
    change = Change(len(plan.new), len(plan.gone), len(plan.moved), new_bytes=not same)
    if not change:
        return change
    file_id = known.id if known else 1 + (connection.scalar(select(FILE.c.id).order_by(FILE.c.id.desc()).limit(1)) or 0)
    seq = chain.append(
        "merge",
        f"{source.table}/file {file_id}",
        {
            "table": source.table,
            "file": file_id,
            "sha256": source.sha256,
            "content": complete,
            "added": change.added,
            "added_digest": digest(hashes[i] for i in plan.new),
            "closed": change.closed,
            "closed_digest": digest(stored for _, stored in plan.gone),
            "moved": change.moved,
        },
    )
    state = {"sha256": source.sha256, "content": complete, "changed": seq}
    if known:
        connection.execute(update(FILE).where(FILE.c.id == file_id).values(state))
    else:
        connection.execute(insert(FILE), {"id": file_id, "table_name": source.table, "path": source.path, **state})
    _store(connection, source.table, plan, rows.take(plan.new), [hashes[i] for i in plan.new], (file_id, seq))
    return change


def _content(rows: Rows) -> str:
    lines = "\n".join(f"{line} {text}" for line, text in zip(rows.line, rows.text, strict=True))
    return hashlib.sha256(lines.encode("ascii")).hexdigest()


def _compare(
    connection: Connection, source: Source, file_id: int | None, hashes: Sequence[bytes], lines: Sequence[int]
) -> _Plan:
    table = ROWS[source.table]
    current = (
        select(table.c.row_hash, table.c.row_id, table.c.row_line, _closable(source).label("closable"))
        .where(table.c.row_file == file_id, table.c.row_closed.is_(None))
        .order_by(table.c.row_line.desc())
    )
    stored = defaultdict(list)
    for row_hash, *row in connection.execute(current) if file_id is not None else ():
        stored[bytes(row_hash)].append(row)
    new, moved = [], []
    for i, (wanted, line) in enumerate(zip(hashes, lines, strict=True)):
        if not (same := stored.get(wanted)):
            new.append(i)
            continue
        row_id, old_line, _ = same.pop()
        if old_line != line:
            moved.append((row_id, line))
    gone = [(row[0], row_hash) for row_hash, rest in stored.items() for row in rest if row[2]]
    return _Plan(new, gone, moved)


def _closable(source: Source) -> ColumnElement:
    if source.participants is None:
        return true()
    columns = ROWS[source.table].c
    return columns.participant_id.in_(source.participants) if "participant_id" in columns else false()


def _store(
    connection: Connection, name: str, plan: _Plan, rows: Rows, hashes: Sequence[bytes], entry: tuple[int, int]
) -> None:
    table, (file_id, seq) = ROWS[name], entry
    if plan.new:
        names = [column.name for column in table.columns if column.name not in {"row_id", "row_closed"}]
        statement = insert(table).inline().compile(dialect=connection.dialect, column_keys=names)
        own = [[file_id] * len(rows), rows.line, hashes, [seq] * len(rows)]
        values = list(zip(*rows.columns, *own, strict=True))
        connection.exec_driver_sql(str(statement), values)  # five times as fast as rows in dictionaries
    one = update(table).where(table.c.row_id == bindparam("this"))
    if plan.gone:
        connection.execute(one.values(row_closed=seq), [{"this": row_id} for row_id, _ in plan.gone])
    if plan.moved:
        moves = [{"this": row_id, "line": line} for row_id, line in plan.moved]
        connection.execute(one.values(row_line=bindparam("line")), moves)
