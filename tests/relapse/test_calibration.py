"""Calibration and net benefit: against closed forms without censoring, against what the simulation knows with it."""

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.linear_model import LogisticRegression

from remanent.relapse import calibration as cal
from remanent.relapse.score import Outcome, outcome, patient_weights

DAY = 180.0


def people(n: int, seed: int, *, censored: bool) -> tuple[Outcome, np.ndarray]:
    """Exponential times with a known risk by DAY; censoring independent of risk."""
    rng = np.random.default_rng(seed)
    risk = 1 / (1 + np.exp(-rng.normal(-0.5, 1, n)))
    time = -DAY * np.log(rng.uniform(size=n)) / -np.log1p(-risk)
    end = rng.uniform(30, 500, n) if censored else np.full(n, 1e4)
    return outcome(np.minimum(time, end), time <= end), risk


def test_without_censoring_it_is_counting_and_logistic_regression() -> None:
    known, risk = people(400, 0, censored=False)
    found = cal.calibration(known, risk, DAY, np.ones((1, 400)))
    y = known.time_days <= DAY
    assert found.in_the_large.value == pytest.approx(y.mean() - risk.mean(), abs=1e-12)
    logit = np.log(risk / (1 - risk))[:, None]
    peer = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(logit, y)
    assert found.slope.value == pytest.approx(peer.coef_.item(), abs=1e-5)
    assert [g.rows for g in found.groups] == [80] * 5
    edges = np.quantile(risk, np.linspace(0, 1, 6))
    first = risk < edges[1]
    assert found.groups[0].observed.value == pytest.approx(y[first].mean())
    assert found.groups[0].predicted == pytest.approx(risk[first].mean())


@pytest.mark.parametrize("stretch", [0.5, 1.0, 2.0])
def test_slope_finds_how_far_forecasts_were_stretched(stretch: float) -> None:
    known, risk = people(20_000, 1, censored=True)
    logit = np.log(risk / (1 - risk))
    told = 1 / (1 + np.exp(-stretch * logit))
    found = cal.calibration(known, told, DAY, np.ones((1, len(risk))))
    assert found.slope.value == pytest.approx(1 / stretch, rel=0.06)
    true = risk.mean() - told.mean()
    assert found.in_the_large.value == pytest.approx(true, abs=0.012)
    observed = np.array([g.observed.value for g in found.groups])
    if stretch == 1.0:
        assert observed == pytest.approx([g.predicted for g in found.groups], abs=0.03)


def test_alike_forecasts_have_no_slope() -> None:
    known, risk = people(100, 2, censored=True)
    found = cal.calibration(known, np.full_like(risk, 0.3), DAY, np.ones((5, 100)))
    assert found.slope.status == "one_prediction"
    assert found.in_the_large.status == "estimated"
    assert len(found.groups) == 1


def test_perfect_separation_has_no_slope() -> None:
    known = outcome([10.0] * 5 + [300.0] * 5, [True] * 5 + [False] * 5)
    risk = np.array([0.8] * 5 + [0.2] * 5) + np.linspace(0, 0.01, 10)
    assert np.isnan(cal.calibration(known, risk, DAY, np.ones((1, 10))).slope.value)


def test_net_benefit_without_censoring_is_counting() -> None:
    known, risk = people(500, 3, censored=False)
    y = known.time_days <= DAY
    for one in cal.decision_curve(known, risk, DAY, np.ones((1, 500))):
        flagged, odds = risk >= one.threshold, one.threshold / (1 - one.threshold)
        assert one.model.value == pytest.approx((flagged & y).mean() - (flagged & ~y).mean() * odds, abs=1e-12)
        assert one.everyone.value == pytest.approx(y.mean() - (~y).mean() * odds, abs=1e-12)


def test_net_benefit_under_censoring_is_what_the_simulation_knows() -> None:
    known, risk = people(40_000, 4, censored=True)
    for one in cal.decision_curve(known, risk, DAY, np.ones((1, len(risk))), (0.2, 0.4, 0.6)):
        flagged, odds = risk >= one.threshold, one.threshold / (1 - one.threshold)
        true = (risk * flagged).mean() - ((1 - risk) * flagged).mean() * odds
        assert one.model.value == pytest.approx(true, abs=0.008)


def test_the_true_risk_is_never_worse_than_treating_all_or_none() -> None:
    known, risk = people(20_000, 5, censored=True)
    for one in cal.decision_curve(known, risk, DAY, np.ones((1, len(risk)))):
        assert one.model.value >= max(one.everyone.value, 0.0) - 0.01


def test_below_the_least_forecast_the_model_treats_everyone() -> None:
    known, risk = people(200, 6, censored=True)
    weight = np.ones((1, 200))
    everyone = cal.net_benefit(known, np.ones(200, bool), DAY, 0.1, weight)
    assert cal.net_benefit(known, risk >= 0.0, DAY, 0.1, weight) == pytest.approx(everyone)
    assert cal.net_benefit(known, risk > 2.0, DAY, 0.1, weight).item() == 0.0


@pytest.mark.parametrize(("each", "worth"), [(1, 8), (2, 4)])
def test_a_share_at_an_end_has_the_exact_interval_of_as_many_patients(each: int, worth: int) -> None:
    """Groups of eight forecasts, of `each` a patient: nobody of n relapses with 5 % probability where the share is 1 - 0.05^(1/n)."""
    risk = np.repeat([0.1, 0.9], 20) + np.linspace(0, 1e-3, 40)
    time, event = np.repeat([300.0, 50.0], 20), np.repeat([False, True], 20)
    known = Outcome(time, event, np.arange(40) // each, np.zeros(40, int))
    groups = cal.calibration(known, risk, DAY, patient_weights(known.patient, 200, np.random.default_rng(0))).groups
    assert [g.observed.value for g in groups] == [0.0, 0.0, 0.5, 1.0, 1.0]
    for none, everybody in zip(groups[:2], groups[3:], strict=True):
        assert none.observed.lower == 0.0
        assert binom.cdf(0, worth, none.observed.upper) == pytest.approx(0.05)
        assert everybody.observed.lower == pytest.approx(1 - none.observed.upper)
        assert everybody.observed.upper == 1.0


def test_censoring_leaves_fewer_patients_to_an_end() -> None:
    """Who was watched for a while only is worth nothing there: what counts is who was watched to the end."""
    rng = np.random.default_rng(3)
    time = np.where(np.arange(60) % 3 < 2, rng.uniform(10, 170, 60), 300.0)
    time[55:], event = 20.0, np.arange(60) >= 55
    known, risk = outcome(time, event), np.linspace(0.1, 0.9, 60)
    groups = cal.calibration(known, risk, DAY, patient_weights(known.patient, 200, rng)).groups
    for k, group in enumerate(groups[:4]):
        followed = int((time[12 * k : 12 * (k + 1)] > DAY).sum())
        assert followed < group.rows == 12
        assert group.observed.value == 0.0
        assert binom.cdf(0, followed, group.observed.upper) == pytest.approx(0.05)
