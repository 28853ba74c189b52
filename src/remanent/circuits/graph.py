"""Graph measures of functional connectivity on a fixed partition, each with its derivative, so that each gets an error.

All use positive Fisher z: negative and missing values count as no connection, the diagonal is empty, parcels without a
network take no part. The partition is Yeo's, never one found in the scan: an algorithm's jitter is not a change.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from remanent._types import Square
from remanent.circuits.sampling import Linear

Membership = Mapping[str, Bool[ndarray, " parcel"]]


def segregation(z: Square, networks: Membership) -> Linear | None:
    r"""System segregation, (W - B) / W.

    W and B: mean over all parcel pairs within one network, and between two, negatives set to 0 (Chan 2014,
    doi:10.1073/pnas.1415122111). None if W is not positive.
    """
    of, inside, w = _frame(z, networks)
    same = of[:, None] == of[None, :]
    there = np.isfinite(z[np.ix_(inside, inside)])
    within, between = there & same, there & ~same
    if not within.any() or not between.any() or w[within].mean() <= 0:
        return None
    mean_within, mean_between = w[within].mean(), w[between].mean()
    gradient = np.where(within, mean_between / mean_within**2 / within.sum(), 0.0)
    gradient -= np.where(between, 1 / mean_within / between.sum(), 0.0)
    return Linear(float(1 - mean_between / mean_within), inside, inside, gradient * (w > 0))


def participation(z: Square, networks: Membership) -> dict[str, Linear]:
    r"""Mean participation coefficient of each network's parcels.

    P_i = 1 - \sum_s (k_is / k_i)^2 over networks s (Guimerà & Amaral 2005, doi:10.1038/nature03288). A parcel without
    any positive connection has none (not 0); a network without such a parcel is absent from the result.
    """
    of, inside, w = _frame(z, networks)
    indicator = (of[:, None] == np.arange(len(networks))).astype(float)
    strength = w.sum(axis=1)
    connected = strength > 0
    share = (w @ indicator) / np.where(connected, strength, 1.0)[:, None]
    concentration = (share**2).sum(axis=1)
    slope = -2 * (share @ indicator.T - concentration[:, None]) / np.where(connected, strength, 1.0)[:, None] * (w > 0)
    result = {}
    for index, name in enumerate(networks):
        mine = np.flatnonzero((of == index) & connected)
        if mine.size:
            value = float((1 - concentration[mine]).mean())
            result[name] = Linear(value, inside[mine], inside, slope[mine] / mine.size)
    return result


def modularity(z: Square, networks: Membership) -> Linear | None:
    r"""Newman's modularity Q of the fixed partition.

    Q = \sum_s e_s - a_s^2, e_s the share of connection weight inside network s and a_s the share of its ends (Newman
    2004, doi:10.1103/PhysRevE.70.056131). None without any positive connection.
    """
    of, inside, w = _frame(z, networks)
    total = w.sum()
    if total <= 0:
        return None
    same = of[:, None] == of[None, :]
    kept_inside = w[same].sum() / total
    ends = np.array([w[of == index].sum() for index in range(len(networks))]) / total
    squares = float((ends**2).sum())
    gradient = (same - kept_inside - ends[of][:, None] - ends[of][None, :] + 2 * squares) / total * (w > 0)
    return Linear(float(kept_inside - squares), inside, inside, gradient)


def _frame(z: Square, networks: Membership) -> tuple[ndarray, ndarray, Float[ndarray, "member member"]]:
    """Network index of each parcel inside a network, these parcels' indices, and their positive weights."""
    of = np.full(len(z), -1)
    for index, members in enumerate(networks.values()):
        of[members] = index
    inside = np.flatnonzero(of >= 0)
    w = np.maximum(np.nan_to_num(z[np.ix_(inside, inside)]), 0.0)
    np.fill_diagonal(w, 0.0)
    return of[inside], inside, w
