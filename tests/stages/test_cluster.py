"""The participant level on a Dask cluster of other processes: the record is that of a serial run, bit for bit."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from remanent._errors import InputError, UsageError
from remanent.cli import main
from remanent.stages.cluster import AHEAD, Cluster
from remanent.study.store import Record
from small import write_small

pytest.importorskip("distributed", reason="DASK ABSENT: --cluster was not tried")


def started(words: str, *arguments: str) -> tuple[subprocess.Popen, str]:
    """A process of `dask`, and the line of its log that holds `words`."""
    command = [sys.executable, "-m", "distributed.cli." + arguments[0], *arguments[1:]]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    for line in process.stderr:
        if words in line:
            return process, line
    raise AssertionError(f"{command} ended without {words!r}")


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[str]:
    """A scheduler and two workers with one thread each."""
    folder = str(tmp_path_factory.mktemp("dask"))
    local = ("--host", "127.0.0.1", "--no-dashboard")
    scheduler, line = started("Scheduler at", "dask_scheduler", *local, "--port", "0")
    found = re.search(r"tcp://\S+", line).group()
    more = ("--nthreads", "1", "--no-nanny", "--local-directory", folder)
    workers = [started("Registered to", "dask_worker", found, *local, *more)[0] for _ in range(2)]
    yield found
    for process in (*workers, scheduler):
        process.kill()
        process.communicate()


def rows_of(out: Path) -> list[tuple]:
    """Everything that is measured, values as bytes; and the problems."""
    with Record.open(out) as record:
        table, problems = record.features(), record.problems()
    columns = [v.tolist() if v.dtype == object else [x.tobytes() for x in v] for v in table.columns.values()]
    return [*zip(*columns, strict=True), *problems]


def test_a_cluster_gives_the_same_bits_as_one_process(address, tmp_path, capsys):
    study = write_small(tmp_path / "study", n_patients=3, scan_missing=0.0, dwi_missing=0.0)
    outs = [tmp_path / name for name in ("serial", "cluster")]
    for out, how in zip(outs, (["--workers", "1"], ["--cluster", address]), strict=True):
        assert main(["run", str(study), str(out), "participant", *how]) in (0, 3)
    assert len(rows_of(outs[0])) > 300
    assert rows_of(outs[0]) == rows_of(outs[1])
    assert "largest_worker_mb" in capsys.readouterr().err


def test_results_keep_their_order_and_come_from_other_processes(address):
    def slow_to_start(item: int) -> tuple[int, int]:  # a local function travels by value
        time.sleep(0.2 if item == 0 else 0.0)
        return item, os.getpid()

    with Cluster(address) as cluster:
        got = list(cluster.map(slow_to_start, range(4 * AHEAD)))
    assert [item for item, _ in got] == list(range(4 * AHEAD))
    assert os.getpid() not in {pid for _, pid in got}
    assert len({pid for _, pid in got}) == 2


def only_here(item: int) -> int:
    return item


def test_workers_without_the_program_are_one_clear_message(address):
    with Cluster(address) as cluster, pytest.raises(InputError, match="same version of remanent"):
        list(cluster.map(only_here, [1]))


def test_no_scheduler_is_one_clear_message(monkeypatch):
    monkeypatch.setattr("remanent.stages.cluster.CONNECT_S", 1)
    with Cluster("tcp://127.0.0.1:1") as cluster, pytest.raises(InputError, match="no Dask scheduler answers"):
        list(cluster.map(abs, [1]))


def test_without_dask_one_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with Cluster("tcp://127.0.0.1:1") as cluster, pytest.raises(UsageError, match=r"remanent\[cluster\]"):
        list(cluster.map(abs, [1]))


def test_nothing_to_do_needs_no_cluster():
    with Cluster("tcp://127.0.0.1:1") as cluster:
        assert list(cluster.map(abs, [])) == []
