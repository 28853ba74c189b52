"""Reasons add up, are exact where a formula exists, and give nothing to what does nothing."""

import numpy as np
import pytest
from rows import made

from remanent.relapse.learn import tuned
from remanent.relapse.reasons import reasons, shapley, strongest
from remanent.relapse.rivals import DAYS, RIVALS

COX, BOOSTED = RIVALS[2], RIVALS[3]


def test_of_a_linear_function_they_are_exact() -> None:
    g = np.random.default_rng(0)
    x, background, beta = g.normal(size=(5, 7)), g.normal(size=(30, 7)), g.normal(size=7)
    found = shapley(lambda z: z @ beta, x, background, np.random.default_rng(1), orders=60)
    drawn = background[np.tile(_drawn(30, 7, 60), 2)]
    assert found == pytest.approx(beta * (x - drawn.mean(0)))


def _drawn(rows: int, features: int, orders: int) -> np.ndarray:
    """The background rows that the same generator draws."""
    rng = np.random.default_rng(1)
    for _ in range(orders // 2):
        rng.permutation(features)
    return rng.integers(rows, size=orders // 2)


def test_of_a_product_each_factor_gets_half() -> None:
    """f = x1 x2 at (1, 1) against a background of zeros: by symmetry a half each."""
    x, background = np.array([[1.0, 1.0, 5.0]]), np.zeros((1, 3))
    assert shapley(lambda z: z[:, 0] * z[:, 1], x, background, np.random.default_rng(0))[0] == pytest.approx(
        [0.5, 0.5, 0]
    )


@pytest.mark.parametrize("rival", [COX, BOOSTED], ids=lambda r: r.name)
def test_the_feature_that_matters_leads(rival) -> None:
    rows = made(200, effect=1.2)
    fitted, _ = tuned(rival, rows, 0)
    found = reasons(fitted, rows.only(np.arange(12)), rows, 182.0, 0)
    assert found is not None
    leads = [strongest(found, k, 3)[0][0] for k in range(12)]
    assert leads.count("severity_last") >= 8


def test_shares_of_the_cox_model_are_its_log_hazard() -> None:
    rows = made(200)
    fitted, _ = tuned(COX, rows, 0)
    found = reasons(fitted, rows, rows, 182.0, 0)
    k = int(np.searchsorted(DAYS, 182.0))
    log_hazard = np.log(-np.log1p(-fitted.risk(rows)[:, k]))
    assert found is not None
    assert np.ptp(log_hazard - found.share.sum(1)) == pytest.approx(0, abs=1e-9)


def test_a_model_without_features_gives_no_reasons() -> None:
    rows = made(60)
    assert reasons(tuned(RIVALS[0], rows, 0)[0], rows, rows, 182.0, 0) is None
