"""The simulator's integrator against the matrix exponential and closed forms."""

import numpy as np
import pytest
from scipy.integrate import quad_vec
from scipy.linalg import expm

from remanent.trial.reference import reference_params
from remanent.trial.trajectory import Forcing, Person, State, cumulative_hazard, integrate, relapse_days

PARAMS = reference_params("dual")


def person(lanes: int, *, p: float = 0.5, g_f: float = 1.0, g_s: float = 0.3, a: float | None = None) -> Person:
    full = np.ones(lanes)
    return Person(
        p * full, g_f * full, g_s * full, float(PARAMS.c) * full, (float(PARAMS.a) if a is None else a) * full
    )


def forcing(
    days: np.ndarray, lanes: int, *, exposure: float | np.ndarray = 1.0, stress: float = 0.0, ect: object = 0.0
) -> Forcing:
    D = np.broadcast_to(np.asarray(exposure, float).reshape(-1, 1), (len(days), lanes))
    return Forcing(
        days,
        D,
        np.full((2, 1, 1), stress),
        np.broadcast_to(np.asarray(ect, float).reshape(-1, 1), (len(days), lanes)),
        np.full(lanes, days[0]),
    )


def at_rest(lanes: int, f: float = 0.0, s: float = 0.0) -> State:
    zero = np.zeros(lanes)
    return State(zero + f, zero + s, zero, zero)


@pytest.mark.parametrize(("step", "tolerance"), [(0.25, 2e-5), (1.0, 3e-4)])
def test_noiseless_path_is_the_matrix_exponential(step: float, tolerance: float) -> None:
    quiet = PARAMS._replace(sig_f=0.0, sig_s=0.0)
    days = np.arange(0, 120 + step / 2, step)
    course = integrate(np.random.default_rng(0), quiet, person(1), forcing(days, 1, stress=0.7), at_rest(1, 0.9, 0.2))
    k_f, r, kappa = float(PARAMS.k_f), float(PARAMS.r), float(PARAMS.c + PARAMS.a)
    A = np.array([[-k_f, k_f], [kappa, -kappa - r]])
    v = np.array([k_f * (0.5 - 0.7 * np.sum(PARAMS.b)), 0.0])
    rest = -np.linalg.solve(A, v)
    expected = rest + expm(A * 120) @ (np.array([0.9, 0.2]) - rest)
    np.testing.assert_allclose([course.f[-1, 0], course.s[-1, 0]], expected, atol=tolerance)


def test_mean_and_covariance_are_those_of_the_linear_sde() -> None:
    lanes, T = 40_000, 30.0
    course = integrate(
        np.random.default_rng(1),
        PARAMS,
        person(lanes),
        forcing(np.arange(0, T + 0.1, 0.5), lanes),
        at_rest(lanes, 0.8, 0.1),
    )
    k_f, r, kappa = float(PARAMS.k_f), float(PARAMS.r), float(PARAMS.c + PARAMS.a)
    A = np.array([[-k_f, k_f], [kappa, -kappa - r]])
    S = np.diag([float(PARAMS.sig_f) ** 2, float(PARAMS.sig_s) ** 2])
    Q, _ = quad_vec(lambda u: expm(A * u) @ S @ expm(A * u).T, 0, T)
    rest = -np.linalg.solve(A, [k_f * 0.5, 0.0])
    mean = rest + expm(A * T) @ (np.array([0.8, 0.1]) - rest)
    x = np.stack([course.f[-1], course.s[-1]])
    np.testing.assert_allclose(x.mean(axis=1), mean, atol=4 * np.sqrt(np.diag(Q).max() / lanes))
    np.testing.assert_allclose(np.cov(x), Q, atol=5 * Q.max() * np.sqrt(2 / lanes))


def test_sessions_lift_function_structure_and_trace_and_the_trace_fades() -> None:
    quiet = PARAMS._replace(sig_f=0.0, sig_s=0.0, k_f=0.0, r=0.0)
    still = Person(*(np.array([x]) for x in (0.0, 1.2, 0.4, 0.0, 0.0)))
    days = np.arange(0.0, 61.0)
    ect = np.where(np.isin(days, [0, 2, 4, 6]), 0.25, 0.0)
    course = integrate(np.random.default_rng(0), quiet, still, forcing(days, 1, exposure=0.0, ect=ect), at_rest(1))
    assert course.f[-1, 0] == pytest.approx(1.2)
    assert course.s[-1, 0] == pytest.approx(0.4)
    fading = sum(0.25 * np.exp(-(60 - day) / float(PARAMS.tau_e)) for day in (0, 2, 4, 6))
    assert course.e[-1, 0] == pytest.approx(fading, rel=1e-12)


def test_withdrawal_answers_only_to_falling_exposure() -> None:
    days = np.arange(0.0, 40.0, 0.25)
    rising = integrate(
        np.random.default_rng(0), PARAMS, person(1), forcing(days, 1, exposure=np.minimum(days / 5, 1)), at_rest(1)
    )
    assert not rising.w.any()
    falling = np.clip(1 - (days - 10) / 8, 0, 1)
    course = integrate(np.random.default_rng(0), PARAMS, person(1), forcing(days, 1, exposure=falling), at_rest(1))
    tau, omega = float(PARAMS.tau_w), float(PARAMS.omega)
    at_18 = omega / 8 * tau * (1 - np.exp(-8 / tau))
    assert course.w[days == 18.0, 0] == pytest.approx(at_18, rel=1e-4)


def test_nothing_moves_before_a_patients_first_day() -> None:
    days = np.arange(-20.0, 5.0)
    acting = forcing(days, 2)
    acting = Forcing(acting.days, acting.exposure, acting.stress, acting.ect, np.array([-20.0, -8.0]))
    course = integrate(np.random.default_rng(0), PARAMS, person(2), acting, at_rest(2, 0.05))
    assert (course.f[days <= -8, 1] == 0.05).all()
    assert course.f[days == -7, 1] != 0.05
    assert course.f[days == -19, 0] != 0.05


def test_relapse_by_inversion_is_exponential_where_the_hazard_is_constant() -> None:
    flat = PARAMS._replace(eta_f=0.0, h0=0.01)
    days, lanes = np.arange(-30.0, 400.0, 0.5), 5
    course = integrate(np.random.default_rng(0), flat, person(lanes), forcing(days, lanes), at_rest(lanes))
    u = np.array([0.01, 0.5, 1.0, 3.0, 5.0])
    np.testing.assert_allclose(relapse_days(course, u)[:4], u[:4] / 0.01, rtol=1e-9)
    assert np.isinf(relapse_days(course, u)[4])


def test_hazard_counts_from_day_zero_and_follows_function() -> None:
    days = np.array([-2.0, -1.0, 0.0, 1.0, 3.0])
    f = np.array([[5.0], [5.0], [0.0], [1.0], [1.0]])
    h0, eta = float(PARAMS.h0), float(PARAMS.eta_f)
    expected = h0 * np.array([0.0, 0.0, 0.0, (1 + np.exp(-eta)) / 2, (1 + np.exp(-eta)) / 2 + 2 * np.exp(-eta)])
    np.testing.assert_allclose(cumulative_hazard(days, f, PARAMS)[:, 0], expected)
