"""Exposure of 1,000 patients, 5 segments and 100 days each, beside integrating the same equations with SciPy (10 patients)."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from remanent.treatment.drugs import CLASSES, require
from remanent.treatment.exposure import DoseHistory, change_days, exposure, mean_exposure

pytestmark = pytest.mark.benchmark(group="exposure")

DRUGS = ("sertraline", "venlafaxine", "lithium", "nortriptyline", "quetiapine", "mirtazapine")
DAYS = np.linspace(-30.0, 365.0, 100)


def cohort(patients: int) -> list[DoseHistory]:
    rng = np.random.default_rng(1)
    start = np.sort(rng.uniform(-30, 200, (patients, 5)))
    stop, dose = start + rng.uniform(10, 90, start.shape), rng.uniform(10, 150, start.shape)
    drug = [tuple(DRUGS[k] for k in row) for row in rng.integers(0, len(DRUGS), start.shape)]
    return [DoseHistory(*row) for row in zip(drug, dose, start, stop, strict=True)]


def integrated(history: DoseHistory) -> np.ndarray:
    """Concentration of each segment over the full dose, [segment, day]."""
    rate = np.array([np.log(2) / require(n).lag_half_life_days for n in history.drug])
    dose = history.dose_mg_day / np.array([require(n).full_dose.value for n in history.drug])

    def slope(t, c):
        return rate * (dose * ((history.start_day <= t) & (t < history.stop_day)) - c)

    return solve_ivp(slope, (DAYS[0], DAYS[-1]), np.zeros(5), "LSODA", DAYS, rtol=1e-5, atol=1e-6, max_step=1.0).y


def test_exposure_of_1000_patients(benchmark):
    patients = cohort(1000)
    found = benchmark(lambda: [exposure(h, DAYS) for h in patients])
    assert len(found) == 1000


def test_peer_scipy_10_patients(benchmark):
    patients = cohort(10)
    found = benchmark.pedantic(lambda: [integrated(h) for h in patients], rounds=3)
    for history, concentration in zip(patients, found, strict=True):
        linear = np.array([require(n).occupancy is None for n in history.drug])
        expected = exposure(history, DAYS)[[CLASSES.index(c) for c in ("lithium", "antipsychotic", "atypical")]].sum(
            axis=0
        )
        np.testing.assert_allclose(concentration[linear].sum(axis=0), expected, atol=2e-2)


def test_cuts_and_means_of_100_patients(benchmark):
    patients = cohort(100)

    def run():
        return [mean_exposure(h, np.concatenate([[-30.0], change_days(h, -30, 365), [365.0]])) for h in patients]

    assert len(benchmark(run)) == 100
