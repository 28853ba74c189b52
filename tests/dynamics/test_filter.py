"""The recursions against the joint Gaussian of all states and observations, and against a plain Kalman filter with relapse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from designs import INDICATORS, PATIENTS, STEPS, one_by_one, padded_grid, random_grid, random_params, with_ends
from jax.flatten_util import ravel_pytree
from oracles import joint_gaussian, twin
from peer import random_study, textbook, without_hazard

from remanent.dynamics import filter as recursions
from remanent.dynamics import hazard
from remanent.dynamics.compile import compiled
from remanent.dynamics.hazard import Hazards
from remanent.dynamics.model import Params
from remanent.dynamics.steps import Grid, by_parts, in_parts, unobserved, without_events

log_likelihood, last_state, smooth, replicate = (
    compiled(getattr(recursions, name)) for name in ("log_likelihood", "last_state", "smooth", "replicate")
)
tilted_moments, relapse_share = compiled(hazard.tilted_moments), compiled(hazard.relapse_share)
_gradient = compiled(jax.grad(lambda params, grid: recursions.log_likelihood(params, grid).sum()))
value_and_gradient = compiled(jax.value_and_grad(lambda params, grid: recursions.log_likelihood(params, grid).sum()))


@pytest.mark.parametrize("seed", range(3))
def test_filter_and_smoother_equal_the_joint_gaussian(seed):
    rng = np.random.default_rng(seed)
    params, grid = random_params(rng), random_grid(rng)
    log_lik, states = log_likelihood(params, grid), smooth(params, grid)
    for i in range(PATIENTS):
        expected = joint_gaussian(params, grid, i)
        assert float(log_lik[i]) == pytest.approx(expected.log_density, abs=1e-9)
        for state, (mean, sd) in enumerate(((states.f_mean, states.f_sd), (states.s_mean, states.s_sd))):
            exact_mean, exact_cov = expected.pick(state, STEPS)
            np.testing.assert_allclose(mean[:, i], exact_mean, atol=1e-9)
            np.testing.assert_allclose(sd[:, i], np.sqrt(np.diag(exact_cov)), atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_filter_with_relapse_and_ends_of_scales_equals_its_plain_twin(seed):
    rng = np.random.default_rng(seed)
    params, grid = random_params(rng), with_ends(random_grid(rng, hazard=True), rng)
    assert 0 < float(grid.relapse.sum()) < PATIENTS
    log_lik, last = log_likelihood(params, grid), last_state(params, grid)
    for i in range(PATIENTS):
        expected = twin(params, grid, i)
        assert float(log_lik[i]) == pytest.approx(expected.log_lik, abs=1e-9)
        np.testing.assert_allclose(last.mean[:, i], expected.mean, atol=1e-9)
        np.testing.assert_allclose(last.cov[..., i], expected.cov, atol=1e-10)


def test_a_patient_of_whom_nothing_is_seen_needs_no_slots():
    """The short cuts for an unobserved grid against the whole recursion on a grid whose readings are all switched off."""
    rng = np.random.default_rng(4)
    params, grid = random_params(rng), random_grid(rng, hazard=True)
    off = without_events(grid._replace(observed=np.zeros_like(grid.observed)))
    short, whole = last_state(params, unobserved(grid)), last_state(params, off)
    kept = short.mean.shape[0]
    assert kept == whole.mean.shape[0] - INDICATORS
    np.testing.assert_allclose(short.mean, whole.mean[:kept], atol=1e-12)
    np.testing.assert_allclose(short.cov, whole.cov[:kept, :kept], atol=1e-12)
    mean, variance = compiled(recursions.unwatched)(params, grid)
    states = smooth(params, off)
    np.testing.assert_allclose(mean, states.f_mean, atol=1e-12)
    np.testing.assert_allclose(np.sqrt(variance), states.f_sd, atol=1e-10)


def test_filter_equals_the_textbook_filter():
    params, grid = random_study(3, np.random.default_rng(0))
    grid = without_hazard(grid)
    np.testing.assert_allclose(log_likelihood(params, grid), compiled(textbook)(params, grid), rtol=1e-12)


def test_gradient_against_finite_differences():
    rng = np.random.default_rng(4)
    params, grid = random_params(rng), with_ends(random_grid(rng, hazard=True), rng)
    flat, unravel = ravel_pytree(params)
    found = ravel_pytree(_gradient(params, grid))[0]
    tipping = 2  # theta and sd_theta belong to the two-basin form
    assert np.count_nonzero(found) == flat.size - tipping, "a parameter that touches nothing is not tested"
    for k in range(flat.size):
        step = 1e-5 * max(abs(float(flat[k])), 1e-2)
        up, down = (float(log_likelihood(unravel(flat.at[k].add(d)), grid).sum()) for d in (step, -step))
        assert float(found[k]) == pytest.approx((up - down) / (2 * step), rel=2e-6, abs=2e-5)


def test_last_smoothed_state_is_the_last_filtered_state():
    rng = np.random.default_rng(9)
    params, grid = random_params(rng), with_ends(random_grid(rng, hazard=True), rng)
    last, states = last_state(params, grid), smooth(params, grid)
    np.testing.assert_allclose(states.f_mean[-1], last.mean[0], atol=1e-12)
    np.testing.assert_allclose(states.f_sd[-1], np.sqrt(last.cov[0, 0]), atol=1e-12)
    np.testing.assert_allclose(last.cov, np.swapaxes(last.cov, 0, 1), atol=1e-15)


def test_padding_changes_nothing():
    rng = np.random.default_rng(2)
    params, grid = random_params(rng), with_ends(random_grid(rng, hazard=True), rng)
    padded = padded_grid(grid, 5, 2)
    found = log_likelihood(params, padded)
    np.testing.assert_allclose(found[:PATIENTS], log_likelihood(params, grid), atol=1e-11)
    np.testing.assert_array_equal(found[PATIENTS:], 0.0)


def test_a_function_that_does_not_matter_gives_the_exponential_law():
    """With eta_f = 0, surviving T days has probability exp(-h0 T)."""
    rng = np.random.default_rng(0)
    grid = random_grid(rng)
    grid = grid._replace(
        at_risk=grid.dt, observed=jnp.zeros_like(grid.observed), period=grid.period * 0, risk=grid.risk * 0
    )
    log_survival = log_likelihood(random_params(rng, eta_f=0.0, eta_d=0.0), grid)
    np.testing.assert_allclose(log_survival, -(0.02 + 0.01) * grid.dt.sum(0), rtol=1e-12)


def test_replicated_observations_have_the_law_of_the_joint_gaussian():
    """A replicate's squared distance from its expectation, in the metric of its exact law, is chi-square."""
    rng = np.random.default_rng(5)
    params, grid = random_params(rng), random_grid(rng, hazard=True)
    grid = with_ends(grid, rng)  # a replicate is drawn as if no scale had an end
    copies = 250
    repeated = Grid(*(jnp.concatenate([v] * copies, axis=-1) for v in grid))
    drawn = replicate(jnp.asarray(rng.standard_normal(repeated.value.shape)), params, repeated)
    np.testing.assert_array_equal(drawn.value[drawn.observed == 0], 0.0)
    assert float(drawn.at_risk.sum()) == float(drawn.relapse.sum()) == 0.0
    log_lik = np.asarray(log_likelihood(params, drawn)).reshape(copies, PATIENTS)
    for i in range(PATIENTS):
        distance = 2 * (joint_gaussian(params, grid, i).log_normaliser - log_lik[:, i])
        assert scipy.stats.kstest(distance, scipy.stats.chi2(float(grid.observed[..., i].sum())).cdf).pvalue > 1e-3


@pytest.mark.parametrize("events", [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)], ids=["none", "relapse", "dropout"])
def test_tilted_moments_against_quadrature(events):
    mean, var, weight, h0, eta, hd0, eta_d = 0.4, 0.09, 21.0, 0.02, 2.0, 0.005, 0.8
    f = np.linspace(mean - 12 * np.sqrt(var), mean + 12 * np.sqrt(var), 200_001)
    relapse, dropout = h0 * np.exp(-eta * f), hd0 * np.exp(-eta_d * f)
    density = np.exp(-0.5 * (f - mean) ** 2 / var) / np.sqrt(2 * np.pi * var) * np.exp(-weight * (relapse + dropout))
    share = np.trapezoid(density * np.expm1(weight * (relapse + dropout)) * relapse / (relapse + dropout), f)
    density = density * relapse ** events[0] * dropout ** events[1]
    z = np.trapezoid(density, f)
    m = np.trapezoid(f * density, f) / z
    v = np.trapezoid((f - m) ** 2 * density, f) / z
    lane = [jnp.atleast_1d(jnp.asarray(x)) for x in (mean, var, weight, *events, np.log(h0), eta, hd0, eta_d)]
    both = Hazards(*lane[5:])
    np.testing.assert_allclose(
        np.ravel(tilted_moments(*lane[:3], tuple(lane[3:5]), both)), [np.log(z), m, v], rtol=3e-6
    )
    np.testing.assert_allclose(relapse_share(*lane[:3], both), [share], rtol=3e-6)


def test_without_a_hazard_of_dropout_nothing_of_it_is_left():
    rng = np.random.default_rng(6)
    params, grid = random_params(rng, hd0=0.0, eta_d=3.0), random_grid(rng, hazard=True)
    grid = grid._replace(dropout=grid.dropout * 0)
    expected = log_likelihood(params._replace(hd0=jnp.asarray(1e-13), eta_d=jnp.asarray(0.0)), grid)
    np.testing.assert_allclose(log_likelihood(params, grid), expected, atol=1e-10)


@pytest.mark.parametrize("slots", [2, INDICATORS])
def test_readings_of_one_step_are_readings_one_by_one(slots):
    """Value, gradient and smoothed states do not depend on how many readings a step holds; the steps of one reading are checked against the oracles."""
    rng = np.random.default_rng(slots)
    params, grid = random_params(rng), with_ends(random_grid(rng, hazard=True, slots=slots), rng)
    single = padded_grid(Grid(*map(jnp.asarray, one_by_one(grid))), STEPS * (INDICATORS - slots), 0)  # one program
    (value, slope), (expected, wanted) = value_and_gradient(params, grid), value_and_gradient(params, single)
    assert float(value) == pytest.approx(float(expected), abs=1e-10)
    for name in Params._fields:
        np.testing.assert_allclose(getattr(slope, name), getattr(wanted, name), rtol=1e-8, atol=1e-9, err_msg=name)
    found, other = smooth(params, grid), smooth(params, single)
    for name in ("f_mean", "f_sd", "s_mean", "s_sd", "withdrawal"):
        np.testing.assert_allclose(
            getattr(found, name), getattr(other, name)[slots - 1 : STEPS * slots : slots], atol=1e-9
        )
    fitted = np.swapaxes(found.fitted_mean, 0, 1).reshape(-1, PATIENTS)
    np.testing.assert_allclose(fitted, other.fitted_mean[0, : STEPS * slots], atol=1e-9)


@pytest.mark.parametrize(("form", "slots"), [("linear", INDICATORS), ("two-basin", 2)])
def test_gradient_is_that_of_the_value(slots, form):
    """The gradient is written out by hand: central differences of the value along random directions of every parameter."""
    rng = np.random.default_rng(3)
    params = random_params(rng, theta=0.5, sd_theta=0.1)
    grid = with_ends(random_grid(rng, hazard=True, slots=slots), rng)

    def summed(p, g):
        return recursions.log_likelihood(p, g, form).sum()

    value = compiled(summed)
    slope = (value_and_gradient if form == "linear" else compiled(jax.value_and_grad(summed)))(params, grid)[1]
    for name in Params._fields:
        at = getattr(params, name)
        along = jnp.asarray(rng.normal(size=at.shape))
        step = 1e-6 * along
        ahead, behind = (value(params._replace(**{name: at + sign * step}), grid) for sign in (1, -1))
        numerical = float(ahead - behind) / 2e-6
        assert float((getattr(slope, name) * along).sum()) == pytest.approx(numerical, rel=2e-6, abs=1e-5), name


@pytest.mark.parametrize("slots", [1, INDICATORS])
def test_without_levels_of_their_own_is_levels_that_do_not_vary(slots):
    rng = np.random.default_rng(4)
    params, grid = random_params(rng, sd_mu=np.zeros(INDICATORS)), random_grid(rng, hazard=True, slots=slots)
    without = params._replace(sd_mu=jnp.zeros(0))
    np.testing.assert_allclose(log_likelihood(without, grid), log_likelihood(params, grid), atol=1e-10)


def test_parameters_may_differ_between_patients():
    """A parameter with a further last axis holds one value for each patient: the same as one patient after another with its own."""
    rng = np.random.default_rng(6)
    grid = random_grid(rng, hazard=True)
    each = [random_params(rng) for _ in range(PATIENTS)]
    together = jax.tree.map(lambda *v: jnp.stack(v, -1), *each)
    alone = jnp.stack([log_likelihood(p, grid)[i] for i, p in enumerate(each)])
    np.testing.assert_allclose(log_likelihood(together, grid), alone, atol=1e-10)


@pytest.mark.parametrize("form", ["linear", "two-basin"])
@pytest.mark.parametrize("whole", [False, True])
def test_the_sum_over_parts_is_that_of_all_at_once(form, whole, monkeypatch):
    """Thirteen patients: in one part, and in two of which the second is filled up."""
    monkeypatch.setattr("remanent.dynamics.steps.whole_loops", lambda: whole)
    rng = np.random.default_rng(7)
    params, one = random_params(rng), random_grid(rng, steps=5)
    grid = Grid(*(jnp.concatenate([v, v, v], axis=-1)[..., :13] for v in one))
    assert in_parts(grid).dt.shape[0] == (2 if whole else 1)
    program = compiled(jax.value_and_grad(lambda p, g: 3 * recursions.log_likelihood_of_all(p, g, form)))
    at_once = compiled(jax.value_and_grad(lambda p, g: 3 * recursions.log_likelihood(p, g, form).sum()))
    (value, slope), (expected, wanted) = program(params, grid), at_once(params, grid)
    assert float(value) == pytest.approx(float(expected), rel=1e-12)
    for found, right in zip(jax.tree.leaves(slope), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-9, atol=1e-9)
    each = compiled(lambda p, g: by_parts(lambda part: recursions.filtered(p, part, form), g))(params, grid)
    for found, right in zip(
        jax.tree.leaves(each),
        jax.tree.leaves(compiled(lambda p, g: recursions.filtered(p, g, form))(params, grid)),
        strict=True,
    ):
        np.testing.assert_allclose(found, right, rtol=1e-9, atol=1e-12)
