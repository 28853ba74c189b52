"""The index: which files belong to which visit, and what cannot be told."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remanent.study.dataset import describe, kind_of
from remanent.study.index import index_study, split_name

SERIES = "task-rest_space-fsLR_atlas-Tian_stat-mean_timeseries.tsv"


def touch(root: Path, *files: str) -> None:
    for file in files:
        path = root / "derivatives" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def describe_as(root: Path, folder: str, name: str, version: str = "1.0") -> None:
    path = root / "derivatives" / folder
    path.mkdir(parents=True, exist_ok=True)
    (path / "dataset_description.json").write_text(json.dumps({"GeneratedBy": [{"Name": name, "Version": version}]}))


def sessions(root: Path, *participants: str) -> dict[tuple[str, str], list[str]]:
    index = index_study(root, participants)
    return {(s.participant_id, s.session_id): [f.path for f in s.files] for s in index.sessions}


def test_every_entity_suffix_and_extension_is_kept(tmp_path):
    describe_as(tmp_path, "xcp_d", "xcp_d", "26.1.1")
    name = "sub-01_ses-a_task-rest_acq-mb_dir-AP_run-01_space-fsLR_atlas-4S156Parcels_den-91k_stat-mean_desc-x_hash-ab_timeseries"
    touch(tmp_path, f"xcp_d/sub-01/ses-a/func/{name}.tsv")
    (session,) = index_study(tmp_path).sessions
    (file,) = session.files
    assert dict(file.entities) == dict(token.split("-") for token in name.split("_")[:-1])
    assert (file.suffix, file.extension, file.kind) == ("timeseries", ".tsv", "xcpd")
    assert (file.pipeline.name, file.pipeline.version) == ("xcp_d", "26.1.1")


@given(
    entities=st.dictionaries(
        st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.from_regex(r"[0-9A-Za-z+]{1,9}", fullmatch=True), max_size=9
    ),
    suffix=st.from_regex(r"[A-Za-z0-9]{1,9}", fullmatch=True),
    extension=st.sampled_from(["", ".tsv", ".nii.gz", ".ptseries.nii"]),
)
def test_a_name_is_split_into_what_it_was_made_of(entities, suffix, extension):
    name = "_".join([*(f"{key}-{value}" for key, value in entities.items()), suffix]) + extension
    assert split_name(name) == (entities, suffix, extension)


@pytest.mark.parametrize(
    ("folder", "maker", "kind"),
    [
        ("xcp_d", None, "xcpd"),
        ("xcp_d-0.10.7", None, "xcpd"),
        ("fmriprep-24", None, "fmriprep"),
        ("qsirecon-MRtrix3_act-HSVS", None, "qsirecon"),
        ("freesurfer-7.4", None, "freesurfer"),
        ("mriqc", None, None),
        ("denoised", "xcp_d", "xcpd"),
        ("denoised", "XCP-D: postprocessing", "xcpd"),
        ("fmriprep", "xcp_d", "xcpd"),
        ("xcp_d", "cubnm data", "xcpd"),
        ("mriqc", "mriqc", None),
    ],
)
def test_a_dataset_is_known_by_its_maker_then_by_its_name(tmp_path, folder, maker, kind):
    if maker:
        describe_as(tmp_path, folder, maker)
    path = tmp_path / "derivatives" / folder
    path.mkdir(parents=True, exist_ok=True)
    dataset, _ = describe(path, folder, described=maker is not None, people=False)
    assert (dataset.kind if dataset else None) == kind


def test_kind_is_not_found_inside_a_word():
    assert kind_of("my_xcp_d") is None


@pytest.mark.parametrize(
    ("content", "version"),
    [
        ('{"GeneratedBy": {"Name": "xcp_d", "Version": "0.7.5"}}', "0.7.5"),
        ('{"PipelineDescription": {"Name": "xcp_d", "Version": "0.0.4"}}', "0.0.4"),
        ('{"GeneratedBy": [{"Name": "xcp_d", "Version": 1.1}]}', "1.1"),
        ('{"GeneratedBy": [{"Name": "xcp_d"}]}', "unknown"),
        ('{"GeneratedBy": []}', "unknown"),
        ('{"GeneratedBy": "xcp_d"}', "unknown"),
        ("[]", "unknown"),
    ],
)
def test_version_in_every_form(tmp_path, content, version):
    touch(tmp_path, f"xcp_d/sub-01/func/sub-01_{SERIES}")
    (tmp_path / "derivatives" / "xcp_d" / "dataset_description.json").write_text(content)
    index = index_study(tmp_path)
    assert index.sessions[0].files[0].pipeline.version == version
    assert [problem.column for problem in index.problems] == (["GeneratedBy"] if version == "unknown" else [])


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000])
def test_broken_description_is_reported_and_the_files_are_used(tmp_path, content):
    touch(tmp_path, f"xcp_d/sub-01/func/sub-01_{SERIES}")
    (tmp_path / "derivatives" / "xcp_d" / "dataset_description.json").write_bytes(content)
    index = index_study(tmp_path)
    assert len(index.sessions) == 1
    (problem,) = index.problems
    assert (problem.file, problem.action) == ("derivatives/xcp_d/dataset_description.json", "used")


def test_missing_description_is_reported_but_not_freesurfers(tmp_path):
    touch(tmp_path, f"xcp_d/sub-01/func/sub-01_{SERIES}", "freesurfer/sub-01/stats/aseg.stats")
    (problem,) = index_study(tmp_path).problems
    assert problem.file == "derivatives/xcp_d"


def test_a_dataset_may_lie_in_a_folder_of_its_own_name(tmp_path):
    describe_as(tmp_path, "xcp_d/xcp_d", "xcp_d", "0.6.4")  # as XCP-D wrote it up to 0.6
    touch(tmp_path, f"xcp_d/xcp_d/sub-01/func/sub-01_{SERIES}")
    describe_as(tmp_path, "qsirecon", "QSIRecon", "1.1.1")
    describe_as(tmp_path, "qsirecon/derivatives/qsirecon-DSIStudio", "QSIRecon", "1.1.1")
    touch(tmp_path, "qsirecon/derivatives/qsirecon-DSIStudio/sub-01/dwi/sub-01_space-ACPC_connectivity.mat")
    index = index_study(tmp_path)
    assert [file.kind for file in index.sessions[0].files] == ["qsirecon", "xcpd"]
    assert not index.problems


def test_files_are_grouped_by_participant_and_session(tmp_path):
    describe_as(tmp_path, "xcp_d", "xcp_d")
    describe_as(tmp_path, "fmriprep", "fMRIPrep")
    touch(
        tmp_path,
        f"xcp_d/sub-02/ses-b/func/sub-02_ses-b_{SERIES}",
        f"xcp_d/sub-01/ses-a/func/sub-01_ses-a_{SERIES}",
        "fmriprep/sub-01/ses-a/func/sub-01_ses-a_task-rest_desc-confounds_timeseries.tsv",
        "xcp_d/sub-01/figures/sub-01_ses-a_task-rest.tsv",
        "xcp_d/sub-01/ses-a/func/sub-01_ses-a_task-rest_desc-denoised_bold.nii.gz",
        "xcp_d/logs/sub-01_ses-a_log.tsv",
        "xcp_d/sourcedata/atlases/sub-01/sub-01_dseg.tsv",
        "xcp_d/.git/sub-01/sub-01_x.tsv",
        "mriqc/sub-01/ses-a/func/sub-01_ses-a_task-rest_bold.json",
    )
    found = sessions(tmp_path)
    assert list(found) == [("sub-01", "ses-a"), ("sub-02", "ses-b")]
    assert [path.split("/")[1] for path in found["sub-01", "ses-a"]] == ["fmriprep", "xcp_d"]
    assert list(sessions(tmp_path, "02")) == list(sessions(tmp_path, "sub-02")) == [("sub-02", "ses-b")]


def test_study_without_sessions_and_without_derivatives(tmp_path):
    assert sessions(tmp_path) == {}
    describe_as(tmp_path, "xcp_d", "xcp_d")
    touch(tmp_path, f"xcp_d/sub-01/func/sub-01_{SERIES}")
    assert list(sessions(tmp_path)) == [("sub-01", "")]


# --- FreeSurfer -----------------------------------------------------------------------------------------------------


def freesurfer(root: Path, *subjects: str, folder: str = "freesurfer") -> None:
    touch(root, *(f"{folder}/{subject}/stats/aseg.stats" for subject in subjects))


def test_freesurfer_folders_of_every_naming(tmp_path):
    touch(tmp_path, "freesurfer/fsaverage/stats/aseg.stats", "freesurfer/sub-01_ses-a/surf/lh.white.txt")
    freesurfer(tmp_path, "sub-01_ses-a", "sub-01_ses-b", "sub-01_ses-b.long.sub-01", "sub-01", "sub-02")
    index = index_study(tmp_path)
    found = {(s.participant_id, s.session_id): {f.entities["fsid"] for f in s.files} for s in index.sessions}
    assert found == {
        ("sub-01", "ses-a"): {"sub-01_ses-a"},
        ("sub-01", "ses-b"): {"sub-01_ses-b", "sub-01_ses-b.long.sub-01", "sub-01"},
        ("sub-02", ""): {"sub-02"},
    }
    assert not index.problems


@pytest.mark.parametrize("base", ["sub-01", "sub-01_base", "sub-01_ses-a+b", "sub-01_template"])
def test_base_template_goes_to_its_longitudinal_visits(tmp_path, base):
    freesurfer(tmp_path, base, f"sub-01_ses-a.long.{base}", f"sub-01_ses-b.long.{base}")
    found = sessions(tmp_path)
    for visit in ("ses-a", "ses-b"):
        assert f"derivatives/freesurfer/{base}/stats/aseg.stats" in found["sub-01", visit]
    assert len(found) == 2


def test_one_anatomy_belongs_to_the_only_visit(tmp_path):
    describe_as(tmp_path, "xcp_d", "xcp_d")
    touch(tmp_path, f"xcp_d/sub-01/ses-a/func/sub-01_ses-a_{SERIES}")
    freesurfer(tmp_path, "sub-01", folder="fmriprep/sourcedata/freesurfer")
    assert len(sessions(tmp_path)["sub-01", "ses-a"]) == 2


def test_one_anatomy_for_several_visits_is_set_aside(tmp_path):
    describe_as(tmp_path, "xcp_d", "xcp_d")
    for visit in ("ses-a", "ses-b"):
        touch(tmp_path, f"xcp_d/sub-01/{visit}/func/sub-01_{visit}_{SERIES}")
    freesurfer(tmp_path, "sub-01")
    index = index_study(tmp_path)
    assert all(len(session.files) == 1 for session in index.sessions)
    (problem,) = index.problems
    assert (problem.file, problem.action) == ("derivatives/freesurfer/sub-01", "set_aside")
    assert "several visits" in problem.problem


def test_series_of_no_visit_is_set_aside_where_there_are_visits(tmp_path):
    describe_as(tmp_path, "xcp_d", "xcp_d")
    touch(tmp_path, f"xcp_d/sub-01/ses-a/func/sub-01_ses-a_{SERIES}", f"xcp_d/sub-01/func/sub-01_{SERIES}")
    index = index_study(tmp_path)
    assert [session.session_id for session in index.sessions] == ["ses-a"]
    assert index.problems[0].file.endswith(f"sub-01/func/sub-01_{SERIES}")


# --- what is odd ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sub-", "sub-01_x", "sub-a b", "sub-<b>", "sub-é"])
def test_odd_participant_folders_are_set_aside(tmp_path, name):
    describe_as(tmp_path, "xcp_d", "xcp_d")
    touch(tmp_path, f"xcp_d/{name}/func/{name}_{SERIES}", f"xcp_d/sub-01/func/sub-01_{SERIES}")
    index = index_study(tmp_path)
    assert [session.participant_id for session in index.sessions] == ["sub-01"]
    (problem,) = index.problems
    assert (problem.file, problem.action) == (f"derivatives/xcp_d/{name}", "set_aside")


@pytest.mark.parametrize("subject", ["01", "template_01", "subject-01"])
def test_odd_freesurfer_subjects_are_set_aside(tmp_path, subject):
    freesurfer(tmp_path, subject)
    (problem,) = index_study(tmp_path).problems
    assert problem.file == f"derivatives/freesurfer/{subject}"


def test_file_in_another_participants_folder_is_set_aside(tmp_path):
    describe_as(tmp_path, "xcp_d", "xcp_d")
    wrong = [f"xcp_d/sub-01/ses-a/func/sub-02_ses-a_{SERIES}", f"xcp_d/sub-01/ses-a/func/sub-01_ses-b_{SERIES}"]
    touch(tmp_path, *wrong, f"xcp_d/sub-01/ses-a/func/sub-01_ses-a_{SERIES}")
    index = index_study(tmp_path)
    assert len(index.sessions) == 1
    assert len(index.sessions[0].files) == 1
    assert {problem.file for problem in index.problems} == {f"derivatives/{file}" for file in wrong}


def test_name_that_is_not_utf8_is_set_aside(tmp_path):
    describe_as(tmp_path, "xcp_d", "xcp_d")
    folder = tmp_path / "derivatives" / "xcp_d" / "sub-01" / "func"
    folder.mkdir(parents=True)
    try:
        (Path(os.fsdecode(os.fsencode(folder) + b"/sub-01_caf\xe9_timeseries.tsv"))).touch()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    (problem,) = index_study(tmp_path).problems
    problem.file.encode()
    assert "not UTF-8" in problem.problem


def test_links_that_lead_back_or_nowhere_are_not_followed(tmp_path):
    describe_as(tmp_path, "xcp_d", "xcp_d")
    touch(tmp_path, f"xcp_d/sub-01/func/sub-01_{SERIES}")
    base = tmp_path / "derivatives" / "xcp_d"
    (base / "sub-01" / "up").symlink_to(base)
    (base / "sub-01" / "self").symlink_to(base / "sub-01" / "self")
    (base / "sub-01" / "gone").symlink_to(base / "nowhere")
    index = index_study(tmp_path)
    assert [len(session.files) for session in index.sessions] == [1]
    assert [problem.file for problem in index.problems] == ["derivatives/xcp_d/sub-01/up"]


def test_linked_dataset_is_read_once_and_under_its_real_name(tmp_path):
    describe_as(tmp_path, "xcp_d", "xcp_d")
    touch(tmp_path, f"xcp_d/sub-01/func/sub-01_{SERIES}")
    (tmp_path / "derivatives" / "a_link").symlink_to(tmp_path / "derivatives" / "xcp_d")
    index = index_study(tmp_path)
    assert [file.path.split("/")[1] for file in index.sessions[0].files] == ["xcp_d"]
    assert index.problems[0].file == "derivatives/a_link"


def test_derivatives_may_lie_elsewhere(tmp_path):
    describe_as(tmp_path / "elsewhere", "xcp_d", "xcp_d")
    touch(tmp_path / "elsewhere", f"xcp_d/sub-01/func/sub-01_{SERIES}")
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "derivatives").symlink_to(tmp_path / "elsewhere" / "derivatives")
    index = index_study(tmp_path / "study")
    assert index.sessions[0].files[0].path == f"derivatives/xcp_d/sub-01/func/sub-01_{SERIES}"


def test_folder_that_cannot_be_read_is_refused_alone(tmp_path, monkeypatch):
    describe_as(tmp_path, "xcp_d", "xcp_d")
    touch(tmp_path, f"xcp_d/sub-01/func/sub-01_{SERIES}", f"xcp_d/sub-02/func/sub-02_{SERIES}")
    scandir = os.scandir

    def denied(path):  # root may read everything, so a permission bit would prove nothing here
        if str(path).endswith("sub-01"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    index = index_study(tmp_path)
    assert [session.participant_id for session in index.sessions] == ["sub-02"]
    (problem,) = index.problems
    assert (problem.file, problem.action) == ("derivatives/xcp_d/sub-01", "refused")
    assert "Permission denied" in problem.problem


def test_a_file_in_place_of_the_folder(tmp_path):
    (tmp_path / "derivatives").write_text("")
    index = index_study(tmp_path)
    assert not index.sessions
    assert index.problems[0].action == "refused"


def test_deep_trees_need_no_recursion(tmp_path):
    describe_as(tmp_path, "xcp_d", "xcp_d")
    top = tmp_path / "derivatives" / "xcp_d" / "sub-01"
    top.mkdir()
    here = os.open(top, os.O_RDONLY)
    for _ in range(1200):  # deeper than Python's stack
        os.mkdir("d", dir_fd=here)
        deeper = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    try:
        index = index_study(tmp_path)
    finally:
        subprocess.run(["rm", "-rf", top], check=True)  # pytest's own cleaning recurses
    assert not index.sessions
    assert all(problem.action == "refused" for problem in index.problems)
