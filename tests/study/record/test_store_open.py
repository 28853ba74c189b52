"""Opening, sharing and refusing: each refusal is one message that says what to do."""

import os
import pickle
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing

import numpy as np
import pytest

from remanent._errors import InputError, UsageError
from remanent.study.record.database import locate
from remanent.study.store import Record

EMA = "phenotype/ema.tsv"
ROWS = [("sub-01", 1.0, "mood", 3.0), ("sub-02", 2.0, "mood", 4.0)]


def test_what_a_place_means(tmp_path):
    assert locate(tmp_path).database == str(tmp_path / "study.sqlite")
    assert locate(tmp_path / "v1.2").database == str(tmp_path / "v1.2/study.sqlite")
    assert locate(str(tmp_path / "a.sqlite")).database == str(tmp_path / "a.sqlite")
    assert locate("postgresql://u:p@h/d").drivername == "postgresql+psycopg"
    with pytest.raises(UsageError, match="not the URL"):
        locate("host/name://")


def test_every_connection_keeps_the_promises(tmp_path):
    with Record.open(tmp_path) as record, record._reading() as connection:
        pragmas = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in PROMISED}
    assert pragmas == PROMISED


PROMISED = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 60_000}


def test_no_record_is_not_made_by_looking(tmp_path):
    with pytest.raises(InputError, match="there is no record here"):
        Record.open(tmp_path, create=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"participant_id\tday\nsub-01\t1\n" * 99, b"SQLite format 3\0" + b"x" * 5000])
def test_a_file_that_is_no_database(tmp_path, content):
    path = tmp_path / "study.sqlite"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"study\.sqlite: .*(not a SQLite file|damaged).*") as caught:
        Record.open(path)
    assert caught.value.do
    assert path.read_bytes() == content


def test_a_damaged_record(tmp_path, study_of):
    path = tmp_path / "study.sqlite"
    with Record.open(path) as record:
        record.ingest(study_of({EMA: [(f"sub-{i}", i, "mood", 0.0) for i in range(3000)]}))
    whole = bytearray(path.read_bytes())
    for page in range(30, len(whole) // 4096):
        whole[page * 4096 : page * 4096 + 200] = os.urandom(200)
    path.write_bytes(whole)
    with pytest.raises(InputError, match="The file is damaged"), Record.open(path) as record:
        record.table("ema")


def test_an_empty_file_is_a_new_record(tmp_path):
    (tmp_path / "study.sqlite").touch()
    with Record.open(tmp_path) as record:
        assert record.verify() == []


@pytest.mark.parametrize("setup", ["CREATE TABLE t (x)", "CREATE TABLE audit (x)", "PRAGMA application_id = 7"])
def test_a_database_of_someone_else_is_left_as_it_is(tmp_path, setup):
    path = tmp_path / "study.sqlite"
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(f"{setup}; CREATE TABLE u (x)")
    before = path.read_bytes()
    with pytest.raises(InputError, match="another program"):
        Record.open(path)
    assert path.read_bytes() == before


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="cannot be opened here"):
        Record.open(tmp_path / "nowhere")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="cannot be opened here"):
        Record.open(tmp_path)


def test_a_record_that_cannot_be_written(tmp_path, study_of):
    with Record.open(tmp_path) as record:
        with record._engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA query_only=ON")  # as for a file without write permission
        with pytest.raises(InputError, match="cannot be written"):
            record.ingest(study_of({EMA: ROWS}))


def test_a_full_disk_loses_nothing(tmp_path, study_of):
    with Record.open(tmp_path) as record:
        record.ingest(study_of({EMA: ROWS}))
        many = [*ROWS, *((f"sub-{i:04d}", 1.0, "mood", 1.0) for i in range(20_000))]
        with record._engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count=200")
        with pytest.raises(InputError, match="The disk is full, so nothing"):
            record.ingest(study_of({EMA: many}))
        assert len(record.table("ema")) == 2
        assert record.verify() == []
    with Record.open(tmp_path) as record:
        assert record.ingest(study_of({EMA: many})).rows_added == 20_000


ELSEWHERE = """
import pickle, sys
from remanent.study.store import Record
with Record.open(sys.argv[1]) as record:
    record.ingest(pickle.load(sys.stdin.buffer))
"""


def test_one_writes_while_another_reads(tmp_path, study_of):
    path, study = tmp_path / "study.sqlite", study_of({EMA: ROWS})
    with Record.open(path) as reader:
        with Record.open(path) as writer, writer._writing() as (_, chain):
            chain.append("test", "", {})
            assert len(reader.table("ema")) == 0  # neither waits nor sees half
        command = [sys.executable, "-c", ELSEWHERE, str(path)]
        subprocess.run(command, input=pickle.dumps(study), check=True)
        assert len(reader.table("ema")) == 2


def test_a_second_writer_waits_or_says_why_not(tmp_path, study_of):
    study = study_of({EMA: ROWS})
    with (
        Record.open(tmp_path) as first,
        Record.open(tmp_path, timeout_s=0.05) as hasty,
        Record.open(tmp_path) as patient,
    ):
        entered, leave = threading.Event(), threading.Event()

        def hold():
            with first._writing():
                entered.set()
                leave.wait()

        holder = threading.Thread(target=hold)
        holder.start()
        entered.wait()
        with pytest.raises(InputError, match="Another process is writing this record"):
            hasty.ingest(study)
        waiter = threading.Thread(target=patient.ingest, args=(study,))
        waiter.start()
        leave.set()
        holder.join()
        waiter.join()
        assert len(first.table("ema")) == 2
        assert first.verify() == []


def test_several_may_create_and_write_at_once(tmp_path, study_of):
    study, failed = study_of({EMA: ROWS}), []

    def work(number):
        try:
            with Record.open(tmp_path) as record:
                record.ingest(study)
                record.put_draws(f"draws{number}", {"x": np.zeros(2)})
        except InputError as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    with Record.open(tmp_path) as record:
        assert len(record.table("ema")) == 2
        assert len(record.table("artifact")) == 4
        assert record.verify() == []
