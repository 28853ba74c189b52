"""The small virtual study, run once; every test of this room reads it or works on a copy."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from remanent.stages.analyse import Results
from small import Ran, few_simulated


@pytest.fixture(scope="module", autouse=True)
def few() -> Iterator[None]:
    """Every run of this room judges its design on few simulated patients."""
    with few_simulated():
        yield


@pytest.fixture(scope="session")
def ran(small_run: tuple[Ran, Results]) -> Ran:
    """Files and words of that run; not to be changed."""
    return small_run[0]


@pytest.fixture(scope="session")
def results(small_run: tuple[Ran, Results]) -> Results:
    """What that run found, as values."""
    return small_run[1]


@pytest.fixture(scope="session")
def study(ran: Ran) -> Path:
    """The study as files; not to be changed."""
    return ran.study


@pytest.fixture
def copied(ran: Ran, tmp_path: Path) -> Ran:
    """A copy of the study and its results, to be changed."""
    shutil.copytree(ran.study, tmp_path / "study")
    shutil.copytree(ran.out, tmp_path / "out")
    return Ran(tmp_path / "study", tmp_path / "out", ran.code, ran.said, ran.log)
