"""Evidence of a mechanism by importance sampling, for the Laplace approximation to be judged against: two rounds of t proposals, Pareto-smoothed weights."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import gammaln, logsumexp

from remanent.dynamics.compile import compiled
from remanent.dynamics.filter import Grid, log_likelihood
from remanent.dynamics.infer import Fit
from remanent.dynamics.priors import MECHANISMS, SWITCHES, Layout, to_params

LogJoint = Callable[[np.ndarray], np.ndarray]
_FREEDOM = 30.0


class Evidence(NamedTuple):
    """Log evidence (nats), its Monte Carlo standard error, effective draws, and the Pareto shape of the weights (below 0.7: to be trusted)."""

    log_evidence: float
    error: float
    effective: float
    pareto_k: float


def log_joint(layout: Layout, grid: Grid) -> Callable[[Fit], LogJoint]:
    """Of many theta at once, [draw, param] to [draw]; one program for all mechanisms."""
    data = Grid(*map(jnp.asarray, grid))

    def one(theta: jax.Array, switches: jax.Array) -> jax.Array:
        log_prior = -0.5 * (theta**2).sum() - 0.5 * theta.size * jnp.log(2 * jnp.pi)
        return log_likelihood(to_params(theta, layout, switches), data).sum() + log_prior

    many = compiled(lambda thetas, switches: jax.lax.map(lambda t: one(t, switches), thetas))

    def of(fit: Fit) -> LogJoint:
        switches = jnp.asarray(SWITCHES[MECHANISMS.index(fit.mechanism)])
        return lambda thetas: np.asarray(many(jnp.asarray(thetas), switches))

    return of


def by_importance(target: LogJoint, fit: Fit, draws: int, rng: np.random.Generator) -> Evidence:
    """The first round starts from the Laplace approximation, the second from the first one's weighted moments."""
    mean, cov = fit.mode, fit.cov
    for _ in range(2):
        root = np.linalg.cholesky(cov)
        z = rng.standard_normal((draws, mean.size)) * np.sqrt(_FREEDOM / rng.chisquare(_FREEDOM, draws))[:, None]
        thetas = mean + z @ root.T
        log_ratio = target(thetas) - _log_t(z, root)
        smoothed, k = pareto_smoothed(np.where(np.isfinite(log_ratio), log_ratio, -np.inf))
        weight = np.exp(smoothed - logsumexp(smoothed))
        mean = weight @ thetas
        cov = (thetas - mean).T @ ((thetas - mean) * weight[:, None])
    effective = 1 / (weight @ weight)
    return Evidence(float(logsumexp(smoothed) - np.log(draws)), float(np.sqrt(1 / effective - 1 / draws)), effective, k)


def _log_t(z: np.ndarray, root: np.ndarray) -> np.ndarray:
    nu, d = _FREEDOM, z.shape[1]
    constant = gammaln((nu + d) / 2) - gammaln(nu / 2) - d / 2 * np.log(nu * np.pi) - np.log(np.diag(root)).sum()
    return constant - (nu + d) / 2 * np.log1p((z**2).sum(1) / nu)


def pareto_smoothed(log_ratio: np.ndarray) -> tuple[np.ndarray, float]:
    """Largest weights replaced by the expected order statistics of the generalised Pareto fitted to them (Vehtari 2024, arXiv 1507.02646)."""
    n = log_ratio.size
    tail = int(min(0.2 * n, 3 * np.sqrt(n)))
    order = np.argsort(log_ratio)
    top, cut = order[-tail:], log_ratio[order[-tail - 1]]
    shift = log_ratio[order[-1]]
    excess = np.exp(log_ratio[top] - shift) - np.exp(cut - shift)
    k, scale = fit_pareto(excess)
    p = (np.arange(1, tail + 1) - 0.5) / tail
    quantile = scale * np.expm1(-k * np.log1p(-p)) / k
    out = log_ratio.copy()
    out[top] = np.minimum(np.log(quantile + np.exp(cut - shift)), 0.0) + shift
    return out, k


def fit_pareto(excess: np.ndarray) -> tuple[float, float]:
    """Shape and scale of a generalised Pareto from sorted excesses (Zhang and Stephens 2009, DOI 10.1198/tech.2009.08017), shape drawn slightly to 0.5."""
    n = excess.size
    m = 30 + int(np.sqrt(n))
    b = (1 - np.sqrt(m / (np.arange(1, m + 1) - 0.5))) / (3 * excess[int(n / 4 + 0.5) - 1]) + 1 / excess[-1]
    shape = np.log1p(-b[:, None] * excess).mean(1)
    profile = n * (np.log(-b / shape) - shape - 1)
    b_mean = np.exp(profile - logsumexp(profile)) @ b
    k = float(np.log1p(-b_mean * excess).mean())
    return (k * n + 5) / (n + 10), -k / b_mean
