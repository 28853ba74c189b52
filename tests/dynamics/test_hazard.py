"""The assumed-density update of the hazard against sampling that assumes no density (reduced; `slow` runs it in full)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from designs import PATIENTS, random_grid, random_params
from figures import HAZARDS, hazard_against_importance, hazard_against_particles, hazard_grid_error
from oracles import twin
from sampling import by_importance, by_particles

from remanent.dynamics.compile import compiled
from remanent.dynamics.filter import replicate
from remanent.dynamics.hazard import Hazards, tilt, tilted_moments

NAMES = [f"h0={h['h0']}, eta={h['eta_f']}" for h in HAZARDS]


@pytest.mark.parametrize("hazard", HAZARDS[2:], ids=NAMES[2:])
def test_importance_sampling_finds_no_gap(hazard):
    found = hazard_against_importance(hazard, patients=5, draws=10_000)
    assert found["relapses"] > 0
    assert found["mean |gap| (nats)"] < 0.03
    assert found["largest |gap| (nats)"] < 0.1
    assert found["largest gap of a moment"] < 0.05


@pytest.mark.parametrize("hazard", HAZARDS[2:], ids=NAMES[2:])
def test_weekly_steps_are_fine_enough(hazard):
    found = hazard_grid_error(hazard, parts=4)
    assert abs(found["total gap (nats)"]) < 0.05
    assert found["largest |gap| of a patient (nats)"] < 0.02


def test_the_two_samplers_agree_with_the_twin_on_a_short_record():
    rng = np.random.default_rng(0)
    params, grid = random_params(rng), random_grid(rng, hazard=True)
    grid = grid._replace(value=compiled(replicate)(rng.standard_normal(grid.value.shape), params, grid).value)
    for i in range(PATIENTS):
        expected = twin(params, grid, i)
        particles = by_particles(params, grid, i, 40_000, rng)
        paths = by_importance(params, grid, i, 40_000, rng)
        assert particles.log_lik == pytest.approx(paths.log_lik, abs=0.1)
        assert paths.log_lik == pytest.approx(expected.log_lik, abs=0.1)
        np.testing.assert_allclose(particles.mean, expected.path_mean, atol=0.1)
        np.testing.assert_allclose(particles.sd, expected.path_sd, atol=0.1)
        np.testing.assert_allclose(paths.mean, expected.path_mean[-1], atol=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("hazard", HAZARDS, ids=NAMES)
def test_importance_sampling_in_full(hazard):
    found = hazard_against_importance(hazard, patients=16, draws=100_000)
    assert found["mean |gap| (nats)"] < 0.01
    assert found["largest gap of a moment"] < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("hazard", HAZARDS[2:], ids=NAMES[2:])
def test_particle_filter_in_full(hazard):
    found = hazard_against_particles(hazard, patients=10, particles=100_000, runs=2)
    assert found["mean |gap| (nats)"] < 0.05
    assert found["largest gap of a moment"] < 0.05


@pytest.mark.parametrize("events", [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)], ids=["none", "relapse", "dropout"])
def test_gradient_of_the_tilt_is_that_of_its_moments(events):
    """Gain and kappa of `tilt` and their written-out gradient, against the moments and automatic differentiation."""
    mean, var, at_risk = np.array([0.4, -1.0, 2.0]), np.array([0.09, 0.8, 0.01]), np.array([21.0, 7.0, 0.5])
    event = tuple(np.full(3, e) for e in events)
    rates = Hazards(np.log([0.02, 0.1, 0.3]), np.array([2.0, 1.0, 3.0]), np.array([0.005, 0.0, 0.1]), np.full(3, 0.8))

    def by_moments(mean, var, at_risk, rates):
        log_z, m, v = tilted_moments(mean, var, at_risk, event, rates)
        return (jnp.array([[1.3], [0.7], [-0.4]]) * jnp.stack([log_z, (m - mean) / var, (var - v) / var**2])).sum()

    def by_tilt(mean, var, at_risk, rates):
        return (jnp.array([[1.3], [0.7], [-0.4]]) * jnp.stack(tilt(mean, var, at_risk, event, rates))).sum()

    given = (mean, var, at_risk, rates)
    found, expected = (compiled(jax.value_and_grad(f, argnums=(0, 1, 2, 3)))(*given) for f in (by_tilt, by_moments))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9), found, expected)


def test_nobody_at_risk_is_not_tilted():
    zero = jnp.zeros(2)
    rates = Hazards(zero - 3, zero + 2, zero + 0.01, zero + 1)
    found, slopes = jax.value_and_grad(lambda m: sum(v.sum() for v in tilt(m, zero + 0.1, zero, (zero, zero), rates)))(
        zero
    )
    assert found == 0.0
    np.testing.assert_array_equal(slopes, 0.0)
