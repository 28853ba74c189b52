"""How well would each mechanism have predicted a patient it had not seen? The leave-one-patient-out predictive score, without refitting.

    elpd_i = log p(y_i | y_others) = log E[ p(y_i | theta) ] over p(theta | y_others), by importance weights 1 / p(y_i | theta) on draws of p(theta | y)

Everything of patient i is left out at once: ratings, scans, relapse. The weights are Pareto-smoothed (Vehtari 2017, DOI 10.1007/s11222-016-9696-4; 2024, arXiv
1507.02646); the shape k of their tail says where that is not to be trusted. Draws of a Laplace approximation q are also weighted by p(theta | y) / q(theta)
(Magnusson 2019, arXiv 1902.06504). The score counts what a mechanism predicts, not how its prior fits: of all comparisons it depends least on priors.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.linalg import solve_triangular
from scipy.special import logsumexp

from remanent.dynamics.infer import Fit, Posterior
from remanent.dynamics.pareto import highest_k, smoothed
from remanent.dynamics.pointwise import Thetas, log_prior, pointwise
from remanent.dynamics.priors import Layout, Mechanism
from remanent.dynamics.steps import Grid


@dataclass(frozen=True)
class LeftOut:
    """Predictive score of one mechanism.

    Attributes
    ----------
    elpd, pareto_k
        Expected log predictive density of each patient given the others (nats) and the shape of its weights, [lane].
    draws_k
        Shape of the weights from the approximation to the posterior; minus infinity for draws of the posterior itself.
    most_k
        Largest shape that is to be trusted with these draws.
    """

    mechanism: Mechanism
    elpd: Float[np.ndarray, " lane"]
    pareto_k: Float[np.ndarray, " lane"]
    draws_k: float
    most_k: float

    @property
    def total(self) -> float:
        """Sum over patients (nats)."""
        return float(self.elpd.sum())

    @property
    def se(self) -> float:
        """Standard error of the total from the spread between patients; NaN for fewer than two."""
        return _se(self.elpd)

    @property
    def doubtful(self) -> int:
        """Number of patients whose score is not to be trusted."""
        return int((self.pareto_k > self.most_k).sum())

    @property
    def message(self) -> str:
        """Whether the score is to be trusted, in words."""
        if self.doubtful:
            return (
                f"not to be relied on for {self.doubtful} of {self.elpd.size} patients, whom the fit leans on too much "
                f"(Pareto k up to {self.pareto_k.max():.2f}; trusted up to {self.most_k:.2f})"
            )
        return "reliable"


def difference(one: LeftOut, other: LeftOut) -> tuple[float, float]:
    """Score of `one` minus that of `other` (nats), and its standard error from the patients' differences."""
    return one.total - other.total, _se(one.elpd - other.elpd)


def _se(each: Float[np.ndarray, " lane"]) -> float:
    return float(np.sqrt(each.size) * each.std(ddof=1)) if each.size > 1 else np.nan


def leave_out(posterior: Posterior, grid: Grid, lanes: int, draws: int, seed: int) -> tuple[LeftOut, ...]:
    """Score of every mechanism on the first `lanes` lanes of `grid`, from `draws` draws of each fit, two mechanisms at a time."""
    data = Grid(*map(jnp.asarray, grid))
    with ThreadPoolExecutor(max_workers=2) as pool:
        scores = pool.map(lambda fit: _of_fit(posterior.layout, fit, data, lanes, (draws, seed)), posterior.fits)
        return tuple(scores)


def _of_fit(layout: Layout, fit: Fit, grid: Grid, lanes: int, run: tuple[int, int]) -> LeftOut:
    thetas = fit.draw(np.random.default_rng(run[1]), run[0])
    log_lik = pointwise(layout, fit.mechanism, thetas, grid)
    possible = np.isfinite(log_lik).all(1)
    log_lik, thetas = log_lik[possible], thetas[possible]
    base, draws_k = np.zeros(len(thetas)), -np.inf
    if fit.draws is None:
        base = log_lik.sum(1) + log_prior(thetas) - _log_gaussian(fit, thetas)
        draws_k = smoothed(base)[1]
    elpd, k = score(log_lik[:, :lanes], base)
    return LeftOut(fit.mechanism, elpd, k, draws_k, highest_k(len(thetas)))


def score(
    log_lik: Float[np.ndarray, "draw lane"], base: Float[np.ndarray, " draw"]
) -> tuple[Float[np.ndarray, " lane"], Float[np.ndarray, " lane"]]:
    """Score and Pareto shape of each lane; `base`: log weight that makes the draws ones of the posterior."""
    elpd, k = np.zeros(log_lik.shape[1]), np.zeros(log_lik.shape[1])
    for lane, mine in enumerate(log_lik.T):
        weight, k[lane] = smoothed(base - mine)
        elpd[lane] = logsumexp(weight + mine)
    return elpd, k


def _log_gaussian(fit: Fit, thetas: Thetas) -> Float[np.ndarray, " draw"]:
    root = np.linalg.cholesky(fit.cov)
    z = solve_triangular(root, (thetas - fit.mode).T, lower=True)
    return -0.5 * (z**2).sum(0) - np.log(np.diag(root)).sum() - 0.5 * fit.mode.size * np.log(2 * np.pi)
