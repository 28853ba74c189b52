"""The audit cannot be edited through the database, and whoever edits the file is found out."""

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from remanent._errors import InputError
from remanent.study.record.metadata import METADATA, ROWS
from remanent.study.store import Record

ROWS_1 = [("sub-alice", 1.0, "mood", 3.0), ("sub-bob", 2.0, "mood", 4.0)]


@pytest.fixture
def path(tmp_path, study_of):
    """A record with two ingests: one row came, one went."""
    with Record.open(tmp_path / "study.sqlite", run="run-1", seed=7) as record:
        record.ingest(study_of({"phenotype/ema.tsv": ROWS_1}))
        record.ingest(study_of({"phenotype/ema.tsv": [ROWS_1[0], ("sub-bob", 2.0, "mood", 5.0)]}))
    return tmp_path / "study.sqlite"


def execute(path, *statements):
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        for statement in statements:
            raw.execute(statement)
        return raw.total_changes


def unguarded(path, *statements):
    """As someone with the file in hand and no respect would."""
    with closing(sqlite3.connect(path)) as raw:
        rules = [row[0] for row in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")]
        saved = [row[0] for row in raw.execute("SELECT sql FROM sqlite_master WHERE type = 'trigger'")]
    assert execute(path, *(f'DROP TRIGGER "{rule}"' for rule in rules), *statements)
    execute(path, *saved)


def verify(path, published=None):
    with Record.open(path) as record:
        return record.verify(published)


def test_an_honest_record_has_no_faults(path):
    assert verify(path) == []


@pytest.mark.parametrize("table", ["meta", "audit", "file", "ema", "mechanisms", "artifact"])
def test_nothing_can_be_deleted(path, table):
    with Record.open(path) as record:
        record.put_draws("x", {"a": np.zeros(1)})
        record.put_results("mechanisms", {"participant_id": ["cohort"]})
    with pytest.raises(sqlite3.IntegrityError, match="keeps its history"):
        execute(path, f"DELETE FROM {table}")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET who = 'me'",
        "UPDATE audit SET seq = seq + 100",
        "INSERT OR REPLACE INTO audit VALUES (2, '', 'me', '', '', NULL, '', '', '', '', '')",
        "UPDATE ema SET value = 9",
        "UPDATE ema SET row_hash = x'00'",
        "UPDATE ema SET row_opened = 1",
        "UPDATE ema SET row_closed = NULL WHERE row_closed IS NOT NULL",
        "UPDATE file SET path = 'other.tsv'",
        "UPDATE meta SET key = 'x'",
    ],
)
def test_nothing_can_be_changed(path, statement):
    with pytest.raises(sqlite3.IntegrityError, match="keeps its history"):
        execute(path, statement)
    assert verify(path) == []


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE audit SET detail = replace(detail, '1', '2') WHERE seq = 2", "entry 2 was changed"),
        ("UPDATE audit SET at = '2020-01-01T00:00:00+00:00' WHERE seq = 3", "entry 3 was changed"),
        ("UPDATE audit SET seed = 8 WHERE seq = 3", "entry 3 was changed"),
        ("DELETE FROM audit WHERE seq = 3", "entries 3 to 3 are missing"),
        ("DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)", "the record's head is"),
        ("DELETE FROM audit WHERE seq = 1", "entries 1 to 1 are missing"),
        ("UPDATE meta SET value = '0:' WHERE key = 'head'", "the record's head is 0"),
        ("UPDATE ema SET value = 4.25 WHERE participant_id = 'sub-alice'", "ema: row 1 does not match its hash"),
        ("UPDATE ema SET row_extra = '{\"x\":1}' WHERE row_id = 1", "ema: row 1 does not match its hash"),
        ("DELETE FROM ema WHERE row_id = 1", "ema: the rows added by audit entry 2 are not those"),
        ("UPDATE ema SET row_closed = NULL", "ema: the rows closed by audit entry"),
        ("UPDATE ema SET row_closed = 2", "ema: the rows closed by audit entry"),
        ("INSERT INTO ema (row_file, row_line, row_hash, row_opened) SELECT 1, 1, row_hash, 2 FROM ema",
         "ema: the rows added by audit entry 2"),
        ("UPDATE file SET sha256 = 'x'", "file 1: its hash was changed"),
        ("UPDATE ema SET row_file = 77 WHERE row_id = 1", "refers to a missing row of file"),
    ],
)  # fmt: skip
def test_whoever_edits_the_file_is_found_out(path, statement, fault):
    with closing(sqlite3.connect(path)) as raw:
        columns = [row[1] for row in raw.execute("PRAGMA table_info(ema)")]
    assert columns[:6] == ["row_id", "participant_id", "day", "item", "value", "row_extra"]
    unguarded(path, statement)
    assert re.search(fault, "\n".join(verify(path)))


def test_a_lost_guard_is_reported(path):
    execute(path, "DROP TRIGGER ema_no_update")
    assert verify(path) == ["the guard ema_no_update is missing or was changed: history could have been edited"]


def test_a_chain_rewritten_from_end_to_end_does_not_hold_the_published_head(path, tmp_path, study_of):
    with Record.open(path) as record:
        published = record.head
        record.audit("view", "report", {"page": "index"})
        assert record.verify(published) == []
    with Record.open(tmp_path / "forged.sqlite") as forged:
        forged.ingest(study_of({"phenotype/ema.tsv": ROWS_1}))
        assert forged.verify() == []
        assert forged.verify(published) == [f"audit: the published head {published.split(':')[0]} is not in this chain"]


def test_entries_say_who_what_and_when_but_not_about_whom(path):
    with Record.open(path, run="run-2", seed=1) as record:
        record.put_features("sub-alice", "ses-1", 0.0, [], "h")
        record.audit("view", "sub-alice", {"page": "sub-bob/ses-1", "n": 2})
        alice, bob = record.pseudonym("sub-alice"), record.pseudonym("sub-bob")
        assert record.verify() == []
    with closing(sqlite3.connect(path)) as raw:
        entries = raw.execute("SELECT seq, who, run, seed, action, subject, detail FROM audit ORDER BY seq").fetchall()
    assert "alice" not in str(entries)
    assert "bob" not in str(entries)
    assert "4.0" not in str(entries)
    assert [entry[0] for entry in entries] == list(range(1, len(entries) + 1))
    assert entries[0][4:6] == ("create", "record")
    assert {entry[2:4] for entry in entries} == {("run-1", 7), ("run-2", 1)}
    assert entries[-1][5] == alice != bob
    assert json.loads(entries[-1][6]) == {"n": 2, "page": f"{bob}/ses-1"}


def test_pseudonyms_differ_between_records(path, tmp_path):
    with Record.open(path) as one, Record.open(tmp_path / "two.sqlite") as two:
        assert one.pseudonym("sub-alice") == one.pseudonym("sub-alice") != two.pseudonym("sub-alice")


def test_a_failed_step_leaves_no_entry(path, study_of):
    with Record.open(path) as record:
        before = record.head
        with pytest.raises(InputError):
            record.ingest(study_of({"phenotype/ema.tsv": [("sub-x", 1.0, "mood", 1.0)]}))
        assert record.head == before


def test_every_table_is_strict_and_guarded(path):
    with closing(sqlite3.connect(path)) as raw:
        strict = {row[1]: row[5] for row in raw.execute("PRAGMA table_list") if row[0] == "main"}
        triggers = {row[0] for row in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")}
        assert raw.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert all(strict[name] for name in METADATA.tables)
    assert {f"{name}_{rule}" for name in ROWS for rule in ("no_update", "no_delete", "no_reopen")} <= triggers


def test_strict_tables_refuse_a_wrong_type(path):
    with pytest.raises(sqlite3.IntegrityError, match="cannot store TEXT"):
        execute(path, "INSERT INTO ema (day, row_file, row_line, row_hash, row_opened) VALUES ('soon', 1, 1, x'00', 1)")


def test_the_questions_of_the_documentation_have_answers(tmp_path, study_of):
    text = (Path(__file__).parents[3] / "docs/record.md").read_text(encoding="utf-8")
    queries = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
    rating = {"phenotype/hdrs17.tsv": [("sub-01", 0.0, "hdrs17", 20.0)], "phenotype/ema.tsv": ROWS_1}
    with Record.open(tmp_path) as record:
        record.ingest(study_of(rating))
        record.ingest(study_of(rating | {"phenotype/hdrs17.tsv": [("sub-01", 0.0, "hdrs17", 12.0)]}))
        fourth = record.table("ema", as_of=4)
    with closing(sqlite3.connect(tmp_path / "study.sqlite")) as raw:
        current, withdrawn, past = (raw.execute(query).fetchall() for query in queries)
    assert [row[:5] for row in current] == [(0.0, "hdrs17", 12.0, "phenotype/hdrs17.tsv", 2)]
    assert [row[:3] for row in withdrawn] == [("sub-01", 0.0, 20.0)]
    assert len(past) == len(fourth) == 2
