"""Structure-function coupling, regional and by network, with its error by a jackknife over blocks of frames."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from remanent._types import Square
from remanent.circuits.atlas import Members, Parcellation, Unavailable
from remanent.circuits.bold import Bold
from remanent.circuits.definitions import definitions
from remanent.circuits.feature import Feature, unavailable
from remanent.circuits.function import fisher_z
from remanent.circuits.sampling import BLOCKS, jackknife_se
from remanent.circuits.wiring import Connections, Wiring

Regional = Float[ndarray, " parcel"]


@dataclass(frozen=True, slots=True)
class Predictors:
    """What multilinear coupling regresses a region's connectivity on.

    `basis` [parcel, target, column]: for each region an orthonormal basis of the constant and the predictors over its
    targets, 0 elsewhere; `targets` [parcel, parcel].
    """

    basis: Float[ndarray, "parcel target column"]
    targets: Bool[ndarray, "parcel parcel"]


def coupling_features(
    bold: Bold, wiring: Wiring, places: Parcellation, problem: str, connections: Connections | None = None
) -> Iterator[Feature]:
    """Mean regional coupling, globally and by network, and how many targets a region had on average.

    ``sfc_spearman_*``: rank correlation over existing connections (this session's own, or those fixed for the study).
    ``sfc_r2_*``: adjusted R² of a regression on path length, communicability and distance. Errors hold what a finite
    scan adds to the functional side; the connectome counts as given.
    """
    weight = wiring.ordered(wiring.weight, bold.labels)
    chosen = np.nan_to_num(weight) > 0 if connections is None else connections.ordered(bold.labels)
    targets = chosen & np.isfinite(weight) & connectable(bold.r)
    ranked = rank_rows(weight, targets)
    matrices = (bold.r, *leave_one_block_out(bold))
    regional = np.array([spearman(rank_rows(r, targets), ranked, targets) for r in matrices])
    yield from _means("sfc_spearman", regional, places, problem)
    yield _targets_per_region(targets, bold)
    predictors = _predictors(wiring, bold)
    if predictors is None:
        for name in ("global", *definitions().networks):
            yield unavailable(f"sfc_r2_{name}", "the connectome has no mean streamline lengths, so no distances")
    else:
        regional = np.array([adjusted_r2(fisher_z(r), predictors) for r in matrices])
        yield from _means("sfc_r2", regional, places, problem)


def connectable(r: Square) -> Bool[ndarray, "parcel parcel"]:
    """Pairs with a Fisher z: two parcels whose correlation is known."""
    there: Bool[ndarray, "parcel parcel"] = np.isfinite(r)
    np.fill_diagonal(there, val=False)
    return there


def spearman(x: Square, y: Square, targets: Bool[ndarray, "parcel parcel"]) -> Regional:
    """Pearson correlation of two sets of row ranks over `targets`: Spearman's coefficient of each region, [parcel].

    Source: Baum 2020, doi:10.1073/pnas.1912034117. NaN for a region with fewer targets than the rule asks, or all of
    one rank: missing, never 0.
    """
    n = targets.sum(axis=1)
    middle = ((n + 1) / 2)[:, None]
    x, y = np.where(targets, x - middle, 0.0), np.where(targets, y - middle, 0.0)
    scale = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    enough = (n >= definitions().rule("minimum_targets")) & (scale > 0)
    return np.where(enough, (x * y).sum(axis=1) / np.where(enough, scale, 1.0), np.nan)


def rank_rows(values: Square, valid: Bool[ndarray, "parcel parcel"]) -> Square:
    """Average ranks (from 1) within each row over valid entries; ties share their mean rank."""
    filled = np.where(valid, values, np.inf)
    rows, columns = filled.shape
    order = np.argsort(filled, axis=1)
    ordered = np.sort(filled, axis=1)  # quicker than to take them in that order
    position = np.tile(np.arange(1.0, columns + 1), rows)
    if np.any((ordered[:, 1:] == ordered[:, :-1]) & np.isfinite(ordered[:, 1:])):
        position = _tied_positions(ordered).ravel()
    ranks = np.empty(rows * columns)
    ranks[(order + columns * np.arange(rows)[:, None]).ravel()] = position
    return ranks.reshape(rows, columns)


def orthonormal(predictors: Float[ndarray, "parcel target predictor"]) -> Predictors:
    """Prepare predictors, NaN where a target has none, for `adjusted_r2`. Self is never a target.

    Columns are standardised over a region's targets first; a region whose predictors are collinear keeps no target.
    """
    targets = np.isfinite(predictors).all(axis=2)
    np.fill_diagonal(targets, val=False)
    n = np.maximum(targets.sum(axis=1), 1)[:, None, None]
    x = np.where(targets[:, :, None], predictors, 0.0)
    x = np.where(targets[:, :, None], x - x.sum(axis=1, keepdims=True) / n, 0.0)
    spread = np.sqrt((x**2).sum(axis=1, keepdims=True))
    x = np.concatenate([targets[:, :, None] / np.sqrt(n), x / np.where(spread > 0, spread, 1.0)], axis=2)
    basis, triangle = np.linalg.qr(x)
    independent = np.abs(np.diagonal(triangle, axis1=1, axis2=2)).min(axis=1) > 1e-8
    targets &= independent[:, None]
    return Predictors(np.where(targets[:, :, None], basis, 0.0), targets)


def adjusted_r2(z: Square, predictors: Predictors) -> Regional:
    """Adjusted R² of each region's Fisher z regressed on its predictors over its targets, [parcel].

    1 - (1 - R²)(n - 1)/(n - p - 1); negative values are kept (Vázquez-Rodríguez 2019, doi:10.1073/pnas.1903403116).
    NaN for a region with too few targets or without variance.
    """
    targets, basis = predictors.targets, predictors.basis
    n, p = targets.sum(axis=1), basis.shape[2] - 1
    y = np.where(targets, z, 0.0)
    y = np.where(targets, y - (y.sum(axis=1) / np.maximum(n, 1))[:, None], 0.0)
    total = (y**2).sum(axis=1)
    explained = (np.matmul(y[:, None, :], basis)[:, 0, :] ** 2).sum(axis=1)
    enough = (n >= definitions().rule("minimum_targets") + p) & (total > 0)
    unexplained = 1 - explained / np.where(enough, total, 1.0)
    return np.where(enough, 1 - unexplained * (n - 1) / np.maximum(n - p - 1, 1), np.nan)


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
        variance = np.diag(covariance)
        scale = np.where(variance > 1e-12, 1 / np.sqrt(np.maximum(variance, 1e-12)), np.nan)
        yield covariance * np.outer(scale, scale)


def _targets_per_region(targets: Bool[ndarray, "parcel parcel"], bold: Bold) -> Feature:
    if not bold.good.any():
        return unavailable("sfc_targets", "all parcels were dropped")
    return Feature("sfc_targets", float(targets.sum(axis=1)[bold.good].mean()), 0.0, usable=True)


def _means(
    kind: str, regional: Float[ndarray, "replicate parcel"], places: Parcellation, problem: str
) -> Iterator[Feature]:
    """Means over all regions and over each network; row 0 holds the values, the others the jackknife's."""
    everyone: Members = np.ones(regional.shape[1], dtype=bool)
    for name, members in {"global": everyone, **places.networks}.items():
        if isinstance(members, Unavailable):
            yield unavailable(f"{kind}_{name}", members.reason)
        else:
            yield _mean(f"{kind}_{name}", regional, members, problem)


def _mean(name: str, regional: Float[ndarray, "replicate parcel"], members: Members, problem: str) -> Feature:
    there = members & np.isfinite(regional[0])
    if there.sum() < definitions().rule("minimum_pairs") * members.sum():
        return unavailable(name, f"only {there.sum()} of {members.sum()} regions have enough connections")
    value, *replicates = regional[:, there].mean(axis=1)
    if not replicates:
        return Feature(name, float(value), np.nan, not problem, problem or "no series, only a matrix: no error")
    return Feature(name, float(value), jackknife_se(np.array(replicates)), not problem, problem)


def _predictors(wiring: Wiring, bold: Bold) -> Predictors | None:
    if wiring.distance_mm is None:
        return None
    matrices = (wiring.path_length, wiring.communicability, wiring.distance_mm)
    stacked = np.stack([wiring.ordered(matrix, bold.labels) for matrix in matrices], axis=2)
    stacked[~connectable(bold.r)] = np.nan
    return orthonormal(stacked)


def _tied_positions(ordered: Square) -> Square:
    """Mean position of every run of equal values in sorted rows."""
    index = np.broadcast_to(np.arange(ordered.shape[1]), ordered.shape)
    starts, ends = np.ones(ordered.shape, dtype=bool), np.ones(ordered.shape, dtype=bool)
    starts[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    ends[:, :-1] = starts[:, 1:]
    first = np.maximum.accumulate(np.where(starts, index, 0), axis=1)
    last = np.minimum.accumulate(np.where(ends, index, ordered.shape[1])[:, ::-1], axis=1)[:, ::-1]
    return (first + last) / 2 + 1
