"""The linear-Gaussian sub-case against statsmodels: same matrices step by step, a Kalman filter and smoother that are not ours."""

import jax
import numpy as np
import pytest
from designs import PATIENTS, random_grid, random_params
from oracles import plain, start, steps_of
from statsmodels.tsa.statespace.kalman_smoother import KalmanSmoother

from remanent.dynamics.compile import compiled
from remanent.dynamics.filter import log_likelihood, smooth


def by_statsmodels(params, grid, i):
    """Log likelihood, and smoothed mean and sd of (f, s) at every step [step, 2]. Their transition leads from a step to the next, ours to the step."""
    p, g = plain(params, grid)
    path = steps_of(p, g, i)
    mean, cov = start(p, g, i)
    size, last = mean.size, len(path) - 1
    model = KalmanSmoother(k_endog=1, k_states=size, k_posdef=size)
    model.bind(np.where(g.observed[:, i] > 0, g.value[:, i], np.nan))
    model["design"] = np.stack([step.read for step in path], -1)[None]
    model["obs_intercept"] = np.array([[step.fixed for step in path]])
    model["obs_cov"] = (g.se2[:, i] + p.sigma[g.indicator[:, i]] ** 2)[None, None]
    ahead = [path[min(t + 1, last)] for t in range(len(path))]
    model["transition"] = np.stack([step.move for step in ahead], -1)
    model["state_intercept"] = np.stack([step.offset for step in ahead], -1)
    model["selection"] = np.eye(size)
    model["state_cov"] = np.stack([step.noise for step in ahead], -1)
    first = path[0]
    model.initialize_known(first.move @ mean + first.offset, first.move @ cov @ first.move.T + first.noise)
    found = model.smooth()
    sd = np.sqrt(np.stack([found.smoothed_state_cov[j, j] for j in (0, 1)], 1))
    return found.llf, found.smoothed_state[:2].T, sd


@pytest.mark.parametrize("seed", [0, 1])
def test_likelihood_and_smoothed_states(seed):
    rng = np.random.default_rng(seed)
    params, grid = random_params(rng), random_grid(rng)
    log_lik = compiled(log_likelihood)(params, grid)
    found = jax.tree.map(np.asarray, compiled(smooth)(params, grid))
    for i in range(PATIENTS):
        expected, mean, sd = by_statsmodels(params, grid, i)
        assert float(log_lik[i]) == pytest.approx(expected, abs=1e-8)
        np.testing.assert_allclose(np.stack([found.f_mean[:, i], found.s_mean[:, i]], 1), mean, atol=1e-8)
        np.testing.assert_allclose(np.stack([found.f_sd[:, i], found.s_sd[:, i]], 1), sd, atol=1e-7)
