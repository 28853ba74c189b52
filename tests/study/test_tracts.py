"""Bundle statistics of QSIRecon: every scalar by bundle, the best mean, and what is wrong said by line."""

import json

import pytest

from remanent.study.bids import load_session
from remanent.study.index import index_study

FILE = "derivatives/qsirecon-DSIStudio/sub-01/ses-a/dwi/sub-01_ses-a_space-T1w_bundles-DSIStudio_scalarstats.tsv"
HEAD = "bundle\tvariable_name\tqsirecon_suffix\tmean\tmasked_mean\tmasked_weighted_mean\n"
ROWS = (
    "Association_CingulumL_Frontal_Parietal\tdti_fa\tDSIStudio\t0.3\t0.31\t0.35\n"
    "Association_CingulumL_Frontal_Parietal\tmd\tDSIStudio\t0.8\t0.81\t0.85\n"
    "ProjectionBasalGanglia_FornixR\tdti_fa\tDSIStudio\t0.2\t0.21\t\n"
)


def load(root, content, version="1.1.1"):
    path = root / FILE
    path.parent.mkdir(parents=True)
    path.write_text(content)
    made = {"GeneratedBy": [{"Name": "qsirecon", "Version": version}]}
    (root / "derivatives/qsirecon-DSIStudio/dataset_description.json").write_text(json.dumps(made))
    (files,) = index_study(root).sessions
    return load_session(root, files)


def test_scalars_by_bundle_weighted_by_streamlines(tmp_path):
    session = load(tmp_path, HEAD + ROWS)
    found = {one.scalar: one.mean for one in session.tracts}
    assert found == {
        "dti_fa": {"Association_CingulumL_Frontal_Parietal": 0.35},
        "md": {"Association_CingulumL_Frontal_Parietal": 0.85},
    }
    assert session.problems == ()
    assert session.tracts[0].pipeline.version == "1.1.1"


def test_without_weights_the_masked_mean_is_read(tmp_path):
    content = "\n".join(line.rpartition("\t")[0] for line in (HEAD + ROWS).rstrip("\n").split("\n"))
    session = load(tmp_path, content)
    assert session.tracts[0].mean["ProjectionBasalGanglia_FornixR"] == 0.21


@pytest.mark.parametrize(
    ("content", "row", "reason"),
    [
        ("", None, "empty"),
        ("bundle\tmean\nx\t1\n", 1, "no such column"),
        (HEAD + ROWS.replace("0.35", "high"), 2, "got 'high'"),
        (HEAD + ROWS.replace("\t0.85", ""), 3, "Expected 6 cells, got 5"),
        (HEAD + ROWS + ROWS.split("\n", maxsplit=1)[0] + "\n", 5, "stands twice"),
    ],
)
def test_a_bad_table_is_refused_with_its_line(tmp_path, content, row, reason):
    session = load(tmp_path, content)
    assert session.tracts == ()
    (problem,) = session.problems
    assert (problem.file, problem.row, problem.action) == (FILE, row, "refused")
    assert reason in problem.problem
