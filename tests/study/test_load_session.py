"""A whole visit: pure, picklable, and no bytes whatever stop it."""

import json
import pickle
import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from remanent.study.bids import SessionFiles, atlases_named, load_session, read_study
from remanent.study.index import index_study
from remanent.study.session import SessionData

FUNC = "derivatives/xcp_d/sub-01/ses-a/func/sub-01_ses-a_task-rest"
ATLAS = "_space-fsLR_atlas-Tian"
LABELS = ("HIP-lh", "AMY-lh", "NAc-lh")
NUMBERS = np.random.default_rng(3).normal(size=(12, 3))


def rows(header, values, names=None) -> str:
    lines = ["\t".join(header)]
    for i, row in enumerate(np.atleast_2d(values).tolist()):
        lines.append("\t".join([*([names[i]] if names else []), *map(repr, row)]))
    return "\n".join(lines) + "\n"


def whole_visit(root: Path) -> dict[str, bytes]:
    """One visit with every file that a reader opens; returns their contents by path."""
    made_by = {
        "xcp_d": ("xcp_d", "26.1.1"),
        "fmriprep": ("fMRIPrep", "24.1.1"),
        "qsirecon-MRtrix3_act-HSVS": ("qsirecon", "1.1.1"),
    }
    texts = {
        f"derivatives/{folder}/dataset_description.json": json.dumps(
            {"GeneratedBy": [{"Name": name, "Version": version}]}
        )
        for folder, (name, version) in made_by.items()
    }
    texts[f"{FUNC}{ATLAS}_stat-mean_timeseries.tsv"] = rows(LABELS, NUMBERS)
    texts[f"{FUNC}{ATLAS}_stat-mean_timeseries.json"] = json.dumps({"RepetitionTime": 0.8})
    correlation = np.corrcoef(NUMBERS, rowvar=False)
    texts[f"{FUNC}{ATLAS}_stat-pearsoncorrelation_relmat.tsv"] = rows(("Node", *LABELS), correlation, LABELS)
    texts[f"{FUNC}{ATLAS}_stat-coverage_bold.tsv"] = rows(("Node", "coverage"), [[1.0], [0.9], [0.8]], LABELS)
    texts[f"{FUNC}_outliers.tsv"] = "framewise_displacement\n" + "0\n" * 12
    texts[f"{FUNC}_outliers.json"] = json.dumps({"framewise_displacement": {"Threshold": 0.3}})
    texts[f"{FUNC}_motion.tsv"] = "framewise_displacement\n" + "0.1\n" * 12
    texts[f"{FUNC}_design.tsv"] = "global_signal\tintercept\n" + "0.1\t1\n" * 12
    texts[f"{FUNC}_space-fsLR_den-91k_desc-linc_qc.tsv"] = "sub\tmean_fd\n01\t0.1\n"
    texts[f"{FUNC}_space-fsLR_den-91k_desc-denoised_bold.json"] = json.dumps({"RepetitionTime": 0.8})
    confounds = FUNC.replace("xcp_d", "fmriprep") + "_desc-confounds_timeseries.tsv"
    texts[confounds] = "framewise_displacement\nn/a\n" + "0.1\n" * 11
    aseg = "# Measure X, eTIV, head size, 1500000.0, mm^3\n# ColHeaders Index Volume_mm3 StructName\n1 4000.5 Left-Hippocampus\n"
    aparc = "# ColHeaders StructName GrayVol ThickAvg\ninsula 7000 2.9\n"
    subjects = "derivatives/freesurfer/sub-01"
    texts[f"{subjects}/stats/aseg.stats"] = aseg
    texts[f"{subjects}_ses-a.long.sub-01/stats/aseg.stats"] = aseg
    texts[f"{subjects}_ses-a.long.sub-01/stats/lh.aparc.stats"] = aparc
    texts[f"{subjects}_ses-a.long.sub-01/mri/lh.hippoSfVolumes-T1.long.v21.txt"] = "Whole_hippocampus 3400.5\n"
    texts[f"{subjects}_ses-a.long.sub-01/scripts/build-stamp.txt"] = "freesurfer-linux-7.4.1"
    dwi = "derivatives/qsirecon-MRtrix3_act-HSVS/sub-01/ses-a/dwi/sub-01_ses-a_space-ACPC"
    texts[f"{dwi}_model-sift2_mu.txt"] = "0.001\n"
    files = {path: text.encode() for path, text in texts.items()}
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    mat = root / f"{dwi}_connectivity.mat"
    labels = np.array([f"{label:<20}" for label in LABELS])
    counts = {"atlas_Tian_region_labels": labels, "atlas_Tian_sift_radius2_count_connectivity": np.ones((3, 3)) * 200}
    savemat(mat, counts)
    files[f"{dwi}_connectivity.mat"] = mat.read_bytes()
    return files


def visit(root: Path) -> SessionFiles:
    (session,) = index_study(root).sessions
    return session


def as_bytes(session: SessionData) -> bytes:
    return pickle.dumps(session)


def test_whole_visit(tmp_path):
    whole_visit(tmp_path)
    session = load_session(tmp_path, visit(tmp_path))
    assert session.problems == ()
    assert (session.participant_id, session.session_id) == ("sub-01", "ses-a")
    (run,), (connectome,), (morphometry,) = session.runs, session.connectomes, session.morphometry
    np.testing.assert_array_equal(run.series, NUMBERS)
    assert run.tr_s == 0.8
    assert run.quality == {"mean_fd": 0.1}
    np.testing.assert_array_equal(connectome.weights, np.full((3, 3), 0.2))
    assert morphometry.volume_mm3["Left-Hippocampus"] == 4000.5
    assert atlases_named(visit(tmp_path)) == {"Tian"}


def test_a_visit_is_a_pure_function_that_travels(tmp_path):
    whole_visit(tmp_path)
    files = pickle.loads(pickle.dumps(visit(tmp_path)))  # noqa: S301 - our own bytes
    first, second = (as_bytes(load_session(tmp_path, files)) for _ in range(2))
    assert first == second
    moved = tmp_path / "moved"
    shutil.copytree(tmp_path / "derivatives", moved / "derivatives")
    assert as_bytes(load_session(moved, visit(moved))) == first  # nothing of where the study lies


@pytest.mark.parametrize("action", ["empty", "gone", "cut", "binary"])
def test_any_one_bad_file_leaves_the_rest(tmp_path, action):
    files = whole_visit(tmp_path)
    session_files = visit(tmp_path)
    whole = load_session(tmp_path, session_files)
    parts = ("runs", "connectomes", "morphometry")
    for path, content in files.items():
        target = tmp_path / path
        target.unlink()
        if action != "gone":
            target.write_bytes({"empty": b"", "cut": content[: len(content) // 2], "binary": b"\xff\x00" * 99}[action])
        broken = load_session(tmp_path, session_files)
        same = [as_bytes(getattr(broken, part)) == as_bytes(getattr(whole, part)) for part in parts]
        assert sum(same) >= 2, path
        assert all(same) or broken.problems or action == "gone", path
        target.write_bytes(content)
    assert as_bytes(load_session(tmp_path, session_files)) == as_bytes(whole)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    root = tmp_path_factory.mktemp("fuzz")
    return root, whole_visit(root), visit(root)


def check_visit(root: Path, files: SessionFiles) -> None:
    """Whatever came, what is handed on keeps the promises of session.py."""
    session = load_session(root, files)
    for run in session.runs:
        n_parcels = len(run.labels)
        assert len(set(run.labels)) == n_parcels
        assert run.series is not None or run.relmat is not None
        if run.series is not None:
            assert run.series.shape[1] == n_parcels
            assert (np.isfinite(run.series) | np.isnan(run.series).all(axis=0)).all()
            assert run.kept is None or run.kept.sum() == len(run.series)
        if run.relmat is not None:
            np.testing.assert_allclose(run.relmat, run.relmat.T, atol=1e-5)
            assert not (np.abs(run.relmat) > 1 + 1e-5).any()
        assert run.tr_s is None or 0.1 <= run.tr_s <= 20
        assert run.fd_mm is None or (run.fd_mm >= 0).all()
        assert run.coverage is None or ((run.coverage >= 0) & (run.coverage <= 1)).all()
    for connectome in session.connectomes:
        assert len(set(connectome.labels)) == len(connectome.labels) == len(connectome.weights)
        assert np.isfinite(connectome.weights).all()
    for morphometry in session.morphometry:
        assert all(np.isfinite(value) and value >= 0 for value in morphometry.thickness_mm.values())
        assert all(np.isfinite(value) for value in morphometry.volume_mm3.values())
    for problem in session.problems:
        assert problem.problem.endswith((".", ")."))
        assert "\n" not in problem.problem


TABLE_BYTES = st.text("0123456789.-+einfa/NoT_ \t\n\r\"'#,\ufeff\x00é", max_size=200).map(str.encode)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_random_bytes_never_raise(study, data):
    root, files, session_files = study
    path = data.draw(st.sampled_from(sorted(files)))
    content = data.draw(st.one_of(st.binary(max_size=300), TABLE_BYTES))
    try:
        (root / path).write_bytes(content)
        check_visit(root, session_files)
        index_study(root)
    finally:
        (root / path).write_bytes(files[path])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_small_damage_never_raises(study, data):
    """Bytes changed, cut out or doubled in a good file reach deeper than random ones."""
    root, files, session_files = study
    path = data.draw(st.sampled_from(sorted(files)))
    content = bytearray(files[path])
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, max(0, len(content) - 1)))
        stop = data.draw(st.integers(start, min(len(content), start + 8)))
        piece = data.draw(st.one_of(st.binary(max_size=8), TABLE_BYTES))
        content[start:stop] = piece
    try:
        (root / path).write_bytes(bytes(content))
        check_visit(root, session_files)
    finally:
        (root / path).write_bytes(files[path])


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_inside_a_compressed_mat_never_raises(study, data):
    root, files, session_files = study
    path = next(path for path in files if path.endswith(".mat"))
    body = bytearray(files[path][128:])
    for _ in range(data.draw(st.integers(1, 6))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    packed = zlib.compress(bytes(body))
    element = (15).to_bytes(4, "little") + len(packed).to_bytes(4, "little") + packed
    try:
        (root / path).write_bytes(files[path][:128] + element)
        check_visit(root, session_files)
    finally:
        (root / path).write_bytes(files[path])


# --- joined with the tables -----------------------------------------------------------------------------------------


def tables(root: Path, participants: str = "participant_id\nsub-01\n", sessions: str = "session_id\tday\nses-a\t7\n"):
    (root / "dataset_description.json").write_text(json.dumps({"Name": "A study", "BIDSVersion": "1.10.0"}))
    (root / "participants.tsv").write_text(participants)
    (root / "sub-01").mkdir()
    (root / "sub-01" / "sub-01_sessions.tsv").write_text(sessions)


def test_study_joins_tables_and_scans(tmp_path):
    whole_visit(tmp_path)
    tables(tmp_path)
    study = read_study(tmp_path)
    assert study.description["Name"] == "A study"
    assert [(s.participant_id, s.session_id) for s in study.sessions] == [("sub-01", "ses-a")]
    assert study.tables["sessions"]["day"].tolist() == [7]
    assert study.problems == ()


def test_scans_of_an_unknown_participant_are_set_aside(tmp_path):
    whole_visit(tmp_path)
    tables(tmp_path, "participant_id\nsub-02\n")
    study = read_study(tmp_path)
    assert study.sessions == ()
    assert any("no row in participants.tsv" in problem.problem for problem in study.problems)


def test_scans_without_a_day_are_kept_and_reported(tmp_path):
    whole_visit(tmp_path)
    tables(tmp_path, sessions="session_id\tday\nses-b\t7\n")
    study = read_study(tmp_path)
    assert len(study.sessions) == 1
    (problem,) = study.problems
    assert problem.action == "used"
    assert "ses-a" in problem.problem


def test_study_without_a_description_is_read(tmp_path):
    whole_visit(tmp_path)
    tables(tmp_path)
    (tmp_path / "dataset_description.json").unlink()
    study = read_study(tmp_path)
    assert study.description == {}
    assert [problem.file for problem in study.problems] == ["dataset_description.json"]


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("xcp_d/sub-01/ses-a/func/sub-01_ses-a_task-rest_desc-denoised_bold.json", "Run XCP-D with atlases"),
        ("fmriprep/sub-01/ses-a/func/sub-01_ses-a_task-rest_desc-preproc_bold.json", "Run XCP-D on them"),
        ("qsirecon/sub-01/ses-a/dwi/sub-01_ses-a_desc-preproc_dwi.json", "connectivity"),
        ("freesurfer/sub-01_ses-a/stats/wmparc.stats", "recon-all"),
    ],
)
def test_a_program_from_which_nothing_is_measured_is_reported(tmp_path, file, said):
    path = tmp_path / "derivatives" / file
    path.parent.mkdir(parents=True)
    path.touch()
    session = load_session(tmp_path, visit(tmp_path))
    (problem,) = session.problems
    assert problem.action == "set_aside"
    assert said in problem.problem


def test_anatomy_alone_is_no_loss_of_function(tmp_path):
    path = tmp_path / "derivatives/xcp_d/sub-01/ses-a/anat/sub-01_ses-a_desc-preproc_T1w.json"
    path.parent.mkdir(parents=True)
    path.touch()
    assert load_session(tmp_path, visit(tmp_path)).problems == ()


@pytest.mark.real
def test_real_repeat_scans_in_both_naming_generations(real_data):
    root = real_data / "hcp-retest"
    sessions = index_study(root).sessions
    assert len(sessions) == 4
    seen = set()
    for files in sessions:
        session = load_session(root, files)
        (run,) = session.runs
        assert run.series.shape == (1200, 100)
        assert run.tr_s == 0.72
        assert len(run.labels) == 100
        assert all(label.startswith(("LH_", "RH_")) for label in run.labels)
        expected = np.loadtxt(root / run.source, delimiter="\t", skiprows=1)
        np.testing.assert_array_equal(run.series, expected)
        assert all("mu" in problem.problem for problem in session.problems)
        seen.add("_seg-" in run.source)
    assert seen == {True, False}


@pytest.mark.real
def test_real_labels_are_those_of_the_atlas(real_data):
    """Parcel names of the series are names of the 4S atlas, whose cortex is Schaefer's."""
    table = (real_data / "atlas-4S" / "tpl-MNI152NLin2009cAsym_atlas-4S_scale-156_res-01_dseg.tsv").read_text()
    names = [line.split("\t")[1] for line in table.splitlines()[1:]]
    root = real_data / "hcp-retest"
    run = load_session(root, index_study(root).sessions[0]).runs[0]
    assert list(run.labels) == names[:100]
