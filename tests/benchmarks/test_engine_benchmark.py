"""Value and gradient of the cohort's log likelihood, 200 patients x 12 visits x 8 indicators: our steps beside the textbook's matrices, both compiled."""

import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from remanent.dynamics.compile import compiled
from remanent.dynamics.filter import last_state, log_likelihood, log_likelihood_of_all

sys.path.insert(0, str(Path(__file__).parents[1] / "dynamics"))

from peer import random_study, textbook, without_hazard

pytestmark = pytest.mark.benchmark(group="value and gradient, 200 patients x 12 visits x 8 indicators")


@pytest.fixture(scope="module")
def study():
    return random_study(200, np.random.default_rng(0))


def gradient_of(total):
    return compiled(jax.value_and_grad(total))


def timed(benchmark, program, *arguments):
    """Blocked: JAX returns before the work is done."""
    return benchmark.pedantic(
        lambda: jax.block_until_ready(program(*arguments)), rounds=10, warmup_rounds=1, iterations=1
    )


def test_ours_with_relapse(benchmark, study):
    value, gradient = timed(benchmark, gradient_of(log_likelihood_of_all), *study)
    assert np.isfinite(value)
    assert all(np.isfinite(g).all() for g in gradient)


def test_ours_with_relapse_and_4_random_effects(benchmark, study):
    params, grid = study
    nobodys_own = params._replace(sd_mu=params.sd_mu[:0])
    assert np.isfinite(timed(benchmark, gradient_of(log_likelihood_of_all), nobodys_own, grid)[0])


def test_ours_without_relapse(benchmark, study):
    params, grid = study
    assert np.isfinite(timed(benchmark, gradient_of(log_likelihood_of_all), params, without_hazard(grid))[0])


def test_peer_textbook_without_relapse(benchmark, study):
    params, grid = study
    value, _ = timed(benchmark, gradient_of(lambda *given: textbook(*given).sum()), params, without_hazard(grid))
    assert float(value) == pytest.approx(float(log_likelihood(params, without_hazard(grid)).sum()), rel=1e-10)


def test_one_patients_update(benchmark):
    params, grid = random_study(1, np.random.default_rng(1))
    assert np.isfinite(timed(benchmark, compiled(last_state), params, grid).mean).all()
