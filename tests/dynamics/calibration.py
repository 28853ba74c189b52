"""Simulation-based calibration: parameters drawn from the prior, data from the model, rank of the truth in its posterior; all cohorts are fitted at once.

Observations come from the model's own predictive law on a fixed design (linear form, no relapse); that law is tested against the joint Gaussian. The modes
are found here by a BFGS of all cohorts side by side, so the optimiser of `infer` is not what is tested, only where it ends: the Laplace approximation. From it
Hamiltonian Monte Carlo of all cohorts at once draws from the posterior itself.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from synthetic import Cohort

from remanent.dynamics.compile import compiled
from remanent.dynamics.filter import log_likelihood_of_all, replicate
from remanent.dynamics.priors import MECHANISMS, to_params
from remanent.dynamics.steps import Grid, without_events

_TOGETHER = 50  # cohorts per call of the program
_STEP = 1e-5
_WARM_UP, _LEAPS, _EVERY = 100, 5, 4  # moves before the first draw, steps of a move, moves from draw to draw


class Calibration(NamedTuple):
    """Posterior probability below the truth by the Laplace approximation and by draws of the posterior, and sd ratio posterior / prior, [replicate, param].

    `converged` and `accepted` say for each replicate whether the mode was found and which share of the moves was accepted.
    """

    laplace: np.ndarray
    exact: np.ndarray
    sd: np.ndarray
    converged: np.ndarray
    accepted: np.ndarray


def p_values(rank: np.ndarray, bins: int = 10) -> np.ndarray:
    """Of uniform ranks, chi-square over `bins`, [param]."""
    counts = np.stack([np.histogram(np.clip(r, 0, 1), bins, (0, 1))[0] for r in rank.T])
    return scipy.stats.chisquare(counts, axis=1).pvalue


def coverage(rank: np.ndarray, level: float) -> np.ndarray:
    """Share of central intervals that hold the truth, [param]."""
    return (np.abs(rank - 0.5) < level / 2).mean(0)


def calibrate(cohort: Cohort, replicates: int, seed: int, draws: int = 100) -> Calibration:
    """Under the dual mechanism, which has every parameter."""
    layout = cohort.layout
    switches = jnp.asarray(layout.acting(MECHANISMS.index("dual")))
    design = Grid(*map(jnp.asarray, without_events(cohort.timeline.grid)))
    simulate = compiled(lambda noise, theta: replicate(noise, to_params(theta, layout, switches), design).value)
    rng = np.random.default_rng(seed)
    truth = rng.standard_normal((replicates, layout.size))
    noise = rng.standard_normal((replicates, *design.value.shape))
    data = np.stack([np.asarray(simulate(*map(jnp.asarray, each))) for each in zip(noise, truth, strict=True)])

    def loss(theta: jax.Array, value: jax.Array) -> jax.Array:
        return 0.5 * (theta**2).sum() - log_likelihood_of_all(
            to_params(theta, layout, switches), design._replace(value=value)
        )

    def every(thetas: jax.Array, values: jax.Array) -> tuple[jax.Array, jax.Array]:
        return jax.lax.map(lambda one: jax.value_and_grad(loss)(*one), (thetas, values))

    slopes = _in_chunks(compiled(every), data)
    mode, hessian, decrement = laplace(slopes, np.zeros_like(truth))
    cov = np.linalg.inv(hessian)
    sd = np.sqrt(np.einsum("rpp->rp", cov))
    drawn, accepted = hamiltonian(slopes, (mode, cov), draws, rng)
    exact = ((drawn < truth).sum(0) + rng.random(truth.shape)) / (draws + 1)
    return Calibration(scipy.stats.norm.cdf((truth - mode) / sd), exact, sd, decrement < 1e-4, accepted)


def _in_chunks(program: Callable, data: np.ndarray) -> Callable[[np.ndarray], tuple[np.ndarray, ...] | np.ndarray]:
    """The program on all replicates, `_TOGETHER` at a time."""

    def run(theta: np.ndarray) -> tuple[np.ndarray, ...] | np.ndarray:
        parts = []
        for begin in range(0, len(theta), _TOGETHER):
            rows = np.arange(begin, begin + _TOGETHER) % len(theta)
            found = program(jnp.asarray(theta[rows]), jnp.asarray(data[rows]))
            kept = min(_TOGETHER, len(theta) - begin)
            parts.append(jax.tree.map(lambda v, kept=kept: np.asarray(v)[:kept], found))
        return jax.tree.map(lambda *v: np.concatenate(v), *parts)

    return run


def laplace(slopes: Callable, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Modes [replicate, param], Hessians, and what another Newton step would gain (nats), of all replicates at once."""
    theta = _bfgs(slopes, theta, 150)
    for _ in range(2):
        hessian = _hessians(slopes, theta)
        theta = _newton(slopes, theta, hessian)
    hessian = _hessians(slopes, theta)
    least = np.linalg.eigvalsh(hessian)[:, 0]
    _, gradient = slopes(theta)
    hessian[least <= 1e-3] = np.eye(theta.shape[1])
    gain = 0.5 * np.einsum("rp,rp->r", gradient, np.linalg.solve(hessian, gradient[..., None])[..., 0])
    return theta, hessian, np.where(least > 1e-3, gain, np.inf)


def _bfgs(slopes: Callable, x: np.ndarray, rounds: int) -> np.ndarray:
    """Each replicate has its own inverse Hessian and its own step length, halved where a step does not help."""
    value, gradient = slopes(x)
    inverse, scale = np.tile(np.eye(x.shape[1]), (len(x), 1, 1)), np.ones(len(x))
    for _ in range(rounds):
        direction = -np.einsum("rpq,rq->rp", inverse, gradient)
        direction *= np.minimum(1.0, 3.0 / np.maximum(np.linalg.norm(direction, axis=1), 1e-300))[:, None]
        step = scale[:, None] * direction
        new_value, new_gradient = slopes(x + step)
        slope = np.einsum("rp,rp->r", gradient, step)
        better = np.isfinite(new_value) & (new_value <= value + 1e-4 * slope) & np.isfinite(new_gradient).all(1)
        change = np.where(better[:, None], new_gradient - gradient, 0.0)
        _update_inverse(inverse, step, change)
        x = np.where(better[:, None], x + step, x)
        value, gradient = np.where(better, new_value, value), np.where(better[:, None], new_gradient, gradient)
        scale = np.where(better, 1.0, scale / 4)
        lost = scale < 1e-6
        inverse[lost], scale = np.eye(x.shape[1]), np.where(lost, 1.0, scale)
        if np.abs(gradient).max() < 1e-4:
            break
    return x


def _update_inverse(inverse: np.ndarray, step: np.ndarray, change: np.ndarray) -> None:
    """BFGS update in place, where the curvature along the step is positive."""
    along = np.einsum("rp,rp->r", step, change)
    use = np.flatnonzero(along > 1e-10)
    h, s, y, rho = inverse[use], step[use], change[use], 1 / along[use]
    hy = np.einsum("rpq,rq->rp", h, y)
    grown = rho * (1 + rho * np.einsum("rp,rp->r", y, hy))
    cross = np.einsum("rp,rq->rpq", hy, s)
    outer = np.einsum("rp,rq->rpq", s, s)
    inverse[use] = h + grown[:, None, None] * outer - rho[:, None, None] * (cross + np.swapaxes(cross, 1, 2))


def _hessians(slopes: Callable, theta: np.ndarray) -> np.ndarray:
    here = slopes(theta)[1]
    columns = [(slopes(theta + _STEP * e)[1] - here) / _STEP for e in np.eye(theta.shape[1])]
    hessian = np.stack(columns, axis=1)
    return (hessian + np.swapaxes(hessian, 1, 2)) / 2


def _newton(slopes: Callable, theta: np.ndarray, hessian: np.ndarray) -> np.ndarray:
    value, gradient = slopes(theta)
    least = np.linalg.eigvalsh(hessian)[:, 0]
    damped = hessian + np.maximum(1e-2 - least, 0.0)[:, None, None] * np.eye(theta.shape[1])
    step = -np.linalg.solve(damped, gradient[..., None])[..., 0]
    for scale in (1.0, 0.3):
        new_value, _ = slopes(theta + scale * step)
        better = new_value < value
        theta, value = np.where(better[:, None], theta + scale * step, theta), np.where(better, new_value, value)
        step = np.where(better[:, None], 0.0, step)
    return theta


def hamiltonian(
    slopes: Callable, normal: tuple[np.ndarray, np.ndarray], draws: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draws [draw, replicate, param] of all posteriors at once, and each one's share of accepted moves: five leapfrog steps in the normal's own coordinates."""
    mean, cov = normal
    root = np.linalg.cholesky(cov)

    def at(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value, gradient = slopes(mean + np.einsum("rpq,rq->rp", root, z))
        return np.where(np.isfinite(value), value, np.inf), np.einsum("rqp,rq->rp", root, np.nan_to_num(gradient))

    z = rng.standard_normal(mean.shape)
    value, gradient = at(z)
    kept, accepted = [], []
    for k in range(1, _WARM_UP + _EVERY * draws + 1):
        step = 0.35 * rng.uniform(0.8, 1.2, (len(z), 1))
        speed = rng.standard_normal(z.shape)
        new, push, moved, slope = z, speed, value, gradient
        for _ in range(_LEAPS):
            push = push - step / 2 * slope
            new = new + step * push
            moved, slope = at(new)
            push = push - step / 2 * slope
        gain = value - moved + 0.5 * ((speed**2).sum(1) - (push**2).sum(1))
        take = np.log(rng.random(len(z))) < gain
        z, gradient = (np.where(take[:, None], b, a) for a, b in ((z, new), (gradient, slope)))
        value = np.where(take, moved, value)
        accepted.append(take)
        if k > _WARM_UP and (k - _WARM_UP) % _EVERY == 0:
            kept.append(mean + np.einsum("rpq,rq->rp", root, z))
    return np.stack(kept), np.mean(accepted, axis=0)
