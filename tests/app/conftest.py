"""Results made up in a second, and results of a small virtual study run once."""

import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

TRIAL = """
patients: 60
replicates: 3
follow_up_days: 364
policies:
  - {name: never stop, stages: []}
  - {name: stop at 3 months, stages: [{day: 84, weeks: 8}]}
  - {name: by symptoms, stages: [{day: 84, wait: true, score_at_most: 7, visits: 2}]}
compare: [never stop, stop at 3 months]
contrast: null
power: {patients_per_arm: [25, 50, 100, 200, 400], resamples: 100}
"""


@pytest.fixture(scope="session")
def light(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """OUT of a made-up cohort; not to be changed."""
    from light import write_light

    return write_light(tmp_path_factory.mktemp("light"))


@pytest.fixture(scope="session")
def small_out(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """OUT of a small virtual study, run by the command; the browser's tests change it. REMANENT_APP_OUT: a copy of results that are there."""
    from remanent.cli import main

    folder = tmp_path_factory.mktemp("served")
    if there := os.environ.get("REMANENT_APP_OUT"):
        return Path(shutil.copytree(there, folder / "out"))
    ran, _ = request.getfixturevalue("small_run")
    assert ran.code in {0, 3}
    shutil.copytree(ran.out, folder / "out")
    (folder / "trial.yaml").write_text(TRIAL)
    assert main(["trial", str(folder / "trial.yaml"), str(folder / "out" / "trial"), "--workers", "1"]) == 0
    return folder / "out"
