"""Events that what is on record speaks against."""

import pytest

from remanent.study.chronology import out_of_order
from remanent.study.tables import read_tables

RATINGS = "participant_id day total\nsub-01 -20 25\nsub-01 60.4 7\nsub-02 0 7\nsub-02 180 9\n"


def said_of(make_study, events, **files):
    given = {f"phenotype/{name}.tsv": text for name, text in files.items()}
    root = make_study(
        {"phenotype/hdrs17.tsv": RATINGS, "phenotype/events.tsv": f"participant_id day event\n{events}", **given}
    )
    tables, problems = read_tables(root)
    assert len(tables["symptoms"]) == 4
    assert all((p.file, p.column, p.action) == ("phenotype/events.tsv", "day", "used") for p in problems)
    return [(p.row, p.problem) for p in problems]


@pytest.mark.parametrize("event", ["death", "dropout", "end_of_followup"])
def test_records_after_an_end(make_study, event):
    ((row, words),) = said_of(make_study, f"sub-01 60 {event}\nsub-02 60 {event}\n")
    assert row == 3
    assert 'does not go with "1" later records of this participant, the last of them on day "180"' in words
    assert "phenotype/hdrs17.tsv" in words


def test_what_may_follow_an_end(make_study):
    drugs = "participant_id drug dose_mg_day start_day stop_day\nsub-02 lithium 600 n/a 300\n"
    events = "sub-02 180 dropout\nsub-02 200 death\nsub-02 400 end_of_followup\nsub-01 60 end_of_followup\n"
    assert said_of(make_study, events, medication=drugs) == []


def test_a_dose_or_a_relapse_after_a_death(make_study):
    drugs = "participant_id drug dose_mg_day start_day\nsub-02 lithium 600 200\n"
    ((row, words),) = said_of(make_study, "sub-02 190 relapse\nsub-02 185 death\n", medication=drugs)
    assert row == 3
    assert '"2" later records' in words
    assert '"200" ("phenotype/medication.tsv")' in words


def test_a_scan_visit_after_a_death(make_study):
    visits = "session_id day\nses-1 200\n"
    root = make_study(
        {"sub-02/sub-02_sessions.tsv": visits, "phenotype/events.tsv": "participant_id day event\nsub-02 180 death\n"}
    )
    assert ['"200" ("sub-02/sub-02_sessions.tsv")' in p.problem for p in read_tables(root)[1]] == [True]


def test_a_second_relapse(make_study):
    ((row, words),) = said_of(make_study, "sub-01 50 relapse\nsub-01 20 relapse\nsub-02 30 relapse\n")
    assert row == 2
    assert 'after that of day "20"' in words


def test_nothing_is_said_without_records():
    assert out_of_order([("death", 3.0), ("hospitalised", 1.0)], []) == []
    assert out_of_order([("dropout", 3.2)], [(3.9, "a"), (1.0, "b")]) == []
