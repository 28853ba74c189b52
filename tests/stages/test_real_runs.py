"""The main job on real scans and real scores, where nothing can be told: it must finish, and say that it cannot tell."""

import json
from pathlib import Path

import pytest

from remanent.cli import main
from remanent.stages.check import check
from small import Ran, records

pytestmark = pytest.mark.real


def run_on(study: Path, out: Path, capsys: pytest.CaptureFixture[str], *more: str) -> Ran:
    code = main(["run", str(study), str(out), "--workers", "1", "--json", *more])
    said = capsys.readouterr()
    return Ran(study, out, code, said.out, said.err)


def nothing_is_claimed(ran: Ran) -> None:
    """No mechanism identified, no number forecast, no advice, and the words for it."""
    for row in records(ran.out / "mechanisms.tsv"):
        assert row["identifiable"] == "false"
        assert float(row["probability"]) == pytest.approx(0.25)
    for table, names in (("forecasts", ["relapse"]), ("remanence", ["hold", "remanence"])):
        for row in records(ran.out / f"{table}.tsv"):
            assert row["basis"] != "data"
            assert {row[f"{name}_{part}"] for name in names for part in ("mean", "lower", "upper")} == {"n/a"}
    assert {row["advice"] for row in records(ran.out / "plans.tsv")} == {"not_enough_data"}
    assert "These data say nothing about how the drug acts" in ran.said
    for line in ran.log.splitlines():
        assert "sub-" not in json.dumps(json.loads(line))


def test_healthy_people_scanned_twice(real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = run_on(real_data / "hcp-retest", tmp_path / "out", capsys)
    assert ran.code == 0, ran.log
    nothing_is_claimed(ran)
    assert {row["basis"] for row in records(ran.out / "forecasts.tsv")} == {"prior"}
    assert {row["basis"] for row in records(ran.out / "states.tsv")} == {"prior"}
    rows = [r for r in records(ran.out / "features.tsv") if r["feature"] == "fc_default_default"]
    assert len(rows) == 4
    assert {r["usable"] for r in rows} == {"true"}
    for row in rows:
        assert 0.1 < float(row["value"]) < 1.5
        assert 0 < float(row["se"]) < 0.2
    assert check(ran.out, ())[1] == 0


@pytest.mark.parametrize("people", [16, pytest.param(172, marks=pytest.mark.slow)])
def test_scores_of_an_antidepressant_trial(
    real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], people: int
) -> None:
    """No drug names, no events: courses can be estimated, forecasts cannot."""
    study = real_data / "hamd17-trial"
    labels = [row["participant_id"] for row in records(study / "participants.tsv")][:people]
    ran = run_on(study, tmp_path / "out", capsys, "--participant-label", *labels)
    assert ran.code == 0, ran.log
    nothing_is_claimed(ran)
    states = records(ran.out / "states.tsv")
    assert {row["participant_id"] for row in states} == set(labels)
    assert {row["basis"] for row in states} <= {"data", "prior"}
    scores = [r for r in records(study / "phenotype" / "hdrs17.tsv") if r["participant_id"] in labels]
    ratings = {(r["participant_id"], float(r["day"])) for r in scores}
    assert ratings <= {(row["participant_id"], float(row["day"])) for row in states}
    assert len(list(ran.out.glob("sub-*.html"))) == people


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ds003007", ["0 of 29 participants", "MADRS_ses-pre", "phenotype/madrs.tsv", "Zung_SDS"]),
        ("myconnectome", ["0 of 1 participants", "sescode", "Day and month cannot be told apart", "email:LIWC_CDI"]),
    ],
)
def test_studies_as_published_get_an_account_of_how_to_map_them(
    real_data: Path, capsys: pytest.CaptureFixture[str], name: str, words: list[str]
) -> None:
    assert main(["check", str(real_data / name)]) == 1
    text = " ".join(capsys.readouterr().out.split())
    for word in words:
        assert word in text


def test_a_study_without_usable_tables_is_unusable(
    real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = run_on(real_data / "ds003007", tmp_path / "out", capsys)
    assert ran.code == 1
    assert "No participant has a dated rating or usable scan" in ran.said
