"""Parcel names to networks and circuits; which atlas a study uses."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from remanent.circuits.definitions import Circuit, definitions

Members = Bool[ndarray, " parcel"]

_BEFORE = re.compile(r"^(?:7Networks_)?(?:ctx[-_])?(?P<side>LH|RH|lh|rh|L|R|Left|Right)[-_.](?P<name>.+)$")
_AFTER = re.compile(r"^(?P<name>.+?)[-_](?P<side>lh|rh|LH|RH|L|R)(?P<more>_ROI)?$")
_FAMILIES = (
    (re.compile(r"^AAL3", re.IGNORECASE), "aal3"),
    (re.compile(r"^AAL", re.IGNORECASE), "aal"),
    (re.compile(r"^(Glasser|HCPMMP|MMP)", re.IGNORECASE), "glasser"),
    (re.compile(r"^Gordon", re.IGNORECASE), "gordon"),
    (re.compile(r"^(Desikan|DK|aparc)", re.IGNORECASE), "desikan"),
    (re.compile(r"^Tian", re.IGNORECASE), "tian"),
)
_SCHAEFER = re.compile(r"^(?:(?P<supplemented>4S)_?(?:scale-?)?|Schaefer(?:2018)?)(?P<count>\d+)", re.IGNORECASE)
_SUPPLEMENT = 56  # subcortical and cerebellar parcels that the 4S family adds to Schaefer's


@dataclass(frozen=True, slots=True)
class Parcel:
    """One parcel name: hemisphere (``L``, ``R`` or empty) and the name without it."""

    hemisphere: str
    name: str

    @property
    def label(self) -> str:
        """Name with hemisphere in one spelling, e.g. ``LH_Amygdala`` for ``Left-Amygdala`` and ``Amygdala_L``."""
        return f"{self.hemisphere}H_{self.name}" if self.hemisphere else self.name


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Why this atlas does not hold something."""

    reason: str


@dataclass(frozen=True, slots=True)
class Parcellation:
    """Networks and circuits on the parcels of one atlas.

    Attributes
    ----------
    networks
        Parcels of every Yeo-7 network, in alphabetical order, or why there are none.
    circuits
        Parcels of every circuit, or why it is unavailable.
    """

    networks: Mapping[str, Members | Unavailable]
    circuits: Mapping[str, Members | Unavailable]

    def members(self, name: str) -> Members | Unavailable:
        """Parcels of a network or circuit, or why there are none."""
        return self.networks[name] if name in self.networks else self.circuits[name]


def parse_label(label: str) -> Parcel:
    """Take a parcel name apart: ``7Networks_LH_Default_PFC_3``, ``LH-Pu``, ``Left-Amygdala``, ``AMY-rh``, ``L_25_ROI``."""
    text = label.strip()
    found = _BEFORE.match(text)
    if found:
        return Parcel(found["side"][0].upper(), found["name"])
    found = _AFTER.match(text)
    if found:
        return Parcel(found["side"][0].upper(), found["name"] + (found["more"] or ""))
    return Parcel("", text)


def atlas_family(atlas: str) -> str:
    """Return the family that circuits.yaml knows an atlas by: ``4S456Parcels`` and ``Schaefer400`` are ``schaefer400``."""
    found = _SCHAEFER.match(atlas)
    if found:
        return f"schaefer{int(found['count']) - (_SUPPLEMENT if found['supplemented'] else 0)}"
    return next((family for pattern, family in _FAMILIES if pattern.match(atlas)), atlas.lower())


def lacking(atlas: str, there: int) -> int:
    """How many of an atlas' parcels are missing where so many are there; 0 for an atlas whose name does not give their number."""
    found = _SCHAEFER.match(atlas)
    return max(int(found["count"]) - there, 0) if found else 0


@lru_cache(maxsize=32)
def parcellation(atlas: str, labels: tuple[str, ...]) -> Parcellation:
    """Find every network and circuit among the parcels of one atlas."""
    parcels = [parse_label(label) for label in labels]
    family = atlas_family(atlas)
    return Parcellation(
        {name: _network(name, family, atlas, parcels) for name in definitions().networks},
        {name: _circuit(circuit, family, atlas, parcels) for name, circuit in definitions().circuits.items()},
    )


def matching(labels: Sequence[str], patterns: Collection[str]) -> Members:
    """Parcels whose name without hemisphere holds one of the regular expressions."""
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


def _network(name: str, family: str, atlas: str, parcels: Sequence[Parcel]) -> Members | Unavailable:
    tokens = definitions().network_tokens["gordon" if family == "gordon" else "schaefer"].get(name, ())
    mine = np.array([parcel.name.split("_", 1)[0] in tokens for parcel in parcels], dtype=bool)
    if mine.any():
        return mine
    reason = definitions().networks_unresolved.get(family) if not tokens else None
    return Unavailable(reason or f"{_those_of(atlas, parcels)} no parcel named after the network {name}")


def _circuit(circuit: Circuit, family: str, atlas: str, parcels: Sequence[Parcel]) -> Members | Unavailable:
    if family in circuit.unresolved:
        return Unavailable(f"atlas {atlas} cannot resolve the {circuit.meaning}: {circuit.unresolved[family]}")
    patterns = circuit.parcels.get(family, circuit.parcels.get("any", ()))
    if not patterns:
        why = f"nobody has checked which parcels of atlas {atlas} hold the {circuit.meaning}"
        known = ", ".join(sorted(family for family in circuit.parcels if family != "any"))
        return Unavailable(f"{why}; it is known for {known}" if known else why)
    whole = re.compile("|".join(f"(?:{pattern})" for pattern in patterns))
    mine = np.array([bool(whole.fullmatch(p.label) or whole.fullmatch(p.name)) for p in parcels], dtype=bool)
    return mine if mine.any() else Unavailable(f"{_those_of(atlas, parcels)} no parcel for the {circuit.meaning}")


def _those_of(atlas: str, parcels: Sequence[Parcel]) -> str:
    """What has no such parcel: the atlas, or what a file holds of it."""
    if n := lacking(atlas, len(parcels)):
        return f"the file lacks {n} of the {n + len(parcels)} parcels of atlas {atlas}, and the others have"
    return f"atlas {atlas} has"
