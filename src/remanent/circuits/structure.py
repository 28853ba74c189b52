"""Volumes, cortical thickness, tract scalars and connectome strength, with published scan-rescan errors."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from remanent._types import Square, Vector
from remanent.circuits.atlas import Members, Parcellation, Unavailable, matching
from remanent.circuits.definitions import definitions
from remanent.circuits.feature import Feature, unavailable
from remanent.circuits.wiring import Wiring
from remanent.study.session import Morphometry, Tracts


def morphometry_features(morphometry: Morphometry) -> Iterator[Feature]:
    """Volumes (mm³), thickness (mm) and intracranial volume (mm³): both sides and their mean.

    Error: published scan-rescan spread of one scan, a fraction of the value. Volumes are not divided by intracranial
    volume: within a person that only adds its noise.
    """
    spec = definitions()
    for name, keys in spec.volumes.items():
        yield from _sides(f"vol_{name}", morphometry.volume_mm3, keys, spec.scan_rescan["volume"].value)
    yield from _subregions(morphometry.volume_mm3)
    for name, region in spec.thickness.items():
        keys = (f"lh.{region}", f"rh.{region}")
        yield from _sides(f"thick_{name}", morphometry.thickness_mm, keys, spec.scan_rescan["thickness"].value)
    etiv = np.nan if morphometry.etiv_mm3 is None else morphometry.etiv_mm3
    yield _with_spread("vol_etiv", etiv, spec.scan_rescan["etiv"].value, "no intracranial volume was found")


def _subregions(volumes: Mapping[str, float]) -> Iterator[Feature]:
    """Volumes of hippocampal subfields and amygdala nuclei, where FreeSurfer segmented them."""
    spread = definitions().scan_rescan["subregion"].value
    for name, spellings in definitions().subregions.items():
        here = next(
            (p for p in spellings if any(f"{side}.{part}" in volumes for side in ("lh", "rh") for part in p)), None
        )
        if here:
            sums = {side: sum(volumes.get(f"{side}.{part}", np.nan) for part in here) for side in ("lh", "rh")}
            yield from _sides(f"vol_{name}", sums, ("lh", "rh"), spread)


def scalar_of(tracts: Sequence[Tracts], kind: str) -> Tracts | None:
    """The means of one kind of scalar (``fa``, ``md``), of the variable that stands first in circuits.yaml."""
    rank = {name: i for i, name in enumerate(definitions().tract_scalars[kind])}
    known = [one for one in tracts if one.scalar.lower() in rank]
    return min(known, key=lambda one: rank[one.scalar.lower()], default=None)


def tract_features(kind: str, tracts: Tracts) -> Iterator[Feature]:
    """Mean of a scalar over the bundles of each tract of circuits.yaml; unavailable where one of them is missing."""
    plain = {re.sub(r"[^a-z]", "", name.lower()): value for name, value in tracts.mean.items()}
    for name, ends in definitions().tract_bundles.items():
        found = [next((v for bundle, v in plain.items() if bundle.endswith(end)), np.nan) for end in ends]
        spread = definitions().scan_rescan["tract"].value
        yield _with_spread(
            f"{kind}_{name}", float(np.mean(found)), spread, f"a bundle of the {name} is missing or zero"
        )


def wiring_features(wiring: Wiring, places: Parcellation) -> Iterator[Feature]:
    """Density; mean log weight of all pairs, of each network with all parcels and of fronto-limbic pairs; mean paths."""
    everyone = np.ones(len(wiring.labels), dtype=bool)
    connected = np.where(np.isfinite(wiring.weight), wiring.weight > 0, np.nan)
    yield _pairs("sc_density", connected, everyone, everyone)
    yield _pairs("sc_strength_global", wiring.weight, everyone, everyone, _log_weights)
    limbic, frontal = (matching(wiring.labels, definitions().frontolimbic[side]) for side in ("limbic", "frontal"))
    yield _pairs("sc_strength_frontolimbic", wiring.weight, limbic, frontal, _log_weights)
    for network, members in places.networks.items():
        if isinstance(members, Unavailable):
            yield unavailable(f"sc_strength_{network}", members.reason)
        else:
            yield _pairs(f"sc_strength_{network}", wiring.weight, members, everyone, _log_weights)
    yield _pairs("sc_path_length_global", wiring.path_length, everyone, everyone)
    yield _pairs("sc_communicability_global", wiring.communicability, everyone, everyone)


def _sides(name: str, values: Mapping[str, float], keys: tuple[str, str], spread: float) -> Iterator[Feature]:
    left, right = (float(values.get(key, np.nan)) for key in keys)
    both = (left + right) / 2 if left > 0 and right > 0 else np.nan
    yield _with_spread(name, both, spread, f"{keys[0]} or {keys[1]} is missing or zero")
    yield _with_spread(f"{name}_left", left, spread, f"{keys[0]} is missing or zero")
    yield _with_spread(f"{name}_right", right, spread, f"{keys[1]} is missing or zero")


def _pairs(
    name: str,
    matrix: Square,
    first: Members,
    second: Members,
    sensitivity: Callable[[Vector], float] = lambda values: float(values.mean()),
) -> Feature:
    """Mean over the pairs of two sets of parcels; a pair that is in both orders counts once in each.

    Error: the published scan-rescan variation that all weights share, times what the mean makes of it (`sensitivity`;
    by default the value moves in proportion).
    """
    block = matrix[np.ix_(first, second)]
    there = np.isfinite(block)
    possible = block.size - np.count_nonzero(first & second)
    if possible <= 0:
        return unavailable(name, "this atlas has no such parcels")
    if there.sum() < definitions().rule("minimum_pairs") * possible:
        return unavailable(name, f"{there.sum()} of {possible} parcel pairs have a value")
    value = float(block[there].mean())
    if not value > 0:
        return unavailable(name, "no connection between these parcels")
    return Feature(name, value, definitions().scan_rescan["connectome"].value * sensitivity(block[there]), usable=True)


def _log_weights(values: Vector) -> float:
    """How far the mean of log(1 + w) moves when all weights grow by one part: mean of w / (1 + w)."""
    return float(-np.expm1(-values).mean())


def _with_spread(name: str, value: float, spread: float, reason: str) -> Feature:
    if not (np.isfinite(value) and value > 0):
        return unavailable(name, reason)
    return Feature(name, value, spread * value, usable=True)
