"""The assumed-density update of the hazard against sampling that assumes no density (reduced; `slow` runs it in full)."""

import numpy as np
import pytest
from designs import PATIENTS, random_grid, random_params
from figures import HAZARDS, hazard_against_importance, hazard_against_particles, hazard_grid_error
from oracles import twin
from sampling import by_importance, by_particles

from remanent.dynamics.compile import compiled
from remanent.dynamics.filter import replicate

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
