"""Records of every earlier version open, keep their rows, hashes and history, and leave a copy of themselves."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from remanent._errors import InputError
from remanent.study.record import upgrade
from remanent.study.record.database import engine, locate
from remanent.study.record.metadata import METADATA
from remanent.study.store import Record

FIXTURES = sorted(Path(__file__).parent.glob("record_*.sql"))
EMA = [("sub-02", 2.0, "mood Ä", 0.1), ("sub-01", 9.0, "mood Ä", 4.0)]
RENAME = """
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "0002", "0001", None, None


def upgrade():
    with op.batch_alter_table("ema", recreate="always", table_kwargs={"sqlite_strict": True}) as table:
        table.alter_column("question", new_column_name="item", existing_type=sa.Text())
    FAIL
"""


def statement(path, sql):
    with closing(sqlite3.connect(path)) as raw:
        found = raw.execute(sql).fetchall()
        raw.commit()
    return found


@pytest.fixture(params=FIXTURES, ids=lambda path: path.stem)
def old(request, tmp_path):
    """A record as a former version left it."""
    path = tmp_path / "study.sqlite"
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(request.param.read_text(encoding="utf-8"))
    return path


def check_content(record):
    ema = record.table("ema")
    assert list(zip(*(ema[c] for c in ("participant_id", "day", "item", "value")), strict=True)) == EMA
    assert record.table("ema", as_of=8)["value"].tolist() == [3.0, 0.1]
    assert record.table("symptoms")["value"].tolist() == [6.0, 21.0]
    np.testing.assert_array_equal(record.features()["value"], [0.25, np.nan])
    assert record.has_features("sub-01/ses-1", "cafe")
    assert record.verify() == []


def test_there_is_a_record_of_every_version():
    versions = [path.name.split("_")[0] for path in (upgrade.MIGRATIONS / "versions").glob("0*.py")]
    assert sorted(versions) == [path.stem.removeprefix("record_") for path in FIXTURES]


def test_an_old_record_opens(old, study_of):
    before = statement(old, "SELECT row_id, hex(row_hash) FROM ema")
    published = statement(old, "SELECT seq || ':' || hash FROM audit WHERE seq = 8")[0][0]
    with Record.open(old) as record:
        check_content(record)
        assert record.verify(published) == []
        head = record.head
        assert statement(old, "SELECT action FROM audit ORDER BY seq DESC LIMIT 1") == [("upgrade",)]
        assert statement(old, "SELECT row_id, hex(row_hash) FROM ema") == before
        assert record.ingest(study_of({"phenotype/ema.tsv": EMA})).rows_added == 0
    with Record.open(old) as record:  # once is enough
        assert int(record.head.split(":")[0]) == int(head.split(":")[0]) + 5  # four tables closed, one ingest


def test_the_old_record_is_copied_first(old):
    dump = sorted(statement(old, "SELECT * FROM audit"))
    Record.open(old).close()
    (copy,) = old.parent.glob("study.before-*.sqlite")
    assert sorted(statement(copy, "SELECT * FROM audit")) == dump
    assert statement(copy, "PRAGMA integrity_check") == [("ok",)]
    assert [path.name for path in old.parent.glob("*.partial")] == []


def test_upgraded_and_new_records_are_alike(old, tmp_path):
    Record.open(old).close()
    Record.open(tmp_path / "new.sqlite").close()

    def look(path):
        rows = statement(path, "SELECT m.name, c.name, c.type, c.pk FROM sqlite_master m, pragma_table_info(m.name) c")
        strict = statement(path, "SELECT name, strict FROM pragma_table_list WHERE schema = 'main'")
        triggers = statement(path, "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        indexes = statement(path, "SELECT name FROM sqlite_master WHERE type = 'index'")
        return [set(part) for part in (rows, strict, triggers, indexes)]

    assert look(old) == look(tmp_path / "new.sqlite")


@pytest.fixture
def migrations(tmp_path):
    """A next version that renames a column, which the schema alone cannot tell."""
    folder = tmp_path / "migrations"
    shutil.copytree(upgrade.MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions/0002_rename.py").write_text(RENAME.replace("FAIL", ""))
    return folder


@pytest.fixture
def renamed(old):
    """The record as if column `item` had been called `question` then."""
    for rule in ("no_update", "no_delete", "no_reopen"):
        statement(old, f"DROP TRIGGER ema_{rule}")
    statement(old, "ALTER TABLE ema RENAME COLUMN item TO question")
    return old


def bring_up(path, migrations):
    opened = engine(locate(path), 5)
    try:
        upgrade.bring_up_to_date(opened, upgrade.Author("test", "0", "", None), path, migrations)
    finally:
        opened.dispose()


def test_a_migration_runs_with_guards_and_strictness_kept(renamed, migrations, monkeypatch):
    monkeypatch.setattr(upgrade, "newest", lambda _=None: "0002")
    bring_up(renamed, migrations)
    with Record.open(renamed) as record:
        check_content(record)
    strict = dict(statement(renamed, "SELECT name, strict FROM pragma_table_list WHERE schema = 'main'"))
    assert all(strict[name] for name in METADATA.tables)
    with pytest.raises(sqlite3.IntegrityError, match="keeps its history"):
        statement(renamed, "UPDATE ema SET value = 1")


def test_a_migration_that_fails_leaves_the_record_as_it_was(renamed, migrations):
    (migrations / "versions/0002_rename.py").write_text(RENAME.replace("FAIL", "raise ArithmeticError"))
    before = statement(renamed, "SELECT * FROM sqlite_master ORDER BY name")
    with pytest.raises(ArithmeticError):
        bring_up(renamed, migrations)
    assert statement(renamed, "SELECT * FROM sqlite_master ORDER BY name") == before


def test_a_record_of_a_newer_program_is_left_alone(tmp_path):
    path = tmp_path / "study.sqlite"
    Record.open(path).close()
    statement(path, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(InputError, match=r"newer version.*9999"):
        Record.open(path)


def test_a_column_that_only_a_newer_program_knows(tmp_path):
    path = tmp_path / "study.sqlite"
    Record.open(path).close()
    statement(path, "ALTER TABLE ema ADD COLUMN mood_colour TEXT")
    statement(path, "UPDATE meta SET value = 'later' WHERE key = 'shape'")
    with pytest.raises(InputError, match=r"remove_column .*mood_colour"):
        Record.open(path)
    assert statement(path, "SELECT value FROM meta WHERE key = 'shape'") == [("later",)]
