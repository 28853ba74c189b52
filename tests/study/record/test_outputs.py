"""OUT is a BIDS derivative: the validator accepts it, a spreadsheet runs nothing from it, the same input gives the same bytes."""

import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remanent._errors import InputError, UsageError
from remanent.study import outputs, schema
from remanent.study.record.files import read_arrays, write_draws
from remanent.study.store import Record

FEATURES = {
    "participant_id": ["sub-01", "sub-02"],
    "session_id": ["ses-1", "ses-1"],
    "day": [-3.0, np.nan],
    "feature": ["fc_default_default", "vol_hippocampus"],
    "value": [1 / 3, np.nan],
    "usable": np.array([True, False]),
    "reason": ["", "=HYPERLINK(1)\tx\ny"],
}
PROBLEMS = {
    "file": ["phenotype/ema.tsv", "-x.tsv"],
    "row": [7, np.nan],
    "problem": ["Größe unklar", "x"],
    "action": ["used", "refused"],
}


@pytest.fixture
def study(tmp_path):
    (tmp_path / "study").mkdir()
    return tmp_path / "study"


def write(out, study, tables=None):
    outputs.claim(out, study)
    tables = {"features": FEATURES, "problems": PROBLEMS} if tables is None else tables
    source = {"Name": "Testdaten", "DatasetDOI": "doi:10.0/x"}
    return outputs.write_outputs(out, tables, description=outputs.describe(out, study, source, {"seed": 3}))


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_cells_are_as_bids_has_them(tmp_path, study):
    write(tmp_path / "out", study)
    text = (tmp_path / "out/features.tsv").read_text(encoding="utf-8")
    assert text == (
        "participant_id\tsession_id\tday\tfeature\tvalue\tse\tz\tusable\treason\tharmonised\tharmonised_se\n"
        "sub-01\tses-1\t-3\tfc_default_default\t0.33333333\tn/a\tn/a\ttrue\tn/a\tn/a\tn/a\n"
        "sub-02\tses-1\tn/a\tvol_hippocampus\tn/a\tn/a\tn/a\tfalse\t'=HYPERLINK(1) x y\tn/a\tn/a\n"
    )
    assert (tmp_path / "out/problems.tsv").read_text(encoding="utf-8").splitlines()[1:] == [
        "phenotype/ema.tsv\t7\tn/a\tGröße unklar\tused\tn/a",
        "'-x.tsv\tn/a\tn/a\tx\trefused\tn/a",
    ]
    assert json.loads((tmp_path / "out/features.json").read_bytes())["day"]["Units"] == "day"
    np.testing.assert_array_equal(read_arrays(tmp_path / "out/features.parquet")["value"], FEATURES["value"])


def test_the_same_input_gives_the_same_bytes(tmp_path, study):
    write(tmp_path / "one", study)
    write(tmp_path / "two", study)
    first = files(tmp_path / "one")
    assert first == files(tmp_path / "two")
    before = {name: (tmp_path / "one" / name).stat().st_mtime_ns for name in first}
    write(tmp_path / "one", study)
    assert {name: (tmp_path / "one" / name).stat().st_mtime_ns for name in first} == before


def test_the_validator_accepts_out(tmp_path, study):
    """Everything that CONTRACT.md names is there, and the validator finds no error."""
    out = study / "derivatives/remanent"
    outputs.claim(out, study)
    every = {name: {c.name: [] for c in spec.columns} for name, spec in schema.OUTPUT.items()}
    paths = write(out, study, every | {"features": FEATURES, "problems": PROBLEMS})
    with Record.open(out) as record:
        record.put_files(paths)
        record.put_draws("posterior", {"x": np.zeros((2, 2))})
        assert record.verify() == []
    for name in ("index.html", "sub-01.html"):
        (out / name).write_text("<p>")
    tool = shutil.which("bids-validator-deno") or str(Path(sys.executable).with_name("bids-validator-deno"))
    done = subprocess.run([tool, "--format", "json", str(out)], capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)["issues"]["issues"]
    assert [issue for issue in found if issue["severity"] == "error"] == []
    assert done.returncode == 0
    shutil.rmtree(out / "draws")
    (out / ".bidsignore").unlink()
    done = subprocess.run([tool, "--format", "json", str(out)], capture_output=True, text=True, check=False)
    assert done.returncode == 16, "the validator must be able to say no"


def test_the_description_says_from_what_and_by_whom(tmp_path, study):
    write(tmp_path / "out", study)
    said = json.loads((tmp_path / "out/dataset_description.json").read_bytes())
    assert said["GeneratedBy"][0].items() >= {"Name": "Remanent", "Version": "0.1.0"}.items()
    assert said["SourceDatasets"] == [{"DOI": "doi:10.0/x"}]
    assert said["Remanent"] == {"seed": 3}
    nameless = outputs.describe(tmp_path / "out", study, {}, {})
    assert nameless["SourceDatasets"] == [{"URL": "../study"}]
    assert str(tmp_path) not in json.dumps(nameless)


@given(st.text())
def test_no_cell_is_a_formula_or_breaks_the_table(text):
    columns = {"file": [text or "x"], "problem": ["p"], "action": ["used"]}
    try:
        data = outputs.table_bytes(schema.OUTPUT["problems"], columns).decode()
    except UsageError:  # nothing but blanks, or n/a itself: a required value is missing
        assert text.strip() in {"", "n/a"} or not text.isprintable()
        return
    header, row = list(csv.reader(io.StringIO(data), delimiter="\t", quoting=csv.QUOTE_NONE))
    assert len(header) == len(row) == len(schema.OUTPUT["problems"].columns)
    assert row[0][:1] not in {"=", "+", "-", "@", "\t", "\r"} or row[0].lstrip("+-").replace(".", "").isdigit()
    assert data.splitlines() == data.split("\n")[:-1]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"file": ["a"], "problem": ["x"], "action": ["used"], "colour": ["red"]}, "no column colour"),
        ({"file": ["a"], "problem": [None], "action": ["used"]}, "row 1 has no value"),
        ({"file": ["a"], "problem": ["x"]}, "row 1 has no value"),
        ({"file": ["a"], "problem": ["x"], "action": ["ignored"]}, "unknown level ignored"),
    ],
)
def test_a_table_the_schema_does_not_know_is_not_written(columns, message):
    with pytest.raises(UsageError, match=message):
        outputs.table_bytes(schema.OUTPUT["problems"], columns)


def test_an_infinite_number_is_not_written():
    row = {"participant_id": ["cohort"], "mechanism": ["dual"], "probability": [0.5], "log_evidence": [-np.inf]}
    with pytest.raises(UsageError, match="infinite"):
        outputs.table_bytes(schema.OUTPUT["mechanisms"], row | {"identifiable": [False]})


def test_out_that_would_do_harm_is_refused(tmp_path, study):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.docx").touch()
    (tmp_path / "file").touch()
    other = study / "derivatives/fmriprep"
    other.mkdir(parents=True)
    described = {"DatasetType": "derivative", "GeneratedBy": [{"Name": "fMRIPrep"}]}
    (other / "dataset_description.json").write_text(json.dumps(described))
    for out, message in [
        (study, "would hold the study itself"),
        (tmp_path, "would hold the study itself"),
        (study / "sub-01", "lies in the study"),
        (study / "derivatives/fmriprep/x", "lies in the study"),
        (study / "derivatives", "lies in the study"),
        (other, "holds something else"),
        (tmp_path / "full", "holds something else"),
        (tmp_path / "file", "is a file"),
        (tmp_path / "file/out", "cannot be made"),
    ]:
        before = files(tmp_path)
        with pytest.raises(InputError, match=message):
            outputs.claim(out, study)
        assert files(tmp_path) == before


def test_out_is_claimed_once_and_known_again(tmp_path, study):
    out = tmp_path / "a/b"
    for _ in range(2):
        outputs.claim(out, study)
        assert outputs.is_ours(out)
        (out / ".features.tsv.77.tmp").write_text("half a ta")
    outputs.claim(out, study)
    assert sorted(path.name for path in out.iterdir()) == [".bidsignore", "dataset_description.json"]
    (out / "dataset_description.json").write_text("{")
    with pytest.raises(InputError, match="holds something else"):
        outputs.claim(out, study)


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path, study, monkeypatch):
    write(tmp_path / "out", study)
    before = files(tmp_path / "out")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match=r"features\.tsv: cannot write: No space left"):
        write(tmp_path / "out", study, {"features": FEATURES | {"value": [1.0, 2.0]}})
    assert files(tmp_path / "out") == before


def test_draws_of_one_patient_are_kept_like_those_of_many(tmp_path: Path) -> None:
    many = np.arange(12.0).reshape(4, 3)
    for columns in ([0, 2], [1]):
        path = write_draws(tmp_path, "today", {"f": many[:, columns]})
        np.testing.assert_array_equal(read_arrays(path)["f"], many[:, columns])
