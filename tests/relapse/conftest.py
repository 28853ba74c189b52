"""A virtual study without scans, read as files; and landmark rows with a known law."""

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from remanent.stages.measure import measure_study
from remanent.study.store import Record
from remanent.study.table import Table
from remanent.trial.cohort import simulate
from remanent.trial.spec import demo_spec
from remanent.trial.write import write_study


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Table]:
    """Tables of 24 patients with ratings, drugs, ECT, CRP, sleep, EMA and events."""
    folder = tmp_path_factory.mktemp("landmark")
    write_study(
        simulate(demo_spec(n_patients=24, seed=11, derivatives=False, ema=True, truth_paths=2)), folder / "study"
    )
    measure_study(folder / "study", folder / "out", workers=1, participants=(), log=lambda *_, **__: None)
    with Record.open(folder / "out") as record:
        return record.tables()
