"""The closed-form transition against matrix exponentials, in every limit of the drift."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from remanent.dynamics.any_drift import compose, transition_any
from remanent.dynamics.compile import compiled
from remanent.dynamics.model import transition

SIG = (0.05, 0.015)
REGULAR = {
    "ordinary": (1 / 14, 0.01, 1 / 90, 7.0),
    "long gap": (1 / 14, 0.01, 1 / 90, 400.0),
    "no coupling, equal rates": (0.1, 0.0, 0.1, 5.0),
    "nearly equal rates": (0.1, 1e-9, 0.1, 30.0),
    "complex eigenvalues": (0.1, -0.03, 0.1, 5.0),
    "no time": (0.1, 0.02, 0.01, 0.0),
}
SINGULAR = {
    "a minute": (1 / 14, 0.01, 1 / 90, 0.0007),
    "no pull back": (0.1, 0.02, 0.0, 40.0),
    "almost no pull back": (0.1, 0.05, 1e-7, 50.0),
    "pure integrator": (0.0, 0.0, 0.0, 5.0),
    "function that does not move": (0.0, 0.02, 0.01, 30.0),
}


def stacked(law):
    return lambda k_f, kappa, r, dt: jnp.stack(law(k_f, kappa, r, tuple(map(jnp.asarray, SIG)), dt))


def slope(law):
    return jax.grad(lambda *x: stacked(law)(*x).sum(), argnums=(0, 1, 2, 3))


_regular, _any = (compiled(stacked(law)) for law in (transition, transition_any))
_slope_regular, _slope_any = (compiled(slope(law)) for law in (transition, transition_any))


def by_exponential(k_f: float, kappa: float, r: float, dt: float) -> np.ndarray:
    """One exponential of the linear system in x, x x' and two constants."""
    drift = np.array([[-k_f, k_f], [kappa, -(kappa + r)]])
    whole = np.zeros((8, 8))
    whole[:2, :2], whole[0, 6], whole[1, 7] = drift, 1.0, 1.0
    whole[2:6, 2:6] = np.kron(drift, np.eye(2)) + np.kron(np.eye(2), drift)
    whole[2, 6], whole[5, 6] = SIG[0] ** 2, SIG[1] ** 2
    e = scipy.linalg.expm(whole * dt)
    return np.array([*e[:2, :2].ravel(), *e[:2, 6], *e[:2, 7], e[2, 6], e[3, 6], e[5, 6]])


@pytest.mark.parametrize("name", REGULAR)
def test_transition(name):
    np.testing.assert_allclose(_regular(*REGULAR[name]), by_exponential(*REGULAR[name]), rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("name", REGULAR | SINGULAR)
def test_transition_of_any_drift(name):
    case = (REGULAR | SINGULAR)[name]
    np.testing.assert_allclose(_any(*case), by_exponential(*case), rtol=1e-9, atol=1e-13)


def test_a_minute_costs_the_regular_form_digits_and_no_more():
    """Noise and integrals are differences: the absolute error stays at rounding level (for the second integral, divided by r)."""
    case = SINGULAR["a minute"]
    tolerance = np.full(11, 1e-15)
    tolerance[6:8] /= case[2]
    assert (np.abs(_regular(*case) - by_exponential(*case)) < tolerance).all()


@settings(max_examples=60, deadline=None)
@given(
    k_f=st.floats(0.01, 1.0),
    kappa=st.floats(0.0, 0.5),
    r=st.floats(1e-4, 0.2),
    dt=st.sampled_from([0.01, 1.0, 7.0, 90.0]),
)
def test_both_forms_agree_wherever_the_prior_goes(k_f, kappa, r, dt):
    # stationary variances grow like 1 / r and the regular form subtracts them
    np.testing.assert_allclose(_regular(k_f, kappa, r, dt), _any(k_f, kappa, r, dt), rtol=1e-8, atol=1e-13 / r)


def test_two_intervals_compose_to_one():
    k_f, kappa, r = map(jnp.asarray, (1 / 14, 0.01, 1 / 90))
    sig = tuple(map(jnp.asarray, SIG))
    first, second, whole = (transition(k_f, kappa, r, sig, jnp.asarray(t)) for t in (3.0, 8.0, 11.0))
    np.testing.assert_allclose(compose(first, second), whole, rtol=1e-11)


@pytest.mark.parametrize("name", REGULAR | SINGULAR)
def test_gradients_are_finite_in_every_limit(name):
    case = tuple(map(jnp.asarray, (REGULAR | SINGULAR)[name]))
    assert np.isfinite(_slope_any(*case)).all()
    if name in REGULAR:
        np.testing.assert_allclose(_slope_regular(*case), _slope_any(*case), rtol=1e-7, atol=1e-9)
