"""Programs are compiled once: not for another mechanism, another cohort of the same padded size, or another patient's data."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace

import jax
import numpy as np
import pytest
from synthetic import Cohort, simulate_cohort

from remanent.dynamics.compare import compare
from remanent.dynamics.forecast import draw_today, roll_forward
from remanent.dynamics.grid import look_ahead
from remanent.dynamics.infer import Fit, Posterior, fit
from remanent.dynamics.priors import MECHANISMS
from remanent.dynamics.states import posterior_states
from remanent.treatment.drugs import CLASSES


@pytest.fixture
def compilations(caplog) -> Iterator[Callable[[], list[str]]]:
    """Records of the programs compiled since the test began."""
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        yield lambda: [m for r in caplog.records if (m := r.getMessage()).startswith("Finished XLA compilation")]


def prior_posterior(cohort: Cohort) -> Posterior:
    """The prior in the place of a fit: what follows a fit can be tested without one."""
    size, lanes = cohort.layout.size, cohort.timeline.grid.dt.shape[1]
    return Posterior(
        cohort.layout,
        tuple(Fit(m, np.zeros(size), np.eye(size), 0.0, np.zeros(lanes), True, "prior") for m in MECHANISMS),
    )


def test_one_fit_compiles_the_likelihood_once(cohort, posterior, compilations):
    posterior("dual")
    other = simulate_cohort(np.random.default_rng(77), 14)
    before = len(compilations())
    fit(other.layout, other.timeline.grid)
    assert compilations()[before:] == []


def test_one_comparison_compiles_once(cohort, comparison, compilations):
    comparison("dual")
    other = cohort("natural")
    before = len(compilations())
    compare(prior_posterior(other), other.timeline.grid, 14, seed=3)
    assert compilations()[before:] == []


def test_states_and_forecast_of_another_patient_compile_nothing(compilations):
    def everything(one: Cohort) -> None:
        rng, grid = np.random.default_rng(0), one.timeline.grid
        lanes = grid.dt.shape[1]
        everybody = {"lanes": np.arange(lanes), "today": np.zeros(lanes), "held": np.zeros((len(CLASSES), lanes))}
        everybody["stress_today"] = np.zeros((2, lanes))
        posterior_states(prior_posterior(one), grid, np.full(4, 0.25), 2, rng)
        today, _ = draw_today(one.layout, rng.standard_normal((2, one.layout.size)), one.layout.acting(3), grid, rng)
        for level in (0.0, 1.0):
            given = np.full((len(CLASSES), 26, lanes), level)
            outlook = look_ahead(replace(one.timeline, **everybody), given, np.arange(27) * 7.0)
            ahead = roll_forward(one.layout, one.layout.acting(3), today, outlook)
        assert np.isfinite(ahead.survival).all()

    one, other = (simulate_cohort(np.random.default_rng(seed), 1) for seed in (3, 1))
    assert one.timeline.steps != other.timeline.steps
    everything(one)
    before = len(compilations())
    assert before > 0
    everything(other)
    assert compilations()[before:] == []
