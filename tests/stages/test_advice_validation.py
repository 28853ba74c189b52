"""A reduced form of docs/validation/advice.md: stated error rates and calibration against the simulator's truth."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

TOOL = Path(__file__).parents[2] / "tools" / "validate_advice.py"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("validate_advice", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_slope_of_perfect_and_of_too_bold_forecasts(tool) -> None:
    true = np.linspace(0.05, 0.95, 60)
    bold = 1 / (1 + np.exp(-2 * np.log(true / (1 - true))))
    assert tool.slope(np.column_stack([true, true])) == pytest.approx(1.0, abs=1e-3)
    assert tool.slope(np.column_stack([bold, true])) == pytest.approx(0.5, abs=1e-2)


def test_realised_errors_by_hand(tool) -> None:
    truth = {"continue": 0.05, "taper": 0.1, "stop": 0.15}
    case = tool.Case("taper", 0.2, 0.1, np.nan, truth, truth, on_drug=True)
    assert tool.realised(case) == pytest.approx({"below": 0.0, "caused": 0.05, "needless": 1.0})
    assert "| taper | hold is below the threshold | 1 | 0.200 | 0.000 |" in tool.error_table([[case]])[2]


@pytest.mark.slow
def test_stated_errors_are_realised_over_cohorts(tool, tmp_path) -> None:
    """Four cohorts of 40; the bounds are wide: so few cohorts show a gross error only."""
    cohorts = [tool.one_cohort(seed, 40, tmp_path / str(seed)) for seed in (400, 401, 402, 403)]
    every = [case for cohort in cohorts for case in cohort]
    assert len(every) > 20
    for plan in tool.STANDARD_PLANS:
        gap = np.mean([c.forecast[plan] - c.truth[plan] for c in every])
        assert abs(gap) < 0.12, plan
    held = [(c.needless, tool.realised(c)["needless"]) for c in every if c.advice == "hold" and np.isfinite(c.needless)]
    stated, real = np.array(held).mean(0)
    assert abs(stated - real) < 0.15
