"""Parcel names to networks and regions; which atlas a study uses."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from remanent.circuits.definitions import definitions

_LABEL = re.compile(r"^(?:\d+Networks_)?(?P<side>[LR]H|lh|rh)[-_](?P<rest>.+)$")


@dataclass(frozen=True, slots=True)
class Parcel:
    """One parcel name: hemisphere (``L``, ``R`` or empty), network key (or empty), and the name without hemisphere."""

    hemisphere: str
    network: str
    name: str


def parse_label(label: str) -> Parcel:
    """Take a Schaefer, 4S or Tian-like parcel name apart.

    ``7Networks_LH_Default_PFC_3`` and ``LH_Default_PFC_3`` are the same parcel; ``LH-Pu`` has a hemisphere and no
    network.
    """
    match = _LABEL.match(label.strip())
    if match is None:
        return Parcel("", "", label.strip())
    rest = match["rest"]
    token = rest.split("_", 1)[0]
    by_token = {token: key for key, token in definitions().networks.items()}
    return Parcel(match["side"][0].upper(), by_token.get(token, ""), rest)


def network_members(labels: Sequence[str]) -> dict[str, Bool[np.ndarray, " parcel"]]:
    """Membership of every Yeo-7 network, in alphabetical order; a network the labels do not name has no member."""
    found = np.array([parse_label(label).network for label in labels], dtype=object)
    return {network: found == network for network in sorted(definitions().networks)}


def matching(labels: Sequence[str], patterns: Collection[str]) -> Bool[np.ndarray, " parcel"]:
    """Parcels whose name without hemisphere matches one of the regular expressions."""
    names = [parse_label(label).name for label in labels]
    return np.array([any(re.search(pattern, name) for pattern in patterns) for name in names], dtype=bool)


def choose_atlas(available: Sequence[Collection[str]]) -> str:
    """Choose the one atlas of a study from what each session offers.

    The atlas most sessions have; a tie goes to the order in circuits.yaml, then to the alphabet. It is chosen once per
    study: values on two atlases are two quantities.

    Raises
    ------
    ValueError
        No session offers an atlas.
    """
    counts = Counter(atlas for session in available for atlas in set(session))
    if not counts:
        raise ValueError("no session offers a parcellated derivative, so no atlas can be chosen")
    preference = {atlas: rank for rank, atlas in enumerate(definitions().atlas_preference)}
    return min(counts, key=lambda atlas: (-counts[atlas], preference.get(atlas, len(preference)), atlas))
