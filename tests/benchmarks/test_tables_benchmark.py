"""520,000 momentary ratings: read and checked, beside what only reads them."""

import csv
from pathlib import Path

import pytest

from remanent.study.tables import read_tables
from remanent.study.tsv import read_sheet

pytestmark = pytest.mark.benchmark(group="ema.tsv of 520,000 rows")

PATIENTS, RATINGS = 400, 1300


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("ema")
    (root / "phenotype").mkdir()
    ids = [f"sub-{n:03d}" for n in range(PATIENTS)]
    (root / "participants.tsv").write_text("\n".join(["participant_id", *ids]) + "\n")
    rows = (f"{i}\t{n * 0.2:.3f}\titem{n % 8}\t{(n * 7919) % 7}\n" for i in ids for n in range(RATINGS))
    (root / "phenotype" / "ema.tsv").write_text("participant_id\tday\titem\tvalue\n" + "".join(rows))
    return root


def test_read_and_checked(benchmark, study):
    tables, problems = benchmark.pedantic(read_tables, (study,), rounds=3, warmup_rounds=1)
    assert (len(tables["ema"]), problems) == (PATIENTS * RATINGS, ())


def test_only_cut_into_cells(benchmark, study):
    path = study / "phenotype" / "ema.tsv"
    sheet, _ = benchmark.pedantic(read_sheet, (path, "ema.tsv"), rounds=3, warmup_rounds=1)
    assert len(sheet) == PATIENTS * RATINGS


def test_peer_csv_module_without_any_check(benchmark, study):
    def read() -> list[tuple[str, float, str, float]]:
        with (study / "phenotype" / "ema.tsv").open(newline="") as file:
            lines = csv.reader(file, delimiter="\t")
            next(lines)
            return [(participant, float(day), item, float(value)) for participant, day, item, value in lines]

    assert len(benchmark.pedantic(read, rounds=3, warmup_rounds=1)) == PATIENTS * RATINGS


def test_peer_pandas_without_any_check(benchmark, study):
    pandas = pytest.importorskip("pandas")
    frame = benchmark.pedantic(
        pandas.read_csv, (study / "phenotype" / "ema.tsv",), {"sep": "\t"}, rounds=3, warmup_rounds=1
    )
    assert len(frame) == PATIENTS * RATINGS
