"""Tables: what is right is read, what is wrong is set aside with file, line, column and reason, and the rest is kept."""

import json
import os

import numpy as np
import pytest

from remanent._errors import InputError, UsageError
from remanent.study.schema import INPUT
from remanent.study.tables import read_tables

PEOPLE = "participant_id\nsub-01\nsub-02\n"
KNOWN = {"sertraline", "lithium", "zoloft"}


def read(root, **options):
    return read_tables(root, known_drugs=KNOWN.__contains__, **options)


def losses(problems):
    return [(p.file, p.row, p.column) for p in problems if p.action != "used"]


def only(problems, *words):
    """The one problem there is; every one of `words` stands in it."""
    (problem,) = problems
    for word in words:
        assert word in problem.problem
    return problem


def test_a_whole_study(make_study):
    root = make_study(
        {
            "sub-01/sub-01_sessions.tsv": "session_id day\nses-pre -20\nses-post 3.5\n",
            "phenotype/HAMD17.tsv": "participant_id day total item_1\nsub-01 -20 25 3\nsub-02 0 7 0\n",
            "phenotype/medication.tsv": "participant_id drug dose_mg_day start_day stop_day\n"
            "sub-01 Sertraline 100 n/a 90\nsub-01 sertraline 50 90 n/a\n",
            "phenotype/ect.tsv": "participant_id day placement pulse_width_ms charge_mC seizure_s\n"
            "sub-01 -2 rul 0.3 300 45\nsub-01 0 BT n/a n/a n/a\n",
            "phenotype/labs.tsv": "participant_id day analyte value unit\nsub-01 0 CRP 0.5 mg/dL\nsub-01 0 Ferritin 50 ug/L\n",
            "phenotype/sleep.tsv": "participant_id day measure value\nsub-01 1 TST_h 7\n",
            "phenotype/events.tsv": "participant_id day event detail\nsub-01 60 Relapse =1+1\n",
            "phenotype/ema.tsv": "participant_id day item value\nsub-02 1.25 mood 4\n",
        },
        participants="participant_id age sex diagnosis site\nsub-01 61 f MDD A\nsub-02 89+ M Schizophrenia n/a\n",
    )
    tables, problems = read(root)
    assert set(tables) == set(INPUT)
    assert losses(problems) == []
    assert tables["participants"]["sex"].tolist() == ["F", "M"]
    assert tables["participants"]["diagnosis"].tolist() == ["mdd", "Schizophrenia"]
    assert tables["participants"]["age"].tolist() == [61, 89]
    assert tables["participants"]["site"].tolist() == ["A", None]
    assert tables["sessions"]["day"].tolist() == [-20, 3.5]
    symptoms = tables["symptoms"]
    assert symptoms["instrument"].tolist() == ["hdrs17", "hdrs17"]
    assert symptoms["value"].tolist() == [25, 7]
    assert symptoms["maximum"].tolist() == [52, 52]
    assert symptoms["item_1"].tolist() == ["3", "0"]
    assert (symptoms.file[0], symptoms.row.tolist()) == ("phenotype/HAMD17.tsv", [2, 3])
    assert tables["medication"]["start_day"].tolist() == [-np.inf, 90]
    assert tables["medication"]["stop_day"].tolist() == [90, np.inf]
    assert tables["medication"]["drug"].tolist() == ["sertraline", "sertraline"]
    assert tables["ect"]["placement"].tolist() == ["RUL", "BT"]
    assert tables["labs"]["analyte"].tolist() == ["crp", "ferritin"]
    assert tables["labs"]["value"].tolist() == [5, 50]
    assert tables["labs"]["unit"].tolist() == ["mg/L", "ug/L"]
    assert tables["events"]["detail"].tolist() == ["=1+1"]
    assert len(tables["pet"]) == len(tables["eeg"]) == 0
    for name, table in tables.items():
        for column in table.spec.columns:
            assert table[column.name].dtype == (float if column.kind == "number" else object), (name, column.name)


# One wrong row each; the right row beside it must survive. File, header, right row, wrong row, column, words of the message.
WRONG_ROWS = {
    "missing participant": ("ect", "participant_id day", "sub-01 0", "n/a 3", "participant_id", "whose row"),
    "unknown participant": (
        "ect",
        "participant_id day",
        "sub-01 0",
        "sub-99 3",
        "participant_id",
        '"sub-99" is not in participants.tsv',
    ),
    "path traversal": ("ect", "participant_id day", "sub-01 0", "sub-../../etc 3", "participant_id", "characters"),
    "odd characters": ("ect", "participant_id day", "sub-01 0", "sub-<script> 3", "participant_id", "characters"),
    "duplicate key": (
        "ect",
        "participant_id day",
        "sub-01 0",
        "sub-01 0.0",
        "day",
        'same participant_id, day as line "2"',
    ),
    "missing day": ("ect", "participant_id day", "sub-01 0", "sub-01 n/a", "day", '"day" is missing'),
    "date as day": (
        "ect",
        "participant_id day",
        "sub-01 0",
        "sub-01 03/04/2021",
        "day",
        '"##/##/####" looks like a date',
    ),
    "date in words": (
        "ect",
        "participant_id day",
        "sub-01 0",
        "sub-01 3-Mar-2021",
        "day",
        "date of the last session of the index ECT",
    ),
    "serial date": ("ect", "participant_id day", "sub-01 0", "sub-01 44321", "day", "outside the limits"),
    "text as day": ("ect", "participant_id day", "sub-01 0", "sub-01 baseline", "day", "holds text"),
    "infinite day": ("ect", "participant_id day", "sub-01 0", "sub-01 inf", "day", "infinite"),
    "NaN day": ("ect", "participant_id day", "sub-01 0", "sub-01 NaN", "day", '"day" is missing'),
    "huge day": ("ect", "participant_id day", "sub-01 0", "sub-01 1e999", "day", "infinite"),
    "decimal comma": ("ect", "participant_id day", "sub-01 0", "sub-01 3,5", "day", "decimal comma"),
    "negative dose": (
        "medication",
        "participant_id drug dose_mg_day",
        "sub-01 lithium 900",
        "sub-02 lithium -900",
        "dose_mg_day",
        "0 or more mg/day",
    ),
    "dose with unit": (
        "medication",
        "participant_id drug dose_mg_day",
        "sub-01 lithium 900",
        "sub-02 lithium 900mg",
        "dose_mg_day",
        "unit in its cell",
    ),
    "formula as dose": (
        "medication",
        "participant_id drug dose_mg_day",
        "sub-01 lithium 900",
        "sub-02 lithium =A1+1",
        "dose_mg_day",
        "holds text",
    ),
    "unknown drug": (
        "medication",
        "participant_id drug dose_mg_day",
        "sub-01 lithium 900",
        "sub-02 sertralin 50",
        "drug",
        '"sertralin" is not in the drug table',
    ),
    "stop before start": (
        "medication",
        "participant_id drug dose_mg_day start_day stop_day",
        "sub-01 lithium 900 0 9",
        "sub-02 lithium 900 9 0",
        "stop_day",
        "must come after start_day",
    ),
    "date as start": (
        "medication",
        "participant_id drug dose_mg_day start_day stop_day",
        "sub-01 lithium 900 0 9",
        "sub-02 lithium 900 2021-03-04 n/a",
        "start_day",
        "looks like a date",
    ),
    "score above range": ("hdrs17", "participant_id day total", "sub-01 0 20", "sub-02 0 53", "total", "(0 to 52)"),
    "score below range": ("cgi_s", "participant_id day total", "sub-01 0 7", "sub-02 0 0", "total", "(1 to 7)"),
    "NaN score": ("hdrs17", "participant_id day total", "sub-01 0 20", "sub-02 0 nan", "total", "missing"),
    "inf score": ("hdrs17", "participant_id day total", "sub-01 0 20", "sub-02 0 -inf", "total", "infinite"),
    "unknown event": (
        "events",
        "participant_id day event",
        "sub-01 9 relapse",
        "sub-02 9 relapsed",
        "event",
        "relapse, dropout, hospitalised",
    ),
    "unknown unit": (
        "labs",
        "participant_id day analyte value unit",
        "sub-01 0 crp 3 mg/L",
        "sub-02 0 crp 3 mmol/L",
        "unit",
        "no unit known for crp",
    ),
    "missing unit": (
        "labs",
        "participant_id day analyte value unit",
        "sub-01 0 crp 3 mg/L",
        "sub-02 0 crp 3 n/a",
        "unit",
        "missing",
    ),
    "toxic lithium": (
        "labs",
        "participant_id day analyte value unit",
        "sub-01 0 lithium 0.7 mEq/L",
        "sub-02 0 lithium 700 mmol/l",
        "value",
        "most that is taken for a real lithium",
    ),
    "limit of detection": (
        "labs",
        "participant_id day analyte value unit",
        "sub-01 0 crp 3 mg/L",
        "sub-02 0 crp <0.3 mg/L",
        "value",
        "is a limit",
    ),
    "long night": (
        "sleep",
        "participant_id day measure value",
        "sub-01 0 tst_h 7",
        "sub-01 1 tst_h 420",
        "value",
        "limits of tst_h",
    ),
    "ragged": ("ect", "participant_id day", "sub-01 0", "sub-01 3 4", "", "has 3 cells, the header 2"),
}


@pytest.mark.parametrize("case", WRONG_ROWS)
@pytest.mark.parametrize("order", [1, -1], ids=["after", "before"])
def test_a_wrong_row_is_set_aside_and_the_others_kept(make_study, case, order):
    table, header, right, wrong, column, words = WRONG_ROWS[case]
    lines = [right, wrong][::order]
    if case == "duplicate key":
        right, wrong = lines
    tables, problems = read(make_study({f"phenotype/{table}.tsv": "\n".join([header, *lines]) + "\n"}))
    name = table if table in INPUT else "symptoms"
    assert tables[name].row.tolist() == [2 + lines.index(right)]
    lost = [p for p in problems if p.action != "used"]
    problem = only(lost, words)
    assert (problem.file, problem.row, problem.column, problem.action) == (
        f"phenotype/{table}.tsv",
        2 + lines.index(wrong),
        column,
        "set_aside",
    )


@pytest.mark.parametrize(
    ("header", "row", "column", "words"),
    [
        ("participant_id day placement", "sub-01 0 XX", "placement", "write one of RUL, BT, BF, LART"),
        ("participant_id day charge_mC", "sub-01 0 -5", "charge_mC", "limits"),
        ("participant_id day seizure_s", "sub-01 0 long", "seizure_s", "holds text"),
    ],
)
def test_a_wrong_value_that_can_be_missing_costs_the_value_only(make_study, header, row, column, words):
    tables, problems = read(make_study({"phenotype/ect.tsv": f"{header}\n{row}\n"}))
    assert len(tables["ect"]) == 1
    assert tables["ect"][column][0] is None or np.isnan(tables["ect"][column][0])
    problem = only(problems, words, "used without this value")
    assert (problem.row, problem.column, problem.action) == (2, column, "set_aside")


def test_messages_never_repeat_dates_or_texts(make_study):
    text = "participant_id day total\nsub-01 1961-03-04 5\nsub-01 JohnSmith 5\nsub-01 4.Mai.1961 5\n"
    _, problems = read(make_study({"phenotype/phq9.tsv": text}))
    said = " ".join(p.problem for p in problems)
    assert len(problems) == 3
    assert not any(secret in said for secret in ("1961", "John", "Mai"))


def test_overlapping_doses_that_differ(make_study):
    text = (
        "participant_id drug dose_mg_day start_day stop_day\n"
        "sub-01 sertraline 100 0 n/a\nsub-01 sertraline 50 90 n/a\nsub-01 lithium 900 90 n/a\nsub-02 sertraline 50 0 90\n"
        "sub-02 sertraline 100 90 180\nsub-02 lithium 600 0 50\nsub-02 lithium 600 20 80\n"
    )
    tables, problems = read(make_study({"phenotype/medication.tsv": text}))
    assert losses(problems) == [("phenotype/medication.tsv", row, "dose_mg_day") for row in (2, 3)]
    assert 'Lines "2, 3" give different doses' in problems[0].problem
    assert tables["medication"].row.tolist() == [4, 5, 6, 7, 8]


def test_a_dose_is_doubted_in_the_light_of_the_one_before_and_a_lost_row_is_no_clash(make_study):
    text = (
        "participant_id drug dose_mg_day start_day stop_day\n"
        "sub-01 sertraline 5 90 120\nsub-01 sertraline 100 n/a 90\nsub-02 sertraline 5 0 n/a\nsub-02 lithium 9000 0 n/a\nsub-02 lithium 900 0 n/a\n"
    )

    def doubt(_drug, dose, before):
        return ("set_aside", "too much") if dose > 1000 else ("used", f"after {before:g}") if dose < 10 else None

    tables, problems = read(make_study({"phenotype/medication.tsv": text}), doubt_dose=doubt)
    assert [(p.row, p.problem, p.action) for p in problems] == [
        (5, "too much", "set_aside"),
        (2, "after 100", "used"),
        (4, "after 0", "used"),
    ]
    assert tables["medication"].row.tolist() == [2, 3, 4, 6]


def test_two_ratings_of_a_day_are_one_by_their_mean_and_a_row_that_stands_twice_is_used_once(make_study):
    text = "participant_id day total\nsub-01 3.2 5\nsub-01 3.8 7\nsub-02 4 9\nsub-02 4 11\n"
    tables, problems = read(make_study({"phenotype/phq9.tsv": text}))
    assert [(p.row, p.action) for p in problems] == [(5, "set_aside"), (2, "used")]
    assert "only the first is used" in problems[0].problem
    assert 'rated "2" times on this day; the model takes that as one rating, their mean' in problems[1].problem
    assert tables["symptoms"]["value"].tolist() == [5, 7, 9]


def test_the_nearest_drug_is_suggested(make_study):
    root = make_study({"phenotype/medication.tsv": "participant_id drug dose_mg_day\nsub-01 setralin 50\n"})
    _, problems = read(root, suggest_drug=lambda name: "sertraline" if name == "setralin" else None)
    only(problems, 'Is "sertraline" meant?')
    tables, problems = read_tables(root)
    assert (len(tables["medication"]), problems) == (1, ())


def test_relapse_before_day_0(make_study):
    events = "participant_id day event\nsub-01 -5 relapse\nsub-02 -5 relapse\nsub-01 -4 hospitalized\n"
    tables, problems = read(
        make_study({"phenotype/events.tsv": events, "phenotype/ect.tsv": "participant_id day\nsub-01 0\n"})
    )
    assert tables["events"].row.tolist() == [3, 4]
    assert tables["events"]["event"].tolist() == ["relapse", "hospitalised"]
    assert only(problems, "lies before the last session").row == 2


def test_ect_days_that_do_not_end_on_day_0(make_study):
    tables, problems = read(
        make_study({"phenotype/ect.tsv": "participant_id day\nsub-01 1\nsub-01 3\nsub-02 0\nsub-02 28\n"})
    )
    assert len(tables["ect"]) == 4
    problem = only(problems, '"sub-01" has no ECT session on day 0')
    assert (problem.row, problem.action) == (2, "used")


@pytest.mark.parametrize(
    ("days", "said"),
    [
        ([0, 3, 6, 9], '"3" ECT sessions in a row after day 0'),
        ([-9, -6, -3, 0, 7, 14, 28, 56], ""),
        ([-3, 0, 3, 6], '"2" ECT sessions'),
        ([0, 100, 103, 106], ""),
        ([-6, -3, 0, 2, 5], ""),
    ],
)
def test_a_course_that_starts_on_day_0_is_told(make_study, days, said):
    lines = "".join(f"sub-01 {day}\n" for day in days)
    tables, problems = read(make_study({"phenotype/ect.tsv": f"participant_id day\n{lines}"}))
    assert len(tables["ect"]) == len(days)
    if said:
        problem = only(problems, said, "must be the last of the index course")
        assert (problem.row, problem.action) == (2 + days.index(0), "used")
    else:
        assert problems == ()


IDENTIFYING = ["name", "Patient Name", "lastName", "MRN", "e-mail", "Email", "phone_number", "DOB", "date_of_birth", "birthDate", "home_address", "ZIP",
    "Vorname", "Nachname", "Geburtsdatum", "Strasse", "Straße", "Telefon", "PLZ", "nom", "prénom", "date_de_naissance", "adresse", "Apellidos", "nombre",
    "fecha_nacimiento", "Dirección", "correo", "ssn", "medical_record_number", "patient_no_phone"]  # fmt: skip
HARMLESS = [
    "drug_name",
    "medication_name",
    "item_name",
    "site_name",
    "gender",
    "group",
    "arm",
    "IQ_Raven",
    "handedness",
    "birth_weight",
    "nomination",
]


@pytest.mark.parametrize("column", IDENTIFYING)
def test_columns_that_point_to_a_person_are_refused(make_study, column):
    text = f"participant_id\t{column}\tage\nsub-01\tSecret\t61\n"
    tables, problems = read(make_study({}, participants=text.encode()))
    problem = only(problems, "identifies a person")
    assert (problem.column, problem.action) == (column, "refused")
    people = tables["participants"]
    assert people["age"].tolist() == [61]
    assert "Secret" not in repr((people.columns, problems))


@pytest.mark.parametrize("column", HARMLESS)
def test_harmless_columns_are_kept(make_study, column):
    tables, problems = read(make_study({}, participants=f"participant_id {column}\nsub-01 kept\n"))
    assert tables["participants"][column].tolist() == ["kept"]
    assert only(problems, "kept, not interpreted").action == "used"


def test_columns_not_understood_are_reported_once_per_file(make_study):
    tables, problems = read(make_study({}, participants="participant_id gender foo bar\nsub-01 f 1 2\n"))
    only(problems, "3 columns are kept, not interpreted: gender, foo, bar", 'If "gender" is sex, rename it.')
    assert tables["participants"]["foo"].tolist() == ["1"]


def test_a_missing_column_names_its_cousin(make_study):
    _, problems = read(make_study({"phenotype/madrs.tsv": "subject day MADRS_total\nsub-01 0 20\n"}))
    problem = next(p for p in problems if p.action == "refused")
    assert 'Rename "subject" to "participant_id"' in problem.problem
    assert 'Rename "MADRS_total" to "total"' in problem.problem
    assert "none of the 1 rows" in problem.problem


def test_wide_tables_are_told_to_be_long(make_study):
    _, problems = read(make_study({"phenotype/labs.tsv": "participant_id day crp il6\nsub-01 0 3 1\n"}))
    only(problems, "one row per value", "participant_id, day, analyte, value, unit")


def test_unknown_instrument_needs_a_direction(make_study):
    files = {"phenotype/panas.tsv": "participant_id day total\nsub-01 0 20\n"}
    tables, problems = read(make_study(files))
    assert len(tables["symptoms"]) == 0
    assert only(problems, "phenotype/panas.json", '"Direction": "higher_is_worse"').action == "set_aside"
    described = {"total": {"Direction": "higher_is_better", "Minimum": 10, "Maximum": 50}}
    tables, problems = read(make_study(files | {"phenotype/panas.json": json.dumps(described)}))
    assert problems == ()
    symptoms = tables["symptoms"]
    assert [symptoms[c][0] for c in ("instrument", "value", "direction", "minimum", "maximum")] == [
        "panas",
        20,
        "higher_is_better",
        10,
        50,
    ]
    described["total"]["Maximum"] = 15
    _, problems = read(make_study(files | {"phenotype/panas.json": json.dumps(described)}))
    only(problems, "10 to 15")


def test_a_scale_family_is_asked_for_its_version(make_study):
    _, problems = read(make_study({"phenotype/hamd.tsv": "participant_id day total\nsub-01 0 20\n"}))
    only(problems, "hdrs17 or hdrs21 or hdrs24")


def test_a_known_instrument_scored_the_other_way_round_is_not_read(make_study):
    files = {
        "phenotype/madrs.tsv": "participant_id day total\nsub-01 0 20\n",
        "phenotype/madrs.json": '{"total": {"Direction": "higher_is_better"}}',
    }
    tables, problems = read(make_study(files))
    assert len(tables["symptoms"]) == 0
    only(problems, "is scored higher_is_worse")


def test_units_of_sidecars(make_study):
    table = "participant_id day total\nsub-01 2 20\n"
    weeks = {
        "phenotype/phq9.tsv": table,
        "phenotype/phq9.json": '{"day": {"Units": "weeks"}, "total": {"Units": "points, 0-27"}}',
    }
    tables, problems = read(make_study(weeks))
    assert (tables["symptoms"]["day"].tolist(), problems) == ([14], ())
    strange = weeks | {"phenotype/phq9.json": '{"day": {"Units": "fortnights"}}'}
    tables, problems = read(make_study(strange))
    assert len(tables["symptoms"]) == 0
    assert [p.action for p in problems] == ["refused", "refused"]
    assert '"fortnights"' in problems[0].problem


@pytest.mark.parametrize(
    "content",
    ["{", "[1]", b"\xff\xfe\x00", "{}", '{"total": 5}', '{"total": {"Minimum": "x", "Units": null}}', "[" * 100_000],
)
def test_strange_sidecars_stop_nothing(make_study, content):
    tables, problems = read(
        make_study({"phenotype/phq9.tsv": "participant_id day total\nsub-01 2 20\n", "phenotype/phq9.json": content})
    )
    assert len(tables["symptoms"]) == 1
    assert all(p.file == "phenotype/phq9.json" for p in problems)


def test_session_instead_of_day(make_study):
    root = make_study(
        {
            "sub-01/sub-01_sessions.tsv": "session_id day\nses-a -7\nses-b 30\n",
            "phenotype/madrs.tsv": "participant_id session_id total\nsub-01 ses-a 30\nsub-01 b 5\nsub-01 ses-c 5\nsub-02 ses-a 5\nsub-01 n/a 5\n",
        }
    )
    tables, problems = read(root)
    assert tables["symptoms"]["day"].tolist() == [-7, 30]
    assert losses(problems) == [("phenotype/madrs.tsv", row, "session_id") for row in (6, 4, 5)]


def test_day_wins_over_session(make_study):
    root = make_study(
        {
            "sub-01/sub-01_sessions.tsv": "session_id day\nses-a -7\n",
            "phenotype/madrs.tsv": "participant_id session_id day total\nsub-01 ses-a 1 30\nsub-01 ses-a n/a 5\nsub-01 n/a 2 4\n",
        }
    )
    tables, problems = read(root)
    assert (tables["symptoms"]["day"].tolist(), problems) == ([1, -7, 2], ())


def dated(*rows):
    return "session_id acq_time day\n" + "".join(f"{row}\n" for row in rows)


def test_dates_of_visits_count_from_the_first_without_ect(make_study):
    rows = ["ses-b 1924-07-31T10:00:00 n/a", "ses-a 1924-05-31T23:00:00.5 n/a"]
    tables, problems = read(make_study({"sub-01/sub-01_sessions.tsv": dated(*rows)}))
    assert tables["sessions"]["day"].tolist() == [61, 0]
    assert only(problems, "counted from the first visit").action == "used"


def test_dates_of_visits_cannot_be_placed_after_ect(make_study):
    files = {
        "phenotype/ect.tsv": "participant_id day\nsub-01 0\n",
        "sub-01/sub-01_sessions.tsv": dated("ses-a 2024-05-31T10:00:00 n/a"),
    }
    tables, problems = read(make_study(files))
    assert len(tables["sessions"]) == 0
    assert only(problems, "last session of the index ECT course is not in the study").row == 2


def test_one_visit_with_both_places_the_others(make_study):
    rows = ["ses-a 2024-05-31T10:00:00 -10", "ses-b 2024-06-30 n/a"]
    files = {"phenotype/ect.tsv": "participant_id day\nsub-01 0\n", "sub-01/sub-01_sessions.tsv": dated(*rows)}
    tables, problems = read(make_study(files))
    assert tables["sessions"]["day"].tolist() == [-10, 20]
    assert [p.action for p in problems] == ["used"]


def test_visits_without_any_time(make_study):
    files = {
        "sub-01/sub-01_sessions.tsv": dated("ses-a 31/05/2024 n/a", "ses-b 2024-05-31 n/a"),
        "sub-02/sub-02_sessions.tsv": "session_id\nses-a\n",
    }
    tables, problems = read(make_study(files))
    assert len(tables["sessions"]) == 0
    assert losses(problems) == [
        ("sub-01/sub-01_sessions.tsv", 2, "day"),
        ("sub-01/sub-01_sessions.tsv", 3, "day"),
        ("sub-02/sub-02_sessions.tsv", 2, "day"),
    ]


def test_ids_without_prefix_and_only_some_participants(make_study):
    files = {"phenotype/phq9.tsv": "participant_id day total\n01 0 5\nsub-02 0 6\n02 1 7\n"}
    tables, problems = read(make_study(files))
    assert tables["symptoms"]["participant_id"].tolist() == ["sub-01", "sub-02", "sub-02"]
    only(problems, 'The prefix "sub-" is missing (in 2 rows)')
    tables, _ = read(make_study(files), participants=["02"])
    assert tables["participants"]["participant_id"].tolist() == ["sub-02"]
    assert tables["symptoms"]["value"].tolist() == [6, 7]
    with pytest.raises(UsageError, match=r"No such participant: 03.*The study has sub-01, sub-02"):
        read(make_study(files), participants=["03", "02"])


def test_participants_come_from_folders_without_participants_tsv(make_study):
    root = make_study({"sub-01/x": "", "sub-02/x": "", "sub-_x/x": "", "derivatives/sub-03/x": ""}, participants=None)
    tables, problems = read(root)
    assert tables["participants"]["participant_id"].tolist() == ["sub-01", "sub-02"]
    only(problems, "There is no participants.tsv")


def test_a_folder_without_a_row_takes_no_part(make_study):
    _, problems = read(make_study({"sub-07/x": ""}))
    problem = only(problems, "not in participants.tsv")
    assert (problem.file, problem.action) == ("sub-07", "set_aside")


@pytest.mark.parametrize(
    "people",
    [None, "", "subject\nsub-01\n", "participant_id\n", "participant_id\n../x\n", "participant_id,age\nsub-01,3\n"],
)
def test_a_study_without_participants_is_an_error(make_study, people):
    with pytest.raises(InputError, match="No participants") as error:
        read(make_study({}, participants=people))
    assert str(error.value).endswith("or give the right folder.")


def test_no_folder(tmp_path):
    with pytest.raises(InputError, match="is not a folder"):
        read(tmp_path / "nowhere")


def test_one_bad_file_stops_no_other(make_study):
    good = "participant_id day total\nsub-01 0 5\n"
    bad = {
        "phenotype/madrs.tsv": b"",
        "phenotype/bdi2.tsv": b"\x00\x01\xff",
        "phenotype/ect.tsv": "participant_id,day\n",
        "phenotype/isi.csv": "a,b\n",
    }
    root = make_study(
        bad | {"phenotype/phq9.tsv": good, "phenotype/hdrs24.tsv": "participant_id day total\n", "madrs.tsv": good}
    )
    (root / "phenotype" / "events.tsv").symlink_to(root / "phenotype" / "events.tsv")
    (root / "phenotype" / "sleep.tsv").mkdir()
    os.mkfifo(root / "phenotype" / "labs.tsv")
    tables, problems = read(root)
    assert tables["symptoms"]["value"].tolist() == [5]
    refused = {p.file for p in problems if p.action == "refused"}
    assert refused == {
        f"phenotype/{n}" for n in ("madrs.tsv", "bdi2.tsv", "ect.tsv", "isi.csv", "events.tsv", "sleep.tsv", "labs.tsv")
    } | {"madrs.tsv"}


def test_duplicates_across_files_of_one_instrument(make_study):
    table = "participant_id day total\nsub-01 0 5\n"
    tables, problems = read(make_study({"phenotype/hamd17.tsv": table, "phenotype/hdrs17.tsv": table}))
    assert len(tables["symptoms"]) == 1
    assert only(problems, 'line "2" of "phenotype/hamd17.tsv"').file == "phenotype/hdrs17.tsv"


def test_column_names_do_not_depend_on_case(make_study):
    tables, problems = read(make_study({"phenotype/phq9.tsv": "Participant_ID DAY Total\nsub-01 0 5\n"}))
    assert (tables["symptoms"]["value"].tolist(), problems) == ([5], ())


def test_kept_columns_never_take_the_place_of_ours(make_study):
    people = "participant_id age\nsub-01 61\n"
    ratings = "participant_id day total value instrument\nsub-01 0 5 x y\n"
    root = make_study(
        {"phenotype/phq9.tsv": ratings, "participants.json": '{"age": {"Units": "moons"}}'}, participants=people
    )
    tables, problems = read(root)
    assert np.isnan(tables["participants"]["age"][0])
    assert tables["symptoms"]["value"].tolist() == [5]
    assert tables["symptoms"]["instrument"].tolist() == ["phq9"]
    assert tables["symptoms"]["phq9:value"].tolist() == ["x"]
    assert [(p.column, p.action) for p in problems] == [("age", "refused"), ("", "used")]


def test_links_to_nowhere_are_reported(make_study):
    root = make_study({"sub-01/x": ""})
    (root / "sub-01" / "sub-01_sessions.tsv").symlink_to(root / "sub-01" / "sub-01_sessions.tsv")
    (root / "sub-03").symlink_to(root / "sub-03")
    _, problems = read(root)
    assert [(p.file, p.action) for p in problems] == [("sub-01/sub-01_sessions.tsv", "refused")]
