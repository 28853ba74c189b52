"""One study with one bad thing per patient: the run finishes, names every one of them, and the good patients' results are there."""

import contextlib
import io
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from remanent.cli import main
from remanent.stages.check import check
from small import TABLES, Ran, records, write_small

GOOD = ("sub-001", "sub-002", "sub-004", "sub-005")
SCRIPT = "<script>alert('bad')</script>"
IMAGE = "<img src=x onerror=alert(1)>"
FORMULA = "=HYPERLINK(0)"
EMAIL = "maria.q@clinic.example"


@dataclass(frozen=True)
class Bad:
    """What problems.tsv must say of one bad thing; `row` counts from 1, None where no row is meant."""

    file: str
    row: int | None
    column: str
    words: str
    action: str


class Builder:
    """A copy of a good study that takes on one bad thing after the other, and remembers what must be said."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.expected: dict[str, Bad] = {}
        self.no_doses: dict[str, str] = {}

    def person(self, who: str, *cells: str) -> None:
        """A participant with three ratings, which are good."""
        width = len((self.root / "participants.tsv").read_text().splitlines()[0].split("\t"))
        self.append("participants.tsv", "\t".join([who, *cells, *["n/a"] * (width - 1 - len(cells))]))
        (self.root / who).mkdir()
        (self.root / who / f"{who}_sessions.tsv").write_text("session_id\tday\n")
        for day, total in ((7, 12), (28, 10), (56, 9)):
            self.append("phenotype/hdrs24.tsv", f"{who}\t{day}\t{total}")

    def append(self, file: str, line: str) -> int:
        """Add a line; its number."""
        with (self.root / file).open("a", encoding="utf-8", newline="") as stream:
            stream.write(f"{line}\n")
        return len((self.root / file).read_bytes().splitlines())

    def bad_row(self, file: str, line: str, column: str, words: str, action: str = "set_aside") -> str:
        """A bad row of someone who gets the name of what is wrong; the name."""
        who = f"sub-bad{len(self.expected):02d}"
        self.person(who)
        row = self.append(file, line.format(who=who))
        self.expected[who] = Bad(file, row, column, words, action)
        if file.endswith("medication.tsv"):
            self.no_doses[who] = str(row)
        return who

    def scanned(self, template: str, visit: str) -> tuple[str, Path]:
        """Someone with the scans of one visit of `template`; name and folder of the derivatives."""
        who = f"sub-scan{len(self.expected):02d}"
        self.person(who)
        (self.root / who / f"{who}_sessions.tsv").write_text(f"session_id\tday\n{visit}\t7\n")
        for dataset in ("xcp_d", "qsirecon-MRtrix3_act-HSVS"):
            for old in (self.root / "derivatives" / dataset / template / visit).rglob("*"):
                if old.is_file():
                    relative = str(old.relative_to(self.root)).replace(template, who)
                    (self.root / relative).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(old, self.root / relative)
        return who, self.root / "derivatives"

    def bad_scan(self, damage, words: str, action: str, column: str = "") -> None:
        who, derivatives = self.scanned("sub-001", "ses-01")
        file = damage(derivatives, who)
        self.expected[who] = Bad(str(file.relative_to(self.root)), None, column, words, action)


def matrix(change):
    """A change to the connectome of a scanned person."""

    def damage(derivatives: Path, who: str) -> Path:
        (path,) = derivatives.glob(f"qsirecon*/{who}/*/dwi/*_connectivity.mat")
        content = {k: v for k, v in loadmat(path).items() if not k.startswith("__")}
        (name,) = (k for k in content if k.endswith("_connectivity"))
        change(content, name)
        savemat(path, content)
        return path

    return damage


def raw_matrix(change):
    """A change to the bytes of the connectome of a scanned person."""

    def damage(derivatives: Path, who: str) -> Path:
        (path,) = derivatives.glob(f"qsirecon*/{who}/*/dwi/*_connectivity.mat")
        path.write_bytes(change(path.read_bytes()))
        return path

    return damage


def series(change):
    """A change to the lines of the parcel series of a scanned person."""

    def damage(derivatives: Path, who: str) -> Path:
        (path,) = derivatives.glob(f"xcp_d/{who}/*/func/*_timeseries.tsv")
        path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")
        return path

    return damage


def _set(value: float):
    def change(content: dict, name: str) -> None:
        content[name] = content[name].astype(float)
        content[name][3, 5] = value
        if not np.isfinite(value):
            content[name][5, 3] = value

    return change


def _cut(content: dict, name: str) -> None:
    content[name] = content[name][:-1]


def _mislabel(content: dict, name: str) -> None:
    labels = next(k for k in content if k.endswith("_region_labels"))
    content[labels] = content[labels][:-5]


def _flat(lines: list[str]) -> list[str]:
    return [lines[0], *("\t".join(["1.0", *line.split("\t")[1:]]) for line in lines[1:])]


def _tables(b: Builder) -> None:
    b.bad_row("phenotype/medication.tsv", "{who}\tn/a\t50\t1\tn/a", "drug", '"drug" is missing')
    b.bad_row("phenotype/medication.tsv", "{who}\tsertraline\t-50\t1\tn/a", "dose_mg_day", "0 or more")
    b.bad_row("phenotype/medication.tsv", "{who}\tsertraline\t50\t90\t30", "stop_day", "must come after start_day")
    b.bad_row("phenotype/medication.tsv", "{who}\tsertralin3\t50\t1\tn/a", "drug", "not in the drug table")
    b.bad_row("phenotype/medication.tsv", "{who}\tsertraline\t50", "", "cells")
    b.bad_row("phenotype/medication.tsv", "{who}\tsertraline\t50\t31/12/2023\tn/a", "start_day", "looks like a date")
    both = b.bad_row("phenotype/medication.tsv", "{who}\tsertraline\t50\t1\tn/a", "dose_mg_day", "different doses")
    b.append("phenotype/medication.tsv", f"{both}\tsertraline\t100\t10\tn/a")
    b.bad_row("phenotype/medication.tsv", f"{{who}}\t{SCRIPT}\t50\t1\tn/a", "drug", "not in the drug table")
    b.bad_row("phenotype/hdrs24.tsv", "{who}\t7\t30", "instrument", "only the first is used")
    b.bad_row("phenotype/hdrs24.tsv", "{who}\tsoon\t20", "day", "must be a number")
    b.bad_row("phenotype/hdrs24.tsv", "{who}\t2024-05-31\t20", "day", "looks like a date")
    b.bad_row("phenotype/hdrs24.tsv", "{who}\t99", "", "cells")
    b.bad_row("phenotype/hdrs24.tsv", "{who}\t80\t990", "total", "outside the limits")
    b.bad_row("phenotype/hdrs24.tsv", "{who}\tinf\t9", "day", "infinite")
    b.bad_row("phenotype/ect.tsv", "{who}\t0\ttemporal\t0.5\t300\t40", "placement", "not a known placement")
    early = b.bad_row("phenotype/events.tsv", "{who}\t-20\trelapse\tn/a", "day", "before the last session")
    b.append("phenotype/ect.tsv", f"{early}\t0\tRUL\t0.5\t300\t40")
    b.bad_row("phenotype/events.tsv", f"{{who}}\t70\t{SCRIPT}\tn/a", "event", "not a known event")
    b.bad_row("phenotype/labs.tsv", "{who}\t20\tcrp\t4\tmiles", "unit", "no unit known")
    ghost = b.append("phenotype/hdrs24.tsv", "sub-ghost\t7\t12")
    b.expected["an unknown participant"] = Bad(
        "phenotype/hdrs24.tsv", ghost, "participant_id", "sub-ghost", "set_aside"
    )
    nobody = b.append("phenotype/hdrs24.tsv", "n/a\t7\t12")
    b.expected["nobody's row"] = Bad("phenotype/hdrs24.tsv", nobody, "participant_id", "missing", "set_aside")
    width = (b.root / "participants.tsv").read_text().splitlines()[0].count("\t")
    for name, cell in (("a path", "../../etc/passwd"), ("a script", f"sub-{SCRIPT}"), ("a formula", FORMULA)):
        row = b.append("participants.tsv", cell + "\tn/a" * width)
        b.expected[f"{name} as id"] = Bad("participants.tsv", row, "participant_id", "characters", "set_aside")


def _files(b: Builder) -> None:
    (b.root / "phenotype" / "madrs.tsv").write_bytes(b"")
    b.expected["an empty file"] = Bad("phenotype/madrs.tsv", None, "", "is empty", "refused")
    (b.root / "phenotype" / "phq9.tsv").symlink_to(b.root / "nowhere.tsv")
    b.expected["a link to nowhere"] = Bad("phenotype/phq9.tsv", None, "", "not a regular file", "refused")
    (b.root / "phenotype" / "qids_sr.tsv").mkdir()
    b.expected["a folder"] = Bad("phenotype/qids_sr.tsv", None, "", "not a regular file", "refused")
    (b.root / "phenotype" / "bdi2.tsv").write_bytes(
        "participant_id\tday\ttotal\tnote\nsub-001\t9\t20\tmüde\n".encode("latin-1")
    )
    b.expected["Latin-1"] = Bad("phenotype/bdi2.tsv", 2, "", "not UTF-8", "used")
    labs = b.root / "phenotype" / "labs.tsv"
    labs.write_bytes(b"\xef\xbb\xbf" + labs.read_bytes())
    b.expected["a byte-order mark"] = Bad("phenotype/labs.tsv", None, "", "byte-order mark", "used")
    sleep = b.root / "phenotype" / "sleep.tsv"
    sleep.write_bytes(sleep.read_bytes().replace(b"\n", b"\r\n"))
    b.expected["carriage returns"] = Bad("phenotype/sleep.tsv", None, "", "carriage returns", "used")
    loop = b.root / "derivatives" / "xcp_d" / "sub-002" / "loop"
    loop.parent.mkdir(parents=True, exist_ok=True)
    loop.symlink_to(b.root / "derivatives", target_is_directory=True)
    b.expected["a loop of links"] = Bad("derivatives/xcp_d/sub-002/loop", None, "", "link", "set_aside")


def _scans(b: Builder) -> None:
    entry = "atlas_4S156Parcels_sift_radius2_count_connectivity"
    b.bad_scan(matrix(_set(np.nan)), "missing", "refused", entry)
    b.bad_scan(matrix(_set(np.inf)), "infinite", "refused", entry)
    b.bad_scan(matrix(_set(9e9)), "must be symmetric", "refused", entry)
    b.bad_scan(matrix(_cut), "not square", "refused", entry)
    b.bad_scan(matrix(_mislabel), "156 rows and 151 labels", "refused", entry)
    b.bad_scan(raw_matrix(lambda raw: raw[: len(raw) // 2]), "not a whole MATLAB 5 file", "refused")
    b.bad_scan(raw_matrix(lambda raw: b"\x89HDF\r\n\x1a\n" + raw[8:]), "HDF5", "refused")
    b.bad_scan(series(lambda lines: lines[:11]), "10 frames", "refused")
    b.bad_scan(
        series(_flat), '"1" parcels take no part in the measures of this visit: "LH_Vis_1 (no variance)"', "used"
    )


def _cells(b: Builder) -> None:
    lines = (b.root / "participants.tsv").read_text().splitlines()
    b.root.joinpath("participants.tsv").write_text(
        "\n".join([f"{lines[0]}\temail", *(f"{line}\t{EMAIL}" for line in lines[1:])]) + "\n"
    )
    b.expected["an identifier"] = Bad("participants.tsv", 1, "email", "identifies a person", "refused")
    b.person("sub-texts", "70", "F", FORMULA, IMAGE)
    b.append("phenotype/events.tsv", f"sub-texts\t40\thospitalised\t{SCRIPT}")
    b.append("phenotype/labs.tsv", f"sub-texts\t40\t{IMAGE}\t4\t{SCRIPT}")
    (b.root / "phenotype" / "odd_scale.tsv").write_text("participant_id\tday\ttotal\nsub-texts\t30\t4\n")
    (b.root / "phenotype" / "odd_scale.json").write_text(
        f'{{"total": {{"Direction": "higher_is_worse", "Minimum": 0, "Maximum": 9, "LongName": "{SCRIPT}"}}}}'
    )
    (b.root / "dataset_description.json").write_text(f'{{"Name": "{SCRIPT}", "BIDSVersion": "1.10.0"}}')
    row = b.append("participants.tsv", "sub-silent" + "\tn/a" * len(lines[0].split("\t")))
    b.expected["a patient without records"] = Bad("participants.tsv", row, "participant_id", "no result", "set_aside")


def _amounts(b: Builder) -> None:
    """Too little and too much: one visit, and five thousand ratings on one day."""
    for who in ("sub-once", "sub-often"):
        b.append("participants.tsv", who + "\tn/a" * 7)
    b.append("phenotype/hdrs24.tsv", "sub-once\t10\t12")
    row = b.append("phenotype/hdrs24.tsv", "sub-often\t30\t20")
    with (b.root / "phenotype" / "hdrs24.tsv").open("a") as file:
        file.writelines(f"sub-often\t{30 + i / 6000:.6f}\t{i % 21}\n" for i in range(1, 5000))
    b.expected["a crowded day"] = Bad("phenotype/hdrs24.tsv", row, "day", "5000", "used")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    root = write_small(tmp_path_factory.mktemp("bad") / "study")
    for who in ("sub-003", "sub-006", "sub-007", "sub-008"):
        shutil.rmtree(root / who)
        for found in (root / "derivatives").rglob(f"{who}*"):
            shutil.rmtree(found, ignore_errors=True)
        for table in ("participants.tsv", *(f"phenotype/{p.name}" for p in (root / "phenotype").glob("*.tsv"))):
            lines = (root / table).read_text().splitlines()
            (root / table).write_text("\n".join(line for line in lines if not line.startswith(f"{who}\t")) + "\n")
    builder = Builder(root)
    for step in (_tables, _scans, _amounts, _cells, _files):
        step(builder)
    return builder


@pytest.fixture(scope="module")
def bad(built: Builder) -> Ran:
    """The run of the bad study."""
    out, said, log = built.root.parent / "out", io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(log):
        code = main(["run", str(built.root), str(out), "--workers", "1"])
    return Ran(built.root, out, code, said.getvalue(), log.getvalue())


def test_it_finishes_with_losses_and_no_traceback(bad: Ran) -> None:
    assert bad.code == 3, bad.log
    assert "Traceback" not in bad.said + bad.log
    assert "were set aside or refused: see" in bad.said


def test_every_bad_thing_is_named(built: Builder, bad: Ran) -> None:
    said = records(bad.out / "problems.tsv")
    missing = {}
    for name, one in built.expected.items():
        wanted = (one.file, str(one.row or "n/a"), one.column or "n/a", one.action)
        if not any(
            (p["file"], p["row"], p["column"], p["action"]) == wanted and one.words in p["problem"] for p in said
        ):
            missing[name] = (one, [tuple(p.values()) for p in said if p["file"] == one.file or name in p["file"]][:6])
    assert missing == {}


def test_no_fault_of_the_program_is_among_them(bad: Ran) -> None:
    assert [p for p in records(bad.out / "problems.tsv") if "fault of this program" in p["problem"]] == []


def test_nothing_is_said_of_good_rows(built: Builder, bad: Ran) -> None:
    """Every row set aside is one that was meant to be bad; the second of two contradicting doses is one too."""
    meant = {(one.file, str(one.row)) for one in built.expected.values() if one.row}
    found = {
        (p["file"], p["row"])
        for p in records(bad.out / "problems.tsv")
        if p["action"] == "set_aside" and p["row"] != "n/a"
    }
    extra = found - meant
    assert len(extra) == 1
    assert {file for file, _ in extra} == {"phenotype/medication.tsv"}


@pytest.mark.parametrize("table", ["states", "forecasts", "remanence", "mechanisms", "plans"])
def test_good_patients_have_their_results(bad: Ran, table: str) -> None:
    present = {row["participant_id"] for row in records(bad.out / f"{table}.tsv")}
    assert set(GOOD) <= present
    for row in records(bad.out / f"{table}.tsv"):
        if row["participant_id"] in GOOD and table == "states":
            assert abs(float(row["function_mean"])) < 10


def test_scans_of_good_patients_are_measured(bad: Ran) -> None:
    rows = records(bad.out / "features.tsv")
    assert len([r for r in rows if r["participant_id"] == "sub-001" and r["usable"] == "true"]) > 50


def test_damaged_scans_give_no_number_where_they_are_damaged(built: Builder, bad: Ran) -> None:
    rows = records(bad.out / "features.tsv")
    for name, one in built.expected.items():
        if name.startswith("sub-scan") and one.file.endswith(".mat"):
            mine = [r for r in rows if r["participant_id"] == name]
            assert mine, f"the other scans of {name} are usable"
            assert not [r for r in mine if r["feature"].startswith("sc_") and r["usable"] == "true"]


def test_bad_patients_with_good_ratings_have_states(built: Builder, bad: Ran) -> None:
    present = {row["participant_id"] for row in records(bad.out / "states.tsv")}
    assert {name for name in built.expected if name.startswith("sub-")} <= present


def test_lost_medication_rows_withhold_the_advice_and_say_so(built: Builder, bad: Ran) -> None:
    plans = {row["participant_id"]: row for row in records(bad.out / "plans.tsv")}
    assert len(built.no_doses) == 8
    for who, line in built.no_doses.items():
        assert plans[who]["advice"] == "not_enough_data"
        assert "what was given is not fully known" in plans[who]["reasons"]
        assert line in plans[who]["reasons"]
        assert "what was given is not fully known" in (bad.out / f"{who}.html").read_text("utf-8")
    for who in GOOD:
        assert "not fully known" not in plans[who]["reasons"]


def test_one_visit_and_a_crowded_day_have_states_and_a_reason(bad: Ran) -> None:
    plans = {row["participant_id"]: row for row in records(bad.out / "plans.tsv")}
    states = [row["participant_id"] for row in records(bad.out / "states.tsv")]
    for who in ("sub-once", "sub-often"):
        assert states.count(who) == 1
        assert plans[who]["advice"] == "not_enough_data"
        assert "symptoms rated on 1 days" in plans[who]["reasons"]


def test_a_patient_without_any_record_gets_a_page_that_says_so(bad: Ran) -> None:
    text = (bad.out / "sub-silent.html").read_text("utf-8")
    assert "no dated record" in text
    assert "nan" not in text.lower().split()


def test_text_in_cells_is_text_on_every_page(bad: Ran) -> None:
    pages = sorted(bad.out.glob("*.html"))
    shown = 0
    for page in pages:
        text = page.read_text("utf-8")
        assert SCRIPT not in text
        assert IMAGE not in text
        shown += "&lt;script&gt;alert(" in text
    assert shown >= len(pages)
    assert not [page for page in pages if "script" in page.name or ".." in page.name]


def test_no_cell_of_a_result_is_a_formula(bad: Ran) -> None:
    for name in TABLES:
        for row in records(bad.out / f"{name}.tsv"):
            for cell in row.values():
                assert not cell.startswith(("=", "@", "+")), cell


def test_what_identifies_people_reaches_no_output(bad: Ran) -> None:
    for path in bad.out.rglob("*"):
        if path.is_file():
            assert EMAIL.encode() not in path.read_bytes(), path
    assert EMAIL not in bad.said + bad.log


def test_nothing_was_written_outside(built: Builder, bad: Ran) -> None:
    assert sorted(p.name for p in bad.out.parent.iterdir()) == ["out", "study"]
    assert not {p.name for p in bad.out.rglob("*")} & {"passwd", "etc"}


def test_the_record_of_it_is_intact(bad: Ran) -> None:
    text, code = check(bad.out, ())
    assert code == 0, text


def test_a_check_of_the_study_says_the_same(built: Builder, bad: Ran) -> None:
    text, code = check(built.root, ())
    assert code == 3
    assert EMAIL not in text
    assert len(text.splitlines()) < 100


@pytest.mark.skipif(os.geteuid() == 0, reason="ROOT READS EVERYTHING: files without rights were not tried")
def test_a_file_without_rights_is_refused(tmp_path: Path) -> None:
    root = write_small(tmp_path / "study", derivatives=False, n_patients=1)
    table = root / "phenotype" / "sleep.tsv"
    table.chmod(0)
    text, code = check(root, ())
    table.chmod(0o644)
    assert code == 3
    assert "could not be read" in text
