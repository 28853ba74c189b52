"""What goes into the record comes out of it; a second ingest touches only what changed; history is kept."""

import hashlib
import sqlite3
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remanent._errors import InputError, Problem, UsageError
from remanent.study import schema
from remanent.study.store import IngestSummary, Record, session_key
from remanent.study.table import Study, Table

EMA = "phenotype/ema.tsv"
ROWS = [("sub-01", 1.25, "mood", 3.0), ("sub-01", 2.0, "mood", 4.0), ("sub-02", 1.0, "mood", 5.0)]


@dataclass(frozen=True)
class Feature:
    name: str
    value: float
    se: float
    usable: bool
    reason: str = ""


@pytest.fixture
def record(tmp_path):
    with Record.open(tmp_path / "out") as opened:
        yield opened


@pytest.fixture(autouse=True)
def _out(tmp_path):
    (tmp_path / "out").mkdir()


def contents(table: Table) -> Counter:
    return Counter(zip(*(table[c.name].tolist() for c in table.spec.columns), strict=True))


def test_a_table_comes_back_as_it_went_in(record, study_of):
    odd = [
        ("sub-01", 0.1 + 0.2, "Stimmung Ä\u2603 'x' \"y\"", -0.0),
        ("sub-01", -1e-300, "", 1e300),
        ("sub-02", 5e-324, "a\nb\tc", None),
    ]
    study = study_of({EMA: odd, "participants.tsv": [("sub-01", 47.5, None, "A")]})
    record.ingest(study)
    for name, given_table in study.tables.items():
        stored = record.table(name)
        for column in given_table.spec.columns:
            assert stored[column.name].dtype == given_table[column.name].dtype
            np.testing.assert_array_equal(stored[column.name], given_table[column.name])
        assert stored.file.tolist() == given_table.file.tolist()
        assert stored.row.tolist() == given_table.row.tolist()
    assert record.table("labs")["value"].dtype == float
    assert record.verify() == []


def test_columns_nobody_understood_are_kept(record, study_of):
    study = study_of({EMA: ROWS})
    ema = study.tables["ema"]
    columns = {**ema.columns, "item_2": np.array(["a", None, "=1"], object), "rt_ms": np.array([1.5, np.nan, 2])}
    record.ingest(Study(study.root, {}, {"ema": Table(ema.spec, columns, ema.file, ema.row)}, (), ()))
    stored = record.table("ema")
    assert stored["item_2"].tolist() == ["a", None, "=1"]
    np.testing.assert_array_equal(stored["rt_ms"], [1.5, np.nan, 2])
    assert record.verify() == []


def test_every_row_names_its_source_and_who_let_it_in(record, study_of, tmp_path):
    record.ingest(study_of({EMA: ROWS}))
    with sqlite3.connect(tmp_path / "out/study.sqlite") as raw:
        found = raw.execute(
            "SELECT f.path, f.sha256, e.row_line, hex(e.row_hash), a.who, a.at, a.run FROM ema e"
            " JOIN file f ON f.id = e.row_file JOIN audit a ON a.seq = e.row_opened WHERE e.participant_id = 'sub-02'"
        ).fetchone()
    raw.close()
    path, sha256, line, row_hash, who, at, run = found
    text = '{"participant_id":"sub-02","day":1.0,"item":"mood","value":5.0}'
    assert (path, line) == (EMA, 4)
    assert sha256 == hashlib.sha256((tmp_path / "study" / EMA).read_bytes()).hexdigest()
    assert row_hash.lower() == hashlib.sha256(text.encode()).hexdigest()
    assert who.startswith("remanent ")
    assert at.endswith("+00:00")
    assert run


def test_only_what_changed_is_taken_in(record, study_of):
    other = {"phenotype/hdrs17.tsv": [("sub-01", 0.0, "hdrs17", 20.0)], "participants.tsv": [("sub-01",), ("sub-02",)]}
    first = record.ingest(study_of({EMA: ROWS} | other))
    assert first == IngestSummary(3, 0, 6, 0)
    before = record.head
    assert record.ingest(study_of({EMA: ROWS} | other)) == IngestSummary(0, 3, 0, 0)
    assert int(record.head.split(":")[0]) == int(before.split(":")[0]) + 1  # only that there was a run
    changed = [("sub-03", 9.0, "mood", 1.0), ROWS[0], ("sub-01", 2.0, "mood", 4.5), ROWS[2]]
    assert record.ingest(study_of({EMA: changed} | other)) == IngestSummary(1, 2, 2, 1)
    stored = record.table("ema")
    assert stored["value"].tolist() == [1.0, 3.0, 4.5, 5.0]
    assert stored.row.tolist() == [2, 3, 4, 5]  # rows that stayed show their new line
    assert record.verify() == []


def test_the_past_can_be_read(record, study_of):
    seen = []
    for rows in (ROWS, ROWS[:1], ROWS[1:], ROWS):
        record.ingest(study_of({EMA: rows}))
        seen.append((int(record.head.split(":")[0]), Counter(rows)))
    for seq, rows in seen:
        assert contents(record.table("ema", as_of=seq)) == rows


def test_a_file_or_table_that_is_gone_closes_its_rows(record, study_of):
    people = {"participants.tsv": [("sub-01",), ("sub-02",)]}
    both = {"phenotype/bdi2.tsv": [("sub-01", 1.0, "bdi2", 9.0)], "phenotype/phq9.tsv": [("sub-01", 1.0, "phq9", 4.0)]}
    record.ingest(study_of(people | both | {EMA: ROWS}))
    summary = record.ingest(study_of(people | {"phenotype/phq9.tsv": both["phenotype/phq9.tsv"]}))
    assert summary == IngestSummary(2, 2, 0, 4)
    assert record.table("symptoms")["instrument"].tolist() == ["phq9"]
    assert len(record.table("ema")) == 0
    assert record.ingest(study_of(people | both | {EMA: ROWS})).rows_added == 4
    assert record.verify() == []


def test_equal_rows_are_counted_not_merged(record, study_of):
    record.ingest(study_of({EMA: [ROWS[0], ROWS[0], ROWS[0]]}))
    assert record.ingest(study_of({EMA: [ROWS[0], ROWS[1], ROWS[0]]})) == IngestSummary(1, 0, 1, 1)
    assert contents(record.table("ema")) == Counter([ROWS[0], ROWS[0], ROWS[1]])


def test_reading_one_participant_leaves_the_others(record, study_of):
    problem = Problem("x.tsv", 3, "day", "not a number", "set_aside")
    record.ingest(study_of({EMA: ROWS}, [problem]))
    visit = ("sub-01", 3.0, "mood", 1.0)
    summary = record.ingest(study_of({EMA: [ROWS[0], visit]}), participants=["01"])
    assert (summary.rows_added, summary.rows_closed) == (1, 1)  # sub-01's second row was withdrawn
    assert contents(record.table("ema")) == Counter([ROWS[0], visit, ROWS[2]])
    assert record.problems() == (problem,)
    record.ingest(study_of({EMA: [*ROWS, visit]}))  # the same file, now read as a whole
    assert contents(record.table("ema")) == Counter([*ROWS, visit])
    assert record.verify() == []


def test_a_row_accepted_later_is_added_though_its_file_never_changed(record, study_of):
    whole = study_of({EMA: ROWS})
    known = Study(whole.root, {}, {"ema": whole.tables["ema"].select(np.arange(2))}, (), ())
    record.ingest(known)
    assert record.ingest(whole) == IngestSummary(1, 0, 1, 0)


def test_another_study_is_refused_and_nothing_is_lost(record, study_of):
    record.ingest(study_of({EMA: ROWS}))
    with pytest.raises(InputError, match="none of the 2 participants of this record"):
        record.ingest(study_of({EMA: [("sub-99", 1.0, "mood", 1.0)]}))
    with pytest.raises(InputError, match="not mounted"):
        record.ingest(Study(Path("nowhere"), {}, {}, (), ()))
    assert contents(record.table("ema")) == Counter(ROWS)


def test_text_no_database_can_hold_stops_nobody(record, study_of):
    study = study_of({"phenotype/caf\udce9.tsv": [("sub-01", 1.0, "x\0y\ud800", 1.0), ("sub-02", 1.0, "fine", 2.0)]})
    assert record.ingest(study).rows_added == 2
    stored = record.table("symptoms")
    assert stored["instrument"].tolist() == ["x\\x00y\\ud800", "fine"]
    assert record.ingest(study).rows_added == 0
    assert record.verify() == []


def test_features_are_resumable_and_replaceable(record):
    key = session_key("sub-01", "ses-1")
    measured = [Feature("fc", 0.5, 0.1, True), Feature("vol", np.nan, np.nan, False, "no T1w")]
    assert not record.has_features(key, "h1")
    record.put_features("sub-01", "ses-1", -3.0, measured, "h1")
    assert record.has_features(key, "h1")
    assert not record.has_features(key, "h2")
    table = record.features()
    assert table.spec == schema.OUTPUT["features"]
    assert table["usable"].dtype == bool
    assert table["usable"].tolist() == [True, False]
    assert table["reason"].tolist() == [None, "no T1w"]
    np.testing.assert_array_equal(table["value"], [0.5, np.nan])
    assert np.isnan(table["z"]).all()
    record.put_features("sub-01", "ses-1", -3.0, measured[:1], "h2")
    assert len(record.features()) == 1
    problem = Problem("sub-02/x.tsv", None, "", "truncated", "set_aside")
    record.put_features("sub-01", "ses-1", -3.0, measured[:1], "h2", [problem])
    record.put_features("sub-02", "ses-1", np.nan, [], "h3")
    assert record.has_features(
        session_key("sub-02", "ses-1"), "h3"
    )  # nothing could be measured: known, not tried again
    assert record.problems() == (problem,)
    assert record.keep_features([session_key("sub-02", "ses-1")]) == 1
    assert not record.has_features(key, "h2")
    assert len(record.features()) == 0
    assert record.problems() == ()
    assert record.verify() == []


def test_results_problems_and_draws(record, tmp_path):
    result = {"participant_id": ["cohort"], "mechanism": ["dual"], "probability": [0.25], "log_evidence": [-1.5]}
    record.put_results("mechanisms", result | {"identifiable": [False]})
    assert record.table("mechanisms")["identifiable"].tolist() == [False]
    problems = (Problem("a.tsv", None, "", "odd", "used"), Problem("b.tsv", 2, "day", "bad", "set_aside"))
    record.put_problems("measure", problems)
    assert record.problems() == problems
    draws = {"theta": np.arange(24.0).reshape(4, 3, 2), "lp": np.arange(4)}
    first = record.put_draws("posterior", draws)
    for name, values in draws.items():
        np.testing.assert_array_equal(record.draws("posterior")[name], values)
    assert record.put_draws("posterior", draws) == first
    record.put_draws("posterior", {"lp": np.zeros(2)})
    assert not first.exists()
    assert record.verify() == []
    with pytest.raises(UsageError):
        record.put_results("ema", {})
    with pytest.raises(UsageError):
        record.put_draws("../escape", draws)


def test_result_files_are_the_ones_given_last(record, tmp_path):
    pages = [tmp_path / "out" / f"sub-{i}.html" for i in (1, 2)]
    for page in pages:
        page.write_text("x")
    record.put_files(pages)
    record.put_draws("posterior", {"lp": np.zeros(2)})
    pages[1].unlink()
    assert record.verify() == ["sub-2.html: the file is missing"]
    record.put_files(pages[:1])
    assert record.verify() == []
    pages[0].write_text("y")
    assert record.verify() == ["sub-1.html: the file was changed after it was written"]
    assert len(record.draws("posterior")) == 1


def test_changed_draws_are_not_used(record):
    path = record.put_draws("posterior", {"lp": np.zeros(2)})
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(InputError, match="missing or was changed"):
        record.draws("posterior")
    assert record.verify() == [f"draws/{path.name}: the file was changed after it was written"]


def test_the_snapshot_is_the_content(record, study_of, tmp_path):
    record.ingest(study_of({EMA: ROWS}))
    first = record.snapshot_id
    record.ingest(study_of({EMA: [*ROWS, ("sub-03", 1.0, "mood", 1.0)]}))
    assert record.snapshot_id != first
    record.ingest(study_of({EMA: ROWS[::-1]}))
    assert record.snapshot_id == first
    record.put_problems("fit", [Problem("x", None, "", "y", "used")])
    assert record.snapshot_id == first
    with Record.open(tmp_path / "other.sqlite") as other:
        other.ingest(study_of({EMA: ROWS}))
        assert other.snapshot_id == first
    record.put_features("sub-01", "ses-1", 0.0, [Feature("fc", 1.0, 1.0, True)], "h")
    assert record.snapshot_id != first


some_rows = st.lists(
    st.tuples(
        st.sampled_from(["sub-01", "sub-02"]),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=3),
        st.one_of(st.none(), st.integers(-(2**53), 2**53).map(float)),
    ),
    max_size=5,
)


@settings(max_examples=15, deadline=None)
@given(history=st.lists(st.dictionaries(st.sampled_from([EMA, "phenotype/b/ema.tsv"]), some_rows), max_size=4))
def test_any_history_can_be_replayed(history, study_in, tmp_path_factory):
    folder = tmp_path_factory.mktemp("history")
    anchor = {"participants.tsv": [("sub-01",)]}
    with Record.open(folder / "study.sqlite") as record:
        seen = []
        for files in history:
            study = study_in(folder / "study", files | anchor)
            record.ingest(study)
            held = study.tables["ema"] if "ema" in study.tables else record.table("ema", as_of=0)
            seen.append((int(record.head.split(":")[0]), _comparable(held)))
        for seq, expected in seen:
            assert _comparable(record.table("ema", as_of=seq)) == expected
        assert record.verify() == []


def _comparable(table: Table) -> Counter:
    cells = [(table[c.name] + 0.0 if table[c.name].dtype == float else table[c.name]) for c in table.spec.columns]
    return Counter(tuple(repr(cell) for cell in row) for row in zip(*cells, strict=True))
