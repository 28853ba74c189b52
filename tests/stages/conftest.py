"""One small virtual study, run once; every test of this room reads it or works on a copy."""

import contextlib
import io
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from small import Ran, quiet, write_small

from remanent.cli import main
from remanent.stages.analyse import Results, analyse
from remanent.study.panel import build_panel
from remanent.study.store import Record


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study as files; not to be changed."""
    return write_small(tmp_path_factory.mktemp("small") / "study")


@pytest.fixture(scope="session")
def ran(study: Path) -> Ran:
    """The study run once by the command, in this process; not to be changed."""
    out, said, log = study.parent / "out", io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(log):
        code = main(["run", str(study), str(out), "--workers", "1", "--json"])
    return Ran(study, out, code, said.getvalue(), log.getvalue())


@pytest.fixture
def copied(ran: Ran, tmp_path: Path) -> Ran:
    """A copy of the study and its results, to be changed."""
    shutil.copytree(ran.study, tmp_path / "study")
    shutil.copytree(ran.out, tmp_path / "out")
    return Ran(tmp_path / "study", tmp_path / "out", ran.code, ran.said, ran.log)


@pytest.fixture(scope="session")
def results(ran: Ran) -> Results:
    """What `run` found, as values."""
    with Record.open(ran.out) as record:
        panel = build_panel(record.tables(), record.features())
    return analyse(panel, seed=0, thresholds=None, log=quiet)
