"""Functional connectivity of networks, with the error of every value."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from remanent._types import Square
from remanent.circuits.atlas import network_members
from remanent.circuits.bold import Bold
from remanent.circuits.definitions import definitions
from remanent.circuits.feature import Feature
from remanent.circuits.sampling import LARGEST_R, Linear, Memory, memory, standard_error


@dataclass(frozen=True, slots=True)
class _Unavailable:
    reason: str


def function_features(bold: Bold, problem: str) -> Iterator[Feature]:
    """Everything measured from one session's BOLD; `problem` says why none of it may be used (empty: it may)."""
    past = memory(bold)
    for name, estimate in _estimates(bold):
        if isinstance(estimate, _Unavailable):
            yield Feature(name, np.nan, np.nan, usable=False, reason=estimate.reason)
        else:
            yield _feature(name, estimate, bold, past, problem)


def fisher_z(r: Square) -> Square:
    """Fisher z, artanh(r) with abs(r) at most 1 - 1e-7, [parcel, parcel]; NaN on the diagonal and where r is NaN."""
    z = np.arctanh(np.clip(r, -LARGEST_R, LARGEST_R))
    np.fill_diagonal(z, np.nan)
    return z


def network_mean(z: Square, first: Bool[ndarray, " parcel"], second: Bool[ndarray, " parcel"]) -> Linear | None:
    """Mean Fisher z over the pairs of two networks (or within one); None if too few pairs have a value."""
    rows, columns = np.flatnonzero(first), np.flatnonzero(second)
    block = z[np.ix_(rows, columns)]
    there = np.isfinite(block)
    possible = there.size - np.count_nonzero(first & second)
    if possible == 0 or there.sum() < definitions().rule("minimum_pairs") * possible:
        return None
    return Linear(float(block[there].mean()), rows, columns, there / there.sum())


def _estimates(bold: Bold) -> Iterator[tuple[str, Linear | _Unavailable]]:
    z = fisher_z(bold.r)
    members = network_members(bold.labels)
    for a, b in combinations_with_replacement(sorted(members), 2):
        name = f"fc_{a}_{b}"
        absent = [network for network in (a, b) if not members[network].any()]
        if absent:
            yield name, _Unavailable(f"this atlas has no parcel named after the network {absent[0]}")
        else:
            mean = network_mean(z, members[a], members[b])
            yield name, mean or _Unavailable(_too_few(bold, members[a] | members[b]))


def _too_few(bold: Bold, involved: Bool[ndarray, " parcel"]) -> str:
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
        reason = problem or f"no series, only a matrix: error for {bold.n_frames} independent frames, a lower bound"
    else:
        reason = problem or "no series, only a matrix from an unknown number of frames: no error can be given"
    return Feature(name, estimate.value, se, usable=not problem, reason=reason)
