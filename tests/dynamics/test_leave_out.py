"""The leave-one-patient-out score: where the answer is known, and against fits without the patient."""

import numpy as np
import pytest
from figures import best_score, refit_score
from scipy.stats import norm

from remanent.dynamics.leave_out import LeftOut, difference, newton_score, score


@pytest.fixture
def normal_mean():
    """y_i ~ N(theta, 1), theta ~ N(0, 1): values, mean and variance of the posterior, and the predictive density of each value left out."""
    y = np.random.default_rng(0).normal(0.5, 1.0, 30)
    return y, y.sum() / (1 + y.size), 1 / (1 + y.size), norm.logpdf(y, (y.sum() - y) / y.size, np.sqrt(1 + 1 / y.size))


def test_one_newton_step_is_exact_for_a_normal_mean(normal_mean):
    y, mean, _, exact = normal_mean
    elpd, step = newton_score(norm.logpdf(y, mean, 1.0), (y - mean)[:, None], np.ones((y.size, 1, 1)))
    np.testing.assert_allclose(elpd, exact, rtol=1e-12)
    np.testing.assert_allclose(step, abs(y - mean) / np.sqrt(y.size))


def test_weights_find_the_score_of_a_normal_mean(normal_mean):
    y, mean, var, exact = normal_mean
    theta = np.random.default_rng(1).normal(mean, np.sqrt(var), 20_000)
    elpd, k = score(norm.logpdf(y[None], theta[:, None], 1.0))
    np.testing.assert_allclose(elpd, exact, atol=0.02)
    assert k.max() < 0.7


@pytest.mark.parametrize("by_weights", [False, True])
def test_a_patient_who_moves_the_fit_too_far_is_marked(by_weights):
    """One value fifteen standard deviations out."""
    rng = np.random.default_rng(0)
    y = np.append(rng.normal(0, 1, 20), 15.0)
    if by_weights:
        theta = rng.normal(y.mean(), 1 / np.sqrt(y.size), 1000)
        found = LeftOut("dual", *score(norm.logpdf(y[None], theta[:, None], 1.0)), 0.67, by_weights=True)
    else:
        mean = y.sum() / 22
        each = newton_score(norm.logpdf(y, mean, 1.0), (y - mean)[:, None], np.ones((21, 1, 1)))
        found = LeftOut("dual", *each, 1.5, by_weights=False)
    assert found.doubt.argmax() == 20
    assert found.doubtful == 1
    assert "1 of 21 patients" in found.message


def test_without_a_mode_there_is_doubt_and_still_a_number():
    """Without the first patient the posterior would open upwards."""
    elpd, step = newton_score(np.zeros(2), np.full((2, 1), 0.1), np.array([[[2.0]], [[-1.5]]]))
    assert np.isinf(step[0])
    assert np.isfinite([*elpd, step[1]]).all()


def test_differences_are_judged_patient_by_patient():
    easy = np.random.default_rng(0).normal(-20, 10, 50)
    one, other = (LeftOut("dual", e, np.zeros(50), 0.7, by_weights=True) for e in (easy, easy - 0.1))
    gap, se = difference(one, other)
    assert gap == pytest.approx(5.0)
    assert se < 1e-6 < one.se


def test_no_maximum_and_no_number_are_doubt_and_not_a_fault():
    """A fit that did not converge may be no maximum, or have gradients that are not numbers beside it."""
    elpd, step = newton_score(np.array([-1.0, -2.0]), np.zeros((2, 1)), np.full((2, 1, 1), -4.0))
    np.testing.assert_array_equal(elpd, [-1.0, -2.0])
    assert np.isinf(step).all()
    elpd, step = newton_score(np.zeros(2), np.full((2, 1), 0.1), np.array([[[np.nan]], [[1.0]]]))
    assert np.isfinite(elpd).all()
    assert list(np.isinf(step)) == [True, False]
    said = LeftOut("dual", elpd, step, 1.5, by_weights=False).message
    assert "1 of 2 patients" in said
    assert "inf" not in said


def test_the_score_is_that_of_fits_without_the_patient(cohort, posterior):
    """log Z - log Z_(-i) by refitting, for the patient on whom the fit leans most of those to be trusted, and for one in the middle."""
    grid, fitted = cohort("dual").timeline.grid, posterior("dual")
    lanes = len(cohort("dual").timeline.lanes)
    best, found = best_score(fitted, grid, lanes)
    ranked = np.argsort(found.doubt)
    trusted = ranked[found.doubt[ranked] <= found.most]
    assert len(trusted) >= lanes / 2
    for lane in (trusted[-1], trusted[len(trusted) // 2]):
        assert found.elpd[lane] == pytest.approx(refit_score(fitted, grid, best, lane), abs=0.6)
