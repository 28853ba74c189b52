"""`remanent trial`: tables, page, and the same numbers whatever the workers."""

import json
from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from remanent.cli import main
from remanent.dynamics.priors import to_params
from remanent.stages import population
from remanent.stages.entering import entry_of_study
from remanent.stages.trial import interval, run_trial
from remanent.trial.experiment import draw_population, truth_of
from remanent.trial.judge import usual_class
from remanent.trial.policy import DAYS_PER_MONTH
from remanent.trial.world import Entry, draw_remitters, score
from small import Ran, records

SPEC = """
patients: 60
replicates: 3
follow_up_days: 182
policies:
  - {name: go on, stages: []}
  - {name: stop, stages: [{day: 84, weeks: 8}]}
contrast: null
power: {patients_per_arm: [20, 40], resamples: 50}
"""


TO_THE_END = """
patients: 12
replicates: 1
follow_up_days: 168
policies:
  - {name: go on, stages: []}
  - {name: by hold, stages: [{day: 84, wait: true, hold_at_least: 0.6}]}
compare: [go on, by hold]
contrast: null
power: {patients_per_arm: [20], resamples: 20}
"""


def quiet(event: str, **detail: object) -> None:
    """Log nothing."""


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trial") / "spec.yaml"
    path.write_text(SPEC)
    return path


@pytest.fixture(scope="module")
def done(spec: Path) -> Path:
    out = spec.parent / "out"
    assert main(["trial", str(spec), str(out), "--workers", "1"]) == 0
    return out


def test_tables_have_their_sidecars_and_the_page_stands_alone(done: Path) -> None:
    rows = records(done / "policies.tsv")
    assert [r["policy"] for r in rows] == ["go on", "stop"]
    assert float(rows[0]["drug_months_mean"]) > float(rows[1]["drug_months_mean"])
    for row in rows:
        assert 0 <= float(row["relapse_lower"]) <= float(row["relapse_mean"]) <= float(row["relapse_upper"]) <= 1
    for table in ("policies", "differences", "replicates", "power"):
        header = (done / f"{table}.tsv").read_text().splitlines()[0].split("\t")
        assert set(json.loads((done / f"{table}.json").read_text())) == set(header)
    page = (done / "trial.html").read_text()
    assert "Research use only" in page
    assert "reference prior" in page
    assert "http" not in page.replace("http://www.w3.org", "").replace("http-equiv", "")


def test_hold_may_be_asked_to_the_very_end_of_the_follow_up(tmp_path: Path) -> None:
    """Nothing is seen on the last day: a decision or a rating planned for it is not made."""
    (tmp_path / "spec.yaml").write_text(TO_THE_END)
    assert main(["trial", str(tmp_path / "spec.yaml"), str(tmp_path / "out"), "--workers", "1"]) == 0
    scans = {row["policy"]: float(row["scans_mean"]) for row in records(tmp_path / "out" / "policies.tsv")}
    assert 0 < scans["by hold"] <= 1, "one decision before the end"


def test_a_cluster_gives_the_same_bytes(done: Path, spec: Path, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
    ) as cluster:
        run_trial(str(spec), tmp_path / "out", workers=1, cluster=cluster.scheduler_address, log=quiet)
    for name in ("policies.tsv", "differences.tsv", "replicates.tsv", "power.tsv", "trial.html"):
        assert (tmp_path / "out" / name).read_bytes() == (done / name).read_bytes()


def test_results_are_never_mixed_and_bad_specifications_end_in_words(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("x")
    assert main(["trial", str(spec), str(tmp_path)]) == 2
    bad = tmp_path / "bad.yaml"
    bad.write_text("policies: [{name: x, stages: [{day: soon}]}]")
    assert main(["trial", str(bad), str(tmp_path / "out")]) == 1
    assert "policies[0].stages[0].day" in capsys.readouterr().err


def test_intervals_are_for_another_replicate() -> None:
    mean, low, high = interval(np.array([0.2, 0.4]), 0.01, (0.0, 1.0))
    # t(0.95, 1 degree) = 6.3138, sd 0.1414, sqrt(1 + 1/2)
    assert (mean, low, high) == pytest.approx((0.3, 0.0, 1.0))
    wide = (-100.0, 100.0)
    assert interval(np.array([5.0]), 0.1, wide) == pytest.approx((5.0, 5 - 0.1645, 5 + 0.1645))
    assert interval(np.array([20.0, 23.0]), 0.1, (0.0, 23.9)) == pytest.approx((21.5, 5.0957, 23.9), abs=1e-3)


def test_no_interval_leaves_what_is_possible(done: Path) -> None:
    months = 182 / DAYS_PER_MONTH
    for row in records(done / "policies.tsv"):
        assert 0 <= float(row["drug_months_lower"]) <= float(row["drug_months_upper"]) <= months + 1e-4
        assert float(row["scans_upper"]) == 0
        assert 0 <= float(row["loss_lower"]) <= float(row["loss_upper"]) <= 12 + months + 1e-4


def test_one_replicate_has_no_interval_for_another_population(done: Path, tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(SPEC.replace("replicates: 3", "replicates: 1"))
    assert main(["trial", str(tmp_path / "one.yaml"), str(tmp_path / "out"), "--workers", "1"]) == 0
    pages = [(out / "trial.html").read_text().replace("\u00a0", " ") for out in (done, tmp_path / "out")]
    assert ["for another population drawn" in page for page in pages] == [True, False]
    assert ["Monte Carlo interval in the only population drawn" in page for page in pages] == [False, True]
    assert "in one draw of the population" in pages[1]
    said = json.loads((tmp_path / "out" / "policies.json").read_text())["relapse_lower"]["Description"]
    assert "another population" not in said


def test_a_rule_that_lets_hardly_anybody_in_is_refused_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last replicate of a hundred would be the first to fail: nothing is simulated before all of them have their patients."""
    (tmp_path / "spec.yaml").write_text(
        SPEC.replace("replicates: 3", "replicates: 3\nentry: {at_most: 0}").replace("patients: 60", "patients: 10")
    )
    assert main(["trial", str(tmp_path / "spec.yaml"), str(tmp_path / "out"), "--workers", "1"]) == 1
    said = capsys.readouterr().err
    assert "entry.at_most" in said
    assert "taken twice" in said
    assert not (tmp_path / "out").exists()


def test_the_page_says_who_was_let_in(done: Path) -> None:
    page = (done / "trial.html").read_text().replace("\u00a0", " ")
    assert "let in with a score of 10 or less" in page
    shares = {float(row["let_in"]) for row in records(done / "replicates.tsv")}
    assert len(shares) == 3
    assert all(0 < share <= 1 for share in shares)


def test_patients_of_a_fitted_population_come_in_as_those_of_its_study(small_run: tuple[Ran, object]) -> None:
    """Rated on the study's first day of rating, on the drug since days before: their scores are those of its patients."""
    out = small_run[0].out
    entry = entry_of_study(out, None)
    assert entry.rated_day == 7.0
    assert -14 <= entry.drug_from <= -1
    assert entry_of_study(out / "nothing", 10.0) == Entry(10.0, 0.0, 0.0)
    rows = records(small_run[0].study / "phenotype" / "hdrs24.tsv")
    own = np.array([float(row["total"]) for row in rows if row["day"] == "7"])
    virtual, off_drug = (_mean_scores(out, one) for one in (entry, replace(entry, drug_from=entry.rated_day)))
    error = np.hypot(virtual.std(), own.std() / np.sqrt(own.size))
    assert abs(virtual.mean() - own.mean()) < 2 * error
    assert off_drug.mean() > virtual.mean() + 1


def _mean_scores(out: Path, entry: Entry) -> np.ndarray:
    """Mean score at entry in each of some draws of the population fitted there."""
    known, means = population.load(out), []
    for k in range(20):
        rng = np.random.default_rng(k)
        mechanism, theta, posterior = draw_population(rng, "posterior", known)
        params = to_params(jnp.asarray(theta), posterior.layout, jnp.asarray(posterior.layout.acting(mechanism)))
        truth = truth_of(params, 0, usual_class(known[0]))
        people = draw_remitters(rng, truth, 200, entry)
        means.append(score(truth, people.own_mean, (people.f, 0 * people.f), rng.standard_normal(200)).mean())
    return np.array(means)
