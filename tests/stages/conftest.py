"""One small virtual study, run once; every test of this room reads it or works on a copy."""

import contextlib
import io
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from small import Ran, write_small

from remanent.cli import main
from remanent.stages.analyse import Results, analyse


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study as files; not to be changed."""
    return write_small(tmp_path_factory.mktemp("small") / "study")


@pytest.fixture(scope="session")
def run_once(study: Path) -> tuple[Ran, Results]:
    """The study run once by the command, in this process."""
    out, said, log = study.parent / "out", io.StringIO(), io.StringIO()
    found = []

    def kept(*arguments: object, **options: object) -> Results:
        found.append(analyse(*arguments, **options))
        return found[0]

    with pytest.MonkeyPatch.context() as patched, contextlib.redirect_stdout(said), contextlib.redirect_stderr(log):
        patched.setattr("remanent.stages.analyse.analyse", kept)
        code = main(["run", str(study), str(out), "--workers", "1", "--json"])
    return Ran(study, out, code, said.getvalue(), log.getvalue()), found[0]


@pytest.fixture(scope="session")
def ran(run_once: tuple[Ran, Results]) -> Ran:
    """Files and words of that run; not to be changed."""
    return run_once[0]


@pytest.fixture(scope="session")
def results(run_once: tuple[Ran, Results]) -> Results:
    """What that run found, as values."""
    return run_once[1]


@pytest.fixture
def copied(ran: Ran, tmp_path: Path) -> Ran:
    """A copy of the study and its results, to be changed."""
    shutil.copytree(ran.study, tmp_path / "study")
    shutil.copytree(ran.out, tmp_path / "out")
    return Ran(tmp_path / "study", tmp_path / "out", ran.code, ran.said, ran.log)
