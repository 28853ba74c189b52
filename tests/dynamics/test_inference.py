"""Inference on simulated cohorts: the truth is found within its stated error, and the fit says when it is not one."""

import numpy as np
import pytest

from remanent.dynamics import infer
from remanent.dynamics.infer import fit, hessian_of
from remanent.dynamics.priors import MECHANISMS

# In the units of priors.yaml (c_ratio = c / r, a_ratio = a / c).
TRUTH = {
    "k_f": 1 / 14, "r": 1 / 90, "c_ratio": 0.5, "a_ratio": 2.0, "p": 0.5, "sd_p": 0.2, "mu_gs": 0.3, "sd_gs": 0.15, "sd_gf": 0.3,
    "sig_f": 0.05, "sig_s": 0.015, "omega": 0.0, "h0": 0.02, "eta_f": 2.0, "mu[hdrs17]": 1.0, "sd_mu[hdrs17]": 0.2,
    "l_f[hdrs17]": -0.6, "sigma[hdrs17]": 0.12,
}  # fmt: skip


def z_scores(cohort, fitted) -> dict[str, float]:
    layout = cohort.layout
    scale = abs(cohort.indicators.scale[0]) / 26  # the simulator's scores are 26 points to the unit
    out = {}
    for name, value in TRUTH.items():
        k = layout.index(name)
        natural = value / scale if name.endswith("[hdrs17]") else value
        truth = ((np.log(natural) if layout.is_log[k] else natural) - layout.centre[k]) / layout.spread[k]
        out[name] = (fitted.mode[k] - truth) / np.sqrt(fitted.cov[k, k])
    return out


def test_parameters_of_a_simulated_cohort_are_recovered(cohort, posterior):
    fits = posterior("dual").fits
    assert [f.mechanism for f in fits] == list(MECHANISMS)
    assert posterior("dual").converged, [f.message for f in fits]
    z = z_scores(cohort("dual"), fits[MECHANISMS.index("dual")])
    assert max(map(abs, z.values())) < 3.5, z
    assert np.mean(np.square(list(z.values()))) < 2.0, z


def test_the_mode_is_a_mode_and_the_covariance_its_curvature(cohort, posterior):
    """The gradient of the log posterior vanishes at the mode; a finite-difference Hessian in fresh directions agrees."""
    one, fitted = cohort("dual"), posterior("dual").fits[3]

    def at(theta):
        return infer._negative_log_joint(one.layout, theta, 3, one.timeline.grid)

    value, gradient, per_patient = at(fitted.mode)
    assert float(np.abs(gradient).max()) < 0.05
    prior = -0.5 * fitted.mode @ fitted.mode - 0.5 * fitted.mode.size * np.log(2 * np.pi)
    assert float(value) == pytest.approx(-(float(per_patient.sum()) + prior), rel=1e-12)
    np.testing.assert_allclose(per_patient, fitted.patient_log_lik, atol=1e-6)
    direction = np.random.default_rng(0).standard_normal(fitted.mode.size)
    direction /= np.linalg.norm(direction)
    up, down = (at(fitted.mode + h * direction)[0] for h in (0.01, -0.01))
    curvature = (up - 2 * float(value) + down) / 0.01**2
    assert direction @ np.linalg.solve(fitted.cov, direction) == pytest.approx(curvature, rel=0.02)


def test_hessian_of_a_known_function():
    rng = np.random.default_rng(3)
    square = rng.standard_normal((5, 5))
    square = square @ square.T
    found = hessian_of(lambda x: (0.5 * x @ square @ x, square @ x), rng.standard_normal(5))
    np.testing.assert_allclose(found, square, rtol=1e-8, atol=1e-8)


def test_draws_have_the_mode_and_covariance_of_the_fit(posterior):
    fitted = posterior("dual").fits[3]
    draws = fitted.draw(np.random.default_rng(0), 20_000)
    z = (draws.mean(0) - fitted.mode) / np.sqrt(np.diag(fitted.cov) / 20_000)
    assert np.abs(z).max() < 4.5
    np.testing.assert_allclose(np.cov(draws.T), fitted.cov, atol=0.06)


def test_without_data_the_posterior_is_the_prior(cohort):
    one = cohort("dual")
    grid = one.timeline.grid
    zero = np.zeros_like(grid.dt)
    posterior = fit(one.layout, grid._replace(observed=np.zeros_like(grid.observed), at_risk=zero, relapse=zero))
    for fitted in posterior.fits:
        assert fitted.converged
        assert fitted.log_evidence == pytest.approx(0.0, abs=1e-6)
        np.testing.assert_allclose(fitted.mode, 0.0, atol=1e-6)
        np.testing.assert_allclose(fitted.cov, np.eye(one.layout.size), atol=1e-6)


def test_an_impossible_score_is_a_value_with_a_message_not_a_crash(cohort):
    """A score a thousand standard deviations out: the fit returns, every number in it is finite, and it says whether it converged."""
    one = cohort("dual")
    value = np.array(one.timeline.grid.value)
    value[0, 5, 0] = 1e6
    for fitted in fit(one.layout, one.timeline.grid._replace(value=value)).fits:
        assert np.isfinite(fitted.mode).all()
        assert np.isfinite(fitted.cov).all()
        assert np.isfinite(fitted.log_evidence)
        assert fitted.converged == (fitted.message == "converged")
