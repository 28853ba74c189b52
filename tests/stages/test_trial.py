"""`remanent trial`: tables, page, and the same numbers whatever the workers."""

from pathlib import Path

import pytest

from remanent.cli import main
from remanent.stages.trial import interval, run_trial
from small import records

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
        import json

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
    import numpy as np

    mean, low, high = interval(np.array([0.2, 0.4]), 0.01, share=True)
    # t(0.95, 1 degree) = 6.3138, sd 0.1414, sqrt(1 + 1/2)
    assert (mean, low, high) == pytest.approx((0.3, 0.0, 1.0))
    assert interval(np.array([5.0]), 0.1, share=False) == pytest.approx((5.0, 5 - 0.1645, 5 + 0.1645))
