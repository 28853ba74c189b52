"""A REDCap export becomes the tables of a study, and the study written from it reads back the same."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remanent._errors import InputError
from remanent.cli import main
from remanent.stages.standing import incomplete_doses
from remanent.study.bids import read_study
from remanent.study.redcap import read_redcap
from remanent.study.tables import read_tables
from remanent.study.write import write_study

EXPORT = """\
record_id,redcap_event_name,redcap_repeat_instrument,redcap_repeat_instance,age_years,sex,patient_name,ect_last,hdrs_date,hdrs_total,crp,med_name,med_dose,med_start,med_stop,ect_date,ect_place___1,ect_place___2,demo_complete
7,baseline_arm_1,,,61,2,"Doe, Jane",2024-03-01,2024-02-10,26,1.5,,,,,,0,0,2
7,week_4_arm_1,,,,,,,2024-03-29,6,,,,,,,0,0,
7,baseline_arm_1,medication,1,,,,,,,,Lithium,900,,2024-06-01,,,,
7,baseline_arm_1,medication,2,,,,,,,,"Sertraline",50,2024-03-02,,,,,
7,baseline_arm_1,ect,1,,,,,,,,,,,,2024-02-28,1,0,
7,baseline_arm_1,ect,2,,,,,,,,,,,,2024-03-01,0,1,
8,baseline_arm_1,,,40,1,"Multi
line",,2024-02-10,30,,,,,,,0,0,2
8,week_4_arm_1,,,,,,,,,3,,,,,,0,0,
"""
MAPPING = """\
participant: record_id
day_zero: ect_last
events: {baseline_arm_1: -3, week_4_arm_1: 28}
tables:
  participants: {columns: {age: age_years, sex: sex}, codes: {sex: {"1": M, "2": F}}}
  HAMD17: {columns: {total: hdrs_total}, date: hdrs_date}
  labs: {columns: {value: crp}, constants: {analyte: crp, unit: mg/dL}}
  medication: {form: medication, columns: {drug: med_name, dose_mg_day: med_dose}, dates: {start_day: med_start, stop_day: med_stop}}
  ect: [{form: ect, date: ect_date, checkboxes: {placement: {ect_place___1: RUL, ect_place___2: BT}}}]
"""


def read(folder: Path, export=EXPORT, mapping=MAPPING):
    (folder / "export.csv").write_bytes(export if isinstance(export, bytes) else export.encode())
    (folder / "mapping.yaml").write_bytes(mapping if isinstance(mapping, bytes) else mapping.encode())
    return read_redcap(folder / "export.csv", folder / "mapping.yaml")[:2]


def test_the_same_tables(tmp_path):
    tables, problems = read(tmp_path)
    people = tables["participants"]
    assert people["participant_id"].tolist() == ["sub-7", "sub-8"]
    assert (people["age"].tolist(), people["sex"].tolist()) == ([61, 40], ["F", "M"])
    assert list(zip(tables["symptoms"]["day"], tables["symptoms"]["value"], strict=True)) == [(-20, 26), (28, 6)]
    assert set(tables["symptoms"]["instrument"]) == {"hdrs17"}
    assert list(zip(tables["labs"]["day"], tables["labs"]["value"], strict=True)) == [(-3, 15), (28, 30)]
    medication = tables["medication"]
    assert medication["drug"].tolist() == ["lithium", "sertraline"]
    assert medication["start_day"].tolist() == [-np.inf, 1]
    assert medication["stop_day"].tolist() == [92, np.inf]
    assert list(zip(tables["ect"]["day"], tables["ect"]["placement"], strict=True)) == [(-2, "RUL"), (0, "BT")]
    assert tables["ect"].row.tolist() == [6, 7]
    assert [(p.row, p.column, p.action) for p in problems] == [(1, "", "used"), (8, "hdrs_date", "set_aside")]
    assert "patient_name" in problems[0].problem
    assert "Doe" not in repr((problems, [table.columns for table in tables.values()]))


def test_the_written_study_reads_back_the_same(tmp_path):
    tables, _ = read(tmp_path)
    write_study(tables, tmp_path / "study")
    again, problems = read_tables(tmp_path / "study")
    assert problems == ()
    for name, table in tables.items():
        for column in table.spec.column:
            np.testing.assert_array_equal(again[name][column], table[column])
    with pytest.raises(InputError, match="not empty"):
        write_study(tables, tmp_path)


def test_the_written_study_passes_the_bids_validator(tmp_path):
    write_study(read(tmp_path)[0], tmp_path / "study")
    command = [str(Path(sys.executable).with_name("bids-validator-deno")), "--format", "json", str(tmp_path / "study")]
    issues = json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("participant: record_id\n", "", "mapping cannot be read"),
        ("record_id", "study_id", "no field study_id"),
        ("crp}, constants", "crp_mg}, constants", "no field crp_mg"),
        ("HAMD17", "HAMD", "HAMD is neither a table nor a known instrument"),
        ("{value: crp}", "{valu: crp}", "labs has no column valu"),
        ("form: medication", "formular: medication", "medication: unknown key formular"),
        ("tables:", "tables: [", "mapping cannot be read"),
        ("day_zero: ect_last", "day_zero: ect_first", "no field ect_first"),
    ],
)
def test_a_wrong_mapping_is_one_clear_error(tmp_path, old, new, words):
    with pytest.raises(InputError, match=words):
        read(tmp_path, mapping=MAPPING.replace(old, new))


def test_a_wrong_export_is_one_clear_error(tmp_path):
    with pytest.raises(InputError, match="no rows"):
        read(tmp_path, export="")
    with pytest.raises(InputError, match="cannot be read"):
        read_redcap(tmp_path / "nowhere.csv", tmp_path / "mapping.yaml")


def test_rules_hold_for_redcap_too(tmp_path):
    export = (
        EXPORT.replace("2024-03-29,6,", "2024-03-29,60,")
        .replace("Lithium,900", "Lithium,-900")
        .replace("2024-02-28,1,0", "28.2.24,1,1")
    )
    tables, problems = read(tmp_path, export + "8,x\n")
    lost = {(p.row, p.column) for p in problems if p.action == "set_aside"}
    assert lost == {(3, "total"), (4, "dose_mg_day"), (6, "ect_date"), (8, "hdrs_date"), (11, "")}
    assert len(tables["symptoms"]) == len(tables["medication"]) == len(tables["ect"]) == 1


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    export=st.one_of(
        st.binary(max_size=200), st.text(max_size=100).map(lambda t: (EXPORT + t).encode("utf-8", "replace"))
    ),
    mapping=st.one_of(
        st.just(MAPPING.encode()),
        st.binary(max_size=60),
        st.sampled_from(["a: b", "tables: {ect: 3}", "[]", "tables: {ect: {dates: 3}}"]).map(str.encode),
    ),
)
def test_anything_is_read_or_an_input_error(tmp_path, export, mapping):
    try:
        read(tmp_path, export, mapping)
    except InputError:
        return


EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "redcap"


def test_the_worked_example_of_the_documents(tmp_path, capsys):
    study = tmp_path / "study"
    arguments = ["redcap", str(EXAMPLE / "export.csv"), str(EXAMPLE / "mapping.yaml"), str(study)]
    assert main(arguments) == 3
    said = capsys.readouterr().out
    assert "2 of 2 participants can be used" in said
    assert "export.csv line 13, hdrs_date" in said
    assert "first admission" not in said + "".join(p.read_text() for p in study.rglob("*") if p.is_file())
    assert (study / "sourcedata" / "redcap" / "problems.tsv").read_text().count("set_aside") == 1
    assert main(["check", str(study)]) == 3
    assert "phenotype/hdrs17.tsv line 9, day" in capsys.readouterr().out


def test_the_next_export_replaces_the_tables_and_nothing_else(tmp_path):
    study = tmp_path / "study"
    tables, problems = read(tmp_path)
    write_study(tables, study, problems)
    scan = study / "derivatives" / "xcp_d" / "scan.tsv"
    scan.parent.mkdir(parents=True)
    scan.write_text("kept")
    fewer = MAPPING.replace("  labs: {columns: {value: crp}, constants: {analyte: crp, unit: mg/dL}}\n", "")
    write_study(read(tmp_path, EXPORT.replace("2024-03-29,6,", "2024-03-29,9,"), fewer)[0], study)
    again, _ = read_tables(study)
    assert again["symptoms"]["value"].tolist() == [26, 9]
    assert len(again["labs"]) == 0
    assert scan.read_text() == "kept"


def test_rows_that_were_set_aside_are_set_aside_by_every_later_reader(tmp_path):
    """A dose that is not known must withhold advice in the run, so it may not vanish on the way in."""
    export = EXPORT.replace("Lithium,900", "Lithium,-900").replace("50,2024-03-02", "50,2.3.24")
    (tmp_path / "export.csv").write_text(export)
    (tmp_path / "mapping.yaml").write_text(MAPPING)
    tables, problems, lost = read_redcap(tmp_path / "export.csv", tmp_path / "mapping.yaml")
    assert len(tables["medication"]) == 0
    write_study(tables, tmp_path / "study", problems, lost)
    study = read_study(tmp_path / "study")
    out = [(p.file, p.column) for p in study.problems if p.action == "set_aside"]
    assert sorted(out) == [
        ("phenotype/hdrs17.tsv", "day"),
        ("phenotype/medication.tsv", "dose_mg_day"),
        ("phenotype/medication.tsv", "start_day"),
    ]
    assert [p.participant_id for p in incomplete_doses(study.problems)] == ["sub-7"]
