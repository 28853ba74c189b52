"""The record's tables, built from the schema.

One SQL table per table of the schema, with the schema's columns and seven of the record's own, named ``row_*``. A row
is never changed or deleted: one audit entry opens it, another closes it. Current rows: ``row_closed IS NULL``.
"""

from collections.abc import Mapping

from sqlalchemy import Column, ForeignKey, Index, Integer, LargeBinary, MetaData, Table, Text, UniqueConstraint
from sqlalchemy.dialects import sqlite
from sqlalchemy.types import Double, TypeEngine

from remanent.study import schema

METADATA = MetaData()

REAL: TypeEngine = Double().with_variant(sqlite.REAL(), "sqlite")
SQL_TYPE: Mapping[str, type[TypeEngine] | TypeEngine] = {
    "text": Text,
    "level": Text,
    "number": REAL,
    "integer": Integer,
    "boolean": Integer,
}


def _text(name: str) -> schema.Column:
    return schema.Column(name, "text", "", None, None, {}, required=True, meaning="", label="")


ARTIFACT = schema.TableSpec(
    "artifact", (_text("path"), _text("sha256")), ("path",), "Files that belong to the record.", ""
)

SPECS: Mapping[str, schema.TableSpec] = {**schema.INPUT, **schema.OUTPUT, ARTIFACT.name: ARTIFACT}

META = Table(
    "meta",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
    sqlite_strict=True,
)

AUDIT = Table(
    "audit",
    METADATA,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("code_version", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("seed", Integer),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False),
    sqlite_strict=True,
)

FILE = Table(
    "file",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("table_name", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("sha256", Text),
    Column("content", Text),
    Column("changed", Integer, ForeignKey("audit.seq"), nullable=False),
    UniqueConstraint("table_name", "path", name="file_once"),
    sqlite_strict=True,
)


def _rows(spec: schema.TableSpec) -> Table:
    return Table(
        spec.name,
        METADATA,
        Column("row_id", Integer, primary_key=True),
        *(Column(column.name, SQL_TYPE[column.kind]) for column in spec.columns),
        Column("row_extra", Text),
        Column("row_file", Integer, ForeignKey("file.id"), nullable=False),
        Column("row_line", Integer, nullable=False),
        Column("row_hash", LargeBinary, nullable=False),
        Column("row_opened", Integer, ForeignKey("audit.seq"), nullable=False),
        Column("row_closed", Integer, ForeignKey("audit.seq")),
        Index(f"{spec.name}_file", "row_file"),
        sqlite_strict=True,
    )


ROWS: Mapping[str, Table] = {name: _rows(spec) for name, spec in SPECS.items()}
