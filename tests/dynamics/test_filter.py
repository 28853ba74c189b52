"""The recursions against the joint Gaussian of all states and observations, inverted directly; the hazard against quadrature on a line."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from remanent.dynamics.filter import START_SD, Grid, last_state, log_likelihood, smooth, tilted_moments
from remanent.dynamics.model import Params, transition

INDICATORS, PATIENTS, STEPS = 3, 4, 14


def random_params(rng, **changes) -> Params:
    each = {k: rng.normal(size=INDICATORS) for k in ("mu", "l_f", "l_s", "l_e", "l_w")}
    values = {
        "k_f": 1 / 14, "r": 1 / 90, "c": 0.006, "a": 0.012, "p": 0.5, "sd_p": 0.2, "mu_gs": 0.3, "sd_gs": 0.15, "sd_gf": 0.3,
        "sig_f": 0.05, "sig_s": 0.015, "b": np.array([0.1, -0.2]), "omega": 0.3, "tau_w": 10.0, "tau_e": 60.0, "h0": 0.02,
        "eta_f": 2.0, "sd_mu": rng.uniform(0.2, 1, INDICATORS), "sigma": rng.uniform(0.2, 0.6, INDICATORS), **each,
    }  # fmt: skip
    return Params(**{k: jnp.asarray(v, float) for k, v in {**values, **changes}.items()})


def random_grid(rng, steps=STEPS, patients=PATIENTS) -> Grid:
    shape = (steps, patients)
    dt = rng.choice([0.0, 0.3, 1.0, 7.0, 45.0], size=shape)
    dt[0] = 0.0
    values = Grid(
        day=np.cumsum(dt, 0),
        dt=dt,
        dose=rng.uniform(0, 1.5, shape),
        lost=rng.uniform(0, 0.3, shape) * (rng.random(shape) < 0.3),
        stress=rng.normal(size=(2, *shape)),
        ect=rng.choice([0, 0.25], size=shape),
        at_risk=np.zeros(shape),
        relapse=np.zeros(shape),
        observed=(rng.random(shape) < 0.7).astype(float),
        indicator=rng.integers(0, INDICATORS, shape),
        value=rng.normal(size=shape),
        se2=rng.uniform(0, 0.1, shape),
    )
    return Grid(*map(jnp.asarray, values))


def brute_force_step(p, g, t, i) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Transition matrix, offset and noise of the whole state by matrix exponentials (Van Loan)."""
    size = 5 + INDICATORS
    kappa, dt = p.c + p.a * g.dose[t, i], float(g.dt[t, i])
    drift = np.array([[-p.k_f, p.k_f], [kappa, -(kappa + p.r)]])
    van_loan = np.zeros((4, 4))
    van_loan[:2, :2], van_loan[:2, 2:], van_loan[2:, 2:] = -drift, np.diag([p.sig_f**2, p.sig_s**2]), drift.T
    e = scipy.linalg.expm(van_loan * dt)
    phi, integral = e[2:, 2:].T, np.zeros((3, 3))
    integral[:2, :2], integral[0, 2] = drift, 1.0
    push = scipy.linalg.expm(integral * dt)[:2, 2] * p.k_f
    move = np.eye(size)
    move[:2, :2], move[:2, 2] = phi, push * g.dose[t, i]
    move[0, 3] = move[1, 4] = g.ect[t, i]
    offset, noise = np.zeros(size), np.zeros((size, size))
    offset[:2] = -push * (p.b @ g.stress[:, t, i])
    noise[:2, :2] = phi @ e[:2, 2:]
    return move, offset, noise


def joint_gaussian(params, grid, i) -> tuple[float, np.ndarray, np.ndarray]:
    """Log density of patient i's observations, and posterior mean and sd of (f, s) at every step, from the joint normal law."""
    p, g = jax.tree.map(np.asarray, params), jax.tree.map(np.asarray, grid)
    size = 5 + INDICATORS
    mean = np.concatenate([[0, 0, p.p, 1, p.mu_gs], np.zeros(INDICATORS)])
    cov = np.diag(np.concatenate([[START_SD, START_SD, p.sd_p, p.sd_gf, p.sd_gs], p.sd_mu]) ** 2)
    moves, means, joint, w, e = [], [], np.zeros((STEPS * size, STEPS * size)), 0.0, 0.0
    reads, fixed = np.zeros((STEPS, STEPS * size)), np.zeros(STEPS)
    for t in range(STEPS):
        move, offset, noise = brute_force_step(p, g, t, i)
        mean, cov = move @ mean + offset, move @ cov @ move.T + noise
        moves.append(move)
        means.append(mean)
        joint[t * size : (t + 1) * size, t * size : (t + 1) * size] = cov
        dt, lost = g.dt[t, i], g.lost[t, i]
        share = (1 - np.exp(-dt / p.tau_w)) / (dt / p.tau_w) if dt else 1.0
        w, e = w * np.exp(-dt / p.tau_w) + p.omega * lost * share, e * np.exp(-dt / p.tau_e) + g.ect[t, i]
        j = g.indicator[t, i]
        reads[t, t * size : t * size + 2] = p.l_f[j], p.l_s[j]
        reads[t, t * size + 5 + j] = 1
        fixed[t] = p.mu[j] + p.l_e[j] * e + p.l_w[j] * w
    for t in range(STEPS):
        block = joint[t * size : (t + 1) * size, t * size : (t + 1) * size]
        for u in range(t + 1, STEPS):
            block = moves[u] @ block
            joint[u * size : (u + 1) * size, t * size : (t + 1) * size] = block
            joint[t * size : (t + 1) * size, u * size : (u + 1) * size] = block.T
    seen = g.observed[:, i] > 0
    h, prior = reads[seen], np.concatenate(means)
    var = h @ joint @ h.T + np.diag(g.se2[seen, i] + p.sigma[g.indicator[seen, i]] ** 2)
    error = g.value[seen, i] - h @ prior - fixed[seen]
    gain = joint @ h.T @ np.linalg.inv(var)
    log_density = -0.5 * (np.linalg.slogdet(2 * np.pi * var)[1] + error @ np.linalg.solve(var, error))
    after, spread = prior + gain @ error, joint - gain @ h @ joint
    return log_density, after.reshape(STEPS, size)[:, :2], np.sqrt(np.diag(spread)).reshape(STEPS, size)[:, :2]


@pytest.mark.parametrize("seed", range(3))
def test_filter_and_smoother_equal_the_joint_gaussian(seed):
    rng = np.random.default_rng(seed)
    params, grid = random_params(rng), random_grid(rng)
    log_lik, states = log_likelihood(params, grid), smooth(params, grid)
    for i in range(PATIENTS):
        expected, mean, sd = joint_gaussian(params, grid, i)
        assert float(log_lik[i]) == pytest.approx(expected, abs=1e-9)
        np.testing.assert_allclose(np.stack([states.f_mean[:, i], states.s_mean[:, i]], 1), mean, atol=1e-9)
        np.testing.assert_allclose(np.stack([states.f_sd[:, i], states.s_sd[:, i]], 1), sd, atol=1e-9)


def test_last_smoothed_state_is_the_last_filtered_state():
    rng = np.random.default_rng(9)
    params, grid = random_params(rng), random_grid(rng)
    grid = grid._replace(at_risk=grid.dt / 2)
    last, states = last_state(params, grid), smooth(params, grid)
    np.testing.assert_allclose(states.f_mean[-1], last.mean[0], atol=1e-12)
    np.testing.assert_allclose(states.f_sd[-1], np.sqrt(last.cov[0, 0]), atol=1e-12)
    np.testing.assert_allclose(last.cov, np.swapaxes(last.cov, 0, 1), atol=1e-15)


def test_padding_changes_nothing():
    rng = np.random.default_rng(2)
    params, grid = random_params(rng), random_grid(rng)
    more = ((0, 5), (0, 2))
    padded = Grid(*(jnp.pad(v, more if v.ndim == 2 else ((0, 0), *more)) for v in grid))
    np.testing.assert_allclose(log_likelihood(params, padded)[:PATIENTS], log_likelihood(params, grid), atol=1e-11)
    np.testing.assert_array_equal(log_likelihood(params, padded)[PATIENTS:], 0.0)


def test_a_constant_function_gives_the_exponential_law():
    """With f pinned at its start, surviving T days has probability exp(-h0 e^{-eta f} T)."""
    rng = np.random.default_rng(0)
    still = {"k_f": 1e-9, "sig_f": 1e-9, "sig_s": 1e-9, "sd_gf": 1e-9, "b": np.zeros(2), "eta_f": 0.0}
    grid = random_grid(rng)
    grid = grid._replace(at_risk=grid.dt, observed=jnp.zeros_like(grid.dt), ect=jnp.zeros_like(grid.dt))
    log_survival = log_likelihood(random_params(rng, **still), grid)
    np.testing.assert_allclose(log_survival, -0.02 * grid.dt.sum(0), rtol=1e-9)


@pytest.mark.parametrize("event", [0.0, 1.0])
def test_tilted_moments_against_quadrature(event):
    mean, var, weight, h0, eta = 0.4, 0.09, 21.0, 0.02, 2.0
    f = np.linspace(mean - 12 * np.sqrt(var), mean + 12 * np.sqrt(var), 200_001)
    hazard = h0 * np.exp(-eta * f)
    density = np.exp(-0.5 * (f - mean) ** 2 / var) / np.sqrt(2 * np.pi * var) * np.exp(-weight * hazard) * hazard**event
    z = np.trapezoid(density, f)
    m = np.trapezoid(f * density, f) / z
    v = np.trapezoid((f - m) ** 2 * density, f) / z
    found = tilted_moments(
        *map(jnp.atleast_1d, map(jnp.asarray, (mean, var, weight, event))), (jnp.asarray(h0), jnp.asarray(eta))
    )
    np.testing.assert_allclose(np.ravel(found), [np.log(z), m, v], rtol=1e-6)


LIMITS = {
    "ordinary": (1 / 14, 0.01, 1 / 90, 7.0),
    "a minute": (1 / 14, 0.01, 1 / 90, 0.0007),
    "no pull back": (0.1, 0.02, 0.0, 40.0),
    "almost no pull back": (0.1, 0.05, 1e-7, 50.0),
    "no coupling, equal rates": (0.1, 0.0, 0.1, 5.0),
    "nearly equal rates": (0.1, 1e-9, 0.1, 30.0),
    "pure integrator": (0.0, 0.0, 0.0, 5.0),
    "complex eigenvalues": (0.1, -0.3, 0.1, 5.0),
    "no time": (0.1, 0.02, 0.01, 0.0),
}


@pytest.mark.parametrize("name", LIMITS)
def test_transition_in_every_limit_of_the_drift(name):
    k_f, kappa, r, dt = LIMITS[name]
    sig_f, sig_s = 0.05, 0.015
    drift = np.array([[-k_f, k_f], [kappa, -(kappa + r)]])
    whole = np.zeros((7, 7))  # x, x x' (vectorised, 4), 1
    whole[:2, :2], whole[0, 6] = drift, 1.0
    whole[2:6, 2:6] = np.kron(drift, np.eye(2)) + np.kron(np.eye(2), drift)
    whole[2, 6], whole[5, 6] = sig_f**2, sig_s**2
    e = scipy.linalg.expm(whole * dt)
    expected = [*e[:2, :2].ravel(), *e[:2, 6], e[2, 6], e[3, 6], e[5, 6]]
    found = np.array(
        transition(*map(jnp.asarray, (k_f, kappa, r)), (jnp.asarray(sig_f), jnp.asarray(sig_s)), jnp.asarray(dt))
    )
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("name", ["ordinary", "no pull back", "no coupling, equal rates", "no time"])
def test_transition_has_finite_gradients_in_the_limits(name):
    k_f, kappa, r, dt = (jnp.asarray(v) for v in LIMITS[name])
    total = lambda k, c, q, t: sum(transition(k, c, q, (jnp.asarray(0.05), jnp.asarray(0.01)), t))  # noqa: E731
    assert all(np.isfinite(jax.grad(total, argnums=(0, 1, 2, 3))(k_f, kappa, r, dt)))
