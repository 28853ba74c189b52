"""How a record comes to have the tables of this program: made anew, or an old one upgraded, in one transaction.

What a record looks like is its alembic version and its shape, a hash of all its columns. Migrations run first; then what
the schema has and the record lacks (whole tables, optional columns) is added.
"""

import hashlib
import secrets
from pathlib import Path

from sqlalchemy import Column, Connection, Engine, select
from sqlalchemy import inspect as look_at

from remanent._errors import InputError
from remanent.study.record.chain import Author, Chain
from remanent.study.record.database import APPLICATION_ID, engine
from remanent.study.record.metadata import AUDIT, META, METADATA, ROWS

MIGRATIONS = Path(__file__).parents[1] / "migrations"
UNGUARDED = {"file": {"sha256", "content", "changed"}, "meta": {"value"}}

_REFUSED = "the record keeps its history: rows are closed, never changed or deleted"
_NEWER = "this record was written by another, newer version"


def bring_up_to_date(opened: Engine, author: Author, path: Path | None, migrations: Path = MIGRATIONS) -> None:
    """Create the record, or upgrade an old one; a SQLite file is first copied to ``<name>.before-<version>.sqlite``."""
    wanted = f"{newest(migrations)}-{shape()}"
    with opened.begin() as connection:
        found = version(connection)
    if found == wanted:
        return
    if found is not None and found.split("-")[0] > newest(migrations):
        raise InputError(_NEWER, why=f"Its tables are {found}, here {wanted}.", do="Install the newer version.")
    if found is not None and path is not None:
        _back_up(opened, path.with_suffix(f".before-{wanted}.sqlite"))
    loose = engine(opened.url, 60, foreign_keys=False)  # a table that SQLite rebuilds is dropped on the way
    try:
        with loose.connect() as plain:
            connection = plain.execution_options(write="tables")
            with connection.begin():
                found = version(connection)
                if found != wanted:  # no other process was quicker
                    _upgrade(connection, author, (found, wanted), migrations)
    finally:
        loose.dispose()


def version(connection: Connection) -> str | None:
    """Alembic version and shape of a record; None where the database is empty."""
    tables = look_at(connection).get_table_names()
    if not tables:
        return None
    if "alembic_version" not in tables or AUDIT.name not in tables:
        raise InputError("this database holds something else", do="Move it away, or choose another OUT.")
    number = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()
    return f"{number}-{connection.scalar(select(META.c.value).where(META.c.key == 'shape'))}"


def newest(migrations: Path = MIGRATIONS) -> str:
    """The alembic version this program writes: file names in migrations/versions begin with their number."""
    return max(path.name.split("_")[0] for path in (migrations / "versions").glob("[0-9]*.py"))


def shape() -> str:
    """Eight hexadecimal digits that change with any table, column or type of the schema."""
    columns = sorted(f"{c.table.name}.{c.name}:{c.type!r}" for t in METADATA.tables.values() for c in t.columns)
    return hashlib.sha256("\n".join(columns).encode()).hexdigest()[:8]


def _upgrade(connection: Connection, author: Author, versions: tuple[str | None, str], migrations: Path) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    found, wanted = versions
    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    config.attributes["connection"] = connection
    if found is None:
        METADATA.create_all(connection)
        MigrationContext.configure(connection).stamp(ScriptDirectory.from_config(config), "head")
        values = {"salt": secrets.token_hex(32), "head": "", "shape": shape()}
        connection.execute(META.insert(), [{"key": key, "value": value} for key, value in values.items()])
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")
    else:
        _unguard(connection)
        command.upgrade(config, "head")
        _add_missing(connection)
        connection.execute(META.update().where(META.c.key == "shape").values(value=shape()))
    guard(connection)
    chain = Chain(connection, author)
    chain.append("upgrade" if found else "create", "record", {"from": found, "to": wanted})
    chain.seal()


def _add_missing(connection: Connection) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    context = MigrationContext.configure(connection)
    operations = Operations(context)
    for what, *operands in (d if isinstance(d, tuple) else d[0] for d in compare_metadata(context, METADATA)):
        if what == "add_table":
            METADATA.tables[operands[0].name].create(connection)  # with its index
        elif what == "add_column":
            _, table, column = operands
            operations.add_column(table, Column(column.name, column.type))
        elif what != "add_index":  # came with its table
            names = " ".join(str(operand) for operand in operands if operand is not None)
            raise InputError(_NEWER, why=f"Unknown here: {what} {names}.", do="Install the newer version.")


def _back_up(opened: Engine, path: Path) -> None:
    """Copy a SQLite record to `path`, complete or not at all."""
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    raw = opened.raw_connection()
    try:
        raw.cursor().execute("VACUUM INTO ?", (str(partial),))
    finally:
        raw.close()
    partial.replace(path)


def guards(dialect: str) -> dict[str, tuple[str, str]]:
    """The triggers that refuse to change history: name -> (table, statement)."""
    found: dict[str, tuple[str, str]] = {}

    def refuse(rule: str, table: str, what: str, when: str = "") -> None:
        found[f"{table}_{rule}"] = table, _trigger(dialect, f"{table}_{rule}", f'{what} ON "{table}"', when)

    for name, table in METADATA.tables.items():
        loose = UNGUARDED.get(name, {"row_line", "row_closed"})
        fixed = ", ".join(f'"{column.name}"' for column in table.columns if column.name not in loose)
        refuse("no_update", name, f"UPDATE OF {fixed}")
        refuse("no_delete", name, "DELETE")
    for name in ROWS:
        refuse("no_reopen", name, "UPDATE OF row_closed", "OLD.row_closed IS NOT NULL")
    if dialect == "sqlite":  # INSERT OR REPLACE deletes without a DELETE trigger
        refuse("no_replace", AUDIT.name, "INSERT", "EXISTS (SELECT 1 FROM audit WHERE seq = NEW.seq)")
    return found


def _trigger(dialect: str, name: str, event: str, when: str) -> str:
    head = f'CREATE TRIGGER "{name}" BEFORE {event} FOR EACH ROW ' + (f"WHEN ({when}) " if when else "")
    if dialect == "sqlite":
        return f"{head}BEGIN SELECT RAISE(ABORT, '{_REFUSED}'); END"
    return f"{head}EXECUTE FUNCTION remanent_refuse()"


def guard(connection: Connection) -> None:
    """Create the triggers."""
    if connection.dialect.name != "sqlite":
        body = f"$$BEGIN RAISE EXCEPTION '{_REFUSED}'; END$$"
        function = f"CREATE OR REPLACE FUNCTION remanent_refuse() RETURNS trigger LANGUAGE plpgsql AS {body}"
        connection.exec_driver_sql(function)
    for _, statement in guards(connection.dialect.name).values():
        connection.exec_driver_sql(statement)


def _unguard(connection: Connection) -> None:
    existing = set(look_at(connection).get_table_names())
    for rule, (table, _) in guards(connection.dialect.name).items():
        on = "" if connection.dialect.name == "sqlite" else f' ON "{table}"'
        if table in existing:
            connection.exec_driver_sql(f'DROP TRIGGER IF EXISTS "{rule}"{on}')
