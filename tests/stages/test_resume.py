"""Running again, in other ways, after a change, or after a kill: the same tables, and no more work than needed."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from remanent.cli import main
from remanent.stages.analyse import Results
from remanent.stages.measure import measure_study
from remanent.stages.options import Options
from remanent.stages.run import group
from remanent.study.store import Record
from small import PEOPLE, SCANS, Ran, quiet, records, run_quietly, tables_of

CODE = """
import os, signal, sys
from remanent.study import store
from remanent.study.record import files
{patch}
from remanent.cli import main
sys.exit(main(sys.argv[1:]))
"""
# Each replaces a function by one that ends the process, as a power cut would, when it is called for the n-th time.
KILL = """
def killed(call, n, count=[0]):
    def wrapped(*args, **kwargs):
        count[0] += 1
        if count[0] == n:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **kwargs)
    return wrapped
"""
MOMENTS = {
    "reading": "store.take_in = killed(store.take_in, 1)",
    "the second visit": "store.Record.put_features = killed(store.Record.put_features, 2)",
    "storing the second visit": "import remanent.study.record.merge as m; store.put_problems = killed(store.put_problems, 3)",
    "storing results": "store.Record.put_results = killed(store.Record.put_results, 3)",
    "writing tables": "import remanent.study.outputs as o; o.write_whole = killed(o.write_whole, 5)",
    "writing pages": "import remanent.stages.publish as p; p.write_whole = killed(p.write_whole, 3)",
    "noting files": "store.Record.put_files = killed(store.Record.put_files, 1)",
}


def killed_at(moment: str, *arguments: object) -> None:
    """Run the command in a process of its own that kills itself at a moment."""
    code = CODE.format(patch=KILL + MOMENTS[moment])
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def measured(study: Path, out: Path, **options: object) -> tuple[int, int]:
    """Sessions measured and sessions left as they were."""
    summary = measure_study(study, out, **{"workers": 1, "participants": (), "log": quiet, **options})
    return summary.sessions_measured, summary.sessions_unchanged


def features_of(out: Path) -> list[tuple]:
    with Record.open(out) as record:
        table = record.features()
    columns = ("participant_id", "session_id", "feature", "value", "se")
    return sorted((*row[:3], *map(repr, row[3:])) for row in zip(*(table[c].tolist() for c in columns), strict=True))


def test_a_second_run_reads_nothing_new_and_writes_the_same_bytes(copied: Ran) -> None:
    before = tables_of(copied.out)
    with Record.open(copied.out) as record:
        snapshot, head = record.snapshot_id, record.head
    summary = measure_study(copied.study, copied.out, workers=1, participants=(), log=quiet)
    assert (summary.ingest.rows_added, summary.ingest.rows_closed, summary.ingest.files_read) == (0, 0, 0)
    assert summary.sessions_measured == 0
    assert summary.sessions_unchanged == SCANS
    group(Options(copied.study, copied.out), quiet)
    assert tables_of(copied.out) == before
    with Record.open(copied.out) as record:
        assert record.snapshot_id == snapshot
        assert record.head != head
        assert record.verify() == []


def test_two_workers_and_two_levels_give_what_one_run_gives(ran: Ran, tmp_path: Path) -> None:
    out = tmp_path / "out"
    summary = run_quietly(ran.study, out, level="participant", workers=2)
    assert summary.usable
    assert features_of(out) == features_of(ran.out)
    run_quietly(ran.study, out, level="group")
    assert tables_of(out) == tables_of(ran.out)
    for page in ("index.html", "sub-001.html"):
        assert (out / page).is_file()


def test_participants_one_by_one_give_the_same_record(ran: Ran, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for who in ("002", "sub-001"):
        measured(ran.study, out, participants=(who,))
    rest = [f"sub-{n:03d}" for n in range(3, PEOPLE + 1)]
    measured(ran.study, out, participants=rest)
    assert measured(ran.study, out) == (0, SCANS)
    assert features_of(out) == features_of(ran.out)
    with Record.open(out) as one, Record.open(ran.out) as other:
        assert one.snapshot_id == other.snapshot_id


def test_only_the_visit_whose_file_changed_is_measured_again(copied: Ran) -> None:
    before = features_of(copied.out)
    series = min((copied.study / "derivatives").rglob("*_timeseries.tsv"))
    lines = series.read_text().splitlines()
    lines[5] = "\t".join("0.5" for _ in lines[5].split("\t"))
    series.write_text("\n".join(lines) + "\n")
    assert measured(copied.study, copied.out) == (1, SCANS - 1)
    assert measured(copied.study, copied.out) == (0, SCANS)
    changed = {row[:2] for row in set(features_of(copied.out)) - set(before)}
    who, visit = series.name.split("_")[:2]
    assert changed == {(who, visit)}


def test_a_visit_that_moves_in_time_moves_its_features(copied: Ran) -> None:
    first = records(copied.out / "features.tsv")[0]
    who, visit = first["participant_id"], first["session_id"]
    file = copied.study / who / f"{who}_sessions.tsv"
    moved = [f"{visit}\t8" if line.startswith(f"{visit}\t") else line for line in file.read_text().splitlines()]
    file.write_text("\n".join(moved) + "\n")
    assert measured(copied.study, copied.out) == (1, SCANS - 1)
    with Record.open(copied.out) as record:
        features = record.features()
    mine = (features["participant_id"] == who) & (features["session_id"] == visit)
    assert set(features["day"][mine]) == {8.0}


def test_a_visit_that_is_gone_takes_its_features_along(copied: Ran) -> None:
    first = records(copied.out / "features.tsv")[0]
    who, visit = first["participant_id"], first["session_id"]
    for file in [*(copied.study / "derivatives").rglob(f"{who}_{visit}_*")]:
        file.unlink()
    shutil.rmtree(copied.study / "derivatives" / "freesurfer" / f"{who}_{visit}")
    measured(copied.study, copied.out)
    assert (who, visit) not in {row[:2] for row in features_of(copied.out)}
    with Record.open(copied.out) as record:
        assert record.verify() == []


def test_a_changed_rating_changes_one_row_of_the_record(copied: Ran) -> None:
    file = copied.study / "phenotype" / "hdrs24.tsv"
    lines = file.read_text().splitlines()
    cells = lines[3].split("\t")
    cells[2] = str(int(cells[2]) + 1)
    file.write_text("\n".join([*lines[:3], "\t".join(cells), *lines[4:]]) + "\n")
    ingest = measure_study(copied.study, copied.out, workers=1, participants=(), log=quiet).ingest
    assert (ingest.rows_added, ingest.rows_closed, ingest.files_read) == (1, 1, 1)


def test_killed_while_measuring_the_next_run_completes(ran: Ran, tmp_path: Path) -> None:
    out = tmp_path / "out"
    killed_at("storing the second visit", "run", ran.study, out, "participant", "--workers", "1")
    assert measured(ran.study, out)[0] >= 3
    assert features_of(out) == features_of(ran.out)
    with Record.open(out) as one, Record.open(ran.out) as other:
        assert one.verify() == []
        assert one.snapshot_id == other.snapshot_id


@pytest.mark.parametrize("place", ["study.outputs.write_whole", "stages.publish.write_whole"])
def test_stopped_while_publishing_the_next_run_completes(
    ran: Ran, copied: Ran, results: Results, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """The model is not fitted again here; `test_killed_anywhere` does all of it in processes of their own."""
    for file in [*copied.out.glob("*.tsv"), *copied.out.glob("*.html")]:
        file.unlink()
    calls = []

    def stop(path: Path, content: bytes) -> None:
        calls.append(path)
        if len(calls) == 4:
            raise KeyboardInterrupt
        path.write_bytes(content)

    options = Options(copied.study, copied.out)
    monkeypatch.setattr("remanent.stages.analyse.analyse", lambda *_, **__: results)
    with monkeypatch.context() as patched:
        patched.setattr(f"remanent.{place}", stop)
        with pytest.raises(KeyboardInterrupt):
            group(options, quiet)
    group(options, quiet)
    with Record.open(copied.out) as record:
        assert record.verify() == []
    assert tables_of(copied.out) == tables_of(ran.out)


def test_workers_end_with_a_run_that_is_killed() -> None:
    """They hold its output open: if they lived on, this would wait for ever."""
    code = """
import os, signal
from remanent.stages.workers import many
if __name__ == "__main__":
    with many(2, "") as at_once:
        assert list(at_once.map(abs, [-1, -2, -3])) == [1, 2, 3]
        os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_anywhere_the_next_run_completes_as_if_undisturbed(ran: Ran, tmp_path: Path, moment: str) -> None:
    out = tmp_path / "out"
    killed_at(moment, "run", ran.study, out, "--workers", "2")
    summary = run_quietly(ran.study, out, workers=2)
    assert summary.usable
    assert tables_of(out) == tables_of(ran.out)
    with Record.open(out) as record:
        assert record.verify() == []


def test_a_new_visit_is_taken_up_without_a_refit(copied: Ran, capsys: pytest.CaptureFixture[str]) -> None:
    population = (copied.out / "population.json").read_bytes()
    known = {row["participant_id"]: row["day"] for row in records(copied.out / "plans.tsv")}
    with (copied.study / "phenotype" / "hdrs24.tsv").open("a") as file:
        file.write("sub-002\t300\t9\n")
    code = main(["update", str(copied.out), str(copied.study), "--workers", "1", "--json"])
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert code == 0
    assert "fit" not in {event["event"] for event in events}
    assert [event["rows_added"] for event in events if event["event"] == "ingest"] == [1]
    assert (copied.out / "population.json").read_bytes() == population
    assert {row["participant_id"]: row["day"] for row in records(copied.out / "plans.tsv")} == known | {
        "sub-002": "300"
    }
    assert ("sub-002", "300") in {(r["participant_id"], r["day"]) for r in records(copied.out / "states.tsv")}
    with Record.open(copied.out) as record:
        assert record.verify() == []


def test_an_update_without_news_repeats_the_run(copied: Ran) -> None:
    before = tables_of(copied.out)
    assert main(["update", str(copied.out), str(copied.study), "--workers", "1", "--json"]) == 0
    assert tables_of(copied.out) == before
