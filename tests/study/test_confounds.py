"""fMRIPrep's confounds in both generations."""

from pathlib import Path

import numpy as np
import pytest

from remanent.study.derivatives.files import RefusedError
from remanent.study.derivatives.fmriprep import is_confounds, read_confounds
from remanent.study.index import DerivativeFile, split_name
from remanent.study.session import Pipeline


def write(root: Path, text: str) -> str:
    (root / "confounds.tsv").write_text(text)
    return "confounds.tsv"


@pytest.mark.parametrize(
    ("fd", "steady"),
    [("framewise_displacement", "non_steady_state_outlier00"), ("FramewiseDisplacement", "NonSteadyStateOutlier00")],
)
def test_both_generations_of_names(tmp_path, fd, steady):
    file = write(tmp_path, f"csf\t{fd}\t{steady}\n1.5\tn/a\t1\nn/a\t0.25\t0\n")
    confounds = read_confounds(tmp_path, file)
    np.testing.assert_array_equal(confounds.fd_mm, [np.nan, 0.25])
    assert confounds.non_steady_state == 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sub-1_task-rest_desc-confounds_timeseries.tsv", True),
        ("sub-1_task-rest_desc-confounds_regressors.tsv", True),
        ("sub-1_task-rest_bold_confounds.tsv", True),
        ("sub-1_task-rest_desc-confounds_timeseries.json", False),
        ("sub-1_task-rest_desc-MELODIC_mixing.tsv", False),
    ],
)
def test_names_of_confounds_tables(name, expected):
    entities, suffix, extension = split_name(name)
    assert (
        is_confounds(DerivativeFile(name, "fmriprep", Pipeline("fMRIPrep", "1"), entities, suffix, extension))
        == expected
    )


@pytest.mark.parametrize(
    ("text", "reason", "row"),
    [
        ("csf\n1\n", "no framewise_displacement", 1),
        ("framewise_displacement\n", "no rows", 1),
        ("framewise_displacement\nn/a\nn/a\n", "at least 0", 3),
        ("framewise_displacement\nn/a\n-0.1\n", "at least 0", 3),
        ("framewise_displacement\n-0.1\n0.1\n", "at least 0", 2),
        ("framewise_displacement\n0\ninf\n", "at least 0", 3),
        ("framewise_displacement\n0\nlots\n", "got 'lots'", 3),
        ("framewise_displacement\tcsf\n0\t1\n0\n", "ragged", 3),
    ],
)
def test_bad_tables_are_refused(tmp_path, text, reason, row):
    file = write(tmp_path, text)
    with pytest.raises(RefusedError) as refusal:
        read_confounds(tmp_path, file)
    assert refusal.value.problem.row == row
    assert reason in refusal.value.problem.problem


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "non_steady"),
    [
        ("no_nonsteady_desc-confounds_regressors.tsv", 0),
        ("test_desc-confounds_regressors.tsv", 1),
        ("test-v21_desc-confounds_timeseries.tsv", 3),
    ],
)
def test_real_confounds_exactly(real_data, name, non_steady):
    root = real_data / "fmriprep-confounds"
    confounds = read_confounds(root, name)
    lines = [line.split("\t") for line in (root / name).read_text().splitlines()]
    column = lines[0].index("framewise_displacement")
    expected = [float(line[column].replace("n/a", "nan")) for line in lines[1:]]
    np.testing.assert_array_equal(confounds.fd_mm, expected)
    assert len(confounds.fd_mm) == 30
    assert confounds.non_steady_state == non_steady
