"""QSIRecon's connectivity.mat, whole and broken."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from remanent.study.bids import load_session
from remanent.study.index import index_study
from remanent.study.session import SessionData

LABELS = ("LH_Vis_1", "LH_Default_PFC_4", "RH_Cont_PFCl_9", "LH_Hippocampus")
SIFT = "sift_invnodevol_radius2_count"


class Study:
    def __init__(self, root: Path, version: str = "1.1.1", dataset: str = "qsirecon-MRtrix3_act-HSVS") -> None:
        self.root = root
        folder = root / "derivatives" / dataset
        self.dwi = folder / "sub-01" / "ses-a" / "dwi"
        self.dwi.mkdir(parents=True)
        description = {"GeneratedBy": [{"Name": "qsirecon", "Version": version}]}
        (folder / "dataset_description.json").write_text(json.dumps(description))
        self.mat = self.dwi / "sub-01_ses-a_dir-AP_space-ACPC_connectivity.mat"

    def save(self, *contents: dict) -> None:
        merged = {key: value for content in contents for key, value in content.items()}
        savemat(self.mat, merged, long_field_names=True)

    def mu(self, text: str) -> None:
        (self.dwi / "sub-01_ses-a_dir-AP_space-ACPC_model-sift2_mu.txt").write_text(text)

    def load(self, **options) -> SessionData:
        (session,) = index_study(self.root).sessions
        return load_session(self.root, session, **options)


def weights(seed: int = 1, n: int = 4) -> np.ndarray:
    half = np.random.default_rng(seed).gamma(2, 100, size=(n, n))
    return half + half.T


def content(measures: dict[str, np.ndarray], labels=LABELS, atlas: str = "4S156Parcels") -> dict:
    named = {f"atlas_{atlas}_{measure}_connectivity": values for measure, values in measures.items()}
    labels = np.array([f"{label:<30}" for label in labels])
    return {f"atlas_{atlas}_region_ids": np.arange(4), f"atlas_{atlas}_region_labels": labels, **named, "command": "x"}


def test_every_measure_of_every_atlas_is_a_connectome(tmp_path):
    study = Study(tmp_path)
    lengths = weights(2)
    study.save(content({SIFT: weights(), "radius2_meanlength": lengths}), content({SIFT: weights(3)}, atlas="My_Atlas"))
    study.mu("0.001\n")
    connectomes = {(c.atlas, c.measure): c for c in study.load().connectomes}
    assert set(connectomes) == {("4S156Parcels", SIFT), ("4S156Parcels", "radius2_meanlength"), ("My_Atlas", SIFT)}
    sift, length = connectomes["4S156Parcels", SIFT], connectomes["4S156Parcels", "radius2_meanlength"]
    np.testing.assert_allclose(sift.weights, weights() * 0.001, rtol=1e-15)
    np.testing.assert_array_equal(length.weights, lengths)
    assert sift.mu_applied
    assert not length.mu_applied
    assert sift.labels == LABELS
    assert sift.pipeline.settings == {
        "atlas": "4S156Parcels",
        "reconstruction": "MRtrix3_act-HSVS",
        "space": "ACPC",
        "tool": "mrtrix",
    }
    assert {c.atlas for c in study.load(atlas="My_Atlas").connectomes} == {"My_Atlas"}


def test_labels_in_cells_as_qsirecon_writes_and_merges_them(tmp_path):
    study = Study(tmp_path)
    first = content({SIFT: weights()})
    first["atlas_4S156Parcels_region_labels"] = np.array(LABELS, dtype=object)
    study.save(first)
    again = {key: value for key, value in loadmat(study.mat).items() if not key.startswith("__")}
    study.save(again)  # QSIRecon reads each atlas's file and saves all in one
    (connectome,) = study.load().connectomes
    assert connectome.labels == LABELS


def test_sift2_without_mu_is_handed_on_with_a_word(tmp_path):
    study = Study(tmp_path)
    study.save(content({SIFT: weights()}))
    session = study.load()
    np.testing.assert_array_equal(session.connectomes[0].weights, weights())
    assert not session.connectomes[0].mu_applied
    assert "mu" in session.problems[0].problem
    assert session.problems[0].action == "used"


@pytest.mark.parametrize("text", ["", "0", "-1", "nan", "x", "inf"])
def test_bad_mu_is_refused_and_the_connectome_kept(tmp_path, text):
    study = Study(tmp_path)
    study.save(content({SIFT: weights()}))
    study.mu(text)
    session = study.load()
    assert not session.connectomes[0].mu_applied
    assert session.problems[0].action == "refused"
    assert session.problems[0].file.endswith("_mu.txt")


def test_mu_of_another_tractogram_is_not_used(tmp_path):
    study = Study(tmp_path)
    study.save(content({SIFT: weights()}))
    (study.dwi / "sub-01_ses-a_dir-PA_space-ACPC_model-sift2_mu.txt").write_text("0.5")
    assert not study.load().connectomes[0].mu_applied


def with_entries(value: float, *places: tuple[int, int]) -> np.ndarray:
    values = weights()
    for place in places:
        values[place] = value
    return values


BROKEN = {
    "asymmetric": (with_entries(1.0, (0, 1)), LABELS, "mirror image"),
    "nan": (with_entries(np.nan, (0, 1), (1, 0)), LABELS, "missing"),
    "infinite": (with_entries(np.inf, (2, 2)), LABELS, "infinite"),
    "negative": (with_entries(-1.0, (0, 1), (1, 0)), LABELS, "at least 0"),
    "smaller than its atlas": (weights()[:3, :3], LABELS, "3 rows and 4 labels"),
    "not square": (weights()[:3], LABELS, "not square"),
    "one number": (np.array(1.0), LABELS, "1 rows and 4 labels"),
    "duplicate labels": (weights(), (LABELS[0], *LABELS[:3]), "Two rows are labelled LH_Vis_1"),
    "empty label": (weights(), (*LABELS[:3], ""), "empty"),
    "text": (np.array(["no", "numbers"]), LABELS, "does not hold numbers"),
    "all missing": (np.full((4, 4), np.nan), LABELS, "missing throughout"),
}


@pytest.mark.parametrize(("values", "labels", "reason"), BROKEN.values(), ids=BROKEN)
def test_bad_matrix_is_refused_and_the_other_kept(tmp_path, values, labels, reason):
    study = Study(tmp_path)
    study.save(content({"radius2_count": values}, labels), content({"radius2_count": weights()}, atlas="Good"))
    session = study.load()
    assert [connectome.atlas for connectome in session.connectomes] == ["Good"]
    (problem,) = session.problems
    assert (problem.action, problem.column) == ("refused", "atlas_4S156Parcels_radius2_count_connectivity")
    assert reason in problem.problem


def test_parcel_missing_throughout_is_left_out(tmp_path):
    study, values = Study(tmp_path), weights()
    values[1] = values[:, 1] = np.nan
    study.save(content({"radius2_count": values}))
    (connectome,) = study.load().connectomes
    assert connectome.labels == (LABELS[0], *LABELS[2:])
    np.testing.assert_array_equal(connectome.weights, weights()[np.ix_([0, 2, 3], [0, 2, 3])])


def test_matrix_without_labels_is_refused(tmp_path):
    study = Study(tmp_path)
    study.save({"atlas_A_radius2_count_connectivity": weights()})
    session = study.load()
    assert not session.connectomes
    assert "no labels" in session.problems[0].problem


def test_network_measures_and_text_are_passed_over(tmp_path):
    study = Study(tmp_path, dataset="qsirecon-DSIStudio")
    study.save(
        content({"count_pass": weights()}), {"atlas_4S156Parcels_count_pass_density": 0.3, "note": "connectivity"}
    )
    session = study.load()
    assert [connectome.measure for connectome in session.connectomes] == ["count_pass"]
    assert session.connectomes[0].pipeline.settings["tool"] == "dsistudio"
    assert not session.problems


@pytest.mark.parametrize("version", ["1.2.0", "26.0.0"])
def test_atlas_grid_error_refuses_mrtrix_but_not_dsi_studio(tmp_path, version):
    study = Study(tmp_path, version)
    study.save(content({SIFT: weights(), "count_pass": weights()}))
    study.mu("0.1")
    session = study.load()
    assert [connectome.measure for connectome in session.connectomes] == ["count_pass"]
    (problem,) = session.problems
    assert problem.action == "refused"
    assert "issues/399" in problem.problem
    assert len(study.load(gates=()).connectomes) == 2


def test_shifted_labels_of_extended_atlases_are_refused(tmp_path):
    study = Study(tmp_path, "1.1.1", "qsirecon-DSIStudio")
    study.save(content({"count_pass": weights()}, atlas="Brainnetome246Ext"), content({"count_pass": weights()}))
    session = study.load()
    assert [connectome.atlas for connectome in session.connectomes] == ["4S156Parcels"]
    assert "issues/274" in session.problems[0].problem


def test_doubt_about_an_old_version_is_on_the_value(tmp_path):
    study = Study(tmp_path, "1.0.1")
    study.save(content({"radius2_count": weights()}))
    (connectome,) = study.load().connectomes
    assert "several sessions" in connectome.doubts[0]


@pytest.mark.parametrize("keep", [0, 60, 130, 200, 0.5, 0.9, -1])
def test_truncated_file_is_refused(tmp_path, keep):
    study = Study(tmp_path)
    study.save(content({"radius2_count": weights(n=4)}))
    whole = study.mat.read_bytes()
    study.mat.write_bytes(whole[: int(len(whole) * keep) if 0 < keep < 1 else keep])
    session = study.load()
    assert not session.connectomes
    assert session.problems[0].action == "refused"


def test_hdf5_is_refused_with_what_to_do(tmp_path):
    study = Study(tmp_path)
    header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM"
    for start in (header.ljust(512, b"\x00") + b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + bytes(600)):
        study.mat.write_bytes(start)
        (problem,) = study.load().problems
        assert "HDF5" in problem.problem
        assert "-v7" in problem.problem


def test_text_and_matlab4_are_not_matlab5(tmp_path):
    study = Study(tmp_path)
    for data in (b"not a matrix" * 50, bytes(1000)):
        study.mat.write_bytes(data)
        (problem,) = study.load().problems
        assert "not a whole MATLAB 5 file" in problem.problem or "empty" in problem.problem


@pytest.mark.real
def test_real_connectomes(real_data):
    root = real_data / "hcp-retest"
    sessions = {s.participant_id: s for s in index_study(root).sessions if s.session_id == "ses-rest1"}
    for participant in ("sub-100206", "sub-100307"):
        connectomes = {c.measure: c for c in load_session(root, sessions[participant]).connectomes}
        assert set(connectomes) == {SIFT, "radius2_meanlength"}
        sift = connectomes[SIFT]
        (path,) = (root / "derivatives").glob(f"qsirecon*/{participant}/*/dwi/*.mat")
        raw = loadmat(path)
        np.testing.assert_array_equal(sift.weights, raw[f"atlas_Schaefer100_{SIFT}_connectivity"])
        assert sift.labels[:2] == ("LH_Vis_1", "LH_Vis_2")
        assert len(sift.labels) == 100
