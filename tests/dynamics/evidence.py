"""Evidence of a mechanism by importance sampling, for the Laplace approximation to be judged against: two rounds of t proposals, Pareto-smoothed weights."""

from typing import NamedTuple

import numpy as np
from scipy.special import gammaln, logsumexp

from remanent.dynamics.infer import Fit
from remanent.dynamics.pareto import tail_smoothed
from remanent.dynamics.pointwise import LogJoint

_FREEDOM = 30.0


class Evidence(NamedTuple):
    """Log evidence (nats), its Monte Carlo standard error, effective draws, and the Pareto shape of the weights (below 0.7: to be trusted)."""

    log_evidence: float
    error: float
    effective: float
    pareto_k: float


def by_importance(target: LogJoint, fit: Fit, draws: int, rng: np.random.Generator) -> Evidence:
    """The first round starts from the Laplace approximation, the second from the first one's weighted moments."""
    mean, cov = fit.mode, fit.cov
    for _ in range(2):
        thetas, log_t = t_draws(mean, np.linalg.cholesky(cov), draws, rng)
        log_ratio = target(thetas) - log_t
        log_ratio = np.where(np.isfinite(log_ratio), log_ratio, -np.inf)
        log_weight, k = tail_smoothed(log_ratio)
        weight = np.exp(log_weight - logsumexp(log_weight))
        mean = weight @ thetas
        cov = (thetas - mean).T @ ((thetas - mean) * weight[:, None])
    effective = 1 / (weight @ weight)
    return Evidence(
        float(logsumexp(log_weight) - np.log(draws)), float(np.sqrt(1 / effective - 1 / draws)), effective, k
    )


def t_draws(mean: np.ndarray, root: np.ndarray, draws: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draws of a multivariate t with this location and root of its scale, [draw, param], and their log densities."""
    nu, d = _FREEDOM, mean.size
    z = rng.standard_normal((draws, d)) * np.sqrt(nu / rng.chisquare(nu, draws))[:, None]
    constant = gammaln((nu + d) / 2) - gammaln(nu / 2) - d / 2 * np.log(nu * np.pi) - np.log(np.diag(root)).sum()
    return mean + z @ root.T, constant - (nu + d) / 2 * np.log1p((z**2).sum(1) / nu)
