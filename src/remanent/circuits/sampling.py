r"""Sampling error of what is computed from one scan.

Every smooth measure :math:`\theta` of a correlation matrix is linear in first order: with standardised series
:math:`z_{ti}` and Fisher values :math:`\zeta_{ij} = \operatorname{artanh} r_{ij}`,

.. math::
    \hat\theta - \theta \approx \frac1n \sum_t x_t, \qquad x_t = \sum_{ij} \frac{\partial\theta}{\partial\zeta_{ij}}
    \frac{z_{ti} z_{tj} - r_{ij} (z_{ti}^2 + z_{tj}^2)/2}{1 - r_{ij}^2},

one number per frame (its *influence*). The error of a mean of thousands of correlated edges then costs no more
than that of one edge, and the covariance between edges is in it exactly. The variance of :math:`\bar x` is that of a stationary
series with holes where frames were censored.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.fft import irfft, next_fast_len, rfft

from remanent._types import Series, Vector
from remanent.circuits.bold import Bold

LARGEST_R = 1 - 1e-7
BLOCKS = 20  # of the jackknife: its standard error is then itself known to about 16 %


@dataclass(frozen=True, slots=True)
class Linear:
    """A measure and its derivative with respect to Fisher z of ordered parcel pairs.

    Attributes
    ----------
    value
        The measure.
    rows, columns
        Parcels the derivative touches.
    gradient
        Derivative, [row, column]: a change of pair (i, j) that is also (j, i) counts in both places it appears. Pairs
        without a value hold 0.
    """

    value: float
    rows: Int[ndarray, " row"]
    columns: Int[ndarray, " column"]
    gradient: Float[ndarray, "row column"]


@dataclass(frozen=True, slots=True)
class Memory:
    """How long a scan remembers itself: `acf` [lag, parcel] over pairs of kept frames, `pairs` [lag] their number."""

    acf: Float[ndarray, "lag parcel"]
    pairs: Float[ndarray, " lag"]


def memory(bold: Bold) -> Memory | None:
    """Autocorrelation of every parcel over pairs of frames that were both kept; None without a series."""
    if bold.z is None or not bold.n_frames:
        return None
    return Memory(*autocorrelation(bold.z, bold.kept))


def autocorrelation(
    z: Series, kept: Bool[ndarray, " frame"]
) -> tuple[Float[ndarray, "lag parcel"], Float[ndarray, " lag"]]:
    """Mean product of frames k apart, both kept, [lag, parcel], and how many there are, [lag]; `z` is 0 where not kept.

    Lags go up to a quarter of the usable frames and stop where fewer than ten pairs are left.
    """
    n_lags = min(int(kept.sum()) // 4 + 1, len(z))
    pairs = np.rint(_lagged_products(kept[:, None].astype(float), n_lags)[:, 0])
    few = pairs < 10
    n_lags = max(int(few.argmax()) if few.any() else len(pairs), 1)
    pairs = np.maximum(pairs[:n_lags], 1)
    return _lagged_products(z, n_lags) / pairs[:, None], pairs


def jackknife_se(replicates: Float[ndarray, " block"]) -> float:
    """Delete-one-block jackknife: sqrt((K - 1)/K sum (theta_k - mean)²) (Künsch 1989, doi:10.1214/aos/1176347265)."""
    k = len(replicates)
    return float(np.sqrt((k - 1) / k * np.sum((replicates - replicates.mean()) ** 2)))


def standard_error(estimate: Linear, bold: Bold, past: Memory | None) -> float:
    """Standard error of a measure of the correlation matrix.

    With a series: the greater of two estimates of the variance of the mean influence, because both fall short when a
    scan is short: (1) Bartlett-kernel long-run variance of the influence itself (`long_run_variance`), which needs no
    model; (2) its variance over the effective number of frames, n / (1 + 2 sum_k (n_k/n) rho_k^2) - 3, with rho_k the
    pooled autocorrelation of the parcels involved (Bartlett 1946; exact for Gaussian series of one common
    autocorrelation), which is far less noisy. Without a series: the Gaussian value for independent frames, 2 tr(A R A
    R) / (n - 3), a lower bound. NaN if the number of frames is unknown.
    """
    r = np.clip(bold.r[np.ix_(estimate.rows, estimate.columns)], -1, 1)
    weight = np.where(np.abs(r) < LARGEST_R, estimate.gradient, 0.0) / (1 - np.minimum(np.abs(r), LARGEST_R) ** 2)
    weight = np.nan_to_num(weight)
    if past is None or bold.z is None:
        return _nominal(estimate, weight, bold)
    x = influence(estimate, weight, bold.z, np.nan_to_num(r))
    size = np.abs(weight)
    share = np.bincount(estimate.rows, size.sum(1), len(bold.labels)) + np.bincount(
        estimate.columns, size.sum(0), len(bold.labels)
    )
    rho = past.acf @ share / max(share.sum(), np.finfo(float).tiny)
    inflation = 1 + 2 * np.sum(past.pairs[1:] / bold.n_frames * rho[1:] ** 2)
    pooled = np.sum(x**2) / bold.n_frames / max(bold.n_frames / inflation - 3, 1.0)
    return float(np.sqrt(max(pooled, long_run_variance(x, bold.n_frames))))


def influence(
    estimate: Linear, weight: Float[ndarray, "row column"], z: Series, r: Float[ndarray, "row column"]
) -> Vector:
    """Influence of every frame, [full_frame], zero where censored; `weight` is the gradient over 1 - r^2."""
    rows, columns = z[:, estimate.rows], z[:, estimate.columns]
    cross = np.einsum("ti,ti->t", rows, columns @ weight.T)
    return cross - (rows**2 @ (weight * r).sum(axis=1) + columns**2 @ (weight * r).sum(axis=0)) / 2


def long_run_variance(x: Vector, n_frames: int) -> float:
    """Variance of the mean of a zero-mean series with zeros where frames are missing.

    Bartlett kernel (Newey & West 1987, doi:10.2307/1913610). Bandwidth: the greater of 1.3 sqrt(n) (Lazarus 2018,
    doi:10.1080/07350015.2018.1506926) and the AR(1) plug-in of Andrews (1991, doi:10.2307/2938229), at most n/3.
    Divided by 1 - b + b^2/3, b = bandwidth / n: what removing the mean takes away (Kiefer & Vogelsang 2005,
    doi:10.1017/S0266466605050565).
    """
    products = _lagged_products(x[:, None], n_frames // 3 + 1)[:, 0]
    if n_frames < 2 or products[0] <= 0:
        return np.nan
    phi = float(np.clip(products[1] / products[0], 0.0, 0.97)) if len(products) > 1 else 0.0
    plug_in = 1.1447 * (4 * phi**2 / (1 - phi**2) ** 2 * n_frames) ** (1 / 3)
    bandwidth = min(max(1.3 * np.sqrt(n_frames), plug_in), n_frames / 3)
    kernel = np.maximum(1 - np.arange(len(products)) / max(bandwidth, 1.0), 0.0)
    b = bandwidth / n_frames
    total = products[0] + 2 * np.sum(kernel[1:] * products[1:])
    return float(total / n_frames**2 / (1 - b + b**2 / 3))


def _nominal(estimate: Linear, weight: Float[ndarray, "row column"], bold: Bold) -> float:
    if bold.n_frames <= 3:
        return np.nan
    involved = np.union1d(estimate.rows, estimate.columns)
    rows, columns = np.searchsorted(involved, estimate.rows), np.searchsorted(involved, estimate.columns)
    r = np.nan_to_num(bold.r[np.ix_(involved, involved)])
    a = np.zeros_like(r)
    a[np.ix_(rows, columns)] = weight
    a = (a + a.T) / 2
    a[np.diag_indices_from(a)] -= (a * r).sum(axis=1)
    ar = a @ r
    return float(np.sqrt(2 * np.sum(ar * ar.T) / (bold.n_frames - 3)))


def _lagged_products(x: Float[ndarray, "frame column"], n_lags: int) -> Float[ndarray, "lag column"]:
    """Sum over t of x_t x_(t+k), k = 0 ... n_lags - 1."""
    n_lags = min(n_lags, len(x))
    size = next_fast_len(len(x) + n_lags, real=True)
    power = np.abs(rfft(x, size, axis=0)) ** 2
    return irfft(power, size, axis=0)[:n_lags]
