"""The command line: exit codes, one clear message and no traceback, logs for machines that name nobody."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from remanent import __version__
from remanent.cli import main

THRESHOLDS = {
    "not YAML": "default: [1, 2\n",
    "no table": "- 1\n- 2\n",
    "an unknown threshold": "default:\n  least_hope: {value: 0.5, status: assumed}\n",
    "no number": "default:\n  least_hold: {value: high, status: assumed}\n",
    "no source": "default:\n  least_hold: {value: 0.5}\n",
    "a bare number": "default:\n  least_hold: 0.5\n",
    "not a number": "default:\n  least_hold: {value: .nan, status: assumed}\n",
    "more than a probability": "mdd:\n  least_hold: {value: 80, status: assumed}\n",
    "a horizon that is not forecast": "default:\n  horizon_days: {value: 400, status: assumed}\n",
    "no default": "default: null\n",
    "a diagnosis that is a number": "mdd: 3\n",
    "Latin-1": "# \xfc\ndefault: {}\n",
}
SPECS = {
    "not YAML": "n_patients: [1\n",
    "a list": "- 1\n",
    "an unknown field": "n_patient: 3\n",
    "nobody": "n_patients: 0\n",
    "no mechanism": "mechanism: magic\n",
    "shares that do not add up": "mechanism: {passive: 0.9}\n",
}


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]):
    """Run a command in this process; exit code, standard output, standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        try:
            code = main([str(a) for a in arguments])
        except SystemExit as end:
            code = end.code
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study in which two people were rated."""
    folder = tmp_path / "study"
    (folder / "phenotype").mkdir(parents=True)
    (folder / "dataset_description.json").write_text('{"Name": "Two people", "BIDSVersion": "1.10.0"}')
    (folder / "participants.tsv").write_text("participant_id\nsub-01\nsub-02\n")
    (folder / "phenotype" / "hdrs17.tsv").write_text("participant_id\tday\ttotal\nsub-01\t3\t20\nsub-02\t4\t8\n")
    return folder


def refused(answer: tuple[int, str, str], code: int, *words: str) -> str:
    """Assert that a command ended with `code` and one message that says `words`; return the message."""
    found, _, err = answer
    assert found == code, err
    assert "Traceback" not in err
    (start,) = [number for number, line in enumerate(err.splitlines()) if line.startswith("remanent")]
    message = "\n".join(err.splitlines()[start:])
    for word in words:
        assert word in message
    return message


def test_version(command) -> None:
    assert command("--version") == (0, f"remanent {__version__}\n", "")


def test_help_names_every_command_and_the_exit_codes(command) -> None:
    code, out, _ = command("--help")
    assert code == 0
    for name in ("demo", "check", "run", "update", "simulate", "Exit codes", "Not a medical device"):
        assert name in out


def test_the_module_runs_as_the_command_does(study: Path) -> None:
    command = [sys.executable, "-m", "remanent", "check", str(study)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "2 of 2 participants can be used" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "COMMAND"),
        (("operate", "STUDY"), "operate"),
        (("run", "STUDY"), "OUT"),
        (("run", "STUDY", "OUT", "everything"), "everything"),
        (("run", "STUDY", "OUT", "--workers", "0"), "'0' is not a whole number of 1 or more"),
        (("run", "STUDY", "OUT", "--workers", "-2"), "'-2' is not a whole number of 1 or more"),
        (("run", "STUDY", "OUT", "--workers", "many"), "'many'"),
        (("run", "STUDY", "OUT", "--seed", "-1"), "'-1' is not a whole number of 0 or more"),
        (("demo", "OUT", "--patients", "0"), "'0'"),
        (("demo", "OUT", "--workers", "0"), "'0'"),
        (("run", "STUDY", "OUT", "group", "--participant-label", "01"), "--participant-label"),
    ],
)
def test_wrong_usage_is_exit_2(command, arguments: tuple[str, ...], words: str) -> None:
    refused(command(*arguments), 2, words)


@pytest.mark.parametrize("name", ["check", "run"])
def test_a_missing_folder(command, tmp_path: Path, name: str) -> None:
    gone = tmp_path / "gone"
    refused(command(name, gone, *([tmp_path / "out"] if name == "run" else [])), 1, str(gone))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["check", "run"])
def test_a_file_instead_of_a_folder(command, tmp_path: Path, name: str) -> None:
    file = tmp_path / "study.zip"
    file.write_bytes(b"PK")
    refused(command(name, file, *([tmp_path / "out"] if name == "run" else [])), 1, str(file), "folder")


def test_a_folder_that_is_no_study(command, tmp_path: Path) -> None:
    (tmp_path / "holidays").mkdir()
    refused(command("check", tmp_path / "holidays"), 1, "No participants", "participants.tsv")


@pytest.mark.parametrize("inside", [".", "results", "derivatives/a/b", "../study"])
def test_out_inside_the_study(command, study: Path, inside: str) -> None:
    before = sorted(study.rglob("*"))
    refused(command("run", study, study / inside), 1, "OUT")
    assert sorted(study.rglob("*")) == before


def test_out_that_holds_the_study(command, study: Path) -> None:
    refused(command("run", study, study.parent), 1, "OUT would hold the study")


def test_out_that_is_not_ours(command, study: Path, tmp_path: Path) -> None:
    precious = tmp_path / "mine" / "thesis.docx"
    precious.parent.mkdir()
    precious.write_bytes(b"years of work")
    refused(command("run", study, precious.parent), 1, "Nothing is overwritten")
    refused(command("run", study, precious), 1, "OUT is a file")
    assert list(precious.parent.iterdir()) == [precious]


def test_group_before_participant(command, study: Path, tmp_path: Path) -> None:
    message = refused(command("run", study, tmp_path / "out", "group"), 1, "participant")
    assert "remanent run" in message
    assert not (tmp_path / "out").exists()


def test_group_on_results_that_lost_their_record(command, study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert command("run", study, out, "participant")[0] == 0
    for file in out.glob("study.sqlite*"):
        file.unlink()
    refused(command("run", study, out, "group"), 1, "no record")
    assert not (out / "states.tsv").exists()


@pytest.mark.parametrize("name", ["check", "run"])
def test_an_unknown_participant(command, study: Path, tmp_path: Path, name: str) -> None:
    out = [tmp_path / "out"] if name == "run" else []
    refused(command(name, study, *out, "--participant-label", "01", "77"), 2, "77")


def test_a_participant_is_known_with_and_without_its_prefix(command, study: Path) -> None:
    for label in ("02", "sub-02"):
        code, out, _ = command("check", study, "--participant-label", label)
        assert code == 0
        assert "1 of 1 participants" in out


@pytest.mark.parametrize("what", THRESHOLDS)
def test_bad_thresholds(command, study: Path, tmp_path: Path, what: str) -> None:
    file = tmp_path / "thresholds.yaml"
    file.write_bytes(THRESHOLDS[what].encode("latin-1"))
    refused(command("run", study, tmp_path / "out", "--thresholds", file), 1, str(file))
    assert not (tmp_path / "out").exists()


def test_missing_thresholds(command, study: Path, tmp_path: Path) -> None:
    refused(command("run", study, tmp_path / "out", "--thresholds", tmp_path / "none.yaml"), 1, "none.yaml")


@pytest.mark.parametrize("what", SPECS)
def test_bad_specifications(command, tmp_path: Path, what: str) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(SPECS[what])
    refused(command("simulate", file, tmp_path / "out"), 1, str(file))
    assert not (tmp_path / "out").exists()


def test_nothing_is_simulated_over_files(command, tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text("n_patients: 1\nderivatives: false\ntruth_paths: 2\n")
    refused(command("simulate", spec, tmp_path), 2, "not an empty folder")
    refused(command("simulate", spec, spec), 2, "not an empty folder")
    refused(command("simulate", tmp_path / "none.yaml", tmp_path / "out"), 1, "none.yaml")
    code, out, _ = command("simulate", spec, tmp_path / "out")
    assert code == 0
    assert "truth.tsv" in out


def test_a_demo_where_it_cannot_be(command, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    refused(command("demo", file, "--patients", "1"), 1, str(file))
    (tmp_path / "demo" / "study").mkdir(parents=True)
    (tmp_path / "demo" / "study" / "mine.txt").write_text("")
    refused(command("demo", tmp_path / "demo", "--patients", "1"), 2, "not an empty folder")


def test_a_demo_is_not_taken_for_another(command, tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "truth.tsv").write_text("participant_id\n")
    (tmp_path / "study" / "participants.tsv").write_text("participant_id\nsub-1\nsub-2\n")
    refused(command("demo", tmp_path, "--patients", "3"), 2, "2 patients, not 3")


def test_an_update_of_nothing(command, study: Path, tmp_path: Path) -> None:
    refused(command("update", tmp_path / "out", study), 1, "holds no fitted population")


def test_a_study_without_anything_to_fit_is_unusable(command, study: Path, tmp_path: Path) -> None:
    (study / "phenotype" / "hdrs17.tsv").unlink()
    code, out, err = command("run", study, tmp_path / "out")
    assert code == 1, err
    assert "No participant has a dated rating or usable scan" in out
    assert command("check", study)[0] == 1


def test_losses_are_exit_3_and_named(command, study: Path, tmp_path: Path) -> None:
    with (study / "phenotype" / "hdrs17.tsv").open("a") as file:
        file.write("sub-02\t9\tmuch\n")
    code, out, _ = command("run", study, tmp_path / "out", "participant")
    assert code == 3
    assert f"1 rows, files or values were set aside or refused: see {tmp_path / 'out' / 'problems.tsv'}." in out
    (row,) = (tmp_path / "out" / "problems.tsv").read_text().splitlines()[1:]
    assert row.startswith("phenotype/hdrs17.tsv\t4\ttotal\t")
    assert row.endswith("\tset_aside\tsub-02")
    assert command("check", tmp_path / "out")[0] == 0
    code, out, _ = command("check", study)
    assert code == 3
    assert "phenotype/hdrs17.tsv line 4, total" in out


def test_all_that_check_found_can_be_shown(command, study: Path) -> None:
    for i in range(20):
        (study / "phenotype" / f"scale{i:02d}.tsv").write_text("participant_id\tday\ttotal\nsub-02\t9\t1\n")
    _, out, _ = command("check", study)
    assert "kinds of problem: `remanent check --all` lists them" in out
    _, out, _ = command("check", study, "--all")
    assert "more kinds of problem" not in out
    assert all(f"scale{i:02d}.tsv" in out for i in range(20))


def test_the_log_for_machines_names_nobody(command, study: Path, tmp_path: Path) -> None:
    _, out, err = command("run", study, tmp_path / "out", "participant", "--json")
    events = [json.loads(line) for line in err.splitlines()]
    assert {"event", "seconds"} <= set(events[0])
    assert [e["event"] for e in events] == ["ingest"]
    assert "sub-0" not in out + err


def test_a_full_disk_is_one_message(command, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, os.strerror(28), str(tmp_path / "out" / "x"))

    monkeypatch.setattr("remanent.stages.run.measure_study", full)
    refused(command("run", study, tmp_path / "out"), 1, "No space left", "Check the disk")


def test_an_interrupted_run_says_how_to_go_on(command, study: Path, tmp_path: Path, monkeypatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("remanent.stages.run.measure_study", stopped)
    refused(command("run", study, tmp_path / "out"), 130, "run the same command again")


@pytest.mark.parametrize("days", ["", "a", "28,28", "91,28", "0,28", "-3", "28,nan", "28,inf"])
def test_breaks_of_the_hazard_are_ascending_days(command, study: Path, tmp_path: Path, days: str) -> None:
    refused(command("run", study, tmp_path / "out", "--hazard-breaks", days), 2, "ascending days above 0")
