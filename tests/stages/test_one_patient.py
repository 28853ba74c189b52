"""A study of one patient: the reference prior stands in for a fit, everything says so, and no advice rests on it."""

from pathlib import Path

from remanent.cli import main
from remanent.stages.live import load_base, one_patient
from remanent.study.store import Record
from small import records, write_small


def test_one_patient_gets_a_labelled_prior_forecast_and_no_advice(tmp_path: Path) -> None:
    study = write_small(
        tmp_path / "study",
        n_patients=1,
        derivatives=False,
        scan_days=[],
        arms=[{"name": "a", "share": 1.0, "plan": "continue"}],
        params={"h0": 0.0},
    )
    out = tmp_path / "out"
    assert main(["run", str(study), str(out), "--workers", "1"]) in {0, 3}
    forecasts = records(out / "forecasts.tsv")
    assert {row["basis"] for row in forecasts} == {"reference"}
    assert all(0 <= float(row["relapse_mean"]) <= 1 for row in forecasts)
    assert [row["advice"] for row in records(out / "plans.tsv")] == ["not_enough_data"]
    page = (out / "sub-001.html").read_text()
    assert "the reference prior, made on" in page
    assert "converged (mode found" not in page
    methods = " ".join((out / "methods.html").read_text().split())
    assert "No population was fitted: a fit needs 8 patients whose doses are known, this study has 1." in methods
    assert "All fits converged" not in methods
    assert "The cohort fit converged" not in (out / "index.html").read_text()
    assert "patients with an informed forecast" not in methods

    with Record.open(out, create=False) as record:
        base = load_base(record, out)
        for anew in (False, True):
            alone = one_patient(base, "sub-001", anew=anew).results
            assert alone.reference, "the app says what its numbers rest on, as the run does"
            assert all(informed.all() for informed in alone.outcome.informed.values())
            assert [one.code for one in alone.advice] == ["not_enough_data"]
