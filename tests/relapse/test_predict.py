"""Forecasts against brute force: an Euler simulation of the equations with a hazard, weighted quantiles of expanded samples, remanence by its definition."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from remanent.dynamics.design import Design
from remanent.dynamics.forecast import Ahead, Outlook, Today
from remanent.dynamics.indicators import Indicators
from remanent.dynamics.infer import Posterior
from remanent.dynamics.model import Params
from remanent.dynamics.priors import layout, to_params
from remanent.relapse.predict import (
    EDGES_DAYS,
    HORIZONS_DAYS,
    LEAST_FUNCTION,
    Ensemble,
    at_horizons,
    contraction,
    distance_to_tipping,
    kept,
    relapse_probability,
    remanence,
    roll,
    summarise,
)

DESIGN = Design(
    Indicators(("hdrs17",), np.array([True]), np.zeros(1), np.ones(1), np.array([[True, False, False, True]])),
    crp_centre=0.0,
    sleep_centre=7.0,
    classes=("ssri",),
    class_weight=(1.0,),
    placements=(),
    placement_weight=(),
    tether=(),
    risk=(),
    reserve=(),
    dropout=False,
)
LAYOUT = layout(DESIGN)
INTERVALS = EDGES_DAYS.size - 1
PATHS, SUBSTEP_DAYS = 8000, 0.1


def coordinates(**changes: float) -> np.ndarray:
    """The prior's centre in standard-normal coordinates, with some parameters moved by so many prior sds."""
    theta = np.zeros(LAYOUT.size)
    for name, sds in changes.items():
        theta[LAYOUT.index(name)] = sds
    return theta


def parameters(mechanism: int, theta: np.ndarray) -> Params:
    return to_params(jnp.asarray(theta), LAYOUT, jnp.asarray(LAYOUT.acting(mechanism)))


def euler(
    mechanism: int, theta: np.ndarray, start: tuple, dose: np.ndarray, stress: np.ndarray, seed: int, tipping=None
):
    """Survival and mean function at EDGES_DAYS[1:] by simulated paths, and their Monte Carlo errors; nothing shared but the parameters.

    df = -k_f (f - s - p D + b·u) dt + sig_f dW,  ds = [(c + a D)(f - s) - r s] dt + sig_s dW,  survival = E exp(-∫ h0 e^{-eta f} dt).
    """
    q = {k: np.asarray(v) for k, v in parameters(mechanism, theta)._asdict().items()}
    rng = np.random.default_rng(seed)
    f, s, p = (np.full(PATHS, float(v)) for v in start)
    hazard, out = np.zeros(PATHS), []
    push = float(q["b"][:2] @ stress)
    for k, days in enumerate(np.diff(EDGES_DAYS)):
        steps = round(days / SUBSTEP_DAYS)
        h = days / steps
        for _ in range(steps):
            noise = rng.standard_normal((2, PATHS)) * np.sqrt(h)
            df = -q["k_f"] * (f - s - p * dose[k] + push) * h + q["sig_f"] * noise[0]
            pull = s if tipping is None else s * (s - tipping) * (s - 1)
            ds = ((q["c"] + q["a"] * dose[k]) * (f - s) - q["r"] * pull) * h + q["sig_s"] * noise[1]
            before = q["h0"] * np.exp(-q["eta_f"] * f)
            f, s = f + df, s + ds
            hazard += h * (before + q["h0"] * np.exp(-q["eta_f"] * f)) / 2
        alive = np.exp(-hazard)
        out.append((alive.mean(), f.mean(), alive.std() / PATHS**0.5, f.std() / PATHS**0.5))
    return np.array(out).T


def falling(days: float) -> np.ndarray:
    """Exposure that fades from 1 with a time constant."""
    return np.exp(-EDGES_DAYS[:-1] / days)


CASES = {
    "natural, no drug": (0, coordinates(), (0.9, 0.5, 0.0), np.zeros(INTERVALS), (0.0, 0.0)),
    "passive, on the drug": (1, coordinates(), (1.2, 0.4, 0.6), np.ones(INTERVALS), (0.0, 0.0)),
    "passive, drug withdrawn": (1, coordinates(), (1.2, 0.4, 0.6), falling(20.0), (0.0, 0.0)),
    "active, drug withdrawn late": (
        2,
        coordinates(),
        (1.0, 0.6, 0.0),
        np.where(EDGES_DAYS[:-1] < 90, 1.0, 0.0),
        (0, 0),
    ),
    "dual, stressed": (3, coordinates(b_crp=2.0, b_sleep=1.0), (0.8, 0.5, 0.4), np.ones(INTERVALS), (1.0, 2.0)),
    "a noisy circuit": (1, coordinates(sig_f=2.0, sig_s=2.0), (0.7, 0.5, 0.3), falling(60.0), (0.0, 0.0)),
    "a steep hazard": (1, coordinates(h0=1.5, eta_f=2.0), (0.9, 0.5, 0.6), falling(30.0), (0.0, 0.0)),
}


@pytest.mark.parametrize("case", CASES)
def test_survival_and_function_are_those_of_simulated_paths(case: str) -> None:
    mechanism, theta, start, dose, stress = CASES[case]
    ensemble = one_draw(mechanism, theta, start)
    (ahead,) = roll(ensemble, course(dose[:, None], np.array(stress, float)[:, None]))
    alive, function, alive_error, function_error = euler(mechanism, theta, start, dose, np.array(stress, float), seed=1)
    # Four Monte Carlo errors; beyond them 0.004 for the Gaussian approximation among survivors and for Euler's step.
    assert (np.abs(ahead.survival[:, 0, 0] - alive) < 4 * alive_error + 0.004).all()
    assert (np.abs(ahead.function[:, 0, 0] - function) < 4 * function_error + 0.004).all()
    assert relapse_probability(ensemble, (ahead,)).mean[:, 0] == pytest.approx(1 - ahead.survival[:, 0, 0])


@pytest.mark.parametrize("s", [0.2, 0.45, 0.9], ids=["below", "at", "above the tipping point"])
def test_two_basins_ahead_are_those_of_simulated_paths(s: float) -> None:
    two = replace(DESIGN, form="two-basin")
    theta = np.zeros(layout(two).size)
    today = replace_tipping(today_of(theta[None], *(np.full((1, 1), v) for v in (s + 0.4, s, 0.4))), 0.45)
    ensemble = Ensemble(Posterior(layout(two), ()), (1,), (today,), np.ones((1, 1)))
    (ahead,) = roll(ensemble, course(np.zeros((INTERVALS, 1)), np.zeros((2, 1))))
    alive, function, alive_error, function_error = euler(
        1, np.zeros(LAYOUT.size), (s + 0.4, s, 0.4), np.zeros(INTERVALS), np.zeros(2), seed=1, tipping=0.45
    )
    assert (np.abs(ahead.survival[:, 0, 0] - alive) < 4 * alive_error + 0.01).all()
    assert (np.abs(ahead.function[:, 0, 0] - function) < 4 * function_error + 0.02).all()
    distance = distance_to_tipping(ensemble, (ahead,))
    assert distance is not None
    assert distance.mean[:, 0] == pytest.approx(ahead.structure[:, 0, 0] - 0.45)
    assert distance_to_tipping(one_draw(1, coordinates(), (1.0, 0.5, 0.0)), (ahead,)) is None


def replace_tipping(today: Today, tipping: float) -> Today:
    return today._replace(tipping=np.full_like(today.f, tipping))


def one_draw(mechanism: int, theta: np.ndarray, start: tuple) -> Ensemble:
    today = today_of(theta[None], *(np.full((1, 1), float(v)) for v in start))
    return Ensemble(Posterior(LAYOUT, ()), (mechanism,), (today,), np.ones((1, 1)))


def today_of(theta: np.ndarray, f: np.ndarray, s: np.ndarray, p: np.ndarray) -> Today:
    """Gains of ECT that nothing calls on, and the average sensitivity to stress."""
    return Today(theta, f, s, p, np.zeros_like(f), np.zeros_like(f), np.ones_like(f))


def course(dose: np.ndarray, stress: np.ndarray) -> Outlook:
    """One class of drugs and constant CRP and sleep, [interval, patient] and [stressor, patient]."""
    intervals, patients = dose.shape
    both = np.repeat(stress[:, None], intervals, 1)
    none = np.zeros((0, intervals, patients))
    people = np.zeros((1, patients)), np.zeros((0, patients))
    return Outlook(
        dt=np.diff(EDGES_DAYS),
        dose=dose[None],
        held=people[0],
        stress=np.concatenate([both, np.zeros((1, intervals, patients))]),
        ect=none,
        period=none,
        tether=people[1],
        risk=people[1],
    )


def test_with_no_noise_and_a_constant_hazard_survival_is_exponential() -> None:
    """eta_f = 0 by the scale of its prior (2 ± 0.7): survival is exp(-h0 t) whatever function does."""
    theta = coordinates(eta_f=-2.0 / 0.7, sig_f=-40.0, sig_s=-40.0)
    (ahead,) = roll(one_draw(1, theta, (1.0, 0.3, 0.5)), course(np.ones((INTERVALS, 1)), np.zeros((2, 1))))
    assert ahead.survival[:, 0, 0] == pytest.approx(np.exp(-0.02 * EDGES_DAYS[1:]), rel=1e-6)


def test_every_patient_and_draw_is_rolled_by_itself() -> None:
    rng = np.random.default_rng(5)
    theta = rng.standard_normal((3, LAYOUT.size)) * 0.5
    f, s, p = rng.normal(0.7, 0.3, (3, 3, 2))
    dose, stress = rng.uniform(0, 1, (INTERVALS, 2)), rng.normal(0, 1, (2, 2))
    together = Ensemble(Posterior(LAYOUT, ()), (3,), (today_of(theta, f, s, p),), np.ones((2, 1)))
    (every,) = roll(together, course(dose, stress))
    for d in range(3):
        for i in range(2):
            (one,) = roll(one_draw(3, theta[d], (f[d, i], s[d, i], p[d, i])), course(dose[:, [i]], stress[:, [i]]))
            assert every.survival[:, d, i] == pytest.approx(one.survival[:, 0, 0], rel=1e-9)
            assert every.function[:, d, i] == pytest.approx(one.function[:, 0, 0], rel=1e-9, abs=1e-12)


def test_the_fast_recursion_takes_any_number_of_patients() -> None:
    """It is compiled for one, two, four, or a multiple of eight: what fills the room changes nothing."""
    rng = np.random.default_rng(6)
    theta = rng.standard_normal((2, LAYOUT.size)) * 0.5
    f, s, p = rng.normal(0.7, 0.3, (3, 2, 5))
    outlook = course(rng.uniform(0, 1, (INTERVALS, 5)), rng.normal(0, 1, (2, 5)))
    (every,) = kept(Ensemble(Posterior(LAYOUT, ()), (3,), (today_of(theta, f, s, p),), np.ones((5, 1))), outlook)
    assert every.survival.shape == (INTERVALS, 2, 5)
    for i in range(5):
        mine = today_of(theta, f[:, [i]], s[:, [i]], p[:, [i]])
        (one,) = kept(Ensemble(Posterior(LAYOUT, ()), (3,), (mine,), np.ones((1, 1))), outlook.of(np.array([i])))
        np.testing.assert_allclose(every.survival[..., [i]], one.survival, rtol=1e-12)
        np.testing.assert_allclose(every.function[..., [i]], one.function, atol=1e-12)


def test_studies_that_differ_in_shares_alone_share_programs() -> None:
    """One layout, hence one program; each study's own weights make its multiples average to 1."""
    both = {"classes": ("ssri", "snri"), "placements": ("RUL", "BT")}
    studies = [layout(replace(DESIGN, **both, class_weight=w, placement_weight=w)) for w in ((0.5, 0.5), (0.9, 0.1))]
    assert studies[0] == studies[1]
    assert hash(studies[0]) == hash(studies[1])
    theta = jnp.asarray(np.random.default_rng(7).standard_normal(studies[0].size))
    program = jax.jit(lambda t, on: to_params(t, studies[0], on))
    for one in studies:
        found = program(theta, jnp.asarray(one.acting(3)))
        for multiples in (found.rho, found.alpha, found.ect_f):
            assert np.array(one.class_weight) @ np.log(multiples) == pytest.approx(0.0, abs=1e-12)
    assert program._cache_size() == 1
    with pytest.raises(ValueError, match="acting"):
        to_params(theta, studies[0], jnp.zeros(2))


def test_quantiles_are_those_of_the_expanded_sample() -> None:
    """Weights 6/16, 9/16 and 1/16 on seven draws each: as if those draws stood there 6, 9 times and once."""
    rng = np.random.default_rng(2)
    copies = np.array([[6, 9, 1], [1, 9, 6]])
    draws = [rng.normal(m, 1, (4, 7, 2)) for m in range(3)]
    found = summarise(draws, copies / 16)
    for patient in range(2):
        times = copies[patient]
        expanded = np.concatenate(
            [np.repeat(d[..., patient], k, axis=1) for d, k in zip(draws, times, strict=True)], axis=1
        )
        assert found.mean[:, patient] == pytest.approx(expanded.mean(1))
        for name, q in (("lower", 0.05), ("upper", 0.95)):
            wanted = np.quantile(expanded, q, axis=1, method="inverted_cdf")
            assert getattr(found, name)[:, patient] == pytest.approx(wanted)


def test_a_mechanism_without_weight_says_nothing() -> None:
    draws = [np.full((1, 4, 1), 0.2), np.full((1, 4, 1), 0.9)]
    found = summarise(draws, np.array([[1.0, 0.0]]))
    assert (found.mean.item(), found.lower.item(), found.upper.item()) == pytest.approx((0.2, 0.2, 0.2))


def ensemble_of(f: np.ndarray) -> Ensemble:
    """One mechanism whose draws of function today are `f`, [draw, patient]."""
    theta = np.zeros((len(f), LAYOUT.size))
    today = today_of(theta, f, np.zeros_like(f), np.zeros_like(f))
    return Ensemble(Posterior(LAYOUT, ()), (0,), (today,), np.ones((f.shape[1], 1)))


def later(function: np.ndarray) -> Ahead:
    every = np.repeat(function[None], INTERVALS, 0)
    return Ahead(np.ones_like(every), np.zeros_like(every), every, every)


def test_remanence_is_the_ratio_of_expectations() -> None:
    now, then = np.array([[1.0], [0.5], [1.5]]), np.array([[0.2], [0.4], [0.9]])
    found = remanence(ensemble_of(now), (later(then),))
    assert found.mean[:, 0] == pytest.approx(np.full(INTERVALS, 0.5))
    assert found.lower[0, 0] == pytest.approx(0.2)
    assert found.upper[0, 0] == pytest.approx(0.8)


def test_all_that_was_there_remains_or_nothing_does() -> None:
    now = np.array([[1.0], [0.6]])
    assert remanence(ensemble_of(now), (later(now),)).mean == pytest.approx(np.ones((INTERVALS, 1)))
    assert remanence(ensemble_of(now), (later(0 * now),)).upper == pytest.approx(np.zeros((INTERVALS, 1)))


@pytest.mark.parametrize("now", [[0.09, 0.09], [-0.5, 0.9], [-1.0, -1.0], [0.0, 0.0]])
def test_remanence_is_undefined_where_there_is_nothing_to_keep(now: list[float]) -> None:
    f = np.array(now)[:, None]
    found = remanence(ensemble_of(f), (later(f),))
    assert all(np.isnan(getattr(found, name)).all() for name in ("mean", "lower", "upper"))
    assert LEAST_FUNCTION == 0.1


def test_of_what_a_passive_drug_gave_nothing_remains_and_structure_keeps_its_own() -> None:
    """No drug any more: f falls to s within weeks, s by r / (1 + c / k_f ...) within months; without noise a matter of algebra."""
    theta = coordinates(sig_f=-40.0, sig_s=-40.0)
    ensemble = one_draw(1, theta, (1.0, 0.5, 0.5))
    remains = remanence(ensemble, roll(ensemble, course(np.zeros((INTERVALS, 1)), np.zeros((2, 1))))).mean[:, 0]
    k_f, r, c = (float(getattr(parameters(1, theta), k)) for k in ("k_f", "r", "c"))
    drift = np.array([[-k_f, k_f], [c, -(c + r)]])
    rates, modes = np.linalg.eig(drift)
    share = np.linalg.solve(modes, np.array([1.0, 0.5]))
    assert remains == pytest.approx((modes[0] * share * np.exp(np.outer(EDGES_DAYS[1:], rates))).sum(1), abs=1e-9)


def test_horizons_are_those_of_the_tables() -> None:
    days = np.repeat(EDGES_DAYS[1:, None, None], 1, 1)
    found = at_horizons(summarise([days], np.ones((1, 1))))
    assert tuple(found.mean[:, 0]) == HORIZONS_DAYS


def spread_of_logit(rng: np.random.Generator, sd: float, draws: int = 4000) -> np.ndarray:
    return 1 / (1 + np.exp(-sd * rng.standard_normal((INTERVALS, draws, 1))))


ONE = (np.ones((1, 1)), np.ones((1, 1)))


def test_contraction_is_zero_where_nothing_was_learnt() -> None:
    rng = np.random.default_rng(3)
    prior = [spread_of_logit(rng, 1.0)]
    assert contraction(prior, prior, ONE) == pytest.approx(0, abs=1e-12)
    # An independent sample: the error of a ratio of variances of 4000 draws, least over four horizons.
    assert abs(contraction([spread_of_logit(rng, 1.0)], prior, ONE).item()) < 0.1


def test_contraction_is_the_share_of_variance_removed() -> None:
    rng = np.random.default_rng(4)
    prior = [spread_of_logit(rng, 1.0)]
    assert contraction([spread_of_logit(rng, 0.5)], prior, ONE).item() == pytest.approx(0.75, abs=0.03)
    assert contraction([spread_of_logit(rng, 0.01)], prior, ONE).item() > 0.999
    assert contraction([spread_of_logit(rng, 2.0)], prior, ONE).item() < -2


def test_contraction_is_that_of_the_worst_horizon() -> None:
    rng = np.random.default_rng(6)
    prior = [spread_of_logit(rng, 1.0)]
    known = spread_of_logit(rng, 0.1)
    known[np.searchsorted(EDGES_DAYS[1:], 364.0)] = prior[0][np.searchsorted(EDGES_DAYS[1:], 364.0)]
    assert contraction([known], prior, ONE).item() == pytest.approx(0, abs=1e-9)


def test_mechanisms_that_disagree_count_as_spread() -> None:
    """Two points at logit ±1: variance 1 between mechanisms of equal weight, 0 where one is sure."""
    rng = np.random.default_rng(7)
    prior = [spread_of_logit(rng, 1.0)]
    low, high = (np.full((INTERVALS, 2, 1), 1 / (1 + np.exp(-sign))) for sign in (-1.0, 1.0))
    both = contraction([low, high], prior, (np.array([[0.5, 0.5]]), np.ones((1, 1)))).item()
    assert both == pytest.approx(0, abs=0.1)
    assert contraction([low, high], prior, (np.array([[1.0, 0.0]]), np.ones((1, 1)))).item() == pytest.approx(1)


@pytest.mark.parametrize("case", CASES)
def test_the_fast_recursion_agrees(case: str) -> None:
    mechanism, theta, start, dose, stress = CASES[case]
    ensemble, outlook = one_draw(mechanism, theta, start), course(dose[:, None], np.array(stress, float)[:, None])
    (slow,), (fast,) = roll(ensemble, outlook), kept(ensemble, outlook)
    assert np.abs(fast.survival - slow.survival).max() < 2e-5
    assert np.abs(fast.function - slow.function).max() < 1e-12
    assert np.abs(fast.structure - slow.structure).max() < 1e-12
