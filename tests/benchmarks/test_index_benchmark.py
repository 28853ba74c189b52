"""Indexing 28,201 XCP-D-like files (100 participants x 6 sessions) beside bids2table; reading one series beside pyarrow."""

import json
from pathlib import Path

import numpy as np
import pytest

from remanent.study.derivatives.files import read_numeric
from remanent.study.index import index_study

index_group = pytest.mark.benchmark(group="index 28,201 files")
series_group = pytest.mark.benchmark(group="read a series of 1200 frames x 100 parcels")

ATLASES = ("4S156Parcels", "4S456Parcels", "Tian")
N_FILES = 28_201


def session_names(prefix: str) -> tuple[list[str], list[str]]:
    """The file names of one session as XCP-D 26.x writes them: 9 anatomical, 38 functional."""
    task = f"{prefix}_task-rest"
    space = f"{task}_space-fsLR"
    stats = (
        "stat-mean_timeseries",
        "stat-pearsoncorrelation_relmat",
        "stat-coverage_bold",
        "stat-alff_bold",
        "stat-reho_bold",
    )
    func = [f"{space}_atlas-{atlas}_{stat}{ext}" for atlas in ATLASES for stat in stats for ext in (".tsv", ".json")]
    func += [f"{task}_{suffix}{ext}" for suffix in ("motion", "outliers", "design") for ext in (".tsv", ".json")]
    func += [f"{space}_den-91k_desc-linc_qc.tsv", f"{task}_desc-abcc_qc.hdf5"]
    anat = [
        f"{prefix}_space-fsLR_atlas-{atlas}_stat-mean_desc-{desc}_morph.tsv"
        for atlas in ATLASES
        for desc in ("curv", "sulc", "thickness")
    ]
    return anat, func


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("study")
    dataset = root / "derivatives" / "xcp_d"
    for sub in range(100):
        for ses in range(6):
            prefix = f"sub-{sub:03}_ses-{ses}"
            folder = dataset / f"sub-{sub:03}" / f"ses-{ses}"
            for kind, names in zip(("anat", "func"), session_names(prefix), strict=True):
                (folder / kind).mkdir(parents=True)
                for name in names:
                    (folder / kind / name).touch()
    description = {"Name": "XCP-D", "BIDSVersion": "1.10.0", "DatasetType": "derivative"}
    description["GeneratedBy"] = [{"Name": "xcp_d", "Version": "26.1.1"}]
    (dataset / "dataset_description.json").write_text(json.dumps(description))
    assert sum(path.is_file() for path in dataset.rglob("*")) == N_FILES
    return root


@index_group
def test_index_remanent(benchmark, tree):
    index = benchmark.pedantic(index_study, args=(tree,), rounds=5, iterations=1, warmup_rounds=1)
    assert len(index.sessions) == 600
    assert (
        sum(len(session.files) for session in index.sessions) == N_FILES - 601
    )  # all but the description and 600 HDF5 files
    assert not index.problems


@index_group
def test_index_bids2table(benchmark, tree):
    bids2table = pytest.importorskip("bids2table")
    dataset = tree / "derivatives" / "xcp_d"

    def peer():
        return bids2table.index_dataset(dataset)

    table = benchmark.pedantic(peer, rounds=3, iterations=1, warmup_rounds=0)
    assert table.num_rows == 17_400  # bids2table leaves JSON sidecars out


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("series") / "timeseries.tsv"
    values = np.random.default_rng(1).normal(size=(1200, 100))
    values[:, 7] = np.nan
    lines = ["\t".join("n/a" if np.isnan(value) else repr(value) for value in row) for row in values.tolist()]
    path.write_text("\n".join(["\t".join(f"P{i}" for i in range(100)), *lines]) + "\n")
    return path


@series_group
def test_series_remanent(benchmark, series):
    table = benchmark(read_numeric, series.parent, series.name)
    assert table.values.shape == (1200, 100)


@series_group
def test_series_pyarrow(benchmark, series):
    """The same work: every column as numbers, one array out; it names no cell when one is wrong."""
    csv = pytest.importorskip("pyarrow.csv")
    convert = csv.ConvertOptions(null_values=["n/a"])

    def peer():
        table = csv.read_csv(series, parse_options=csv.ParseOptions(delimiter="\t"), convert_options=convert)
        return np.column_stack([column.cast("float64").to_numpy() for column in table.columns])

    assert benchmark(peer).shape == (1200, 100)
