"""The two-basin form against sampling that linearises nothing, and against the linear form where both are the same."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from designs import PATIENTS, random_grid, random_params
from sampling import by_fine_particles

from remanent.dynamics import filter as engine
from remanent.dynamics.compile import compiled
from remanent.dynamics.model import Params
from remanent.dynamics.steps import Grid, without_events
from remanent.dynamics.two_basin import Bend, bend

log_likelihood, smooth, last_state, replicate = (
    compiled(lambda *arguments, name=name: getattr(engine, name)(*arguments, form="two-basin"))
    for name in ("log_likelihood", "smooth", "last_state", "replicate")
)
TIPPING = {"theta": 0.4, "sd_theta": 0.1, "r": 1 / 60, "c": 0.012, "a": 0.012, "mu_gs": 0.35}


def weekly_study(rng: np.random.Generator, steps: int = 40, patients: int = PATIENTS) -> tuple[Params, Grid]:
    """Steps of a week, four sessions of ECT early, a dose that is withdrawn, a reading at most steps, everybody watched."""
    params = random_params(
        rng, **TIPPING, sigma=np.full(3, 0.3), l_s=np.array([0.0, 1.0, 0.5]), l_f=np.array([-1.0, 0.3, 0.2])
    )
    grid = random_grid(rng, hazard=True, steps=steps, patients=patients)
    week = np.full((steps, patients), 7.0)
    week[0] = 0.0
    ect = np.zeros(grid.ect.shape)
    ect[:, 1:5] = 0.125
    dose = np.where(np.arange(steps)[None, :, None] < 25, 0.4, 0.0) * np.ones(grid.dose.shape)
    grid = grid._replace(
        day=jnp.cumsum(jnp.asarray(week), 0), dt=jnp.asarray(week), ect=jnp.asarray(ect), dose=jnp.asarray(dose), held=grid.held * 0,
        at_risk=jnp.asarray(week * (np.arange(steps) > 5)[:, None]), stress=grid.stress * 0.5,
    )  # fmt: skip
    drawn = replicate(jnp.asarray(rng.standard_normal(grid.value.shape)), params, grid).value
    return params, grid._replace(value=drawn)


def test_moments_of_the_pull_against_sampling():
    rng = np.random.default_rng(0)
    mean, cov = np.array([0.5, 0.4]), np.array([[0.09, 0.02], [0.02, 0.03]])
    s, theta = rng.multivariate_normal(mean, cov, 2_000_000).T
    found = Bend(*(v[0] for v in bend(*(jnp.asarray([v]) for v in (0.5, 0.09, 0.4, 0.02)))))
    g = s * (s - theta) * (s - 1)
    assert float(found.level) == pytest.approx(g.mean(), abs=1e-3)
    assert float(found.by_s) == pytest.approx((3 * s**2 - 2 * (1 + theta) * s + theta).mean(), abs=3e-3)
    assert float(found.by_theta) == pytest.approx((s - s**2).mean(), abs=1e-3)
    # Stein: what linearising keeps of the covariance of s and g
    assert 0.09 * float(found.by_s) + 0.02 * float(found.by_theta) == pytest.approx(np.cov(s, g)[0, 1], abs=1e-3)


def test_without_a_pull_both_forms_are_one():
    """r = 0: nothing pulls structure anywhere."""
    rng = np.random.default_rng(1)
    params, grid = weekly_study(rng)
    params = params._replace(r=jnp.asarray(1e-9))
    linear = compiled(engine.log_likelihood)(params, grid)
    np.testing.assert_allclose(log_likelihood(params, grid), linear, atol=1e-5)


def compared(seed: int, particles: int, patients: int = PATIENTS) -> tuple[np.ndarray, np.ndarray]:
    """Gap of the log likelihood, and largest gap of a filtered mean or sd of f and s at the end, by patient."""
    rng = np.random.default_rng(seed)
    params, grid = weekly_study(rng, patients=patients)
    found, last = log_likelihood(params, grid), last_state(params, grid)
    gaps, moments = [], []
    for i in range(patients):
        exact = by_fine_particles(params, grid, i, particles, rng)
        gaps.append(float(found[i]) - exact.log_lik)
        sd = np.sqrt(np.diag(np.asarray(last.cov[:2, :2, i])))
        moments.append(max(abs(np.asarray(last.mean[:2, i]) - exact.mean[-1]).max(), abs(sd - exact.sd[-1]).max()))
    return np.array(gaps), np.array(moments)


def test_filter_against_particles():
    gaps, moments = compared(0, 10_000)
    assert np.abs(gaps).mean() < 0.1
    assert moments.mean() < 0.05


@pytest.mark.slow
def test_filter_against_many_particles():
    gaps, moments = compared(3, 100_000, patients=12)
    assert np.abs(gaps).mean() < 0.1
    assert moments.mean() < 0.05


def test_smoothed_states_are_finite_and_end_where_the_filter_ends():
    rng = np.random.default_rng(2)
    params, grid = weekly_study(rng)
    states, last = smooth(params, grid), last_state(params, grid)
    np.testing.assert_allclose(states.s_mean[-1], last.mean[1], atol=1e-12)
    assert all(np.isfinite(v).all() for v in states)


def test_wild_parameters_and_long_gaps_stay_finite():
    """Whatever the prior's tails propose: a likelihood that may be terrible, never NaN, and so is its gradient."""
    rng = np.random.default_rng(3)
    params, grid = random_params(rng, **TIPPING | {"r": 0.3, "sd_gs": 2.0, "sig_s": 0.4}), random_grid(rng, hazard=True)
    value, gradient = compiled(jax.value_and_grad(lambda p: engine.log_likelihood(p, grid, "two-basin").sum()))(params)
    assert np.isfinite(value)
    assert all(np.isfinite(g).all() for g in gradient)


def test_two_basins_keep_what_lies_above_the_tipping_point():
    """Without drug or noise, structure above theta goes on to 1 and below it to 0, as the equation says."""
    params, grid = weekly_study(np.random.default_rng(4), steps=120)
    quiet = {
        "sig_f": 1e-6,
        "sig_s": 1e-6,
        "sd_gf": 1e-6,
        "sd_gs": 1e-6,
        "sd_theta": 1e-6,
        "sd_b": 1e-6,
        "c": 0.0,
        "a": 0.0,
    }
    params = params._replace(
        **{k: jnp.asarray(v) for k, v in quiet.items()}, set_point=params.set_point * 0, ect_s=params.ect_s * 0 + 1
    )
    blind = without_events(grid._replace(observed=grid.observed * 0, stress=grid.stress * 0))
    ends = [smooth(params._replace(mu_gs=jnp.asarray(g)), blind).s_mean[-1] for g in (0.75, 0.05)]
    assert (ends[0] > 0.75).all()
    assert (abs(ends[1]) < 0.05).all()
