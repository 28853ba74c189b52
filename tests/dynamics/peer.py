"""The same marginal likelihood as a textbook writes it: one patient with whole matrices and a matrix exponential, `vmap` over patients, `scan` over visits."""

import jax
import jax.numpy as jnp
import jax.scipy.linalg
import numpy as np

from remanent.dynamics.model import Params
from remanent.dynamics.recursion import START_SD
from remanent.dynamics.steps import Grid

VISITS, INDICATORS = 12, 8


def random_study(
    patients: int, rng: np.random.Generator, *, visits: int = VISITS, slots: int = INDICATORS
) -> tuple[Params, Grid]:
    """Visits four weeks apart, all eight indicators at each or some of them, 15 % missing; a fixed dose, ECT before the second visit."""
    shape = (visits, patients)
    read = (slots, *shape)
    each = (
        np.broadcast_to(np.arange(INDICATORS)[:, None, None], read)
        if slots == INDICATORS
        else rng.integers(0, INDICATORS, read)
    )
    zero = np.zeros(shape)
    dt = rng.uniform(20, 36, shape)
    dt[0] = 0.0
    after = np.vstack([dt[1:], np.zeros((1, patients))])
    grid = Grid(
        day=np.cumsum(dt, 0), dt=dt, dose=rng.uniform(0, 1.2, shape)[None], held=np.zeros((1, patients)),
        lost=zero, stress=np.zeros((3, *shape)), ect=((np.arange(visits) == 1)[:, None] * np.ones(shape))[None], at_risk=(dt + after) / 2,
        relapse=zero, dropout=zero, period=np.zeros((0, *shape)),
        tether=np.zeros((0, patients)), risk=np.zeros((0, patients)),
        reserve=np.zeros(patients), observed=(rng.random(read) < 0.85).astype(float), indicator=each,
        value=rng.normal(size=read), se2=np.full(read, 0.01), beyond=np.zeros(read),
    )  # fmt: skip
    one = jnp.ones(INDICATORS)
    numbers = {
        "k_f": 1 / 14, "r": 1 / 90, "c": 0.006, "a": 0.012, "p": 0.5, "sd_p": 0.2, "mu_gs": 0.3, "sd_gs": 0.15, "sd_gf": 0.3,
        "sig_f": 0.05, "sig_s": 0.015, "omega": 0.0, "tau_w": 10.0, "tau_e": 60.0, "h0": 0.004, "eta_f": 2.0,
    }  # fmt: skip
    params = Params(
        **{k: jnp.asarray(v) for k, v in numbers.items()}, b=jnp.zeros(3), mu=0 * one, sd_mu=0.7 * one,
        l_f=jnp.linspace(-1, 1, INDICATORS), l_s=jnp.linspace(1, -0.5, INDICATORS), l_e=0 * one, l_w=0 * one, sigma=0.4 * one,
    )  # fmt: skip
    return params, Grid(*map(jnp.asarray, grid))


def without_hazard(grid: Grid) -> Grid:
    return grid._replace(at_risk=jnp.zeros_like(grid.dt))


def textbook(params: Params, grid: Grid) -> jax.Array:
    """Log likelihood of each patient, hazard left out."""

    moves = (v.T for v in (grid.dt, grid.dose[0], grid.ect[0]))
    reads = (jnp.transpose(v, (2, 1, 0)) for v in (grid.observed, grid.value, grid.se2))
    return jax.vmap(lambda *one: _one_patient(params, *one))(*moves, *reads)


def _one_patient(p: Params, dt: jax.Array, dose: jax.Array, ect: jax.Array, *visits: jax.Array) -> jax.Array:
    size = 5 + INDICATORS
    mean = jnp.concatenate([jnp.stack([0.0, 0.0, p.p, 1.0, p.mu_gs]), jnp.zeros(INDICATORS)])
    sd = jnp.concatenate([jnp.stack([START_SD, START_SD, p.sd_p, p.sd_gf, p.sd_gs]), p.sd_mu])
    read = jnp.zeros((INDICATORS, size)).at[:, 0].set(p.l_f).at[:, 1].set(p.l_s).at[:, 5:].set(jnp.eye(INDICATORS))
    spread = jnp.zeros((size, 2)).at[0, 0].set(p.sig_f).at[1, 1].set(p.sig_s)

    def body(carry: tuple, visit: tuple) -> tuple[tuple, None]:
        (m, cov, total), (t, d, share, seen, value, se2) = carry, visit
        kappa = p.c + p.a * d
        drift = jnp.zeros((size, size)).at[0, 0].set(-p.k_f).at[0, 1].set(p.k_f).at[0, 2].set(p.k_f * d)
        drift = drift.at[1, 0].set(kappa).at[1, 1].set(-(kappa + p.r))
        whole = jnp.block([[-drift, spread @ spread.T], [jnp.zeros((size, size)), drift.T]])
        e = jax.scipy.linalg.expm(whole * t)
        phi = e[size:, size:].T
        jump = jnp.eye(size).at[0, 3].set(share).at[1, 4].set(share)
        m, cov = jump @ phi @ m, jump @ (phi @ cov @ phi.T + phi @ e[:size, size:]) @ jump.T
        noise = jnp.where(seen > 0, se2 + p.sigma**2, 1e12)
        var = read @ cov @ read.T + jnp.diag(noise)
        root = jax.scipy.linalg.cho_factor(var, lower=True)
        error = jnp.where(seen > 0, value - p.mu - read @ m, 0.0)
        gain = jax.scipy.linalg.cho_solve(root, read @ cov).T
        log_det = 2 * jnp.log(jnp.diag(root[0])).sum() - (jnp.where(seen > 0, 0.0, jnp.log(1e12))).sum()
        density = -0.5 * (seen.sum() * jnp.log(2 * jnp.pi) + log_det + error @ jax.scipy.linalg.cho_solve(root, error))
        return (m + gain @ error, cov - gain @ read @ cov, total + density), None

    (_, _, total), _ = jax.lax.scan(body, (mean, jnp.diag(sd**2), jnp.zeros(())), (dt, dose, ect, *visits))
    return total
