"""Early warning: false alarms at the stated rate on series that do not slow down, power on one that does, and ratings as people give them."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from remanent.dynamics.warning import EarlyWarning, early_warning, limits, spells


def beeps(rng: np.random.Generator, days: int, per_day: int, answered: float = 0.8, gap: tuple = (0, 0)) -> np.ndarray:
    """Rating times between 8 and 22 h, some unanswered, none within the gap."""
    hours = 8 + np.linspace(0, 14, per_day)[None] + rng.uniform(-0.7, 0.7, (days, per_day))
    t = np.sort((np.arange(days)[:, None] + hours / 24).ravel())
    return t[(rng.random(t.size) < answered) & ~((t > gap[0]) & (t < gap[1]))]


def series(rng: np.random.Generator, t: np.ndarray, phi: np.ndarray | float, items: int = 2) -> np.ndarray:
    """Gaussian series of variance 1, correlated 0.5 between items, with correlation phi^(gap / median gap) of neighbours, [time, item]."""
    gap = np.diff(t, prepend=t[0]) / np.median(np.diff(t))
    decay = np.where(gap > 0, np.broadcast_to(phi, t.shape) ** np.maximum(gap, 1e-9), 0.0)
    root = np.linalg.cholesky(0.5 + 0.5 * np.eye(items))
    x = np.zeros((t.size, items))
    for i in range(t.size):
        x[i] = decay[i] * x[i - 1] * (i > 0) + np.sqrt(1 - decay[i] ** 2) * (root @ rng.standard_normal(items))
    return x


def warn(t: np.ndarray, x: np.ndarray, rng: np.random.Generator) -> EarlyWarning:
    return early_warning({f"item{j}": (t, column) for j, column in enumerate(x.T)}, rng)


STATIONARY = {
    "white": lambda rng, t: series(rng, t, 0.0),
    "autoregressive": lambda rng, t: series(rng, t, 0.5),
    "strongly autoregressive": lambda rng, t: series(rng, t, 0.8),
    "a mean that moves": lambda rng, t: series(rng, t, 0.3) + 0.1 * t[:, None] + 2 * np.sin(t / 15)[:, None],
    "whole numbers with a floor": lambda rng, t: np.clip(np.round(2 + series(rng, t, 0.4)), 1, 7),
    "heavy tails": lambda rng, t: np.exp(series(rng, t, 0.4)),
}


def alarms(make, patients: int, days: int, per_day: int, seed: int) -> int:
    rng = np.random.default_rng(seed)
    count = 0
    for _ in range(patients):
        t = beeps(rng, days, per_day)
        count += bool(warn(t, make(rng, t), rng).warned)
    return count


@pytest.mark.parametrize("what", STATIONARY)
def test_false_alarms_at_the_stated_rate(what: str) -> None:
    """60 patients: with a rate of 5 %, 10 or more alarms happen once in 1,000 (binomial)."""
    assert alarms(STATIONARY[what], 60, 24, 5, seed=3) < 10


@pytest.mark.slow
@pytest.mark.parametrize("what", STATIONARY)
def test_false_alarms_at_the_stated_rate_in_many_patients(what: str) -> None:
    """600 patients of two months: the 99.9 % interval of a rate of 5 % is 2.4 to 8.2 %."""
    share = alarms(STATIONARY[what], 600, 60, 5, seed=11) / 600
    assert 0.024 <= share <= 0.082


def test_a_simulated_slowing_is_seen() -> None:
    rng = np.random.default_rng(5)
    seen, taus = 0, []
    for _ in range(20):
        t = beeps(rng, 60, 5)
        phi = np.linspace(0.1, 0.85, t.size)
        x = series(rng, t, phi) / np.sqrt(1 - phi**2)[:, None]
        found = warn(t, x, rng)
        seen += bool(found.warned)
        taus.append(found.tau)
    assert seen >= 16
    assert (np.mean(taus, axis=0) > 0.4).all()


def test_a_rise_and_not_a_fall_warns() -> None:
    rng = np.random.default_rng(6)
    t = beeps(rng, 60, 6)
    x = series(rng, t, 0.2)
    rising, falling = np.linspace(0.3, 3, t.size)[:, None], np.linspace(3, 0.3, t.size)[:, None]
    assert warn(t, x * rising, rng).warned
    assert not warn(t, x * falling, rng).warned


def test_gaps_and_nights() -> None:
    rng = np.random.default_rng(7)
    count = 0
    for _ in range(40):
        t = beeps(rng, 40, 5, answered=0.7, gap=(12, 20))
        count += bool(warn(t, series(rng, t, 0.4), rng).warned)
    assert count < 8


def test_constant_runs_and_ties() -> None:
    rng = np.random.default_rng(8)
    t = beeps(rng, 40, 5)
    x = np.clip(np.round(1 + 0.6 * series(rng, t, 0.3)), 1, 7)
    x[60:140, 0] = 1.0
    found = warn(t, np.column_stack([x, np.full(t.size, 3.0)]), rng)
    assert found.warned is not None
    assert found.items == ("item0", "item1")
    assert np.isfinite([*found.tau, *found.p_value]).all()
    only_constant = warn(t, np.full((t.size, 2), 4.0), rng)
    assert only_constant.warned is None
    assert "no item varies" in only_constant.reason


@pytest.mark.parametrize("days", [0, 1, 5])
def test_too_few_ratings_are_no_question(days: int) -> None:
    rng = np.random.default_rng(9)
    t = beeps(rng, days, 5) if days else np.zeros(0)
    found = warn(t, np.ones((t.size, 1)) * rng.standard_normal((t.size, 1)), rng)
    assert found.warned is None
    assert found.reason
    assert not spells({"a": (t, rng.standard_normal(t.size))})


def test_five_thousand_ratings_a_day() -> None:
    rng = np.random.default_rng(10)
    t = np.sort(rng.uniform(0, 20, 100_000))
    found = warn(t, rng.standard_normal((t.size, 1)), rng)
    assert found.ratings <= limits()["most_times"] * 1.01 + 1
    assert found.warned is not None


def test_the_answer_depends_on_the_seed_alone() -> None:
    t = beeps(np.random.default_rng(1), 30, 5)
    x = series(np.random.default_rng(2), t, 0.3)
    first, second = (warn(t, x, np.random.default_rng(4)) for _ in range(2))
    assert first == second


def test_spells_are_variance_and_autocorrelation_of_their_days() -> None:
    """A series whose spread doubles half-way: log variance rises by log 4; the stated errors are those of repeats."""
    found = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        t = np.arange(0, 56, 0.2)
        x = series(rng, t, 0.4, items=1)[:, 0] * np.where(t < 28, 1.0, 2.0)
        found.append(spells({"a": (t, x)}))
    rise = np.array([s[-1].log_variance - s[0].log_variance for s in found])
    assert_allclose(rise.mean(), np.log(4), atol=0.12)
    stated = np.array([np.hypot(s[0].log_variance_se, s[-1].log_variance_se) for s in found]).mean()
    assert 0.75 < stated / rise.std() < 1.3
    phi = np.array([s[1].autocorrelation for s in found])
    assert_allclose(phi.mean(), 0.4, atol=0.08)
    assert 0.7 < np.mean([s[1].autocorrelation_se for s in found]) / phi.std() < 1.3
