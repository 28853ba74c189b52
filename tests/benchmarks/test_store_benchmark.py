"""Ingest of 520,000 momentary ratings (500 patients), beside the same rows through plain sqlite3 without hash or history."""

import sqlite3
from contextlib import closing

import numpy as np
import pytest

from remanent.study import schema
from remanent.study.store import Record
from remanent.study.table import Study, Table

PATIENTS, RATINGS = 500, 1040
FILE = "phenotype/ema.tsv"

pytestmark = pytest.mark.benchmark


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    root = tmp_path_factory.mktemp("study")
    n, rng = PATIENTS * RATINGS, np.random.default_rng(0)
    columns = {
        "participant_id": np.repeat(np.array([f"sub-{i:03d}" for i in range(PATIENTS)], object), RATINGS),
        "day": np.round(rng.uniform(0, 365, n), 3),
        "item": np.array(["mood", "energy", "sleep"], object)[rng.integers(0, 3, n)],
        "value": rng.integers(0, 100, n).astype(float),
    }
    ema = Table(schema.INPUT["ema"], columns, np.full(n, FILE, object), np.arange(2, n + 2))
    return Study(root, {}, {"ema": ema}, (), ())


def test_first_ingest(benchmark, study, tmp_path):
    paths = iter(tmp_path / f"{i}.sqlite" for i in range(100))

    def setup():
        record = Record.open(next(paths))
        return (record,), {}

    def ingest(record):
        assert record.ingest(study).rows_added == PATIENTS * RATINGS
        record.close()

    benchmark.pedantic(ingest, setup=setup, rounds=3)


def test_plain_sqlite(benchmark, study, tmp_path):
    paths = iter(tmp_path / f"{i}.sqlite" for i in range(100))

    def insert():
        ema = study.tables["ema"]
        rows = zip(*(ema[name].tolist() for name in ema.columns), ema.row.tolist(), strict=True)
        with closing(sqlite3.connect(next(paths), isolation_level=None)) as raw:
            raw.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE ema (a, b, c, d, line)")
            raw.execute("BEGIN")
            raw.executemany("INSERT INTO ema VALUES (?, ?, ?, ?, ?)", rows)
            raw.execute("COMMIT")

    benchmark.pedantic(insert, rounds=3)


@pytest.fixture(scope="module")
def filled(study, tmp_path_factory):
    with Record.open(tmp_path_factory.mktemp("out")) as record:
        record.ingest(study)
        yield record


def test_nothing_changed(benchmark, study, filled):
    summary = benchmark.pedantic(filled.ingest, (study,), rounds=3)
    assert (summary.rows_added, summary.files_unchanged) == (0, 1)


def test_one_visit_added(benchmark, study, filled):
    ema = study.tables["ema"]
    fewer = [ema.select(np.arange(k, len(ema))) for k in (1, 2, 3)]
    studies = iter([Study(study.root, {}, {"ema": table}, (), ()) for table in fewer])
    benchmark.pedantic(filled.ingest, setup=lambda: ((next(studies),), {}), rounds=3)


def test_table(benchmark, filled):
    assert len(benchmark.pedantic(filled.table, ("ema",), rounds=3)) >= PATIENTS * RATINGS - 3


def test_verify(benchmark, filled):
    assert benchmark.pedantic(filled.verify, rounds=1) == []
