"""Did the chains mix? Split rank-normalised R-hat and effective draws (Vehtari 2021, DOI 10.1214/20-BA1221), of any [chain, draw, quantity]."""

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri
from scipy.stats import rankdata

Chains = Float[np.ndarray, "chain draw param"]
Each = Float[np.ndarray, " param"]


def split(chains: Chains) -> Float[np.ndarray, "half half_draw param"]:
    """Each chain as two halves, so that a drift within a chain shows as a difference between chains."""
    half = chains.shape[1] // 2
    return np.concatenate([chains[:, :half], chains[:, -half:]])


def rank_normalised(chains: Chains) -> Chains:
    """Normal quantiles of the ranks over all chains, z = Phi^-1((rank - 3/8) / (n + 1/4))."""
    rank = rankdata(chains.reshape(-1, chains.shape[2]), axis=0)
    return ndtri((rank - 0.375) / (len(rank) + 0.25)).reshape(chains.shape)


def rhat(chains: Chains) -> Each:
    """The larger of R-hat of the ranks (location) and of the folded ranks (scale)."""
    halves = split(chains)
    folded = np.abs(halves - np.median(halves, axis=(0, 1)))
    return np.maximum(_rhat(rank_normalised(halves)), _rhat(rank_normalised(folded)))


def _rhat(chains: Chains) -> Each:
    n = chains.shape[1]
    within = chains.var(axis=1, ddof=1).mean(0)
    between = chains.mean(1).var(axis=0, ddof=1)
    return np.sqrt((n - 1) / n + between / within)


def bulk_ess(chains: Chains) -> Each:
    """Effective draws for the bulk of each quantity: of the split, rank-normalised chains."""
    return effective_draws(rank_normalised(split(chains)))


def effective_draws(chains: Chains) -> Each:
    """Effective draws for the mean: n / tau, tau by Geyer's initial monotone sequence of the autocorrelations averaged over chains."""
    count, n, _ = chains.shape
    within = chains.var(axis=1, ddof=1).mean(0)
    pooled = (n - 1) / n * within + (chains.mean(1).var(axis=0, ddof=1) if count > 1 else 0.0)
    autocovariance = _autocovariance(chains).mean(0)
    rho = 1 - (within - autocovariance * n / (n - 1)) / pooled
    rho[0] = 1.0
    pairs = rho[: n // 2 * 2].reshape(n // 2, 2, -1).sum(1)
    positive = np.cumprod(pairs > 0, axis=0)
    tau = 2 * (np.minimum.accumulate(np.maximum(pairs, 0.0), axis=0) * positive).sum(0) - 1
    return count * n / np.maximum(tau, 1 / np.log10(count * n))


def _autocovariance(chains: Chains) -> Float[np.ndarray, "chain draw param"]:
    """By lag, with divisor n, [chain, lag, param]."""
    n = chains.shape[1]
    centred = chains - chains.mean(1, keepdims=True)
    spectrum = np.fft.rfft(centred, 2 * n, axis=1)
    return np.fft.irfft(np.abs(spectrum) ** 2, 2 * n, axis=1)[:, :n] / n
