"""A reduced form of docs/validation/calibration.md and advice.md."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from remanent.treatment.drugs import CLASSES

TOOL = Path(__file__).parents[2] / "tools" / "validate_calibration.py"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("validate_calibration", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_slope_of_perfect_and_of_too_bold_forecasts(tool) -> None:
    true = np.linspace(0.05, 0.95, 60)
    bold = 1 / (1 + np.exp(-2 * np.log(true / (1 - true))))
    for own in (False, True):
        assert tool.slope([np.column_stack([true, true])] * 2, own=own) == pytest.approx(1.0, abs=1e-3)
        assert tool.slope([np.column_stack([bold, true])], own=own) == pytest.approx(0.5, abs=1e-2)


def test_errors_that_a_cohort_shares_flatten_the_slope_of_all_and_not_that_within(tool) -> None:
    true = np.linspace(0.05, 0.95, 60)
    logit = np.log(true / (1 - true))
    per = [np.column_stack([1 / (1 + np.exp(-logit - shift)), true]) for shift in (-1.5, 0.0, 1.5)]
    assert tool.slope(per, own=False) < 0.8
    assert tool.slope(per, own=True) == pytest.approx(1.0, abs=0.01)


def test_realised_errors_by_hand(tool) -> None:
    truth = {"continue": 0.05, "taper": 0.1, "stop": 0.15}
    case = tool.Case("shipped", "taper", {"below": 0.2, "rule_below": 0.3}, truth, truth, months=5.0)
    assert tool.realised(case) == pytest.approx({"below": 0.0, "caused": 0.05, "needless": 1.0, "needless_months": 5.0})
    lines = tool.error_table([[case], [case]])
    assert (
        lines[2]
        == "| shipped | taper | hold is below the threshold | the patient | 2 | 0.200 | 0.000 | +0.200 ± 0.000 |"
    )
    assert "| the rule | 2 | 0.300 | 0.000 |" in lines[3]


def test_months_on_drugs_by_the_truth(tool) -> None:
    """A constant hazard and a full dose: the integral of survival in closed form."""
    rate, intervals = 0.005, len(tool.EDGES_DAYS) - 1
    truth = {("sub-1", "relapse", 10.0, h, "continue"): 1 - np.exp(-rate * h) for h in tool.HORIZONS}
    dose = np.zeros((len(CLASSES), intervals, 1))
    dose[0] = 1.0
    row = int(np.searchsorted(tool.EDGES_DAYS[1:], 182))
    months = tool._months(truth, ("sub-1", 10.0), dose, row)
    assert months == pytest.approx((1 - np.exp(-rate * 182)) / rate / (365.25 / 12), rel=1e-3)


def test_errors_between_cohorts_are_those_of_a_mean_of_totals(tool) -> None:
    rng = np.random.default_rng(0)
    drawn = [[rng.normal(size=30) + rng.normal() for _ in range(12)] for _ in range(400)]
    found = np.array([tool.ratio(one) for one in drawn])
    assert found[:, 1].mean() == pytest.approx(found[:, 0].std(), rel=0.1)


@pytest.mark.slow
def test_intervals_and_stated_errors_over_cohorts(tool, tmp_path) -> None:
    """Twelve cohorts of 40, whose patients share errors: the bounds are wide and show a gross error only."""
    cohorts = [tool.one_cohort(seed, 40, tmp_path / str(seed)) for seed in range(400, 412)]
    assert all(c.converged for c in cohorts)
    for name in cohorts[0].pairs:
        rows = np.concatenate([c.pairs[name] for c in cohorts])
        assert (np.abs(rows[:, 2] - 0.5) <= 0.45).mean() > 0.7, name
        assert abs((rows[:, 1] - rows[:, 0]).mean()) < 0.12, name
    held = [
        (c.stated["needless"], tool.realised(c)["needless"])
        for cohort in cohorts
        for c in cohort.cases
        if (c.rule, c.advice) == ("shipped", "hold") and np.isfinite(c.stated["needless"])
    ]
    assert len(held) > 15
    stated, real = np.array(held).mean(0)
    assert abs(stated - real) < 0.15
