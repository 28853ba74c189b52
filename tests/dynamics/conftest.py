"""The helpers of this folder importable by name, and the cohorts and fits that several tests share."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from synthetic import Cohort, simulate_cohort

import small
from remanent.dynamics.compare import Comparison, compare
from remanent.dynamics.infer import Posterior, fit

# 16 patients and 128 steps each, so that one compiled program serves all of them.
DESIGNS = {
    "dual": {},
    "natural": {"truth": {"p": 0.0, "a": 0.0}},
    "no drug": {"drug": False},
    "constant dose": {"tapers": False},
}


@pytest.fixture(scope="session")
def cohort() -> Callable[[str], Cohort]:
    """Cohort of one of `DESIGNS`, simulated once."""
    made: dict[str, Cohort] = {}

    def get(name: str) -> Cohort:
        if name not in made:
            made[name] = simulate_cohort(np.random.default_rng(2), 16, **DESIGNS[name])
        return made[name]

    return get


@pytest.fixture(scope="session")
def posterior(cohort) -> Callable[[str], Posterior]:
    """Fit of one of `DESIGNS`, made once."""
    made: dict[str, Posterior] = {}

    def get(name: str) -> Posterior:
        if name not in made:
            made[name] = fit(cohort(name).layout, cohort(name).timeline.grid)
        return made[name]

    return get


@pytest.fixture(scope="session")
def comparison(cohort, posterior) -> Callable[[str], Comparison]:
    """Comparison of the fits of one of `DESIGNS`, made once, on few simulated patients."""
    made: dict[str, Comparison] = {}

    def get(name: str) -> Comparison:
        if name not in made:
            timeline = cohort(name).timeline
            with small.few_simulated():
                made[name] = compare(posterior(name), timeline.grid, len(timeline.lanes), seed=0)
        return made[name]

    return get
