"""A reading at the end of its scale against scipy's truncated normal law, and a row of scores at the floor against their joint probability."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from designs import PATIENTS, random_grid, random_params
from oracles import joint_gaussian

from remanent.dynamics.censored import taken, taken_back
from remanent.dynamics.compile import compiled
from remanent.dynamics.filter import log_likelihood
from remanent.dynamics.indicators import Indicators

ERROR, VARIANCE = np.array([0.3, -1.2, 0.0, 4.0, -9.0]), np.array([0.5, 2.0, 0.1, 1.0, 1.0])


@pytest.mark.parametrize("beyond", [-1.0, 1.0])
def test_moments_are_those_of_the_truncated_law(beyond):
    sd = np.sqrt(VARIANCE)
    says = taken(*map(jnp.asarray, (ERROR, VARIANCE, np.ones(5), np.full(5, beyond))))
    ends = (ERROR / sd, np.full(5, np.inf)) if beyond > 0 else (np.full(5, -np.inf), ERROR / sd)
    kept = scipy.stats.truncnorm(*ends, scale=sd)
    np.testing.assert_allclose(says.gain * VARIANCE, kept.mean(), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(VARIANCE * (1 - says.kappa * VARIANCE), kept.var(), rtol=1e-5, atol=1e-10)
    np.testing.assert_allclose(says.density, scipy.stats.norm.logcdf(-beyond * ERROR / sd), rtol=1e-12)


def test_elsewhere_the_value_itself_is_read():
    for beyond in (np.zeros(5), np.array([0, 0, 0, 0, 1.0])):  # alone, and beside one that is at the end
        says = taken(*map(jnp.asarray, (ERROR, VARIANCE, np.array([1, 1, 1, 0, 1.0]), beyond)))
        np.testing.assert_allclose(says.gain[:3], (ERROR / VARIANCE)[:3], rtol=1e-12)
        np.testing.assert_allclose(says.kappa[:3], (1 / VARIANCE)[:3], rtol=1e-12)
        np.testing.assert_allclose(says.density[:3], scipy.stats.norm.logpdf(ERROR, scale=np.sqrt(VARIANCE))[:3])
        assert float(says.gain[3]) == float(says.kappa[3]) == float(says.density[3]) == 0.0, "nothing was read"


def test_the_gradient_is_that_of_the_value():
    rng = np.random.default_rng(0)
    e, s = jnp.asarray(2 * rng.normal(size=40)), jnp.asarray(rng.uniform(0.1, 2, 40))
    seen, to = jnp.asarray(rng.integers(0, 2, 40) * 1.0), tuple(jnp.asarray(rng.normal(size=40)) for _ in range(3))
    for beyond in (jnp.zeros(40), jnp.asarray(rng.choice([-1.0, 0.0, 1.0], 40))):
        expected = jax.vjp(lambda e, s, b=beyond: taken(e, s, seen, b)[:3], e, s)[1](to)
        found = taken_back(e, s, (seen, beyond, taken(e, s, seen, beyond).mills), to)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


def test_far_out_nothing_breaks():
    """However wrong the expectation was, the variance stays within what it was and nothing is lost to rounding."""
    u = np.array([-1e5, -1e3, -50.0, 50.0, 1e5])
    says = taken(*map(jnp.asarray, (u, np.ones(5), np.ones(5), -np.ones(5))))
    assert np.isfinite(np.array(says)).all()
    assert (np.array(says.kappa) >= 0).all()
    assert (np.array(says.kappa) <= 1).all()
    np.testing.assert_allclose(says.gain[:3], u[:3], rtol=1e-3)


@pytest.mark.parametrize("expected_sd", [-1.0, 0.0, 1.0])
def test_a_row_of_scores_at_the_floor_against_the_orthant_probability(expected_sd):
    """Six readings, all at the floor: the law kept Gaussian against the exact probability, whether that was expected or not (0.05 nats apart at most)."""
    rng = np.random.default_rng(1)
    params, grid = random_params(rng), random_grid(rng, steps=6)
    grid = grid._replace(observed=jnp.ones_like(grid.observed), beyond=-jnp.ones_like(grid.value))
    plain = [joint_gaussian(params, grid, i) for i in range(PATIENTS)]
    shift = np.column_stack([x.error + expected_sd * np.sqrt(np.diag(x.spread)) for x in plain])
    grid = grid._replace(value=grid.value - shift[None])
    found = compiled(log_likelihood)(params, grid)
    for i, x in enumerate(plain):
        bound = -expected_sd * np.sqrt(np.diag(x.spread))
        exact = scipy.stats.multivariate_normal(cov=x.spread, maxpts=200_000, seed=0).logcdf(bound)
        assert float(found[i]) == pytest.approx(exact, abs=0.06)


def test_which_totals_are_at_the_end_of_their_scale():
    one = np.ones(3)
    scales = Indicators(
        ("phq9", "moca", "fc_default_default"), np.array([True, True, False]), np.array([0.0, 30.0, 0.0]),
        np.array([13.5, -15.0, 1.0]), np.outer(one, np.ones(4)) > 0,
    )  # fmt: skip
    target = np.array([0, 0, 0, 1, 1, 2])
    value, beyond = scales.read(np.array([0.0, 1.0, 27.0, 30.0, 15.0, 0.0]), target)
    np.testing.assert_array_equal(beyond, [-1, 0, 1, -1, 0, 0])
    np.testing.assert_allclose(value, [0.5 / 13.5, 1 / 13.5, 26.5 / 13.5, 0.5 / 15, 1.0, 0.0])
