"""Cohorts whose truth is known, and calibration by simulation: reduced forms; tools/validate_engine.py runs them in full."""

import numpy as np
import pytest
from calibration import calibrate, coverage, hamiltonian, laplace, p_values
from recovery import confusion, trace_alone, withdrawal_alone
from synthetic import simulate_cohort


def test_modes_and_curvatures_of_many_at_once():
    """Quadratics with known minima and curvatures, and one that is not quadratic."""
    rng = np.random.default_rng(0)
    roots = rng.standard_normal((6, 4, 4))
    square = roots @ np.swapaxes(roots, 1, 2) + np.eye(4)
    centre = rng.standard_normal((6, 4))

    def slopes(x):
        away = x - centre
        pulled = np.einsum("rpq,rq->rp", square, away)
        return 0.5 * np.einsum("rp,rp->r", away, pulled) + 0.05 * (away**4).sum(1), pulled + 0.2 * away**3

    mode, hessian, gain = laplace(slopes, np.zeros((6, 4)))
    np.testing.assert_allclose(mode, centre, atol=1e-4)
    np.testing.assert_allclose(hessian, square, atol=1e-3)
    assert (gain < 1e-6).all()


def test_draws_of_many_posteriors_at_once():
    """Log-gamma densities of other shapes, started from their Laplace approximations: exp of a draw has its shape as mean and variance."""
    shapes = np.repeat([[4.0, 9.0], [6.0, 30.0]], 100, axis=0)
    normal = np.log(shapes), np.einsum("rp,pq->rpq", 1 / shapes, np.eye(2))
    drawn, accepted = hamiltonian(
        lambda x: ((np.exp(x) - shapes * x).sum(1), np.exp(x) - shapes), normal, 200, np.random.default_rng(0)
    )
    gamma = np.exp(drawn).reshape(200, 2, 100, 2)
    assert accepted.min() > 0.8
    np.testing.assert_allclose(gamma.mean((0, 2)), shapes[[0, 100]], rtol=0.03)
    np.testing.assert_allclose(gamma.var((0, 2)), shapes[[0, 100]], rtol=0.1)


def test_calibration_judges_ranks():
    uniform = np.random.default_rng(0).random((500, 5))
    assert p_values(uniform).min() > 0.001
    np.testing.assert_allclose(coverage(uniform, 0.9), 0.9, atol=0.05)
    assert p_values(uniform**1.5).max() < 1e-6, "a biased posterior must not pass"
    assert (coverage(np.clip(0.5 + 1.5 * (uniform - 0.5), 0, 1), 0.9) < 0.7).all(), "nor one that is too narrow"


@pytest.mark.slow
def test_parameters_are_calibrated():
    cohort = simulate_cohort(np.random.default_rng(3), 16, events=False)
    found = calibrate(cohort, 200, seed=0)
    assert found.converged.mean() > 0.95
    assert coverage(found.exact, 0.5).mean() == pytest.approx(0.5, abs=0.03)
    assert coverage(found.exact, 0.9).mean() == pytest.approx(0.9, abs=0.02)
    assert coverage(found.laplace, 0.9).mean() == pytest.approx(0.9, abs=0.04)
    assert (p_values(found.exact) > 0.01 / cohort.layout.size).all()


@pytest.mark.slow
def test_mechanisms_of_an_informative_design_are_found():
    found = confusion(120, 7, tapers=True, cohorts=2)
    assert found["natural"]["evidence, passive"] < 0.2
    assert found["passive"]["evidence, passive"] > 0.9
    assert found["dual"]["evidence, passive"] > 0.9


@pytest.mark.slow
def test_withdrawal_alone_is_not_forecast_as_relapse():
    assert withdrawal_alone(40, range(2))["mean rise of the probability of relapse"] < 0.02


@pytest.mark.slow
def test_a_trace_of_ect_alone_does_not_move_structure():
    assert trace_alone(40, range(2))["largest of a cohort"] < 0.1
