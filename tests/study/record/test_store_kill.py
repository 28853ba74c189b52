"""Killed in the middle, the record is as it was before; the next run completes it; nothing is lost or doubled."""

import pickle
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager

import numpy as np
import pytest

from remanent.study.store import IngestSummary, Record

PEOPLE, VISITS = 20, 300
SCRIPT = """
import os, pickle, signal, sys
from pathlib import Path
from remanent.study.record import intake, merge, upgrade, chain
from remanent.study.store import Record

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

point = sys.argv[2]
study = pickle.loads((Path(sys.argv[1]) / "study.pickle").read_bytes())
if point == "created": upgrade.guard = die
record = Record.open(Path(sys.argv[1]) / "study.sqlite")
print("go", flush=True)
if point == "merged":                       # after the first of three files
    real, calls = intake.merge, []
    intake.merge = lambda *a: (die() if calls else calls.append(1), real(*a))[1]
if point == "half": merge.insert = die      # audit entry written, rows not
if point == "stored": intake.put_problems = die
if point == "sealed":
    real = chain.Chain.seal
    chain.Chain.seal = lambda self: (real(self), die())
record.ingest(study)
print("done", flush=True)
"""


def files(scale=1.0):
    rows = [(f"sub-{p:02d}", v / 7, "mood", scale * (v % 11)) for p in range(PEOPLE) for v in range(VISITS)]
    return {
        "participants.tsv": [(f"sub-{p:02d}",) for p in range(PEOPLE)],
        "phenotype/hdrs17.tsv": [(f"sub-{p:02d}", 0.0, "hdrs17", 20.0) for p in range(PEOPLE)],
        "phenotype/ema.tsv": rows,
    }


@contextmanager
def started(folder, point, study):
    """The script above in a process of its own, dead for sure at the end."""
    (folder / "study.pickle").write_bytes(pickle.dumps(study))
    command = [sys.executable, "-c", SCRIPT, str(folder), point]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def finish(record, study):
    """One more ingest gives exactly what the study holds."""
    assert record.verify() == []
    record.ingest(study)
    assert rows(record) == Counter(files(2.0)["phenotype/ema.tsv"])
    assert record.ingest(study) == IngestSummary(0, 3, 0, 0)
    assert record.verify() == []


def rows(record):
    table = record.table("ema")
    return Counter(zip(*(table[name].tolist() for name in ("participant_id", "day", "item", "value")), strict=True))


@pytest.mark.parametrize("point", ["created", "merged", "half", "stored", "sealed"])
def test_killed_at_a_point(tmp_path, study_of, point):
    """Always before the commit: nothing of the killed run may be there."""
    grown = point in {"merged", "half", "sealed"}
    if grown:
        with Record.open(tmp_path / "study.sqlite") as record:
            record.ingest(study_of(files()))
    with started(tmp_path, point, study_of(files(2.0))) as process:
        assert "done" not in process.stdout.read()
        assert process.wait() == -signal.SIGKILL
    with Record.open(tmp_path / "study.sqlite") as record:
        assert rows(record) == Counter(files()["phenotype/ema.tsv"] if grown else [])
        finish(record, study_of(files(2.0)))


def test_killed_at_random_moments(tmp_path, study_of):
    """Wherever it falls: all of the run is there, or nothing of it."""
    chance = random.Random(20261122)
    with Record.open(tmp_path / "study.sqlite") as record:
        for _ in range(2):
            record.ingest(study_of(files()))
            with started(tmp_path, "", study_of(files(2.0))) as process:
                process.stdout.readline()
                time.sleep(chance.uniform(0, 0.25))
            assert rows(record) in (Counter(files()["phenotype/ema.tsv"]), Counter(files(2.0)["phenotype/ema.tsv"]))
            assert record.verify() == []
        finish(record, study_of(files(2.0)))


def test_killed_between_the_arrays_and_the_record(tmp_path, monkeypatch):
    with Record.open(tmp_path) as record:
        record.put_draws("posterior", {"lp": np.zeros(3)})
        with monkeypatch.context() as patch:
            patch.setattr("remanent.study.store.put_file", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                record.put_draws("posterior", {"lp": np.ones(3)})
        assert record.draws("posterior")["lp"].tolist() == [0, 0, 0]
        assert record.verify() == []
        record.put_draws("posterior", {"lp": np.full(3, 2.0)})
        assert len(list((tmp_path / "draws").iterdir())) == 1
