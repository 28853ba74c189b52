"""Whose forecast cannot be relied on: incomplete doses, relapse and death on record, fits that ran away."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from remanent._errors import Problem
from remanent.dynamics.filter import Grid
from remanent.dynamics.infer import FARTHEST_SD, without_runaways
from remanent.plan.parse import parse_plans
from remanent.stages.analyse import Results, analyse
from remanent.stages.courses import with_plans
from remanent.stages.demo import against_truth
from remanent.stages.error_rates import error_rates
from remanent.stages.measure import measure_study, read
from remanent.stages.outcome import enough_relapses
from remanent.stages.standing import Standing, incomplete_doses, standing, still_incomplete
from remanent.stages.tables import tables
from remanent.stages.timelines import _concerns
from remanent.stages.views import fit_status, not_forecast
from remanent.study.store import Record
from small import Ran, quiet, records


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Three rated people; `add` lines to their tables."""
    root = tmp_path / "study"
    (root / "phenotype").mkdir(parents=True)
    (root / "participants.tsv").write_text("participant_id\nsub-01\nsub-02\nsub-03\n")
    (root / "phenotype" / "hdrs17.tsv").write_text(
        "participant_id\tday\ttotal\nsub-01\t3\t20\nsub-02\t4\t8\nsub-03\t4\t8\n"
    )
    (root / "phenotype" / "medication.tsv").write_text(
        "participant_id\tdrug\tdose_mg_day\tstart_day\tstop_day\nsub-01\tlithium\t600\t1\tn/a\n"
    )
    return root


def add(root: Path, file: str, *lines: str) -> None:
    with (root / "phenotype" / file).open("a") as stream:
        stream.write("".join(f"{line}\n" for line in lines))


def void_of(root: Path) -> dict[str, tuple[str, ...]]:
    study = read(root)
    return dict(standing(study.tables, [*study.problems, *incomplete_doses(study.problems)]).void)


def test_complete_doses_void_nothing(small: Path) -> None:
    assert void_of(small) == {}


@pytest.mark.parametrize(
    "line", ["sub-02\tlithum\t600\t1\tn/a", "02\tlithium\t-1\t1\tn/a", '"sub-02"\tlithium\t600', "lithium\tsub-02"]
)
def test_a_lost_row_voids_its_participant_however_it_is_broken(small: Path, line: str) -> None:
    add(small, "medication.tsv", line)
    void = void_of(small)
    assert list(void) == ["sub-02"]
    assert "lines 3 of phenotype/medication.tsv" in void["sub-02"][0]


def test_a_dose_that_cannot_be_is_a_lost_row(small: Path) -> None:
    add(small, "medication.tsv", "sub-02\tmirtazapine\t3000\t1\tn/a", "sub-03\tsertraline\t300\t1\tn/a")
    assert list(void_of(small)) == ["sub-02"]


def test_what_was_set_aside_is_known_by_its_owner_and_its_file(small: Path, tmp_path: Path) -> None:
    add(small, "medication.tsv", "sub-02\tlithum\t600\t1\tn/a")
    add(small, "hdrs17.tsv", "sub-03\tsoon\t20", "sub-02\t90\t999\textra")
    measure_study(small, tmp_path / "out", workers=1, participants=(), log=quiet)
    with Record.open(tmp_path / "out") as record:
        problems = record.problems()
        assert set(standing(record.tables(), problems).void) == {"sub-02"}
    said = {(p.file, p.row, p.participant_id) for p in problems if p.row or p.participant_id}
    assert said == {
        ("phenotype/medication.tsv", 3, "sub-02"),
        ("phenotype/medication.tsv", None, "sub-02"),
        ("phenotype/hdrs17.tsv", 5, "sub-03"),
        ("phenotype/hdrs17.tsv", 6, "sub-02"),
    }
    assert sum(_concerns(p, "sub-02") and p.action != "used" for p in problems) == 2


def test_a_record_of_an_older_run_still_voids(small: Path) -> None:
    old = Problem("sub-02", None, "medication", "medication rows were set aside", "used")
    assert set(standing(read(small).tables, [old]).void) == {"sub-02"}
    assert still_incomplete([old], ["sub-02"]) == []


def test_windows_files_keep_their_line_numbers(small: Path) -> None:
    path = small / "phenotype" / "medication.tsv"
    add(small, "medication.tsv", "sub-01\tlithium\t300\t500\tn/a", "", "sub-03\tnothing\t1\t1\tn/a")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    void = void_of(small)
    assert set(void) == {"sub-01", "sub-03"}
    assert "lines 5 " in void["sub-03"][0]


def test_rows_of_strangers_void_nobody(small: Path) -> None:
    add(
        small,
        "medication.tsv",
        "sub-99\tlithium\t600\t1\tn/a",
        "n/a\tlithium\t600\t1\tn/a",
        "sub-02\tlithium\t6\t1\tn/a",
    )
    assert void_of(small) == {}


@pytest.mark.parametrize("content", ["", "who\twhat\nsub-01\tlithium\n", "participant_id,drug\nsub-01,lithium\n"])
def test_an_unreadable_medication_table_voids_everyone(small: Path, content: str) -> None:
    (small / "phenotype" / "medication.tsv").write_text(content)
    void = void_of(small)
    assert set(void) == {"sub-01", "sub-02", "sub-03"}
    assert "doses are not known" in void["sub-03"][0]


def test_a_study_without_medication_table_voids_nobody(small: Path) -> None:
    (small / "phenotype" / "medication.tsv").unlink()
    assert void_of(small) == {}


def test_reading_one_participant_keeps_what_is_known_of_the_others(small: Path, tmp_path: Path) -> None:
    add(small, "medication.tsv", "sub-02\tlithum\t600\t1\tn/a", "sub-03\tlithum\t600\t1\tn/a")

    def void(*participants: str) -> set[str]:
        measure_study(small, tmp_path / "out", workers=1, participants=participants, log=quiet)
        with Record.open(tmp_path / "out") as record:
            return set(standing(record.tables(), record.problems()).void)

    assert void() == {"sub-02", "sub-03"}
    path = small / "phenotype" / "medication.tsv"
    path.write_text(path.read_text().replace("sub-03\tlithum", "sub-03\tlithium"))
    assert void("01") == {"sub-02", "sub-03"}
    assert void("03") == {"sub-02"}
    path.write_text(path.read_text().replace("lithum", "lithium"))
    assert void() == set()


def test_relapse_and_death_are_those_on_record(small: Path) -> None:
    (small / "phenotype" / "events.tsv").write_text("participant_id\tday\tevent\n")
    add(
        small,
        "events.tsv",
        "sub-01\t90\trelapse",
        "sub-01\t40\trelapse",
        "sub-02\t50\tdeath",
        "sub-03\t9\thospitalised",
    )
    found = standing(read(small).tables, ())
    assert found.relapse_day == {"sub-01": 40.0}
    assert found.dead == {"sub-02"}
    assert [found.gone(f"sub-0{n}") for n in (1, 2, 3)] == [True, True, False]
    assert found.void == {"sub-02": ("a death is on record",)}


def test_who_has_unknown_doses_says_nothing_of_what_a_drug_does(results: Results) -> None:
    """Their records take no part in the fit and the comparison; nothing is forecast of them, and the page says how many they are."""
    who = results.panel.patients[int(results.timeline.lanes[3])]
    unknown = Standing({who: ("doses are not known",)}, unknown_doses=frozenset({who}))
    found = analyse(results.panel, seed=0, thresholds=None, log=quiet, standing=unknown)
    assert found is not None
    assert found.fitted.tolist() == [k != 3 for k in range(len(found.fitted))]
    assert all(f.patient_log_lik[3] == 0.0 for f in found.posterior.fits)
    assert all(f.patient_log_lik[2] != 0.0 for f in found.posterior.fits)
    assert found.left_out[0].elpd[3] == pytest.approx(0.0, abs=1e-9)
    assert not any(informed[3] for informed in found.outcome.informed.values())
    assert found.advice[3].code == "not_enough_data"
    assert found.timeline.grid.observed[..., 3].any(), "what was measured is still shown"
    assert "leaves out 1 of 16 patients, whose doses are not fully known" in fit_status(found).message
    planned, _ = with_plans(found, parse_plans({"slower": [{"taper": {"weeks": 30}}]}))
    informed = planned.outcome.informed["slower"]
    assert informed.any()
    assert not informed[3]
    assert not_forecast(found, 3) == "What this patient was given is not fully known, so nothing is forecast."
    assert not_forecast(found, 2) == ""
    assert who not in error_rates(found, found.after, 0, None).patients


def test_relapses_of_whom_nothing_is_learnt_make_no_forecast_worth_showing(results: Results) -> None:
    relapsed = frozenset(np.array(results.panel.patients)[results.panel.relapsed].tolist())
    assert enough_relapses(results.panel, ())
    assert not enough_relapses(results.panel, relapsed)


def test_the_dead_and_the_relapsed_have_no_forecast(results: Results) -> None:
    gone = replace(results, gone=np.ones_like(results.gone))
    for name in ("forecasts", "remanence"):
        columns = tables(gone)[name]
        assert set(columns["basis"]) == {"undefined"}
        for column, values in columns.items():
            if column.endswith(("_mean", "_lower", "_upper")):
                assert np.isnan(values).all()


def test_a_fit_that_ran_away_is_replaced_by_the_prior_and_the_rest_kept(results: Results) -> None:
    wild = replace(results.posterior.fits[1], mode=results.posterior.fits[1].mode + 3 * FARTHEST_SD)
    fits = (results.posterior.fits[0], wild, *results.posterior.fits[2:])
    grid = Grid(*results.timeline.grid)
    settled = without_runaways(replace(results.posterior, fits=fits), grid)
    assert not settled.converged
    assert "the prior stands in its place" in settled.fits[1].message
    assert settled.fits[1].mechanism == "passive"
    assert not settled.fits[1].mode.any()
    assert np.isfinite(settled.fits[1].log_evidence)
    for before, after in zip(results.posterior.fits[2:], settled.fits[2:], strict=True):
        assert np.array_equal(before.mode, after.mode)
        assert before.log_evidence == after.log_evidence
    assert without_runaways(results.posterior, grid) is results.posterior


def test_no_advice_rests_on_a_fit_that_did_not_converge(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = replace(results.posterior, fits=tuple(replace(f, converged=False) for f in results.posterior.fits))
    monkeypatch.setattr("remanent.stages.analyse.fit", lambda *_: failed)
    found = analyse(results.panel, seed=0, thresholds=None, log=quiet)
    assert {a.code for a in found.advice} == {"not_enough_data"}
    assert all("did not converge" in "; ".join(a.reasons) for a in found.advice)


def test_the_demo_tells_how_far_from_the_truth_it_is(ran: Ran) -> None:
    lines = against_truth(ran.study, ran.out)
    assert lines[0].startswith("  mechanism: true passive 100%")
    assert [line.split(":")[0].strip() for line in lines[1:]] == [
        "function",
        "structure",
        *(f"relapse within 182 days, {plan}" for plan in ("continue", "taper", "stop")),
        "remanence at 182 days",
    ]
    true = {
        (r["participant_id"], r["day"]): float(r["value"])
        for r in records(ran.study / "truth.tsv")
        if r["quantity"] == "function"
    }
    rows = [r for r in records(ran.out / "states.tsv") if (r["participant_id"], r["day"]) in true]
    error = np.mean([abs(float(r["function_mean"]) - true[r["participant_id"], r["day"]]) for r in rows])
    assert f"mean absolute error {error:.2f}" in lines[1]
    assert error < 0.4
