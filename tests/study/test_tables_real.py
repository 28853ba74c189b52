"""Real tables, against an independent reading with the csv module."""

import csv
from collections import Counter

import pytest

from remanent.study.check import render, summarise
from remanent.study.tables import Study, read_tables

pytestmark = pytest.mark.real


def said_of(root):
    tables, problems = read_tables(root)
    summary = summarise(Study(root, {}, tables, (), problems))
    return tables, problems, summary, " ".join(render(summary).split())


def test_every_rating_of_the_hamd17_trial(real_data):
    root = real_data / "hamd17-trial"
    tables, problems, summary, _ = said_of(root)
    with (root / "phenotype" / "hdrs17.tsv").open() as file:
        expected = [
            (r["participant_id"], float(r["day"]), float(r["total"])) for r in csv.DictReader(file, delimiter="\t")
        ]
    symptoms = tables["symptoms"]
    assert list(zip(symptoms["participant_id"], symptoms["day"], symptoms["value"], strict=True)) == expected
    assert len(tables["participants"]) == len({participant for participant, _, _ in expected}) == 172
    assert Counter(patient.records["symptoms"] for patient in summary.patients) == Counter(
        Counter(p for p, _, _ in expected).values()
    )
    assert [p.problem for p in problems] == ["1 column is kept, not interpreted: arm."]
    assert set(tables["participants"]["diagnosis"]) == {"mdd"}
    assert (summary.exit_code, len(tables["sessions"])) == (0, len(expected))


def test_wide_columns_of_ds003007_are_told_to_be_rows(real_data):
    tables, problems, summary, text = said_of(real_data / "ds003007")
    assert len(tables["participants"]) == 29
    assert tables["participants"]["age"].min() >= 18
    assert summary.exit_code == 1
    for scale, columns in {"madrs": "MADRS", "zung_sds": "Zung_SDS", "bdi": "BDI"}.items():
        assert f'"{columns}_ses-pre", "{columns}_ses-post": looks like ratings at "ses-pre", "ses-post"' in text
        assert f"write phenotype/{scale}.tsv with participant_id, day" in text
    assert 'If "gender" is sex, rename it.' in text
    assert all(p.action == "used" for p in problems)


def test_myconnectome_is_told_how_to_be_mapped(real_data):
    tables, _, summary, text = said_of(real_data / "myconnectome")
    assert (len(tables["participants"]), len(tables["sessions"]), summary.exit_code) == (1, 0, 1)
    assert 'Column "session_id" is missing, so none of the 109 rows can be used.' in text
    assert 'Rename "sescode" to "session_id"' in text
    assert '"date" seems to hold dates, in 5 forms' in text
    assert "panas: (63 columns)" in text
    assert "phenotype/ema.tsv (participant_id, day, item, value)" in text


def test_the_ratings_of_ds003007_can_be_used_when_written_as_told(real_data, make_study):
    """What the message says is done here: one row per rating, the sessions with a day."""
    with (real_data / "ds003007" / "participants.tsv").open(newline="") as file:
        people = list(csv.DictReader(file, delimiter="\t"))
    lines = [
        f"{p['participant_id']} ses-{point} {p[f'{scale}_ses-{point}']}"
        for scale in ("MADRS",)
        for p in people
        for point in ("pre", "post")
    ]
    files = {
        f"{p['participant_id']}/{p['participant_id']}_sessions.tsv": "session_id day\nses-pre 0\nses-post 60\n"
        for p in people
    }
    files["phenotype/madrs.tsv"] = "\n".join(["participant_id session_id total", *lines]) + "\n"
    participants = "\n".join(["participant_id", *(p["participant_id"] for p in people)]) + "\n"
    tables, problems = read_tables(make_study(files, participants=participants))
    given = [float(value) for value in (line.split()[2] for line in lines) if value != "n/a"]
    assert tables["symptoms"]["value"].tolist() == given
    assert set(tables["symptoms"]["day"]) == {0, 60}
    assert len(problems) == len(lines) - len(given)


def test_hcp_retest_has_visits_only(real_data):
    tables, problems, _, _ = said_of(real_data / "hcp-retest")
    assert tables["sessions"]["day"].tolist() == [0, 1, 0, 1]
    assert problems == ()
