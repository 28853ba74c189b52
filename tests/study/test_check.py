"""The one screen: totals, the worst participants, what was lost, what the questions lack."""

from types import SimpleNamespace

import numpy as np

from remanent._errors import Problem
from remanent.study.check import WIDTH, group_problems, render, summarise
from remanent.study.tables import Study, read_tables

FILES = {
    "phenotype/hdrs17.tsv": "participant_id day total\nsub-01 -20 25\nsub-01 0 5\nsub-01 90.5 18\nsub-02 0 7\nsub-02 x 7\nsub-02 y 7\n",
    "phenotype/medication.tsv": "participant_id drug dose_mg_day start_day stop_day\nsub-01 lithium 900 n/a 30\nsub-01 lithium 600 30 n/a\n",
    "phenotype/ect.tsv": "participant_id day placement\nsub-01 -2 RUL\nsub-01 0 RUL\n",
    "phenotype/events.tsv": "participant_id day event\nsub-01 120 end_of_followup\nsub-01 90 relapse\n",
}


def session(participant, *kinds):
    return SimpleNamespace(
        participant_id=participant, session_id="ses-1", files=[SimpleNamespace(kind=kind) for kind in kinds]
    )


def study(root, sessions=()):
    tables, problems = read_tables(root)
    return Study(root, {}, tables, tuple(sessions), problems)


def test_counts_of_one_participant(make_study):
    scans = [session("sub-01", "xcpd", "freesurfer"), session("sub-01", "freesurfer"), session("sub-02", "fmriprep")]
    summary = summarise(study(make_study(FILES), scans))
    first, second = summary.patients
    assert first.scans == (1, 2)
    assert first.records["symptoms"] == 3
    assert first.rating_span_days == (-20, 90.5)
    assert (first.dose_changes, first.records["medication"], first.records["ect"]) == (1, 2, 2)
    assert first.events == ("relapse", "end_of_followup")
    assert (second.scans, second.records["symptoms"], second.dose_changes, second.events) == ((1, 0), 1, 0, ())
    assert summary.names["symptoms"] == {"hdrs17": 4}
    assert summary.exit_code == 3


def test_the_screen(make_study):
    summary = summarise(study(make_study(FILES)))
    text = render(summary)
    assert "2 of 2 participants can be used" in text
    assert "none: scans of function, scans of structure, laboratory values" in text
    assert "set aside: phenotype/hdrs17.tsv line 6, day (and 1 more)" in text
    assert "mechanism: 1 of 2 have a dose that starts, changes or ends." in text
    assert "structure measured twice (QSIRecon, FreeSurfer): structure rests on the prior." in text
    rows = [line.split() for line in text.splitlines() if line.startswith("  sub-")]
    assert [row[0] for row in rows] == ["sub-02", "sub-01"], "the worst first"
    assert " ".join(rows[1]) == "sub-01 0 0 3 -20 to 90.5 2 1 2 0 0 relapse, end_of_followup"
    assert max(map(len, text.splitlines()[1:])) <= WIDTH


def test_nothing_usable_is_exit_code_1(make_study):
    summary = summarise(study(make_study({"phenotype/ect.tsv": "participant_id day\nsub-01 0\n"})))
    assert summary.exit_code == 1
    assert "0 of 2 participants can be used" in render(summary)


def test_everything_right_is_exit_code_0(make_study):
    assert summarise(study(make_study({"phenotype/phq9.tsv": "participant_id day total\nsub-01 0 3\n"}))).exit_code == 0


def test_four_hundred_patients_fit_one_screen(make_study):
    ids = [f"sub-{n:03d}" for n in range(400)]
    ratings = "participant_id day total\n" + "".join(
        f"{i} {d} 9\n" for n, i in enumerate(ids) for d in range(1 + n % 7)
    )
    bad = "participant_id day\n" + "".join(f"{i} 2021-01-0{n % 9}\n" for n, i in enumerate(ids))
    root = make_study(
        {"phenotype/phq9.tsv": ratings, "phenotype/ect.tsv": bad},
        participants="participant_id\n" + "\n".join(ids) + "\n",
    )
    text = render(summarise(study(root)))
    assert "and 380 more with as much or more: `remanent check --all` lists them" in text
    assert "phenotype/ect.tsv line 2, day (and 399 more)" in text
    assert len(text.splitlines()) < 60
    assert all(line.split()[3] == "1" for line in text.splitlines() if line.startswith("  sub-"))


def test_problems_that_differ_in_what_is_quoted_are_one_group():
    problems = [Problem("a.tsv", row, "day", f'"{row}" is wrong.', "set_aside") for row in (2, 3)]
    problems += [
        Problem("b.tsv", 2, "day", '"x" is wrong.', "set_aside"),
        Problem("b.tsv", 2, "dose", '"x" is wrong.', "set_aside"),
    ]
    problems += [Problem("c.tsv", None, "", "Empty.", "refused")]
    groups = group_problems(problems)
    assert [(g.first.file, g.count, g.files) for g in groups] == [("c.tsv", 1, 1), ("a.tsv", 3, 2), ("b.tsv", 1, 1)]


def test_participants_without_rows_have_no_span(make_study):
    (first, _) = summarise(study(make_study({}))).patients
    assert np.isnan(first.rating_span_days).all()
    assert not first.usable
