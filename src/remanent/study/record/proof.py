"""Is the record what it says it is? The chain, every row against its hash and against the entry that let it in."""

from collections import defaultdict
from collections.abc import Mapping
from json import loads
from pathlib import Path

from sqlalchemy import Connection, Row, select
from sqlalchemy import text as sql

from remanent.study.record.chain import broken_links
from remanent.study.record.files import file_sha256
from remanent.study.record.metadata import ARTIFACT, FILE, ROWS, SPECS
from remanent.study.record.rows import canonical, content_hash, digest
from remanent.study.record.upgrade import guards

_CHUNK = 10_000


def find_faults(connection: Connection, folder: Path | None, published: str | None) -> list[str]:
    """What is wrong, in words; empty where nothing is."""
    wrong, entries = broken_links(connection, published)
    merges = {seq: loads(entry.detail) for seq, entry in entries.items() if entry.action == "merge"}
    if connection.dialect.name == "sqlite":
        wrong += _file_faults(connection)
    for name in SPECS:
        wrong += _row_faults(connection, name, {seq: said for seq, said in merges.items() if said["table"] == name})
    wrong += _source_faults(connection, merges)
    return wrong + _artifact_faults(connection, folder)


def _file_faults(connection: Connection) -> list[str]:
    found = [row[0] for row in connection.execute(sql("PRAGMA integrity_check")) if row[0] != "ok"]
    broken = connection.execute(sql("PRAGMA foreign_key_check")).all()
    found += [f"{row[0]}: row {row[1]} refers to a missing row of {row[2]}" for row in broken]
    triggers = connection.execute(sql("SELECT name, sql AS statement FROM sqlite_master WHERE type = 'trigger'"))
    existing = {row.name: row.statement for row in triggers}
    lost = [rule for rule, (_, made) in guards("sqlite").items() if existing.get(rule) != made]
    return found + [f"the guard {rule} is missing or was changed: history could have been edited" for rule in lost]


def _row_faults(connection: Connection, name: str, merges: Mapping[int, Mapping]) -> list[str]:
    table, spec = ROWS[name], SPECS[name]
    values = [table.c[column.name] for column in spec.columns]
    own = [table.c[f"row_{part}"] for part in ("extra", "hash", "opened", "closed", "id")]
    wrong, opened, closed = [], defaultdict(list), defaultdict(list)
    for chunk in connection.execute(select(*values, *own).execution_options(yield_per=_CHUNK)).partitions():
        columns = list(zip(*chunk, strict=True))
        hashes, opening, closing, ids = columns[-4:]
        for seen, stored, first, last, row in zip(
            canonical(spec, columns[:-4]), hashes, opening, closing, ids, strict=True
        ):
            if content_hash(seen) != bytes(stored):
                wrong.append(f"{name}: row {row} does not match its hash: it was changed after it was accepted")
            opened[first].append(bytes(stored))
            if last is not None:
                closed[last].append(bytes(stored))
    for word, found in (("added", opened), ("closed", closed)):
        said = {seq: merge[f"{word}_digest"] for seq, merge in merges.items()}
        differing = [seq for seq in sorted({*said, *found}) if said.get(seq) != digest(found.get(seq, ()))]
        wrong += [f"{name}: the rows {word} by audit entry {seq} are not those it speaks of" for seq in differing]
    return wrong


def _source_faults(connection: Connection, merges: Mapping[int, Mapping]) -> list[str]:
    last = {merge["file"]: (seq, merge["sha256"], merge["content"]) for seq, merge in merges.items()}
    files: list[Row] = list(connection.execute(select(FILE)))
    wrong = [f"file {f.id}: its hash was changed" for f in files if last.get(f.id) != (f.changed, f.sha256, f.content)]
    return wrong + [f"file {number}: its entry is missing" for number in last.keys() - {f.id for f in files}]


def _artifact_faults(connection: Connection, folder: Path | None) -> list[str]:
    table = ROWS[ARTIFACT.name]
    wrong = []
    for path, stored in connection.execute(select(table.c.path, table.c.sha256).where(table.c.row_closed.is_(None))):
        if folder is None or not (folder / path).is_file():
            wrong.append(f"{path}: the file is missing")
        elif file_sha256(folder / path) != stored:
            wrong.append(f"{path}: the file was changed after it was written")
    return wrong
