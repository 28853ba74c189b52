"""Value of information: against the exact Gaussian answer, against perfect and no information, and the rule's own thresholds."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from remanent.plan.next_scan import Particles, Reading, measurements, regrets, settings, value_of, value_of_knowing

LIMITS = {"least_hold": 0.8, "most_extra_relapse": 0.1}


def particles(count: int, seed: int = 0, spread: float = 1.0) -> tuple[Particles, np.ndarray]:
    """Particles whose hold rises with a Gaussian state x, and x."""
    x = np.random.default_rng(seed).normal(0, spread, count)
    hold = 1 / (1 + np.exp(-(1.6 + x)))
    stay = hold + 0.3 * (1 - hold)
    return Particles(np.full(count, 1 / count), hold, stay, hold, x), x


def reading(x: np.ndarray, sd: float) -> Reading:
    return Reading(x[:, None], np.full((x.size, 1, 1), sd**2))


def test_variance_is_the_exact_gaussian_one() -> None:
    """x ~ N(0, 1), y = x + N(0, 0.5²): Var(x | y) = 0.25 / 1.25."""
    p, x = particles(4000)
    found = value_of(p, reading(x, 0.5), LIMITS, 400, np.random.default_rng(1))
    assert_allclose(found.sd_before, 1.0, atol=0.03)
    assert_allclose(found.sd_after**2, 0.2, atol=0.02)


def test_two_measures_count_with_their_correlation() -> None:
    """Two readings with errors correlated 0.9 say hardly more than one; independent ones halve the error variance."""
    p, x = particles(3000)
    both = np.repeat(x[:, None], 2, 1)
    for rho, error_variance in ((0.0, 0.125), (0.9, 0.25 * 0.95)):
        cov = np.broadcast_to(0.25 * np.array([[1, rho], [rho, 1]]), (x.size, 2, 2))
        found = value_of(p, Reading(both, cov), LIMITS, 300, np.random.default_rng(2))
        assert_allclose(found.sd_after**2, error_variance / (1 + error_variance), atol=0.02)


def test_noise_says_nothing_and_truth_ends_regret() -> None:
    p, x = particles(1500)
    nothing = value_of(p, reading(np.zeros_like(x), 1.0), LIMITS, 200, np.random.default_rng(3))
    assert nothing.reduction == pytest.approx(0.0, abs=1e-12)
    assert_allclose(nothing.sd_after, nothing.sd_before, rtol=1e-9)
    truth = value_of(p, reading(x, 1e-4), LIMITS, 400, np.random.default_rng(4))
    assert truth.regret_after < 0.02 * truth.regret_before
    assert truth.reduction > 3 * truth.regret_error > 0
    some = value_of(p, reading(x, 0.7), LIMITS, 400, np.random.default_rng(5))
    assert truth.reduction > some.reduction
    assert truth.sd_after < some.sd_after < some.sd_before


def test_regret_by_hand() -> None:
    """Holds and loses little: holding is regretted; does not hold: tapering is, by what it causes beyond the exchange rate."""
    p = Particles(
        np.full(3, 1 / 3),
        np.array([0.9, 0.9, 0.5]),
        np.array([0.95, 0.95, 0.9]),
        np.array([0.93, 0.8, 0.5]),
        np.zeros(3),
    )
    taper, hold = regrets(p, LIMITS)
    assert_allclose(taper, [0, 0.05, 0.3], atol=1e-12)
    assert_allclose(hold, [0.08, 0, 0], atol=1e-12)


def test_knowing_a_level_without_error() -> None:
    weight = np.array([0.25, 0.25, 0.25, 0.25])
    hold = np.array([0.95, 0.95, 0.4, 0.4])
    p = Particles(weight, hold, hold, hold, np.array([1.0, 1.0, 0.0, 0.0]))
    known = value_of_knowing(p, np.array([0, 0, 1, 1]), LIMITS)
    assert_allclose(known.regret_before, 0.05)
    assert_allclose(known.regret_after, 0.0, atol=1e-12)
    assert_allclose(known.sd_after, 0.0, atol=1e-12)
    assert_allclose(value_of_knowing(p, np.array([0, 1, 0, 1]), LIMITS).reduction, 0.0, atol=1e-12)


def test_every_measurement_has_a_source_and_claims_its_measures() -> None:
    for entry in (*settings()["measurements"].values(), settings()["days"], settings()["outcomes"]):
        assert entry["status"] in {"published", "derived", "assumed"}
        assert entry["source"]
    found = {m.name: m for m in measurements()}
    assert [m.burden for m in measurements()] == sorted(m.burden for m in measurements())
    names, symptom = ("hdrs17", "fc_default_default", "sc_x", "ema_mood"), np.array([True, False, False, False])
    assert found["rating"].measures(names, symptom).tolist() == [0]
    assert found["function"].measures(names, symptom).tolist() == [1]
    assert found["both"].measures(names, symptom).tolist() == [1, 2]
    assert found["momentary"].measures(names, symptom).tolist() == [3]
    assert found["crp"].measures(names, symptom).tolist() == []
