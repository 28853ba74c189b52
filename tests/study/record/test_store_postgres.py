"""The same record on PostgreSQL: tables, guards, chain, history."""

import os
import shutil
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import create_engine
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateTable

from remanent._errors import InputError, UsageError
from remanent.study.record.metadata import METADATA
from remanent.study.record.upgrade import guards
from remanent.study.store import IngestSummary, Record

EMA = "phenotype/ema.tsv"
ROWS = [("sub-01", 1.25, "Ä'\"%s", 3.0), ("sub-01", 2.0, "mood", 0.1 + 0.2), ("sub-02", 1.0, "mood", None)]
BIN = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), Path("/nonexistent"))


def test_the_tables_are_postgresql_too():
    """Needs no server: every type and guard has a PostgreSQL form."""
    statements = [str(CreateTable(t).compile(dialect=postgresql.dialect())) for t in METADATA.sorted_tables]
    assert "value DOUBLE PRECISION" in next(s for s in statements if "TABLE ema " in s)
    assert all("EXECUTE FUNCTION" in statement for _, statement in guards("postgresql").values())


@pytest.fixture(scope="module")
def url():
    """A server of our own on a socket in a temporary folder."""
    pytest.importorskip("psycopg", reason="PSYCOPG ABSENT: the record was not checked on PostgreSQL")
    if not (BIN / "initdb").exists():
        pytest.skip("POSTGRESQL ABSENT: the record was not checked on a server")
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # a socket's path must be short
    as_user = []
    if os.geteuid() == 0:  # the server refuses to run as root
        shutil.chown(folder, "postgres")
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]

    def run(tool, *options):
        subprocess.run([*as_user, BIN / tool, "-D", folder / "data", *options], check=True, stdout=subprocess.DEVNULL)

    run("initdb", "-U", "remanent", "-A", "trust", "-E", "UTF8", "--no-sync")
    run("pg_ctl", "-w", "-o", f"-k {folder} -c listen_addresses=''", "-l", folder / "log", "start")
    yield f"postgresql://remanent@/postgres?host={folder}"
    run("pg_ctl", "-m", "immediate", "stop")
    shutil.rmtree(folder)


def test_the_record_on_a_server(url, study_of, tmp_path):
    study = study_of({EMA: ROWS})
    with Record.open(url, folder=tmp_path) as record:
        assert record.ingest(study) == IngestSummary(1, 0, 3, 0)
        seq = int(record.head.split(":")[0])
        assert record.ingest(study).rows_added == 0
        assert record.ingest(study_of({EMA: ROWS[1:]})) == IngestSummary(1, 0, 0, 1)
        for table, expected in ((record.table("ema"), ROWS[1:]), (record.table("ema", as_of=seq), ROWS)):
            values = np.where(np.isnan(table["value"]), None, table["value"])
            found = zip(table["participant_id"], table["day"].tolist(), table["item"], values, strict=True)
            assert Counter(found) == Counter(expected)
        assert record.verify() == []
        with Record.open(tmp_path) as local:
            local.ingest(study_of({EMA: ROWS[1:]}))
            assert local.snapshot_id == record.snapshot_id
    with Record.open(url, folder=tmp_path) as again:
        assert len(again.table("ema")) == 2


@pytest.mark.parametrize(
    "statement",
    ["UPDATE audit SET who = 'me'", "DELETE FROM audit", "UPDATE ema SET value = 1", "DELETE FROM ema"],
)
def test_a_server_guards_history(url, statement, tmp_path, study_of):
    with Record.open(url, folder=tmp_path) as record:
        record.ingest(study_of({EMA: ROWS}))
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection, pytest.raises(DBAPIError, match="keeps its history"):
        connection.exec_driver_sql(statement)
    engine.dispose()


def test_a_server_that_does_not_answer(url):
    with pytest.raises(InputError, match="the database says") as caught:
        Record.open("postgresql://someone:secret@127.0.0.1:1/none")
    assert "secret" not in str(caught.value)


def test_a_missing_driver():
    with pytest.raises(UsageError, match="driver that is not installed"):
        Record.open("mysql+nosuchdriver://host/name")
