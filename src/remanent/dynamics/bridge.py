"""Evidence by bridge sampling (Meng and Wong 1996): exact up to its stated Monte Carlo error, to check the Laplace approximation by.

With p the joint density, g a normal with the draws' own moments, s_1 and s_2 the shares of (effective) draws from the posterior and from g::

    Z = mean over g of  p / (s_1 p + s_2 Z g)   /   mean over the posterior of  g / (s_1 p + s_2 Z g)        iterated to its fixed point

The moments come from the first half of every chain and the average from the second, so that no draw judges a normal fitted to itself (Overstall and Forster
2010, DOI 10.1016/j.csda.2010.03.008). Error: the relative mean square error of Frühwirth-Schnatter 2004 (DOI 10.1111/j.1368-423X.2004.00125.x).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.linalg import solve_triangular
from scipy.special import logsumexp

from remanent.dynamics.mixing import Chains, effective_draws
from remanent.dynamics.pointwise import LogJoint, Thetas

_ROUNDS, _TOLERANCE = 1000, 1e-10


class Evidence(NamedTuple):
    """Log evidence and its Monte Carlo standard error (nats); infinite error: the two densities do not overlap enough to say."""

    log_evidence: float
    error: float


def bridge(chains: Chains, log_joint: LogJoint, rng: np.random.Generator) -> Evidence:
    """Log evidence from posterior draws, [chain, draw, param]."""
    half = chains.shape[1] // 2
    fitted, kept = chains[:, :half].reshape(-1, chains.shape[2]), chains[:, half:]
    mean, root = fitted.mean(0), np.linalg.cholesky(np.cov(fitted.T).reshape(chains.shape[2], -1))
    drawn = kept.reshape(-1, chains.shape[2])
    proposed = mean + rng.standard_normal(drawn.shape) @ root.T
    on_posterior = log_joint(drawn) - _log_normal(drawn, mean, root)
    on_normal = log_joint(proposed) - _log_normal(proposed, mean, root)
    return from_ratios(on_posterior.reshape(kept.shape[:2]), on_normal, float(np.median(effective_draws(kept))))


def from_ratios(
    on_posterior: Float[np.ndarray, "chain draw"], on_normal: Float[np.ndarray, " proposed"], effective: float
) -> Evidence:
    """Log evidence from log p / g at draws of the posterior and of g; `effective`: what the former are worth."""
    log_share = np.log(np.array([effective, on_normal.size]) / (effective + on_normal.size))
    log_z = float(np.median(on_posterior))
    for _ in range(_ROUNDS):
        before = log_z
        top = _log_mean(on_normal - _mixed(on_normal, log_share, log_z))
        log_z = top - _log_mean(-_mixed(on_posterior.ravel(), log_share, log_z))
        if abs(log_z - before) < _TOLERANCE:
            return Evidence(log_z, _error(on_posterior, on_normal, log_share, log_z))
    return Evidence(log_z, np.inf)


def _mixed(log_ratio: np.ndarray, log_share: np.ndarray, log_z: float) -> np.ndarray:
    """Log of s_1 p / g + s_2 Z."""
    return np.logaddexp(log_share[0] + log_ratio, log_share[1] + log_z)


def _log_mean(x: np.ndarray) -> float:
    return float(logsumexp(x) - np.log(x.size))


def _error(on_posterior: np.ndarray, on_normal: np.ndarray, log_share: np.ndarray, log_z: float) -> float:
    of_normal = np.exp(on_normal - log_z - _mixed(on_normal - log_z, log_share, 0.0))
    of_posterior = np.exp(-_mixed(on_posterior - log_z, log_share, 0.0))
    worth = effective_draws(of_posterior[..., None])[0] if np.ptp(of_posterior) > 0 else of_posterior.size
    relative = of_normal.var() / of_normal.mean() ** 2 / of_normal.size
    return float(np.sqrt(relative + of_posterior.var() / of_posterior.mean() ** 2 / worth))


def _log_normal(x: Thetas, mean: np.ndarray, root: np.ndarray) -> Float[np.ndarray, " draw"]:
    z = solve_triangular(root, (x - mean).T, lower=True)
    return -0.5 * (z**2).sum(0) - np.log(np.diag(root)).sum() - 0.5 * mean.size * np.log(2 * np.pi)
