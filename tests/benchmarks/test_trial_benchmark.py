"""A virtual trial of 1,000 patients, six policies and two years on two processes: at most a minute on an idle machine, programs compiled in it included."""

from pathlib import Path

import pytest

from remanent.stages.trial import run_trial
from remanent.trial.design import read_trial

pytestmark = pytest.mark.benchmark(
    group="virtual trial: 1,000 patients x 6 policies x 2 years, 2 replicates on 2 workers"
)
SPEC = "replicates: 2\ncontrast: null\n"


def quiet(event: str, **detail: object) -> None:
    """Log nothing."""


def test_virtual_trial(benchmark, tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(SPEC)
    read = read_trial(str(spec))
    assert (read.patients, len(read.policies), read.follow_up_days) == (1000, 6, 728)
    said = benchmark.pedantic(
        lambda: run_trial(str(spec), tmp_path / "out", workers=2, cluster="", log=quiet), rounds=1, iterations=1
    )
    assert "1000 virtual patients x 6 policies" in said
