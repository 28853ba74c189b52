"""A reduced form of docs/validation/calibration.md."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

TOOL = Path(__file__).parents[2] / "tools" / "validate_calibration.py"


@pytest.mark.slow
def test_intervals_cover_the_truth_over_cohorts(tmp_path):
    spec = importlib.util.spec_from_file_location("validate_calibration", TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    cohorts = []
    for seed in (200, 201, 202, 203):
        results, truth = tool.one_cohort(seed, 40, tmp_path / str(seed))
        assert results.posterior.converged
        cohorts.append(tool.pairs(results, truth))
    for name in tool.QUANTITIES:
        rows = np.concatenate([c[name] for c in cohorts])
        covered = ((rows[:, 0] >= rows[:, 2]) & (rows[:, 0] <= rows[:, 3])).mean()
        assert covered > 0.7, name
        assert abs((rows[:, 1] - rows[:, 0]).mean()) < 0.12, name
