"""Healthy participants are compared with: they change no number of a patient, and are said to be healthy wherever people are listed."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from remanent.app.asked import Asked
from remanent.app.shelf import Shelf
from remanent.app.whatif import NoAnswerError, Workbench
from remanent.cli import main
from remanent.dynamics.design import choose_design
from remanent.dynamics.grid import build_timeline
from remanent.stages.cohort import cohort_of
from remanent.stages.live import load_base, one_patient
from remanent.stages.measure import read
from remanent.stages.scans import as_scans
from remanent.study.schema import OUTPUT
from remanent.study.store import Record
from remanent.study.table import Table, merged, missing
from small import records, write_small

ONE = {
    "n_patients": 1,
    "derivatives": False,
    "scan_days": [],
    "arms": [{"name": "a", "share": 1.0, "plan": "continue"}],
    "params": {"h0": 0.0},
}


def with_controls(study: Path, folder: Path, *, ect: bool = False) -> Path:
    """The same study and two healthy people: rated three times, followed up without relapse; with `ect`, one of them has a session on record."""
    shutil.copytree(study, folder)
    who = ["sub-c1", "sub-c2"]
    add(
        folder / "participants.tsv",
        [{"participant_id": w, "age": 30, "diagnosis": d} for w, d in zip(who, ("HC", "none"), strict=True)],
    )
    phenotype = folder / "phenotype"
    add(phenotype / "hdrs24.tsv", [{"participant_id": w, "day": d, "total": 1} for w in who for d in (0, 90, 400)])
    add(phenotype / "events.tsv", [{"participant_id": w, "day": 400, "event": "end_of_followup"} for w in who])
    add(
        phenotype / "medication.tsv",
        [{"participant_id": "sub-c1", "drug": "lithium", "dose_mg_day": 900, "start_day": 0}],
    )
    if ect:
        add(phenotype / "ect.tsv", [{"participant_id": "sub-c1", "day": 0, "placement": "RUL"}])
    return folder


def add(table: Path, rows: list[dict[str, object]]) -> None:
    if not table.exists():
        table.write_text("\t".join(rows[0]) + "\n")
    head = table.read_text().split("\n")[0].split("\t")
    lines = ["\t".join(str(row.get(name, "n/a")) for name in head) for row in rows]
    table.write_text(table.read_text().rstrip("\n") + "\n" + "\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small(tmp_path_factory.mktemp("alone") / "study", **ONE)


def test_a_fit_gets_the_same_numbers_with_and_without_healthy_participants(tmp_path: Path) -> None:
    study = write_small(tmp_path / "study", derivatives=False, scan_days=[])
    found = []
    for folder in (study, with_controls(study, tmp_path / "more")):
        features = merged(OUTPUT["features"], [])
        cohort = cohort_of(read(folder).tables, features)
        design = choose_design(cohort.panel)
        found.append((cohort, design, build_timeline(cohort.panel, design)))
    (fewer, design, line), (more, same_design, same_line) = found
    assert more.healthy.patients == ("sub-c1", "sub-c2")
    assert more.panel.patients == fewer.panel.patients
    assert repr(design) == repr(same_design)
    for name, part in line.grid._asdict().items():
        np.testing.assert_array_equal(part, getattr(same_line.grid, name), err_msg=name)


def test_healthy_participants_are_said_to_be_healthy_and_change_no_patient(
    alone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outs = {"alone": tmp_path / "alone", "more": tmp_path / "out"}
    study = with_controls(alone, tmp_path / "study")
    assert main(["run", str(alone), str(outs["alone"]), "--workers", "1"]) in {0, 3}
    capsys.readouterr()
    assert main(["run", str(study), str(outs["more"]), "--workers", "1"]) in {0, 3}
    assert "3 participants, 2 of them healthy" in capsys.readouterr().out
    for table in ("forecasts", "remanence", "states", "plans", "mechanisms"):
        assert (outs["more"] / f"{table}.tsv").read_bytes() == (outs["alone"] / f"{table}.tsv").read_bytes(), table

    out = outs["more"]
    said = [row for row in records(out / "problems.tsv") if row["column"] == "diagnosis"]
    assert [row["action"] for row in said] == ["used", "used"]
    assert all("is a healthy participant" in row["problem"] for row in said)
    page = (out / "sub-c1.html").read_text()
    assert "A healthy participant: patients are compared with them" in page
    index = (out / "index.html").read_text()
    assert "1 patient: 1 not enough data to advise. 2 healthy participants, whom patients are compared with." in index
    assert "Healthy: compared with, not advised on (2)" in index
    assert "2 healthy participants beside them" in (out / "methods.html").read_text()
    rows = json.loads((out / "views" / "cohort.json").read_text())["rows"]
    assert [row["advice"] for row in rows] == ["not_enough_data", "healthy", "healthy"]

    with Record.open(out, create=False) as record:
        base = load_base(record, out)
        assert one_patient(base, "sub-c1") is None
        bench = Workbench(out, record, Shelf(out, record))
        bench.warm_up()
        assert "healthy participant" in bench.take_in("sub-c1")
        with pytest.raises(NoAnswerError, match="healthy participant"):
            bench.answers("sub-c1", Asked())


def test_a_healthy_participant_with_ect_on_record_is_a_loss_that_is_told(alone: Path, tmp_path: Path) -> None:
    cohort = cohort_of(read(with_controls(alone, tmp_path / "study", ect=True)).tables, merged(OUTPUT["features"], []))
    odd = [p for p in cohort.problems() if p.action == "set_aside"]
    assert len(odd) == 1
    assert "yet ECT sessions on record" in odd[0].problem


def test_a_study_of_healthy_people_alone_is_read_as_it_is(alone: Path, tmp_path: Path) -> None:
    study = shutil.copytree(alone, tmp_path / "study")
    table = study / "participants.tsv"
    head, row = (line.split("\t") for line in table.read_text().strip().split("\n"))
    row[head.index("diagnosis")] = "control"
    table.write_text("\t".join(head) + "\n" + "\t".join(row) + "\n")
    cohort = cohort_of(read(study).tables, merged(OUTPUT["features"], []))
    assert cohort.panel.patients == ("sub-001",)
    assert not cohort.healthy.patients


def test_check_says_who_is_healthy_and_does_not_ask_them_for_relapses(
    alone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["check", str(with_controls(alone, tmp_path / "study"))])
    text = capsys.readouterr().out
    assert "2 of them healthy" in text
    assert "1 of 1 have ECT sessions" in text


def test_nobody_is_healthy_for_want_of_a_diagnosis(alone: Path, tmp_path: Path) -> None:
    study = with_controls(alone, tmp_path / "study")
    add(study / "participants.tsv", [{"participant_id": "sub-x"}, {"participant_id": "sub-y", "diagnosis": "None"}])
    tables = read(study).tables
    assert cohort_of(tables, merged(OUTPUT["features"], [])).panel.patients == ("sub-001", "sub-x")
    who, columns = ["sub-c1", "sub-x"], {c.name: missing(c, 2) for c in OUTPUT["features"].columns}
    columns |= {"participant_id": np.array(who, object), "feature": np.array(["fc_a_b"] * 2, object)}
    columns |= {"value": np.ones(2), "usable": np.array(["true"] * 2, object)}
    scans = as_scans(Table(OUTPUT["features"], columns, np.full(2, "", object), np.arange(2)), tables["participants"])
    assert dict(zip(scans.who.tolist(), scans.control.tolist(), strict=True)) == {"sub-c1": True, "sub-x": False}
