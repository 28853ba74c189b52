"""How well would each mechanism have predicted a patient it had not seen? The leave-one-patient-out predictive score, without refitting.

    elpd_i = log p(y_i | y_others) = log Z - log Z_(-i),   Z the evidence of all patients, Z_(-i) that of all but i

Everything of patient i is left out at once: ratings, scans, relapse. Where the posterior is a Laplace approximation both evidences are too, and the mode
without i is one Newton step away: with l_i, g_i and H_i the patient's log likelihood, its gradient and minus its Hessian at the mode, H that of the whole
posterior and A = H - H_i that without i,

    elpd_i = l_i - g_i' A^-1 g_i / 2 - log(|H| / |A|) / 2

exact where everything is quadratic. The step's length, sqrt(g_i' A^-1 g_i) in sd of the posterior without i, says where that is not to be trusted. Where
chains were run, the score is the mean of p(y_i | theta) under importance weights 1 / p(y_i | theta), Pareto-smoothed (Vehtari 2017, DOI
10.1007/s11222-016-9696-4; 2024, arXiv 1507.02646); there the shape k of their tail says so. The score counts what a mechanism predicts, not how its prior
fits: of all comparisons it depends least on priors.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp

from remanent.dynamics.compare import settings
from remanent.dynamics.infer import Fit, Posterior, by_lane, slopes
from remanent.dynamics.pareto import highest_k, smoothed
from remanent.dynamics.pointwise import pointwise
from remanent.dynamics.priors import MECHANISMS, Layout, Mechanism
from remanent.dynamics.steps import Grid


@dataclass(frozen=True)
class LeftOut:
    """Predictive score of one mechanism.

    Attributes
    ----------
    elpd
        Expected log predictive density of each patient given the others (nats), [lane].
    doubt
        How far the fit leans on each patient: the mode's step without them (sd) or the shape k of their weights, [lane].
    most
        Largest doubt that is to be trusted.
    by_weights
        Whether `doubt` is the shape of importance weights.
    """

    mechanism: Mechanism
    elpd: Float[np.ndarray, " lane"]
    doubt: Float[np.ndarray, " lane"]
    most: float
    by_weights: bool

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
        return int((self.doubt > self.most).sum())

    @property
    def message(self) -> str:
        """Whether the score is to be trusted, in words."""
        if not self.doubtful:
            return "reliable"
        what = "Pareto k" if self.by_weights else "step of the mode without them (sd)"
        worst = f"{what} up to {self.doubt.max():.2f}" if np.isfinite(self.doubt).all() else f"no {what} to be found"
        return (
            f"not to be relied on for {self.doubtful} of {self.elpd.size} patients, whom the fit leans on too much "
            f"({worst}; trusted up to {self.most:.2f})"
        )


def difference(one: LeftOut, other: LeftOut) -> tuple[float, float]:
    """Score of `one` minus that of `other` (nats), and its standard error from the patients' differences."""
    return one.total - other.total, _se(one.elpd - other.elpd)


def _se(each: Float[np.ndarray, " lane"]) -> float:
    return float(np.sqrt(each.size) * each.std(ddof=1)) if each.size > 1 else np.nan


def leave_out(posterior: Posterior, grid: Grid, lanes: int) -> tuple[LeftOut, ...]:
    """Score of every mechanism on the first `lanes` lanes of `grid`, two mechanisms at a time."""
    data = Grid(*map(jnp.asarray, grid))
    with ThreadPoolExecutor(max_workers=2) as pool:
        return tuple(pool.map(partial(_of_fit, posterior.layout, data, lanes), posterior.fits))


def _of_fit(layout: Layout, grid: Grid, lanes: int, fit: Fit) -> LeftOut:
    if fit.draws is None:
        elpd, step = newton_score(*_at_mode(layout, grid, lanes, fit))
        return LeftOut(fit.mechanism, elpd, step, settings()["leave_out"]["step"]["value"], by_weights=False)
    log_lik = pointwise(layout, fit.mechanism, fit.draws, grid)
    log_lik = log_lik[np.isfinite(log_lik).all(1)]
    elpd, k = score(log_lik[:, :lanes])
    return LeftOut(fit.mechanism, elpd, k, highest_k(len(log_lik)), by_weights=True)


PerPatient = tuple[Float[np.ndarray, " lane"], Float[np.ndarray, "lane param"], Float[np.ndarray, "lane param param"]]


def _at_mode(layout: Layout, grid: Grid, lanes: int, fit: Fit) -> PerPatient:
    """Log likelihood of each patient, its gradient and minus its Hessian (one-sided differences of the gradient) at the mode."""
    program, switches = by_lane(layout), jnp.asarray(layout.acting(MECHANISMS.index(fit.mechanism)))

    def gradient(theta: np.ndarray) -> Float[np.ndarray, "param lane"]:
        return np.asarray(program(jnp.asarray(theta), switches, grid)[1])[:, :lanes]

    return fit.patient_log_lik[:lanes], gradient(fit.mode).T, -np.moveaxis(slopes(gradient, fit.mode), -1, 0)


def newton_score(
    log_lik: Float[np.ndarray, " lane"],
    gradient: Float[np.ndarray, "lane param"],
    curvature: Float[np.ndarray, "lane param param"],
) -> tuple[Float[np.ndarray, " lane"], Float[np.ndarray, " lane"]]:
    """Score of each patient and length of the mode's step without them (sd), in standard normal prior coordinates.

    Where the posterior without a patient is not curved downwards in every direction the length is infinite, and the score takes the curvature with them.
    At no maximum of the posterior (a fit that did not converge) every length is infinite, and the score is the log likelihood.
    """
    known = np.isfinite(gradient).all(1) & np.isfinite(curvature).all((1, 2))
    curvature = np.where(known[:, None, None], curvature, 0.0)
    whole = np.eye(gradient.shape[1]) + curvature.sum(0)
    if np.linalg.eigvalsh(whole)[0] <= 0:
        return log_lik, np.full(log_lik.shape, np.inf)
    without = whole[None] - curvature
    lost = ~known | (np.linalg.eigvalsh(without)[:, 0] <= 0)
    without[lost] = whole
    pulled = np.where(known[:, None], gradient, 0.0)
    square = (pulled * np.linalg.solve(without, pulled[..., None])[..., 0]).sum(1)
    wider = np.linalg.slogdet(whole)[1] - np.linalg.slogdet(without)[1]
    return log_lik - square / 2 - wider / 2, np.where(lost, np.inf, np.sqrt(square))


def score(log_lik: Float[np.ndarray, "draw lane"]) -> tuple[Float[np.ndarray, " lane"], Float[np.ndarray, " lane"]]:
    """Score and Pareto shape of each lane, from draws of the posterior."""
    elpd, k = np.zeros(log_lik.shape[1]), np.zeros(log_lik.shape[1])
    for lane, mine in enumerate(log_lik.T):
        weight, k[lane] = smoothed(-mine)
        elpd[lane] = logsumexp(weight + mine)
    return elpd, k
