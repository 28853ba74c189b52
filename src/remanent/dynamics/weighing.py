"""How far a Laplace approximation is from the posterior that it stands for: importance weights of its own draws.

    w_d = p(y, theta_d) / q(theta_d),   q the Gaussian of the fit,   log Z = log mean w_d

The weights' tail, the shape k of a generalised Pareto, says whether such an average can be trusted at all (Vehtari 2024, arXiv 1507.02646); their mean is an
estimate of the evidence that needs no approximation. Where the Gaussian is right all weights are the Laplace evidence.
"""

import numpy as np
from jaxtyping import Float
from scipy.linalg import solve_triangular
from scipy.special import logsumexp

from remanent.dynamics.compare import settings
from remanent.dynamics.infer import Fit, Weighed
from remanent.dynamics.pareto import highest_k, tail_smoothed
from remanent.dynamics.pointwise import Thetas, log_prior

LEAST_DRAWS = 30


def trusted(found: Weighed) -> bool:
    """Whether nothing speaks against the approximation, by the thresholds of settings.yaml."""
    limits = settings()["laplace"]
    return bool(found.k <= limits["k"]["value"] and abs(found.gap) - 2 * found.error <= limits["gap"]["value"])


def message(found: Weighed) -> str:
    """The same in words; between what holds and what does not lies what so few draws cannot confirm."""
    if not trusted(found):
        verdict = "is not to be relied on; ask for --inference nuts"
    elif found.k > highest_k(found.draws):
        verdict = f"is not refuted by its {found.draws} draws, which are too few to confirm it"
    else:
        verdict = "holds"
    return f"{verdict} (evidence off by {found.gap:+.1f} ± {found.error:.1f} nats, k {found.k:.2f})"


def weigh(fit: Fit, thetas: Thetas, log_lik: Float[np.ndarray, " draw"]) -> Weighed | None:
    """Weights of draws of the Gaussian of `fit`, at which all data have the log likelihood `log_lik` (nats); None for chains, and for too few draws."""
    if fit.draws is not None or len(thetas) < LEAST_DRAWS:
        return None
    root = np.linalg.cholesky(fit.cov)
    z = solve_triangular(root, (thetas - fit.mode).T, lower=True).T
    log_p = np.where(np.isfinite(log_lik), log_lik, -np.inf) + log_prior(thetas)
    log_weight, k = tail_smoothed(log_p - log_prior(z) + np.log(np.diag(root)).sum())
    share = np.exp(log_weight - logsumexp(log_weight))
    error = np.sqrt(max((share**2).sum() - 1 / len(share), 0.0))
    gap = logsumexp(log_weight) - np.log(len(log_weight)) - fit.log_evidence
    return Weighed(float(gap), float(error), float(k), len(log_weight))
