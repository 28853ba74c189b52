"""MAP and Laplace approximation of the population posterior, per mechanism, with a status that travels to the report.

The marginal likelihood of `filter` has the patients' random effects and latent states integrated out, so about fifty smooth parameters remain. The mode is
found by L-BFGS and finished by Newton steps; the Hessian comes from differences of the exact gradient. Laplace evidence of a mechanism:

    log Z = log p(y | theta*) + log p(theta*) + (n / 2) log 2 pi - (1/2) log |H|
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

from remanent.dynamics.compile import compiled
from remanent.dynamics.filter import log_likelihood
from remanent.dynamics.priors import MECHANISMS, Layout, Mechanism, params_by_lane
from remanent.dynamics.steps import Grid, by_parts

_STEP = 1e-5
_NEWTON_STEPS = 8
_CONVERGED = 1e-4
LEAST_WEIGHT = 1e-3  # a mechanism that carries less takes no part
FARTHEST_SD = 10.0  # of a mode from the prior's centre

Traced = Callable[..., Any]
Objective = Callable[[np.ndarray], tuple[float, np.ndarray]]


@dataclass(frozen=True)
class Sampling:
    """How the chains of one mechanism went.

    Attributes
    ----------
    rhat, bulk_ess
        The worst over parameters: split rank-normalised R-hat, and effective draws of the bulk (`mixing`).
    divergences
        Transitions after warm-up whose energy error ran away.
    evidence_error
        Monte Carlo standard error (nats) of the evidence by bridge sampling, which stands in place of the Laplace one.
    laplace_log_evidence
        What the Laplace approximation had said (nats).
    """

    rhat: float
    bulk_ess: float
    divergences: int
    evidence_error: float
    laplace_log_evidence: float


@dataclass(frozen=True)
class Weighed:
    """What importance weights of a Gaussian approximation's own draws say of it (`weighing`).

    Attributes
    ----------
    gap
        Log evidence by the weights minus that of Laplace (nats).
    error
        Monte Carlo standard error of the gap (nats).
    k
        Pareto shape of the weights.
    draws
        How many were weighed.
    """

    gap: float
    error: float
    k: float
    draws: int


@dataclass(frozen=True)
class Fit:
    """Gaussian approximation of the population posterior under one mechanism, in standard-normal prior coordinates.

    Attributes
    ----------
    mode, cov
        Mode and covariance of theta, [param] and [param, param].
    log_evidence
        Laplace log marginal likelihood (nats).
    patient_log_lik
        Log marginal likelihood of each lane's data at the mode, [lane].
    converged
        Whether the Newton decrement at the mode is below 1e-4 nats and the curvature is that of a maximum.
    message
        What was found, in words.
    draws
        Draws of theta by NUTS (`sample`), which then stand in place of the Gaussian, [draw, param]; None: there are none.
    sampling
        How those chains went; None where there are none.
    weighed
        How good the Gaussian is; None where it was not drawn from, or chains stand in its place.
    """

    mechanism: Mechanism
    mode: np.ndarray
    cov: np.ndarray
    log_evidence: float
    patient_log_lik: np.ndarray
    converged: bool
    message: str
    draws: np.ndarray | None = None
    sampling: Sampling | None = None
    weighed: Weighed | None = None

    def draw(self, rng: np.random.Generator, count: int) -> Float[np.ndarray, "draw param"]:
        """Draws of theta: of the chains where there are any, else from the Gaussian approximation."""
        if self.draws is not None:
            return self.draws[rng.choice(len(self.draws), count, replace=count > len(self.draws))]
        root = np.linalg.cholesky(self.cov)
        return self.mode + rng.standard_normal((count, self.mode.size)) @ root.T


@dataclass(frozen=True)
class Posterior:
    """One fit per mechanism on the same data and coordinates; `reference`: they are the shipped prior of published trials, not fitted to these data."""

    layout: Layout
    fits: tuple[Fit, ...]
    reference: bool = False

    @property
    def converged(self) -> bool:
        """Whether every mechanism's fit converged."""
        return all(f.converged for f in self.fits)


def fit(layout: Layout, grid: Grid) -> Posterior:
    """Fit the four mechanisms, two at a time: one compiled program, the mechanism is an argument."""
    data = Grid(*(jnp.asarray(v) for v in grid))
    jax.block_until_ready(by_lane(layout)(jnp.zeros(layout.size), jnp.asarray(layout.acting(0)), data))
    with ThreadPoolExecutor(max_workers=2) as pool:
        fits = pool.map(lambda m: fit_one(layout, data, m, np.zeros(layout.size)), range(len(MECHANISMS)))
        return Posterior(layout, tuple(fits))


def on_data(posterior: Posterior, grid: Grid) -> Posterior:
    """The same population posterior with the log likelihoods of these lanes: a filter pass, no refit."""
    program, data = by_lane(posterior.layout), Grid(*(jnp.asarray(v) for v in grid))
    fits = []
    for one in posterior.fits:
        switches = posterior.layout.acting(MECHANISMS.index(one.mechanism))
        per_lane, _ = program(jnp.asarray(one.mode), jnp.asarray(switches), data)
        fits.append(replace(one, patient_log_lik=np.asarray(per_lane)))
    return replace(posterior, fits=tuple(fits))


def without_runaways(posterior: Posterior, grid: Grid) -> Posterior:
    """The posterior, with the prior in place of every fit that left it by more than FARTHEST_SD: its numbers would be none."""
    away = [not np.abs(f.mode).max() <= FARTHEST_SD for f in posterior.fits]
    if not any(away):
        return posterior
    why = f"not converged: no maximum within {FARTHEST_SD:g} prior standard deviations; the prior stands in its place"
    size = posterior.layout.size
    prior = replace(posterior.fits[0], mode=np.zeros(size), cov=np.eye(size), converged=False, message=why)
    fits = tuple(
        replace(prior, mechanism=f.mechanism) if bad else f for f, bad in zip(posterior.fits, away, strict=True)
    )
    settled = on_data(replace(posterior, fits=fits), grid)
    fits = tuple(
        replace(f, log_evidence=float(f.patient_log_lik.sum())) if bad else f
        for f, bad in zip(settled.fits, away, strict=True)
    )
    return replace(settled, fits=fits)


@lru_cache(maxsize=8)
def by_lane(layout: Layout) -> Traced:
    """Program: log likelihood of each lane's data (nats), [lane], and its gradient in theta, [param, lane]."""

    def scores(theta: Array, switches: Array, grid: Grid) -> tuple[Array, Array]:
        def of_part(part: Grid) -> tuple[Array, Array]:
            def summed(thetas: Array) -> tuple[Array, Array]:
                each = log_likelihood(params_by_lane(thetas, layout, switches), part, layout.form)
                return each.sum(), each

            every = jnp.broadcast_to(theta[:, None], (theta.size, part.dt.shape[1]))
            gradient, per_lane = jax.grad(summed, has_aux=True)(every)
            return per_lane, gradient

        return by_parts(of_part, grid)

    return compiled(scores)


def _negative_log_joint(
    layout: Layout, theta: np.ndarray, mechanism: int, grid: Grid
) -> tuple[float, np.ndarray, np.ndarray]:
    """Minus log p(data, theta), its gradient in theta, and the log likelihood of each lane."""
    per_lane, scores = map(np.asarray, by_lane(layout)(jnp.asarray(theta), jnp.asarray(layout.acting(mechanism)), grid))
    log_prior = -0.5 * (theta @ theta) - 0.5 * theta.size * np.log(2 * np.pi)
    return -(float(per_lane.sum()) + log_prior), theta - scores.sum(1), per_lane


def fit_one(layout: Layout, grid: Grid, mechanism: int, start: np.ndarray) -> Fit:
    """Fit one mechanism, from `start` on."""

    def value_and_gradient(theta: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope, _ = _negative_log_joint(layout, theta, mechanism, grid)
        return (value, slope) if np.isfinite(value) and np.isfinite(slope).all() else (1e12, np.zeros_like(theta))

    found = minimize(value_and_gradient, start, jac=True, method="L-BFGS-B", options={"maxiter": 500, "maxcor": 30})
    mode, hessian, decrement = _newton(value_and_gradient, found.x)
    value, _, per_patient = _negative_log_joint(layout, mode, mechanism, grid)
    curvature = np.linalg.eigvalsh(hessian)
    converged = bool(decrement < _CONVERGED and curvature[0] > 0)
    hessian = hessian if curvature[0] > 0 else hessian + (1e-3 - curvature[0]) * np.eye(mode.size)
    log_det = np.linalg.slogdet(hessian)[1]
    log_evidence = -value + 0.5 * mode.size * np.log(2 * np.pi) - 0.5 * log_det
    return Fit(
        mechanism=MECHANISMS[mechanism],
        mode=mode,
        cov=np.linalg.inv(hessian),
        log_evidence=log_evidence,
        patient_log_lik=per_patient,
        converged=converged,
        message=_message(decrement, curvature[0], converged=converged),
    )


def _message(decrement: float, curvature: float, *, converged: bool) -> str:
    if converged:
        return "converged"
    if curvature <= 0:
        return f"not converged: the posterior is not curved downwards in every direction at the point found (least curvature {curvature:.2g})"
    return f"not converged: another Newton step would still gain {decrement:.2g} nats"


def _newton(value_and_gradient: Objective, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Damped Newton steps until the next would gain nothing: mode, Hessian near it, and that gain (nats).

    The Hessian is taken anew only when the old one stops helping: it costs as much as a hundred gradients.
    """
    value, gradient = value_and_gradient(theta)
    hessian, fresh = hessian_of(value_and_gradient, theta), True
    for _ in range(_NEWTON_STEPS):
        step = _newton_step(hessian, gradient)
        if -0.5 * gradient @ step < _CONVERGED / 10:
            break
        accepted = _line_search(value_and_gradient, theta, value, step)
        if accepted is None and fresh:
            break
        if accepted is None:
            hessian, fresh = hessian_of(value_and_gradient, theta), True
            continue
        (theta, value, gradient), fresh = accepted, False
    return theta, hessian, float(-0.5 * gradient @ _newton_step(hessian, gradient))


def _newton_step(hessian: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    least = np.linalg.eigvalsh(hessian)[0]
    damped = hessian if least > 1e-3 else hessian + (1e-2 - least) * np.eye(gradient.size)
    return -cho_solve(cho_factor(damped), gradient)


def _line_search(
    value_and_gradient: Objective, theta: np.ndarray, value: float, step: np.ndarray
) -> tuple[np.ndarray, float, np.ndarray] | None:
    for scale in (1.0, 0.5, 0.25, 0.1, 0.02):
        candidate = theta + scale * step
        new_value, new_gradient = value_and_gradient(candidate)
        if new_value < value:
            return candidate, new_value, new_gradient
    return None


def hessian_of(value_and_gradient: Objective, theta: np.ndarray) -> np.ndarray:
    """Symmetrised one-sided differences of an exact gradient, step 1e-5 in prior sd (error of the order of 1e-5)."""
    return slopes(lambda at: value_and_gradient(at)[1], theta)


def slopes(gradient: Callable[[np.ndarray], np.ndarray], theta: np.ndarray) -> Float[np.ndarray, "param param *lane"]:
    """The same of several gradients at once, [param, ...]."""
    here = gradient(theta)
    rows = np.stack([(gradient(theta + e) - here) / _STEP for e in _STEP * np.eye(theta.size)])
    return (rows + np.swapaxes(rows, 0, 1)) / 2
