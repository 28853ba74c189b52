"""Functional connectivity of networks and circuits, with the error of every value."""

from collections.abc import Iterator, Sequence
from itertools import combinations_with_replacement

import numpy as np

from remanent._types import Square
from remanent.circuits import graph
from remanent.circuits.atlas import Members, Parcellation, Unavailable
from remanent.circuits.bold import Bold
from remanent.circuits.definitions import Edge, definitions
from remanent.circuits.feature import Feature, unavailable
from remanent.circuits.sampling import LARGEST_R, Linear, Memory, standard_error

Estimate = Linear | Unavailable

_NO_WEIGHT = "no positive connection within the networks"


def function_features(bold: Bold, places: Parcellation, past: Memory | None, problem: str) -> Iterator[Feature]:
    """Everything measured from one session's correlations; `problem` says why none of it may be used (empty: it may)."""
    for name, estimate in _estimates(bold, places):
        if isinstance(estimate, Unavailable):
            yield unavailable(name, estimate.reason)
        else:
            yield _feature(name, estimate, bold, past, problem)


def fisher_z(r: Square) -> Square:
    """Fisher z, artanh(r) with abs(r) at most 1 - 1e-7, [parcel, parcel]; NaN on the diagonal and where r is NaN."""
    z = np.arctanh(np.clip(r, -LARGEST_R, LARGEST_R))
    np.fill_diagonal(z, np.nan)
    return z


def pair_mean(z: Square, first: Members, second: Members) -> Linear | None:
    """Mean Fisher z over the pairs of two sets of parcels (or within one); None if too few pairs have a value."""
    rows, columns = np.flatnonzero(first), np.flatnonzero(second)
    block = z[np.ix_(rows, columns)]
    there = np.isfinite(block)
    possible = there.size - np.count_nonzero(first & second)
    if possible == 0 or there.sum() < definitions().rule("minimum_pairs") * possible:
        return None
    return Linear(float(block[there].mean()), rows, columns, there / there.sum())


def signed_mean(terms: Sequence[tuple[float, Linear]]) -> Linear:
    """Mean of signed measures, (1/n) sum of sign times value."""
    rows = np.unique(np.concatenate([term.rows for _, term in terms]))
    columns = np.unique(np.concatenate([term.columns for _, term in terms]))
    gradient = np.zeros((len(rows), len(columns)))
    for sign, term in terms:
        place = np.ix_(np.searchsorted(rows, term.rows), np.searchsorted(columns, term.columns))
        gradient[place] += sign * term.gradient / len(terms)
    value = sum(sign * term.value for sign, term in terms) / len(terms)
    return Linear(value, rows, columns, gradient)


def _estimates(bold: Bold, places: Parcellation) -> Iterator[tuple[str, Estimate]]:
    z = fisher_z(bold.r)
    for a, b in combinations_with_replacement(definitions().networks, 2):
        yield f"fc_{a}_{b}", _between(a, b, z, bold, places)
    yield from _graph_estimates(z, places)
    for a, b in definitions().connections:
        yield f"fc_{a}_{b}", _between(a, b, z, bold, places)
    for name, edges in definitions().scores.items():
        yield f"score_{name}", _score(edges, z, bold, places)


def _between(a: str, b: str, z: Square, bold: Bold, places: Parcellation) -> Estimate:
    first, second = places.members(a), places.members(b)
    if isinstance(first, Unavailable):
        return first
    if isinstance(second, Unavailable):
        return second
    if a == b and first.sum() < 2:
        return Unavailable(f"this atlas has one parcel in {a}: there is no pair")
    return pair_mean(z, first, second) or Unavailable(_too_few(bold, first | second))


def _graph_estimates(z: Square, places: Parcellation) -> Iterator[tuple[str, Estimate]]:
    networks = {name: members for name, members in places.networks.items() if not isinstance(members, Unavailable)}
    missing = next((absent for absent in places.networks.values() if isinstance(absent, Unavailable)), None)
    shares = {} if missing else graph.participation(z, networks)
    none = Unavailable(_NO_WEIGHT)
    yield "segregation_system", missing or graph.segregation(z, networks) or none
    yield "q_yeo7", missing or graph.modularity(z, networks) or none
    for name in definitions().networks:
        yield f"participation_{name}", missing or shares.get(name) or none


def _score(edges: Sequence[Edge], z: Square, bold: Bold, places: Parcellation) -> Estimate:
    terms: list[tuple[float, Linear]] = []
    for edge in edges:
        term = _between(edge.first, edge.second, z, bold, places)
        if isinstance(term, Unavailable):
            return term
        terms.append((edge.sign, term))
    return signed_mean(terms)


def _too_few(bold: Bold, involved: Members) -> str:
    lost = [label for label, mine in zip(bold.labels, involved, strict=True) if mine and label in bold.dropped]
    share = definitions().rule("minimum_pairs")
    if not lost:
        return f"fewer than {share:.0%} of the parcel pairs have a value"
    example = f"{len(lost)} parcels dropped, e.g. {lost[0]} ({bold.dropped[lost[0]]})"
    return f"fewer than {share:.0%} of the parcel pairs have a value: {example}"


def _feature(name: str, estimate: Linear, bold: Bold, past: Memory | None, problem: str) -> Feature:
    se = standard_error(estimate, bold, past)
    if past is not None:
        reason = problem
    elif bold.n_frames:
        reason = problem or f"no series, only a matrix: error as if {bold.n_frames} frames were independent, too small"
    else:
        reason = problem or "no series, only a matrix from an unknown number of frames: no error can be given"
    return Feature(name, estimate.value, se, usable=not problem, reason=reason)
