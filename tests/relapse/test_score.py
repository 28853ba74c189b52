"""Scores against lifelines and scikit-survival, against hand counts, and what must hold whatever the data."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines import KaplanMeierFitter
from lifelines.utils import concordance_index
from sksurv.metrics import (
    brier_score,
    concordance_index_censored,
    concordance_index_ipcw,
    cumulative_dynamic_auc,
    integrated_brier_score,
)

from remanent.relapse import calibration as cal
from remanent.relapse import score
from remanent.relapse.score import Outcome, outcome

ONCE = np.ones((1, 300))


def sample(n: int = 300, seed: int = 0, *, days: bool = False) -> tuple[Outcome, np.ndarray]:
    """Weibull times that depend on a risk score, independent censoring; `days`: whole days, with many ties."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    time, end = 200 * rng.weibull(0.8, n) * np.exp(-0.8 * x), rng.uniform(20, 500, n)
    observed = np.minimum(time, end)
    if days:
        observed = np.ceil(observed / 20) * 20
    return outcome(observed, time <= end), 1 / (1 + np.exp(-x))


def structured(known: Outcome) -> np.ndarray:
    return np.array(list(zip(known.event, known.time_days, strict=True)), dtype=[("e", "?"), ("t", "<f8")])


@pytest.mark.parametrize("days", [False, True])
def test_kaplan_meier_is_that_of_lifelines(days: bool) -> None:
    known, _ = sample(days=days)
    fitted = KaplanMeierFitter().fit(known.time_days, known.event)
    at = np.linspace(0, 600, 77)
    ours = score.kaplan_meier(known.time_days, known.event).at(at)[0]
    assert ours == pytest.approx(fitted.survival_function_at_times(at).to_numpy(), abs=1e-10)


@pytest.mark.parametrize("days", [False, True])
def test_concordance_is_that_of_both_peers(days: bool) -> None:
    known, risk = sample(days=days)
    risk = np.round(risk, 1)
    ours = score.harrell_c(known, risk, np.inf, ONCE)[0]
    theirs = concordance_index_censored(known.event, known.time_days, risk)[0]
    assert ours == pytest.approx(theirs, abs=1e-10)
    assert ours == pytest.approx(concordance_index(known.time_days, -risk, known.event), abs=1e-10)


@pytest.mark.parametrize("tau", [100.0, 250.0])
def test_ipcw_scores_are_those_of_scikit_survival(tau: float) -> None:
    known, risk = sample()
    truth = structured(known)
    assert score.uno_c(known, risk, tau, ONCE)[0] == pytest.approx(
        concordance_index_ipcw(truth, truth, risk, tau=tau)[0], abs=1e-10
    )
    assert score.auc(known, risk, tau, ONCE)[0] == pytest.approx(
        cumulative_dynamic_auc(truth, truth, risk, [tau])[0][0], abs=1e-10
    )
    assert score.brier(known, risk, tau, ONCE)[0] == pytest.approx(
        brier_score(truth, truth, 1 - risk, [tau])[1][0], abs=1e-10
    )


def test_integrated_brier_is_that_of_scikit_survival() -> None:
    known, risk = sample()
    truth, at = structured(known), np.linspace(20, 300, 15)
    by_day = 1 - (1 - risk[:, None]) ** (at[None] / 300)
    ours = score.integrated_brier(known, by_day, at, ONCE)[0]
    assert ours == pytest.approx(integrated_brier_score(truth, truth, 1 - by_day, at), abs=1e-10)


def test_on_tied_days_censoring_counts_after_relapse() -> None:
    """Two relapse on day 10, one is censored on it, one is well on day 20: G(10-) = 1, so relapses weigh one each and the last patient two."""
    known = outcome([10.0, 10.0, 10.0, 20.0], [True, True, False, False])
    case, control = score.status_weights(known, np.ones((1, 4)), 15.0)
    assert case[0].tolist() == [1, 1, 0, 0]
    assert control[0].tolist() == [0, 0, 0, 2]


def test_ties_of_the_forecast_count_half() -> None:
    known = outcome([1.0, 2.0, 3.0], [True, True, False])
    same = np.full(3, 0.3)
    assert score.harrell_c(known, same, np.inf, np.ones((1, 3)))[0] == 0.5
    assert score.auc(known, same, 2.5, np.ones((1, 3)))[0] == 0.5


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(8, 80), tied=st.booleans())
def test_weighted_cases_are_one_less_kaplan_meier(seed: int, n: int, tied: bool) -> None:
    """The identity of inverse probability of censoring and the product limit, for every resample and with ties."""
    known, _ = sample(n, seed, days=tied)
    weight = score.patient_weights(known.patient, 5, np.random.default_rng(seed))
    day = float(np.median(known.time_days))
    case, control = score.status_weights(known, weight, day)
    km = score.kaplan_meier(known.time_days, known.event, weight).at(np.full(1, day))[:, 0]
    followed = (weight * (known.time_days > day)).sum(1) > 0
    assert case.sum(1) / weight.sum(1) == pytest.approx(1 - km, abs=1e-10)
    assert (control.sum(1) / weight.sum(1))[followed] == pytest.approx(km[followed], abs=1e-10)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_scores_do_not_depend_on_order_and_lie_in_range(seed: int) -> None:
    known, risk = sample(60, seed)
    order = np.random.default_rng(seed).permutation(60)
    once, day = np.ones((1, 60)), 120.0
    for metric in (score.brier, score.auc, score.uno_c, score.harrell_c):
        value = metric(known, risk, day, once)[0]
        assert metric(known.only(order), risk[order], day, once)[0] == pytest.approx(value, abs=1e-12)
        assert 0 <= value <= 1.5
    auc = score.auc(known, risk, day, once)[0]
    assert score.auc(known, 1 - risk, day, once)[0] == pytest.approx(1 - auc, abs=1e-10)
    assert score.auc(known, risk**3, day, once)[0] == pytest.approx(auc, abs=1e-12)


def test_a_resample_is_the_data_with_rows_repeated() -> None:
    known, risk = sample(50)
    weight = score.patient_weights(known.patient, 3, np.random.default_rng(1))
    for metric in (score.brier, score.auc, score.uno_c, score.harrell_c):
        drawn = metric(known, risk, 120.0, weight)
        for b in range(1, 4):
            rows = np.repeat(np.arange(50), weight[b].astype(int))
            again = metric(known.only(rows), risk[rows], 120.0, np.ones((1, len(rows))))[0]
            assert drawn[b] == pytest.approx(again, abs=1e-10)


def test_rows_of_a_patient_are_drawn_together() -> None:
    weight = score.patient_weights(np.array([0, 0, 1, 2, 2]), 50, np.random.default_rng(0))
    assert (weight[:, 0] == weight[:, 1]).all()
    assert (weight[:, 3] == weight[:, 4]).all()
    assert set(weight[1:, [0, 2, 3]].sum(1)) == {3.0}


def test_the_interval_covers_the_truth() -> None:
    """Brier score of the true risk: its expectation over patients is known from a large sample."""
    held, runs = 0, 60
    big, risk = sample(20_000, 99)
    true = score.brier(big, risk, 150.0, np.ones((1, 20_000)))[0]
    for seed in range(runs):
        known, p = sample(150, seed)
        weight = score.patient_weights(known.patient, 200, np.random.default_rng(seed))
        one = score.as_score(score.brier(known, p, 150.0, weight))
        held += one.lower <= true <= one.upper
    assert 0.78 <= held / runs <= 1.0


def test_strata_are_scored_apart() -> None:
    """Two landmarks with censoring of their own: the pooled score is the average of theirs, and no pair crosses."""
    (one, p), (two, q) = sample(80, 1), sample(40, 2)
    both = Outcome(
        np.concatenate([one.time_days, two.time_days]),
        np.concatenate([one.event, two.event]),
        np.arange(120),
        np.repeat([0, 1], [80, 40]),
    )
    risk, day = np.concatenate([p, q]), 100.0
    parts = [score.brier(known, r, day, np.ones((1, len(r))))[0] for known, r in ((one, p), (two, q))]
    assert score.brier(both, risk, day, np.ones((1, 120)))[0] == pytest.approx((80 * parts[0] + 40 * parts[1]) / 120)
    shifted = np.concatenate([p, q * 1e-3])
    assert score.auc(both, shifted, day, np.ones((1, 120)))[0] == pytest.approx(
        score.auc(both, risk, day, np.ones((1, 120)))[0]
    )


NEVER = outcome(np.arange(1.0, 11.0), np.zeros(10, bool))
EARLY = outcome(np.arange(1.0, 11.0), np.ones(10, bool))


@pytest.mark.parametrize(("known", "day", "why"), [(NEVER, 5.0, "no_relapse"), (EARLY, 20.0, "nobody_followed")])
def test_what_cannot_be_scored_says_why(known: Outcome, day: float, why: str) -> None:
    risk, weight = np.linspace(0.1, 0.9, 10), np.ones((4, 10))
    found = score.scores(known, np.stack([risk, risk], 1), np.array([day - 1, day]), weight)
    assert {one.status for one in found.values()} == {why}
    assert cal.calibration(known, risk, day, weight).slope.status == why
    assert {b.model.status for b in cal.decision_curve(known, risk, day, weight)} == {why}


def test_no_pair_of_known_order_has_a_name() -> None:
    """The only relapse is the last observation."""
    known = outcome([1.0, 2.0, 3.0], [False, False, True])
    found = score.as_score(score.harrell_c(known, np.array([0.1, 0.2, 0.3]), np.inf, np.ones((3, 3))))
    assert (found.status, np.isnan(found.value)) == ("no_pairs", True)


def test_an_interval_needs_resamples_with_an_answer() -> None:
    draws = np.array([0.4, 0.3, np.nan, np.nan, 0.5])
    assert score.as_score(draws).status == "without_interval"
    assert score.as_score(np.array([0.4, 0.3, 0.5])).status == "estimated"
