"""`--relapse-rule`: relapse derived from ratings, recorded by name and shown; a study's own relapse is never replaced."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from remanent.cli import main
from remanent.relapse.definition import relapse_day, rule
from remanent.stages.relapses import by_rule, rule_of
from remanent.study.panel import build_panel
from remanent.study.tables import read_tables
from small import Ran, records


@pytest.fixture(scope="module")
def without_relapse(ran: Ran, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small study with its relapse rows taken out."""
    study = Path(shutil.copytree(ran.study, tmp_path_factory.mktemp("rule") / "study"))
    events = study / "phenotype" / "events.tsv"
    events.write_text("".join(line for line in events.read_text().splitlines(True) if "\trelapse\t" not in line))
    return study


def test_relapse_is_derived_recorded_and_shown(ran: Ran, without_relapse: Path, tmp_path: Path) -> None:
    """In a folder with results: their scans stay measured, their relapses are gone from the record."""
    out = Path(shutil.copytree(ran.out, tmp_path / "out"))
    assert main(["run", str(without_relapse), str(out), "--workers", "1", "--relapse-rule", "sackeim2001"]) in {0, 3}
    assert rule_of(out) == "sackeim2001"
    ratings = records(without_relapse / "phenotype" / "hdrs24.tsv")
    expected = set()
    for who in {r["participant_id"] for r in ratings}:
        mine = [(float(r["day"]), float(r["total"])) for r in ratings if r["participant_id"] == who]
        day, score = np.array(sorted(mine)).T[:, :, None]
        if np.isfinite(relapse_day(rule("sackeim2001"), day, score)).all():
            expected.add(who)
    advice = {r["participant_id"]: r["advice"] for r in records(out / "plans.tsv")}
    assert expected
    assert {who for who, code in advice.items() if code == "act"} >= expected
    assert "by the rule sackeim2001, not recorded by the study" in (out / f"{min(expected)}.html").read_text()


def test_the_studys_own_relapse_stands(ran: Ran) -> None:
    tables = read_tables(ran.study)[0]
    panel = build_panel(tables)
    kept = by_rule(panel, tables, "sackeim2001")
    assert kept is not None
    assert kept.panel is panel
    assert "was not used" in kept.problems[0].problem


def test_no_scale_that_joins_is_said(without_relapse: Path, tmp_path: Path) -> None:
    tables = read_tables(without_relapse)[0]
    found = by_rule(build_panel(tables), tables, "vandenbroek2006")
    assert found is not None
    assert "no relapse was derived" in found.problems[0].problem


def test_another_scale_is_read_as_the_rules(without_relapse: Path) -> None:
    tables = read_tables(without_relapse)[0]
    found = by_rule(build_panel(tables), tables, "nordenskjold2013")
    assert found is not None
    assert "hdrs24 was read as madrs by published tables" in found.words
    assert found.relapse_day


def test_an_unknown_rule_is_refused_with_the_names(without_relapse: Path, tmp_path: Path, capsys) -> None:
    assert main(["run", str(without_relapse), str(tmp_path / "out"), "--relapse-rule", "nosuch"]) == 2
    assert "sackeim2001" in capsys.readouterr().err
