"""Structure-function coupling, regional and by network, with its error by a jackknife over blocks of frames."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from remanent._types import Square
from remanent.circuits.atlas import network_members
from remanent.circuits.bold import Bold
from remanent.circuits.definitions import definitions
from remanent.circuits.feature import Feature

BLOCKS = 20


def coupling_features(bold: Bold, weights: Square, problem: str) -> Iterator[Feature]:
    """Mean regional Spearman coupling, globally and by network.

    `weights` [parcel, parcel] stand in the order of `bold.labels`, NaN where missing.
    """
    targets = _targets(weights, bold)
    values = regional_spearman(bold.r, weights, targets)
    replicates = np.array([regional_spearman(r, weights, targets) for r in leave_one_block_out(bold)])
    everyone = np.ones(len(values), dtype=bool)
    for name, members in {"global": everyone, **network_members(bold.labels)}.items():
        yield _mean_coupling(f"sfc_spearman_{name}", values, replicates, members, problem)


def _mean_coupling(
    name: str,
    values: Float[ndarray, " parcel"],
    replicates: Float[ndarray, "..."],
    members: Bool[ndarray, " parcel"],
    problem: str,
) -> Feature:
    there = members & np.isfinite(values)
    if not members.any():
        return Feature(name, np.nan, np.nan, usable=False, reason="this atlas has no parcel of that network")
    if there.sum() < definitions().rule("minimum_pairs") * members.sum():
        reason = f"only {there.sum()} of {members.sum()} regions have enough connections"
        return Feature(name, np.nan, np.nan, usable=False, reason=reason)
    value = float(values[there].mean())
    if not len(replicates):
        return Feature(
            name, value, np.nan, usable=not problem, reason=problem or "no series, only a matrix: no error can be given"
        )
    return Feature(name, value, jackknife_se(replicates[:, there].mean(axis=1)), usable=not problem, reason=problem)


def regional_spearman(fc: Square, sc: Square, targets: Bool[ndarray, "parcel parcel"]) -> Float[ndarray, " parcel"]:
    """Spearman's rank correlation of each region's functional and structural connections over `targets`, [parcel].

    Source: Baum 2020, doi:10.1073/pnas.1912034117. NaN for a region with fewer targets than the rule asks, or all of
    one rank: missing, never 0.
    """
    x, y = _row_ranks(fc, targets), _row_ranks(sc, targets)
    n = targets.sum(axis=1)
    mean = (n + 1) / 2
    x, y = (np.where(targets, ranks - mean[:, None], 0.0) for ranks in (x, y))
    scale = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    enough = (n >= definitions().rule("minimum_targets")) & (scale > 0)
    return np.where(enough, (x * y).sum(axis=1) / np.where(enough, scale, 1.0), np.nan)


def leave_one_block_out(bold: Bold) -> Iterator[Square]:
    """Correlation matrices without one of `BLOCKS` equal blocks of kept frames, in time order."""
    if bold.z is None or bold.n_frames < 2 * BLOCKS:
        return
    z = bold.z[bold.kept]
    total = z.T @ z
    for block in np.array_split(z, BLOCKS):
        n = len(z) - len(block)
        mean = -block.sum(axis=0) / n
        covariance = (total - block.T @ block) / n - np.outer(mean, mean)
        sd = np.sqrt(np.maximum(np.diag(covariance), 0.0))
        with np.errstate(invalid="ignore", divide="ignore"):
            yield covariance / np.outer(sd, sd)


def jackknife_se(replicates: Float[ndarray, " block"]) -> float:
    """Delete-one-block jackknife: sqrt((K - 1)/K sum (theta_k - mean)^2) (Künsch 1989, doi:10.1214/aos/1176347265)."""
    k = len(replicates)
    return float(np.sqrt((k - 1) / k * np.sum((replicates - replicates.mean()) ** 2)))


def _targets(weights: Square, bold: Bold) -> Bool[ndarray, "parcel parcel"]:
    """Pairs with an existing connection and a correlation."""
    targets = (np.nan_to_num(weights) > 0) & np.isfinite(bold.r)
    np.fill_diagonal(targets, val=False)
    return targets


def _row_ranks(values: Square, valid: Bool[ndarray, "parcel parcel"]) -> Square:
    """Average ranks (from 1) within each row over valid entries; ties share their mean rank."""
    filled = np.where(valid, values, np.inf)
    order = np.argsort(filled, axis=1)
    ordered = np.take_along_axis(filled, order, axis=1)
    index = np.broadcast_to(np.arange(filled.shape[1]), filled.shape)
    new = np.ones(filled.shape, dtype=bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    first = np.maximum.accumulate(np.where(new, index, 0), axis=1)
    last_new = np.ones(filled.shape, dtype=bool)
    last_new[:, :-1] = new[:, 1:]
    last = np.minimum.accumulate(np.where(last_new, index, filled.shape[1])[:, ::-1], axis=1)[:, ::-1]
    ranks = np.empty(filled.shape)
    np.put_along_axis(ranks, order, (first + last) / 2 + 1, axis=1)
    return ranks
