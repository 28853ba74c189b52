"""XCP-D's files in every naming generation, whole and broken."""

import json
from pathlib import Path

import numpy as np
import pytest

from remanent.study.bids import load_session
from remanent.study.index import index_study
from remanent.study.session import SessionData

LABELS = ("LH_Vis_1", "LH_Default_PFC_4", "RH_Cont_PFCl_9", "LH-Pu")
NAMES = {  # parcellation and the ends of the three tables' names
    "0.6.4": ("atlas", "timeseries", "measure-pearsoncorrelation_conmat", "coverage"),
    "0.10.7": ("seg", "stat-mean_timeseries", "stat-pearsoncorrelation_relmat", "stat-coverage_bold"),
    "26.1.1": ("atlas", "stat-mean_timeseries", "stat-pearsoncorrelation_relmat", "stat-coverage_bold"),
}
VERSIONS = tuple(NAMES)
TABLES = ("series", "matrix", "coverage")


class Study:
    """One participant's visit as XCP-D writes it; every file can be replaced afterwards."""

    def __init__(self, root: Path, version: str = "26.1.1", folder: str = "xcp_d") -> None:
        self.root, self.version = root, version
        self.dataset = root / "derivatives" / folder
        self.func = self.dataset / "sub-01" / "ses-a" / "func"
        self.func.mkdir(parents=True)
        self.describe([{"Name": "xcp_d", "Version": version}])

    def describe(self, made_by: list[dict[str, str]]) -> None:
        (self.dataset / "dataset_description.json").write_text(json.dumps({"GeneratedBy": made_by}))

    def path(self, table: str, run: str = "", entity: str = "") -> Path:
        parcellation, *ends = NAMES[self.version]
        end = ends[TABLES.index(table)]
        return self.func / f"sub-01_ses-a_task-rest{run}_space-fsLR_{parcellation}-4S156Parcels{entity}_{end}.tsv"

    def write(self, path: Path | str, content: str | bytes | dict) -> None:
        path = self.func / path if isinstance(path, str) else path
        content = json.dumps(content) if isinstance(content, dict) else content
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def series(self, values: np.ndarray, labels=LABELS, run: str = "", entity: str = "") -> Path:
        path = self.path("series", run, entity)
        self.write(path, table(labels, values))
        return path

    def matrix(self, values: np.ndarray, labels=LABELS, rows=None, run: str = "", entity: str = "") -> Path:
        path = self.path("matrix", run, entity)
        self.write(path, table(("Node", *labels), values, rows or labels))
        return path

    def coverage(self, values, labels=LABELS, run: str = "") -> Path:
        path = self.path("coverage", run)
        self.write(path, table(("Node", "coverage"), np.array(values)[:, None], labels))
        return path

    def outliers(self, flags, run: str = "", sidecar: dict | None = None) -> None:
        stem = f"sub-01_ses-a_task-rest{run}_outliers"
        self.write(f"{stem}.tsv", table(("framewise_displacement",), np.array(flags)[:, None]))
        if sidecar:
            self.write(f"{stem}.json", sidecar)

    def motion(self, fd, run: str = "") -> None:
        header = ("trans_x", "framewise_displacement")
        values = np.column_stack([np.zeros(len(fd)), fd])
        self.write(f"sub-01_ses-a_task-rest{run}_motion.tsv", table(header, values))

    def load(self, **options) -> SessionData:
        index = index_study(self.root)
        assert not index.problems
        (session,) = index.sessions
        return load_session(self.root, session, **options)


def table(header, values, rows=None) -> str:
    lines = ["\t".join(header)]
    for i, row in enumerate(np.atleast_2d(values)):
        cells = ["n/a" if isinstance(cell, float) and np.isnan(cell) else repr(cell) for cell in row.tolist()]
        lines.append("\t".join([rows[i], *cells] if rows else cells))
    return "\n".join(lines) + "\n"


def signals(n_frames: int = 40, n_parcels: int = 4, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n_frames, n_parcels))


def correlations(values: np.ndarray) -> np.ndarray:
    return np.corrcoef(values, rowvar=False)


@pytest.mark.parametrize("entity", ["", "_den-91k"])
@pytest.mark.parametrize("version", VERSIONS)
def test_every_naming_generation_gives_the_same_run(tmp_path, version, entity):
    study, values = Study(tmp_path, version), signals()
    study.series(values, entity=entity)
    study.matrix(correlations(values), entity=entity)
    study.coverage([1, 0.9, 0.5, 0])
    study.motion(np.linspace(0, 0.4, 40))
    (run,) = study.load().runs
    np.testing.assert_array_equal(run.series, values)
    np.testing.assert_array_equal(run.relmat, correlations(values))
    np.testing.assert_array_equal(run.coverage, [1, 0.9, 0.5, 0])
    np.testing.assert_array_equal(run.fd_mm, np.linspace(0, 0.4, 40))
    assert (run.task, run.atlas, run.labels) == ("rest", "4S156Parcels", LABELS)
    assert (run.pipeline.name, run.pipeline.version) == ("xcp_d", version)


def test_configuration_hash_is_stripped_from_names_and_labels(tmp_path):
    study, values = Study(tmp_path), signals()
    hashed = [f"{label}_hash-a1b2" for label in LABELS]
    study.series(values, hashed, entity="_hash-a1b2")
    study.matrix(correlations(values), hashed, entity="_hash-a1b2")
    study.write(
        "sub-01_ses-a_task-rest_hash-a1b2_outliers.tsv",
        table(("framewise_displacement_hash-a1b2",), np.zeros((40, 1), int)),
    )
    session = study.load()
    (run,) = session.runs
    assert run.labels == LABELS
    assert run.relmat is not None
    assert run.kept is not None
    assert run.pipeline.settings["configuration"] == "a1b2"
    assert not session.problems


def test_second_configuration_of_the_same_frames_is_set_aside(tmp_path):
    study = Study(tmp_path)
    study.series(signals(), entity="_hash-aa")
    study.series(signals(seed=2), entity="_hash-bb")
    session = study.load()
    assert len(session.runs) == 1
    (problem,) = session.problems
    assert problem.action == "set_aside"
    assert "another processing" in problem.problem


def test_newest_version_of_the_same_run_is_read(tmp_path):
    old, new = Study(tmp_path, "0.10.7", "xcp_d"), Study(tmp_path, "26.1.1", "xcp_d-26")
    old.series(signals())
    new.series(signals(seed=2))
    (run,) = new.load().runs
    assert run.pipeline.version == "26.1.1"


def test_matrix_with_random_frames_is_not_the_matrix(tmp_path):
    study, values = Study(tmp_path), signals()
    study.matrix(np.eye(4)).rename(
        study.func
        / "sub-01_ses-a_task-rest_space-fsLR_atlas-4S156Parcels_stat-pearsoncorrelation_desc-26volumes_relmat.tsv"
    )
    study.matrix(correlations(values))
    (run,) = study.load().runs
    np.testing.assert_array_equal(run.relmat, correlations(values))


def test_rows_and_series_are_aligned_by_label(tmp_path):
    study, values = Study(tmp_path), signals()
    order, rows = [2, 0, 3, 1], [1, 3, 0, 2]
    matrix = correlations(values)
    shuffled = matrix[np.ix_(rows, order)]
    study.series(values)
    study.matrix(shuffled, [LABELS[i] for i in order], [LABELS[i] for i in rows])
    (run,) = study.load().runs
    np.testing.assert_array_equal(run.relmat, matrix)


# --- frames ---------------------------------------------------------------------------------------------------------

FLAGS = np.zeros(40, int)
FLAGS[[3, 4, 17]] = 1


@pytest.mark.parametrize("output", ["censored", "interpolated"])
def test_censored_and_interpolated_series_give_the_same_frames(tmp_path, output):
    study, values = Study(tmp_path), signals()
    study.series(values[FLAGS == 0] if output == "censored" else values)
    study.outliers(FLAGS)
    (run,) = study.load().runs
    np.testing.assert_array_equal(run.series, values[FLAGS == 0])
    np.testing.assert_array_equal(run.kept, FLAGS == 0)


def test_series_that_fits_no_mask_is_refused_and_its_matrix_kept(tmp_path):
    study, values = Study(tmp_path), signals()
    study.series(values[:35])
    study.matrix(correlations(values))
    study.outliers(FLAGS)
    session = study.load()
    (run,) = session.runs
    assert run.series is None
    assert run.relmat is not None
    (problem,) = session.problems
    assert problem.action == "refused"
    assert "35 frames" in problem.problem
    assert "37 of 40" in problem.problem


@pytest.mark.parametrize("flags", ["0\n2\n0", "0\nn/a\n0", "0\nyes\n0", "0\n\n0"])
def test_wrong_outlier_flags_are_refused_with_their_row(tmp_path, flags):
    study = Study(tmp_path)
    study.series(signals(3))
    study.write("sub-01_ses-a_task-rest_outliers.tsv", f"framewise_displacement\n{flags}\n")
    session = study.load()
    assert session.runs[0].kept is None
    (problem,) = session.problems
    assert problem.row == 3


def test_old_outliers_with_random_censoring_columns(tmp_path):
    study = Study(tmp_path, "0.6.4")
    study.series(signals(3))
    study.write("sub-01_ses-a_task-rest_outliers.tsv", "framewise_displacement\texact_2\n0\t0\n0\t1\n0\t2\n")
    (run,) = study.load().runs
    np.testing.assert_array_equal(run.kept, [True, True, True])


def test_ten_volumes_and_flat_parcels_are_handed_on(tmp_path):
    study, values = Study(tmp_path), signals(10)
    values[:, 2] = 7.0
    study.series(values)
    session = study.load()
    np.testing.assert_array_equal(session.runs[0].series, values)
    assert not session.problems


@pytest.mark.parametrize(
    ("sidecars", "expected"),
    [
        ({"series": {"RepetitionTime": 0.8}}, 0.8),
        ({"series": {"SamplingFrequency": 1.25}}, 0.8),
        ({"series": {"SamplingFrequency": "TR"}}, None),
        ({"series": {"SamplingFrequency": "TR"}, "sub-01_ses-a_task-rest_motion.json": {"RepetitionTime": 2}}, 2.0),
        ({"sub-01_ses-a_task-rest_space-fsLR_den-91k_desc-denoised_bold.json": {"RepetitionTime": 2}}, 2.0),
        ({"/task-rest_bold.json": {"RepetitionTime": 1.5}}, 1.5),
        ({"/sub-01/ses-a/func/sub-01_ses-a_task-rest_bold.json": {"RepetitionTime": 1.1}}, 1.1),
        ({"/derivatives/fmriprep/sub-01/ses-a/func/sub-01_ses-a_task-rest_space-T1w_desc-preproc_bold.json": {"RepetitionTime": 3}}, 3.0),
    ],
)  # fmt: skip
def test_repetition_time_from_any_sidecar(tmp_path, sidecars, expected):
    study = Study(tmp_path)
    series = study.series(signals())
    (tmp_path / "derivatives" / "fmriprep").mkdir()
    description = {"GeneratedBy": [{"Name": "fMRIPrep", "Version": "24.1.1"}]}
    (tmp_path / "derivatives" / "fmriprep" / "dataset_description.json").write_text(json.dumps(description))
    for name, content in sidecars.items():
        path = series.with_suffix(".json") if name == "series" else study.func / name
        path = tmp_path / name[1:] if name.startswith("/") else path
        path.parent.mkdir(parents=True, exist_ok=True)
        study.write(path, content)
    assert study.load().runs[0].tr_s == expected


def test_impossible_repetition_time_is_set_aside(tmp_path):
    study = Study(tmp_path)
    study.write(study.series(signals()).with_suffix(".json"), {"RepetitionTime": 720})
    session = study.load()
    assert session.runs[0].tr_s is None
    assert "720 s" in session.problems[0].problem


def confounds(root: Path, fd: list[str], non_steady: int = 0) -> None:
    folder = root / "derivatives" / "fmriprep" / "sub-01" / "ses-a" / "func"
    folder.mkdir(parents=True)
    extra = [f"non_steady_state_outlier{i:02}" for i in range(non_steady)]
    rows = ["\t".join([cell, *("1" if i == j else "0" for j in range(non_steady))]) for i, cell in enumerate(fd)]
    text = "\n".join(["\t".join(["framewise_displacement", *extra]), *rows]) + "\n"
    (folder / "sub-01_ses-a_task-rest_desc-confounds_timeseries.tsv").write_text(text)
    description = {"GeneratedBy": [{"Name": "fMRIPrep", "Version": "24.1.1"}]}
    (root / "derivatives" / "fmriprep" / "dataset_description.json").write_text(json.dumps(description))


def test_motion_from_fmriprep_where_xcpd_has_none(tmp_path):
    study = Study(tmp_path)
    study.series(signals(3))
    confounds(tmp_path, ["n/a", "0.2", "0.1"])
    np.testing.assert_array_equal(study.load().runs[0].fd_mm, [0, 0.2, 0.1])


def test_motion_from_fmriprep_loses_the_volumes_that_xcpd_dropped(tmp_path):
    study = Study(tmp_path)
    study.series(signals(3))
    confounds(tmp_path, ["n/a", "0.9", "0.3", "0.2", "0.1"], non_steady=2)
    np.testing.assert_array_equal(study.load().runs[0].fd_mm, [0.3, 0.2, 0.1])


def test_motion_of_another_length_is_set_aside(tmp_path):
    study = Study(tmp_path)
    study.series(signals(3))
    study.motion([0, 0.1, 0.2, 0.3])
    session = study.load()
    assert session.runs[0].fd_mm is None
    assert "4 volumes, the run 3" in session.problems[0].problem


# --- runs and their concatenation -----------------------------------------------------------------------------------


def test_runs_own_series_are_preferred_to_the_concatenation(tmp_path):
    study, first, second = Study(tmp_path), signals(20), signals(30, seed=2)
    study.series(first, run="_run-01")
    study.series(second, run="_run-02")
    study.series(np.vstack([first, second]))
    study.matrix(correlations(np.vstack([first, second])))
    runs = study.load().runs
    assert [len(run.series) for run in runs] == [20, 30]
    assert {run.pipeline.settings["level"] for run in runs} == {"run"}


def test_concatenation_takes_coverage_and_quality_from_its_runs(tmp_path):
    study, values = Study(tmp_path), signals(50)
    study.matrix(correlations(values))
    study.outliers(np.zeros(50, int))
    study.coverage([1, 0.8, 0.9, 0.4], run="_run-01")
    study.coverage([0.7, 1, 0.9, 0.6], run="_run-02")
    for run, n_kept, fd, dice in (("01", 10, 0.1, 0.95), ("02", 30, 0.3, 0.9)):
        quality = f"sub\ttask\tmean_fd\tnum_retained_volumes\tcoreg_dice\n01\trest\t{fd}\t{n_kept}\t{dice}\n"
        study.write(f"sub-01_ses-a_task-rest_run-{run}_space-fsLR_den-91k_desc-linc_qc.tsv", quality)
    (run,) = study.load().runs
    np.testing.assert_array_equal(run.coverage, [0.7, 0.8, 0.9, 0.4])
    assert run.quality == pytest.approx({"mean_fd": 0.25, "num_retained_volumes": 40, "coreg_dice": 0.9})
    assert run.pipeline.settings["level"] == "concatenated"
    assert run.kept.sum() == 50


def test_concatenation_is_known_by_the_motion_of_its_runs(tmp_path):
    study = Study(tmp_path)
    study.matrix(correlations(signals()))
    study.motion(np.zeros(20), run="_run-01")
    study.motion(np.zeros(20), run="_run-02")
    (run,) = study.load().runs
    assert run.pipeline.settings["level"] == "concatenated"
    assert "writes zeros" in run.doubts[0]


def test_concatenation_is_read_where_no_run_can_be(tmp_path):
    study, values = Study(tmp_path), signals()
    study.write(study.path("series", "_run-01"), "")
    study.write(study.path("series", "_run-02"), "LH_Vis_1\n")
    study.series(values)
    session = study.load()
    (run,) = session.runs
    np.testing.assert_array_equal(run.series, values)
    assert len([problem for problem in session.problems if problem.action == "refused"]) == 2


def test_opposite_directions_are_runs_too(tmp_path):
    study = Study(tmp_path)
    study.series(signals(20), run="_dir-AP")
    study.series(signals(20, seed=2), run="_dir-PA")
    study.series(signals(40, seed=3))
    assert [len(run.series) for run in study.load().runs] == [20, 20]


def test_tasks_and_atlases_stay_apart(tmp_path):
    study = Study(tmp_path)
    path = study.series(signals())
    content = path.read_text()
    study.write(path.name.replace("task-rest", "task-faces"), content)
    study.write(path.name.replace("4S156Parcels", "Tian"), content)
    session = study.load()
    found = {(run.task, run.atlas) for run in session.runs}
    assert found == {("rest", "4S156Parcels"), ("faces", "4S156Parcels"), ("rest", "Tian")}
    assert {run.atlas for run in study.load(atlas="Tian").runs} == {"Tian"}


# --- settings and known errors --------------------------------------------------------------------------------------


def test_settings_that_change_values(tmp_path):
    study = Study(tmp_path)
    study.series(signals())
    study.outliers(np.zeros(40, int), sidecar={"framewise_displacement": {"Threshold": 0.3}})
    study.motion(np.zeros(40))
    study.write(
        "sub-01_ses-a_task-rest_design.tsv",
        "trans_x\tglobal_signal\tw_comp_cor_00\tlinear_trend\tintercept\n0\t0\t0\t0\t1\n",
    )
    filters = {"Bandpass filter": {"Low-pass cutoff (Hz)": 0.08, "High-pass cutoff (Hz)": 0.01, "Filter order": 2}}
    study.write("sub-01_ses-a_task-rest_space-fsLR_den-91k_desc-denoised_bold.json", {"SoftwareFilters": filters})
    study.write("sub-01_ses-a_task-rest_space-fsLR_den-91k_desc-denoisedSmoothed_bold.json", {"FWHM": 6})
    assert study.load().runs[0].pipeline.settings == {
        "level": "run",
        "space": "fsLR",
        "gsr": "yes",
        "nuisance": "acompcor",
        "n_regressors": "2",
        "fd_threshold_mm": "0.3",
        "bandpass_hz": "0.01-0.08",
        "smoothing_fwhm_mm": "6",
        "motion_filter": "no",
    }


def test_a_bad_sidecar_loses_its_own_setting_only(tmp_path):
    study = Study(tmp_path)
    study.series(signals())
    study.motion(np.zeros(40))
    study.write("sub-01_ses-a_task-rest_design.tsv", b"\xff")
    study.write("sub-01_ses-a_task-rest_space-fsLR_den-91k_desc-denoised_bold.json", "[]")
    session = study.load()
    assert set(session.runs[0].pipeline.settings) == {"level", "space", "fd_threshold_mm", "motion_filter"}
    assert len(session.problems) == 2


def test_no_outliers_file_means_no_censoring(tmp_path):
    study = Study(tmp_path)
    study.series(signals())
    study.motion(np.zeros(40))
    assert study.load().runs[0].pipeline.settings["fd_threshold_mm"] == "0"


def test_respiratory_filter_of_old_versions(tmp_path):
    study = Study(tmp_path, "0.6.4")
    study.series(signals(3))
    study.write("sub-01_ses-a_task-rest_desc-filtered_motion.tsv", "framewise_displacement\n0\n0.1\n0.2\n")
    (run,) = study.load().runs
    np.testing.assert_array_equal(run.fd_mm, [0, 0.1, 0.2])
    assert run.pipeline.settings["motion_filter"] == "yes"


def test_error_of_the_upstream_program_is_an_error_here(tmp_path):
    study = Study(tmp_path)
    study.series(signals())
    study.describe([{"Name": "xcp_d", "Version": "26.1.1"}, {"Name": "fMRIPrep", "Version": "25.1.3"}])
    session = study.load()
    assert session.runs[0].pipeline.settings["upstream"] == "fMRIPrep 25.1.3"
    (doubt,) = session.runs[0].doubts
    assert "edge of the field of view" in doubt
    assert session.problems[0].action == "used"


def test_refusing_error_takes_the_run_out_and_says_so(tmp_path):
    study = Study(tmp_path)
    study.series(signals())
    study.describe([{"Name": "xcp_d", "Version": "0.2.0"}, {"Name": "fMRIPrep", "Version": "20.0.1"}])
    session = study.load()
    assert session.runs == ()
    assert "refused" in {problem.action for problem in session.problems}
    assert study.load(gates=()).runs  # a caller may overrule the list


# --- bad input ------------------------------------------------------------------------------------------------------


def break_matrix(values: np.ndarray, how: str) -> tuple[np.ndarray, list[str], list[str]]:
    values, labels, rows = values.copy(), list(LABELS), list(LABELS)
    if how == "asymmetric":
        values[0, 1] += 0.01
    elif how == "infinite":
        values[0, 1] = values[1, 0] = np.inf
    elif how == "out of range":
        values[0, 1] = values[1, 0] = 1.5
    elif how == "one-sided n/a":
        values[0, 1] = np.nan
    elif how == "all n/a":
        values = np.where(np.eye(4, dtype=bool), 1.0, np.nan)
    elif how == "not square":
        values, rows = values[:3], rows[:3]
    elif how == "duplicate label":
        labels[1] = rows[1] = labels[0]
    elif how == "other row labels":
        rows[1] = "elsewhere"
    elif how == "empty label":
        labels[1] = rows[1] = ""
    return values, labels, rows


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("asymmetric", "mirror image"),
        ("infinite", "infinite"),
        ("out of range", "between -1 and 1"),
        ("one-sided n/a", "mirror image"),
        ("all n/a", "No pair"),
        ("not square", "not square"),
        ("duplicate label", "this name"),
        ("other row labels", "different parcels"),
        ("empty label", "no name"),
    ],
)
def test_bad_matrix_is_refused_with_a_reason(tmp_path, how, reason):
    study = Study(tmp_path)
    study.matrix(*break_matrix(correlations(signals()), how))
    session = study.load()
    assert session.runs == ()
    (problem,) = session.problems
    assert problem.action == "refused"
    assert reason in problem.problem
    assert problem.file == str(study.path("matrix").relative_to(tmp_path))


def test_uncovered_parcel_in_a_matrix_is_missing(tmp_path):
    study, matrix = Study(tmp_path), correlations(signals())
    matrix[1] = matrix[:, 1] = np.nan
    study.matrix(matrix)
    session = study.load()
    np.testing.assert_array_equal(session.runs[0].relmat, matrix)
    assert not session.problems


def test_uncovered_parcel_in_a_series_is_missing(tmp_path):
    study, values = Study(tmp_path), signals()
    values[:, 1] = np.nan
    study.series(values)
    session = study.load()
    np.testing.assert_array_equal(session.runs[0].series, values)
    assert not session.problems


def test_empty_cells_are_missing_as_xcpd_26_0_writes_them(tmp_path):
    study = Study(tmp_path)
    values = signals()
    values[:, 1] = np.nan
    study.write(study.path("series"), table(LABELS, values).replace("n/a", ""))
    np.testing.assert_array_equal(study.load().runs[0].series, values)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_parcel_with_bad_frames_is_set_aside_alone(tmp_path, bad):
    study, values = Study(tmp_path), signals()
    values[5, 2] = bad
    study.series(values)
    session = study.load()
    series = session.runs[0].series
    assert np.isnan(series[:, 2]).all()
    np.testing.assert_array_equal(series[:, [0, 1, 3]], values[:, [0, 1, 3]])
    (problem,) = session.problems
    assert (problem.row, problem.column, problem.action) == (7, LABELS[2], "set_aside")


GOOD = table(LABELS, signals(6))


@pytest.mark.parametrize(
    ("content", "reason", "row"),
    [
        ("", "empty", None),
        ("\n\n", "empty", None),
        (GOOD.split("\n")[0], "no rows", 1),
        (GOOD[:-20], "ragged", 7),
        (GOOD + "1\t2\t3\t4\t5\n", "ragged", 8),
        (GOOD.replace("\n", "\n\n", 2), "ragged", 2),
        (GOOD + "1\ttwo\t3\t4\n", "got 'two'", 8),
        (GOOD + "1\t1_000\t3\t4\n", "got '1_000'", 8),
        (GOOD + "1\t2,5\t3\t4\n", "got '2,5'", 8),
        (GOOD.replace(LABELS[1], LABELS[0]), "this name", 1),
        (GOOD.replace(LABELS[1], ""), "no name", 1),
        (b"\xff\xfe" + GOOD.encode("utf-16-le"), "UTF-8", None),
        (GOOD.encode().replace(b"Vis", b"V\xefs"), "UTF-8", None),
        (table(LABELS, np.full((5, 4), np.nan)), "No parcel", None),
    ],
)
def test_bad_series_is_refused_with_place_and_reason(tmp_path, content, reason, row):
    study, values = Study(tmp_path), signals()
    study.write(study.path("series"), content)
    study.matrix(correlations(values))
    session = study.load()
    assert session.runs[0].series is None
    assert session.runs[0].relmat is not None
    (problem,) = session.problems
    assert (problem.action, problem.row) == ("refused", row)
    assert reason in problem.problem


@pytest.mark.parametrize("content", [GOOD.replace("\n", "\r\n"), "\ufeff" + GOOD, GOOD.rstrip("\n"), GOOD + "\n\n"])
def test_harmless_differences_are_read_as_they_are(tmp_path, content):
    study = Study(tmp_path)
    study.write(study.path("series"), content)
    session = study.load()
    np.testing.assert_array_equal(session.runs[0].series, signals(6))
    assert session.runs[0].labels == LABELS
    assert not session.problems


@pytest.mark.parametrize(
    ("values", "reason"), [([1, 1.2, 1, 1], "between 0 and 1"), ([1, -0.1, 1, 1], "between 0 and 1")]
)
def test_impossible_coverage_is_not_used(tmp_path, values, reason):
    study = Study(tmp_path)
    study.series(signals())
    study.coverage(values)
    session = study.load()
    assert session.runs[0].coverage is None
    assert reason in session.problems[0].problem


def test_coverage_of_other_parcels_is_not_used(tmp_path):
    study = Study(tmp_path)
    study.series(signals())
    study.coverage([1, 1, 1], LABELS[:3])
    session = study.load()
    assert session.runs[0].coverage is None
    assert "LH-Pu" in session.problems[0].problem


def test_missing_and_wide_coverage(tmp_path):
    study = Study(tmp_path)
    study.series(signals())
    study.write(study.path("coverage"), table(LABELS, np.array([[0.5, np.nan, 1, 1]])))
    np.testing.assert_array_equal(study.load().runs[0].coverage, [0.5, 0, 1, 1])


def test_matrix_of_other_parcels_is_set_aside(tmp_path):
    study, values = Study(tmp_path), signals()
    study.series(values)
    study.matrix(correlations(values), ("a", "b", "c", "d"))
    session = study.load()
    assert session.runs[0].relmat is None
    assert session.runs[0].series is not None
    assert session.problems[0].action == "set_aside"


def test_one_bad_file_never_stops_the_session(tmp_path):
    study = Study(tmp_path)
    good = study.series(signals())
    study.write(good.name.replace("4S156Parcels", "Tian"), b"\x00\xff")
    study.write("sub-01_ses-a_task-rest_motion.tsv", "")
    study.write("sub-01_ses-a_task-rest_design.tsv", b"\xff")
    study.write(good.with_suffix(".json"), "{not json")
    session = study.load()
    assert [run.atlas for run in session.runs] == ["4S156Parcels"]
    assert {Path(problem.file).name.split("_")[-1] for problem in session.problems} == {
        "timeseries.tsv",
        "motion.tsv",
        "design.tsv",
        "timeseries.json",
    }


def test_broken_link_and_folder_in_place_of_a_file(tmp_path):
    study = Study(tmp_path)
    study.path("series").symlink_to("../../../../.git/annex/objects/gone")
    study.path("matrix").mkdir()
    session = study.load()
    assert session.runs == ()
    assert "cannot be opened" in session.problems[0].problem
