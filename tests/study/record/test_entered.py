"""Rows entered by hand: beside the study's files, through every reading of them, never over an unseen change."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "app"))

from written import write_tables

from remanent.stages.measure import read
from remanent.study.entered import Checked, check_row, contradicted
from remanent.study.record.entry import ConflictError, Entry, Held, version
from remanent.study.store import Record
from remanent.treatment.doses import doubt_dose
from remanent.treatment.drugs import known, suggest

WHO, OTHER = "sub-01", "sub-02"


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return write_tables(tmp_path / "study", [WHO, OTHER])


@pytest.fixture
def record(study: Path, tmp_path: Path) -> Iterator[Record]:
    (tmp_path / "out").mkdir()
    with Record.open(tmp_path / "out") as made:
        made.ingest(read(study))
        yield made


def check(record: Record, table: str, correcting: Held | None = None, who: str = WHO, **cells: str) -> Checked:
    return check_row(table, cells, who, record.held(who), (known, suggest, doubt_dose), correcting)


def store(record: Record, checked: Checked, correcting: Held | None = None, who: str = WHO, seen: str = "") -> int:
    gone = [*checked.closes, *([correcting] if correcting else [])]
    closed = {row.table: [r.row_id for r in gone if r.table == row.table] for row in gone}
    entry = Entry(who, [checked.table], closed, "visit of the week")
    return record.by("app:anna").enter(entry, seen or version(record.held(who)))


def ratings(record: Record, who: str = WHO) -> dict[float, float]:
    rows = [row for row in record.held(who) if row.table == "symptoms"]
    return {row.values["day"]: row.values["value"] for row in rows}


def doses(record: Record) -> list[tuple[float, float, float]]:
    rows = [row.values for row in record.held(WHO) if row.table == "medication"]
    return sorted((row["dose_mg_day"], row["start_day"], row["stop_day"]) for row in rows)


def test_an_entered_row_is_current_signed_and_audited_under_a_pseudonym(record):
    before = record.snapshot_id
    seq = store(record, check(record, "symptoms", instrument="MADRS", day="91", value="9"))
    assert ratings(record)[91.0] == 9.0
    assert record.snapshot_id != before
    (noted,) = record.audit_of(WHO, "enter")
    assert (noted.seq, noted.who, noted.detail["reason"]) == (seq, "app:anna", "visit of the week")
    assert WHO not in str(record.last_audit(100))
    assert record.verify() == []


def test_it_survives_reading_the_study_again_changed_or_not(record, study):
    store(record, check(record, "symptoms", instrument="madrs", day="91", value="9"))
    record.ingest(read(study))
    assert ratings(record)[91.0] == 9.0
    with (study / "phenotype" / "madrs.tsv").open("a") as file:
        file.write(f"{WHO}\t70\t11\n")
    record.ingest(read(study))
    assert ratings(record) == {0.0: 20.0, 28.0: 16.0, 56.0: 12.0, 70.0: 11.0, 91.0: 9.0}
    record.ingest(read(study, [OTHER]), [OTHER])
    assert ratings(record)[91.0] == 9.0
    assert record.verify() == []


def test_the_study_takes_over_once_it_has_the_row_and_a_difference_is_told(record, study):
    store(record, check(record, "symptoms", instrument="madrs", day="91", value="9"))
    store(record, check(record, "symptoms", instrument="madrs", day="98", value="8"))
    with (study / "phenotype" / "madrs.tsv").open("a") as file:
        file.write(f"{WHO}\t91\t10\n{WHO}\t98\t8\n")
    record.ingest(read(study))
    assert ratings(record)[91.0] == 10.0
    assert [row.entered for row in record.held(WHO) if row.table == "symptoms"] == [False] * 5
    told = [p for p in record.problems() if "entered by hand" in p.problem]
    assert [(p.file, p.row, p.column, p.action) for p in told] == [("phenotype/madrs.tsv", 8, "value", "used")]
    assert record.verify() == []


def test_a_correction_takes_the_place_of_a_files_row_until_the_file_changes(record, study):
    wrong = next(row for row in record.held(WHO) if row.table == "symptoms" and row.values["day"] == 28.0)
    store(record, check(record, "symptoms", wrong, instrument="madrs", day="28", value="6"), wrong)
    assert ratings(record)[28.0] == 6.0
    record.ingest(read(study))
    assert ratings(record)[28.0] == 6.0, "the file's row came back"
    mine = next(row for row in record.held(WHO) if row.entered)
    store(record, check(record, "symptoms", mine, instrument="madrs", day="28", value="7"), mine)
    record.ingest(read(study))
    assert ratings(record) == {0.0: 20.0, 28.0: 7.0, 56.0: 12.0}, (
        "a correction of a correction still stands for the file's row"
    )
    path = study / "phenotype" / "madrs.tsv"
    path.write_text(path.read_text().replace(f"{WHO}\t28\t16", f"{WHO}\t28\t5"))
    record.ingest(read(study))
    assert ratings(record)[28.0] == 5.0
    assert record.verify() == []


def test_a_new_dose_ends_the_one_that_was_going_on(record, study):
    checked = check(record, "medication", drug="Sertraline", dose_mg_day="100", start_day="60")
    assert [row.values["dose_mg_day"] for row in checked.closes] == [150.0]
    store(record, checked)
    assert doses(record) == [(100.0, 60.0, float("inf")), (150.0, -20.0, 60.0)]
    record.ingest(read(study))
    assert doses(record) == [(100.0, 60.0, float("inf")), (150.0, -20.0, 60.0)]
    store(record, check(record, "medication", drug="sertraline", dose_mg_day="50", start_day="90"))
    record.ingest(read(study))
    assert doses(record) == [(50.0, 90.0, float("inf")), (100.0, 60.0, 90.0), (150.0, -20.0, 60.0)]
    assert record.verify() == []


def test_two_editors_of_one_patient_never_overwrite_each_other(record):
    seen = version(record.held(WHO))
    store(record, check(record, "symptoms", instrument="madrs", day="91", value="9"), seen=seen)
    with pytest.raises(ConflictError, match="changed meanwhile"):
        store(record, check(record, "symptoms", instrument="madrs", day="98", value="8"), seen=seen)
    assert 98.0 not in ratings(record)
    store(record, check(record, "symptoms", who=OTHER, instrument="madrs", day="98", value="8"), who=OTHER)
    assert ratings(record, OTHER)[98.0] == 8.0


@pytest.mark.parametrize(
    ("table", "cells", "said"),
    [
        ("symptoms", {"instrument": "madrs", "day": "91", "value": "99"}, "0 to 60"),
        ("symptoms", {"instrument": "madrs", "day": "91"}, "missing"),
        ("symptoms", {"instrument": "madrs", "day": "yesterday", "value": "9"}, "must be a number"),
        ("symptoms", {"instrument": "horoscope", "day": "91", "value": "9"}, "not a scale"),
        ("symptoms", {"instrument": "madrs", "day": "28", "value": "9"}, "a row of the same"),
        ("medication", {"drug": "sertralin", "dose_mg_day": "50", "start_day": "60"}, "sertraline"),
        (
            "medication",
            {"drug": "sertraline", "dose_mg_day": "50", "start_day": "-30", "stop_day": "10"},
            "different doses",
        ),
        ("medication", {"drug": "lithium", "dose_mg_day": "800", "start_day": "60", "stop_day": "50"}, "come after"),
        ("labs", {"day": "91", "analyte": "crp", "value": "3", "unit": "bananas"}, "unit"),
        ("sleep", {"day": "91", "measure": "tst_h", "value": "30"}, "outside"),
        ("events", {"day": "91", "event": "holiday"}, "holiday"),
        ("events", {"day": "91", "event": "relapse", "detail": "a\tb"}, "tab"),
        ("events", {"day": "91", "event": "relapse", "detail": "x" * 501}, "longer"),
    ],
)
def test_what_a_study_file_may_not_hold_a_person_may_not_enter(record, table, cells, said):
    before = record.head
    checked = check(record, table, **cells)
    assert checked.table is None
    assert said in " ".join(p.problem for p in checked.problems)
    assert record.head == before


def test_a_dose_that_nobody_takes_is_not_stored_and_an_unlikely_one_is_pointed_out(record):
    refused = check(record, "medication", drug="mirtazapine", dose_mg_day="3000", start_day="60")
    assert refused.table is None
    assert refused.problems[0].column == "dose_mg_day"
    assert "labelled maximum" in refused.problems[0].problem
    unlikely = check(record, "medication", drug="lithium", dose_mg_day="0.8", start_day="60")
    assert unlikely.table is not None
    assert [problem.action for problem in unlikely.problems] == ["used"]
    assert "serum level" in unlikely.problems[0].problem


def test_known_names_and_units_are_written_our_way(record):
    lab = check(record, "labs", day="91", analyte="CRP", value="0.3", unit="mg/dL").table
    assert (lab["analyte"][0], lab["value"][0], lab["unit"][0]) == ("crp", 3.0, "mg/L")
    event = check(record, "events", day="91", event="Hospitalized").table
    assert event["event"][0] == "hospitalised"
    rating = check(record, "symptoms", instrument="HAMD-17", day="91", value="7").table
    assert (rating["instrument"][0], rating["maximum"][0], rating["direction"][0]) == (
        "hdrs17",
        52.0,
        "higher_is_worse",
    )


def test_a_record_without_entered_rows_reads_as_before(study, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with Record.open(tmp_path / "one") as one, Record.open(tmp_path / "two") as two:
        one.ingest(read(study))
        two.ingest(read(study))
        shutil.rmtree(study / "phenotype")
        two.ingest(read(study))
        assert len(two.table("symptoms")) == 0
        assert len(one.table("symptoms")) == 6


def test_everything_that_is_wrong_with_a_row_is_said_at_once(record):
    found = check(record, "pet", day="soon", measure="UCB-J_VT", value="x")
    assert found.table is None
    assert [problem.column for problem in found.problems] == ["day", "region", "value"]


def test_an_empty_form_is_told_every_field_it_lacks(record):
    checked = check(record, "symptoms")
    assert {problem.column for problem in checked.problems} == {"instrument", "day", "value"}
    assert {p.column for p in check(record, "symptoms", instrument="madrs").problems} == {"day", "total"}
    assert {p.column for p in check(record, "symptoms", day="1", value="a\tb").problems} == {"value", "instrument"}
    assert {p.column for p in check(record, "events", detail="a\tb").problems} == {"detail", "day", "event"}


def test_a_row_that_contradicts_the_order_of_things_is_told(record):
    rows = record.held(WHO)
    death = check(record, "events", event="death", day="40")
    assert death.table is not None
    assert 'does not go with "1" later records of this participant, the last of them on day "56"' in contradicted(
        death.table, rows, []
    )
    assert '"2" later records of this participant, the last of them on day "232" ("scans")' in contradicted(
        death.table, rows, [30.0, 232.0]
    )
    late = check(record, "events", event="death", day="56")
    assert contradicted(late.table, rows, []) == ""
    store(record, late)
    rows = record.held(WHO)
    assert '"56" as the day of a death' in contradicted(
        check(record, "symptoms", instrument="madrs", day="57", value="9").table, rows, []
    )
    assert contradicted(check(record, "symptoms", instrument="madrs", day="50", value="9").table, rows, []) == ""
    assert '"56"' in contradicted(
        check(record, "medication", drug="lithium", dose_mg_day="600", start_day="90").table, rows, []
    )
    assert contradicted(check(record, "medication", drug="lithium", dose_mg_day="600").table, rows, []) == ""
    store(record, check(record, "events", event="relapse", day="20"))
    again = check(record, "events", event="relapse", day="30")
    assert "another relapse" in contradicted(again.table, record.held(WHO), [])


def test_an_ect_session_is_judged_beside_the_others(record):
    """A session after the index course is no reason to doubt where day 0 lies."""
    for day in ("0", "12"):
        found = check(record, "ect", day=day, placement="BT")
        assert found.problems == ()
        store(record, found)
    again = check(record, "ect", day="12", placement="RUL")
    assert again.table is None
    assert "correct that one" in again.problems[-1].problem


@pytest.mark.parametrize(
    ("table", "cells", "said"),
    [
        ("labs", {"analyte": "crb", "value": "4", "unit": "mg/L"}, '"crb" is not among those known here'),
        ("labs", {"analyte": "sertraline", "value": "40", "unit": "ng/mL"}, ""),
        ("sleep", {"measure": "total sleep", "value": "7"}, '"total sleep" is not among those known here (tst_h'),
        ("sleep", {"measure": "tst_h", "value": "7"}, ""),
    ],
)
def test_a_name_that_is_not_known_is_kept_and_said(record, table, cells, said):
    found = check(record, table, day="30", **cells)
    assert found.table is not None
    assert [p.action for p in found.problems] == (["used"] if said else [])
    assert said in "".join(p.problem for p in found.problems)
