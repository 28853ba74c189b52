"""A small virtual study, and how tests run and read it."""

import contextlib
import io
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

from remanent.cli import main
from remanent.dynamics.compare import settings
from remanent.stages.analyse import Results, analyse
from remanent.stages.options import Options
from remanent.stages.run import RunSummary, run
from remanent.trial.cohort import simulate
from remanent.trial.spec import CohortSpec, demo_spec
from remanent.trial.write import write_study

TABLES = (
    "features",
    "states",
    "mechanisms",
    "comparison",
    "identifiability",
    "remanence",
    "forecasts",
    "plans",
    "problems",
)

PEOPLE = 16
SCANS = 11  # visits with a scan in this study
# Patients on a passive drug, few and short scans: relapses, tapers, stops and visits without a scan are among them.
_SMALL = {
    "n_patients": PEOPLE,
    "seed": 4,
    "mechanism": "passive",
    "scan_days": [7, 120],
    "bold_frames": 60,
    "rating_days": [7, 28, 56, 91, 119, 147, 182, 210],
    "madrs_days": [],
    "follow_up_days": 220,
    "enrolment_days": 60,
    "truth_paths": 2,
    "scan_missing": 0.75,
    "dwi_missing": 0.3,
    "score_missing": 0.0,
    "sleep_every_days": 28,
    "arms": [
        {"name": "continue", "share": 0.4, "plan": "continue"},
        {"name": "taper", "share": 0.3, "plan": "taper", "day": [60, 90], "weeks": [8, 12]},
        {"name": "stop", "share": 0.3, "plan": "stop", "day": [60, 100]},
    ],
}


@dataclass(frozen=True)
class Ran:
    """A study, what a run made of it, and what the command said on standard output and standard error."""

    study: Path
    out: Path
    code: int
    said: str
    log: str


def small_spec(**changes: object) -> CohortSpec:
    return demo_spec(**{**_SMALL, **changes})


def write_small(folder: Path, **changes: object) -> Path:
    write_study(simulate(small_spec(**changes)), folder)
    return folder


@contextlib.contextmanager
def few_simulated() -> Iterator[None]:
    """What a design can tell judged on 64 simulated patients in place of the hundreds of settings.yaml: less smooth, not otherwise."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(settings()["identifiable"]["simulated_patients"], "value", 64)
        yield


def run_once(folder: Path) -> tuple[Ran, Results]:
    """The study run by the command, in the first process that asks for it in this folder; what it found, as files and as values."""
    kept = folder / "small.pickle"
    with FileLock(folder / "small.lock"):
        if not kept.exists():
            kept.write_bytes(pickle.dumps(_run(folder / "small")))
    return pickle.loads(kept.read_bytes())  # noqa: S301 - our own


def _run(folder: Path) -> tuple[Ran, Results]:
    study, out, said, log = write_small(folder / "study"), folder / "out", io.StringIO(), io.StringIO()
    found = []

    def kept(*arguments: object, **options: object) -> Results:
        found.append(analyse(*arguments, **options))
        return found[0]

    streams = contextlib.redirect_stdout(said), contextlib.redirect_stderr(log)
    with few_simulated(), pytest.MonkeyPatch.context() as patched, streams[0], streams[1]:
        patched.setattr("remanent.stages.analyse.analyse", kept)
        code = main(["run", str(study), str(out), "--workers", "1", "--json"])
    return Ran(study, out, code, said.getvalue(), log.getvalue()), found[0]


def quiet(event: str, **detail: object) -> None:
    """Log nothing."""


def run_quietly(study: Path, out: Path, **options: object) -> RunSummary:
    return run(Options(study, out, **options), quiet)


def tables_of(out: Path) -> dict[str, bytes]:
    return {name: (out / f"{name}.tsv").read_bytes() for name in TABLES}


def read(path: Path) -> dict[str, list[str]]:
    """Columns of a table as text."""
    header, *rows = (line.split("\t") for line in path.read_text("utf-8").rstrip("\n").split("\n"))
    return {name: [row[i] for row in rows] for i, name in enumerate(header)}


def records(path: Path) -> list[dict[str, str]]:
    """Rows of a table."""
    header, *rows = (line.split("\t") for line in path.read_text("utf-8").rstrip("\n").split("\n"))
    return [dict(zip(header, row, strict=True)) for row in rows]
