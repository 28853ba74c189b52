"""One structural connectome made comparable: log weights on a fixed scale, and the paths they allow."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int8
from numpy import ndarray
from scipy.sparse.csgraph import shortest_path

from remanent._types import Square
from remanent.circuits.definitions import WeightScale, definitions
from remanent.study.session import Connectome


@dataclass(frozen=True, slots=True)
class Wiring:
    """Matrices of one connectome, [parcel, parcel] in the order of `labels`, NaN where there is no value.

    Attributes
    ----------
    weight
        log(1 + w / scale), 0 where no streamline runs.
    path_length
        Shortest path over edges of length 1 / weight; NaN where no path exists.
    communicability
        Communicability of the weights; NaN for parcels without any connection.
    distance_mm
        Shortest path over mean streamline lengths (mm); None where the pipeline wrote no lengths.
    doubts
        Known errors of the software that made it.
    """

    labels: tuple[str, ...]
    weight: Square
    path_length: Square
    communicability: Square
    distance_mm: Square | None
    doubts: tuple[str, ...] = ()

    def ordered(self, matrix: Square, labels: Sequence[str]) -> Float[ndarray, "label label"]:
        """Return `matrix` in the order of other labels; NaN for parcels this connectome does not have."""
        return _reordered(matrix, self.labels, labels, np.nan)


@dataclass(frozen=True, slots=True)
class Connections:
    """Which pairs of parcels count as connected in every session of a study, [parcel, parcel] in the order of `labels`.

    `sessions`: how many they were chosen from.
    """

    labels: tuple[str, ...]
    connected: Bool[ndarray, "parcel parcel"]
    sessions: int

    def ordered(self, labels: Sequence[str]) -> Bool[ndarray, "label label"]:
        """Return them in the order of other labels; parcels not known here have no connection."""
        return _reordered(self.connected, self.labels, labels, blank=False)


@dataclass(frozen=True, slots=True)
class Votes:
    """Where one session has a connection (1), has none (0) or does not tell (-1), [parcel, parcel] in the order of `labels`."""

    labels: tuple[str, ...]
    vote: Int8[ndarray, "parcel parcel"]


def votes(connectomes: Sequence[Connectome], atlas: str) -> Votes | None:
    """What one session says of each connection; None without a connectome of a known weight on this atlas."""
    weights = chosen(connectomes, atlas)
    if weights is None:
        return None
    w = symmetric(weights.weights)
    return Votes(weights.labels, np.where(np.isnan(w), -1, np.where(w > 0, 1, 0)).astype(np.int8))


def consistent_connections(sessions: Iterable[Votes], share: float = 0.5) -> Connections | None:
    """Find the pairs connected in at least `share` of the sessions, so that a visit does not choose its own targets.

    The parcels are those of the first session; a session that lacks a parcel does not vote on it. Sessions are taken
    one by one. None where fewer than two sessions vote: one scan's connections are its own.
    """
    labels: tuple[str, ...] = ()
    count = 0
    for count, one in enumerate(sessions, start=1):
        if count == 1:
            labels = one.labels
            connected = np.zeros((len(labels), len(labels)), dtype=np.int64)
            voted = connected.copy()
        vote = one.vote if one.labels == labels else _reordered(one.vote, one.labels, labels, -1)
        connected += vote == 1
        voted += vote >= 0
    if count < 2:
        return None
    return Connections(labels, (voted > 0) & (connected >= share * voted), count)


def wire(connectomes: Sequence[Connectome], atlas: str) -> Wiring | None:
    """Build the wiring of a session from its connectomes on one atlas; None if none has a known weight.

    The weight is the measure that stands first in circuits.yaml, the same for every session of a study that has it.
    """
    weights = chosen(connectomes, atlas)
    if weights is None:
        return None
    weight = log_weight(weights, definitions().weight_scales[weights.measure])
    lengths = _first(connectomes, atlas, definitions().length_measures)
    distance = None
    if lengths is not None and lengths.labels == weights.labels:
        distance = distances(np.where(np.nan_to_num(weight) > 0, symmetric(lengths.weights), 0.0))
    paths = distances(reciprocal(weight))
    return Wiring(weights.labels, weight, paths, communicability(weight), distance, weights.doubts)


def chosen(connectomes: Sequence[Connectome], atlas: str) -> Connectome | None:
    """The connectome whose weights are measured: of the measure that stands first in circuits.yaml."""
    return _first(connectomes, atlas, tuple(definitions().weight_scales))


def log_weight(connectome: Connectome, scale: WeightScale) -> Square:
    """Return log(1 + w / scale), [parcel, parcel].

    NaN on the diagonal and where a weight is missing or negative. The scale is a constant of the measure, so that a
    visit's value never depends on that visit's largest weight.
    """
    w = symmetric(connectome.weights)
    return np.log1p(w / (scale.with_mu if connectome.mu_applied else scale.plain))


def symmetric(matrix: Square) -> Square:
    """Mean of both triangles; NaN on the diagonal and where either entry is missing, infinite or negative."""
    valid = np.isfinite(matrix) & (matrix >= 0)
    known = np.where(valid & valid.T, matrix, np.nan)
    mean = (known + known.T) / 2
    np.fill_diagonal(mean, np.nan)
    return mean


def reciprocal(weight: Square) -> Square:
    """Length of each edge, 1 / weight; 0 (no edge) where the weight is 0 or missing."""
    there = np.nan_to_num(weight) > 0
    return np.where(there, 1 / np.where(there, weight, 1.0), 0.0)


def distances(length: Square) -> Square:
    """Shortest path between all parcels over edges of the given length (0 or NaN: no edge); NaN where none, diagonal too."""
    reached = shortest_path(np.nan_to_num(length), method="FW", directed=False)
    reached[~np.isfinite(reached)] = np.nan
    np.fill_diagonal(reached, np.nan)
    return reached


def communicability(weight: Square) -> Square:
    r"""Communicability exp(D^{-1/2} W D^{-1/2}), D the strengths (Crofts & Higham 2009, doi:10.1098/rsif.2008.0484).

    NaN on the diagonal and for parcels without a connection, which other tools divide by zero for.
    """
    w = np.nan_to_num(weight)
    strength = w.sum(axis=1)
    there = np.flatnonzero(strength > 0)
    scale = 1 / np.sqrt(strength[there])
    values, vectors = np.linalg.eigh(w[np.ix_(there, there)] * np.outer(scale, scale))
    result = np.full(w.shape, np.nan)
    result[np.ix_(there, there)] = (vectors * np.exp(values)) @ vectors.T
    np.fill_diagonal(result, np.nan)
    return result


def _first(connectomes: Sequence[Connectome], atlas: str, order: Sequence[str]) -> Connectome | None:
    rank = {measure: i for i, measure in enumerate(order)}
    known = [one for one in connectomes if one.atlas == atlas and one.measure in rank]
    return min(known, key=lambda connectome: rank[connectome.measure], default=None)


def _reordered(matrix: ndarray, have: Sequence[str], want: Sequence[str], blank: float | int | bool) -> ndarray:
    """Rows and columns by label, never by position; `blank` for labels that are not there."""
    position = {label: i for i, label in enumerate(have)}
    there = [i for i, label in enumerate(want) if label in position]
    index = [position[want[i]] for i in there]
    result = np.full((len(want), len(want)), blank)
    result[np.ix_(there, there)] = matrix[np.ix_(index, index)]
    return result
