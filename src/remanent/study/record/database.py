"""The database under the record: how it is opened, created, upgraded and guarded, and what its errors mean."""

import gc
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, Select, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from remanent._errors import InputError, UsageError
from remanent.study.record.metadata import AUDIT

MIGRATIONS = Path(__file__).parents[1] / "migrations"
APPLICATION_ID = 0x524D4E54  # "RMNT", in the header of the SQLite file

_REFUSED = "the record keeps its history: rows are closed, never changed or deleted"
_MEANING: Mapping[str, tuple[str, str]] = {
    "locked": (
        "Another process is writing this record.",
        "Wait until it has finished and start again; nothing was lost.",
    ),
    "disk is full": (
        "The disk is full, so nothing of this step was stored.",
        "Free some space and start again; the record is as it was before.",
    ),
    "disk i/o error": (
        "The disk could not be read or written, so nothing of this step was stored.",
        "Check the disk (full? network folder?) and start again; the record is as it was before.",
    ),
    "readonly": ("The record cannot be written.", "Allow writing to the file and its folder, or choose another OUT."),
    "unable to open": ("The record cannot be opened here.", "Check that its folder exists and can be written."),
    "not a database": ("This is not a SQLite file.", "Move it away, or choose another OUT."),
    "malformed": ("The file is damaged.", "Restore it from a backup, or move it away and run again to build it anew."),
}


def locate(where: str | Path) -> URL:
    """The database a folder, a file or a URL means; a folder's record is its ``study.sqlite``."""
    if "://" not in str(where):
        path = Path(where)
        return URL.create("sqlite", database=str(path if path.suffix in {".sqlite", ".db"} else path / "study.sqlite"))
    try:
        url = make_url(str(where))
    except ArgumentError as error:
        raise UsageError("this is not the URL of a database", do="Write postgresql://user@host/name.") from error
    return url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url


def engine(url: URL, timeout_s: float, *, foreign_keys: bool = True) -> Engine:
    """An engine whose connections keep the record's promises; a transaction with the option `write` locks at once."""
    try:
        if url.get_backend_name() != "sqlite":
            made = create_engine(url, paramstyle="format", isolation_level="REPEATABLE READ")
            event.listen(made, "begin", _begin_server)
            return made
        made = create_engine(url, connect_args={"timeout": timeout_s})
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        why = "It needs a driver that is not installed."
        raise UsageError(f"cannot use {url.drivername}", why=why, do='Install "psycopg[binary]".') from error
    event.listen(made, "connect", lambda raw, _: _promise(raw, foreign_keys))
    event.listen(made, "begin", _begin_sqlite)
    return made


def _promise(raw: sqlite3.Connection, foreign_keys: bool) -> None:
    raw.isolation_level = None  # SQLAlchemy's "begin" event starts transactions, not the driver
    ours = raw.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    if not ours and raw.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raw.close()
        raise InputError("this SQLite file belongs to another program", do="Move it away, or choose another OUT.")
    mode = raw.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    raw.execute("PRAGMA synchronous=FULL")
    raw.execute(f"PRAGMA foreign_keys={'ON' if foreign_keys else 'OFF'}")
    if mode != "wal":
        raw.close()
        raise InputError(f"the journal is {mode}, not WAL", do="Keep OUT on a local disk, not in a network folder.")


def _begin_sqlite(connection: Connection) -> None:
    write = connection.get_execution_options().get("write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _begin_server(connection: Connection) -> None:
    # First of all: the snapshot that the transaction sees is taken at its first query, after the lock.
    if connection.get_execution_options().get("write") == "rows":
        connection.exec_driver_sql(f"LOCK TABLE {AUDIT.name} IN SHARE ROW EXCLUSIVE MODE")


@contextmanager
def explained(url: URL) -> Iterator[None]:
    """Turn what a database says into what a user can act on."""
    where = url.database if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=True)
    try:
        yield
    except InputError as error:
        if error.where:
            raise
        raise InputError(error.got, where=str(where), why=error.why, do=error.do) from error
    except (DBAPIError, sqlite3.Error) as error:
        said = str(error.orig if isinstance(error, DBAPIError) else error).strip()
        meaning = next((m for key, m in _MEANING.items() if key in said.lower()), None)
        if meaning is None:
            raise InputError(f"the database says: {said}", where=str(where)) from error
        raise InputError(said, where=str(where), why=meaning[0], do=meaning[1]) from error


def by_column(connection: Connection, query: Select) -> list[Sequence[Any]]:
    """Result of a query, column by column."""
    rows = connection.execute(query).all()
    return list(zip(*rows, strict=True)) if rows else [()] * len(query.selected_columns)


@contextmanager
def uncollected() -> Iterator[None]:
    """Pause the cyclic garbage collector: it would walk through millions of cells again and again (half of all time)."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
