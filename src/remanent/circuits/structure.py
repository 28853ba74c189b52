"""Volumes, cortical thickness and connectome strength, with published scan-rescan errors."""

from collections.abc import Iterator, Mapping

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from remanent._types import Square
from remanent.circuits.atlas import matching, network_members
from remanent.circuits.definitions import WeightScale, definitions
from remanent.circuits.feature import Feature
from remanent.study.session import Connectome, Morphometry


def morphometry_features(morphometry: Morphometry) -> Iterator[Feature]:
    """Volumes (mm³) and thickness (mm): both sides and their mean; error = published scan-rescan spread of one scan."""
    spec = definitions()
    for name, (left, right) in spec.volumes.items():
        yield from _sides(f"vol_{name}", morphometry.volume_mm3, (left, right), spec.scan_rescan["volume"].value)
    for name, region in spec.thickness.items():
        keys = (f"lh.{region}", f"rh.{region}")
        yield from _sides(f"thick_{name}", morphometry.thickness_mm, keys, spec.scan_rescan["thickness"].value)


def _sides(name: str, values: Mapping[str, float], keys: tuple[str, str], spread: float) -> Iterator[Feature]:
    left, right = (float(values.get(key, np.nan)) for key in keys)
    yield _with_spread(name, (left + right) / 2, spread, f"{keys[0]} or {keys[1]} is missing or zero")
    yield _with_spread(f"{name}_left", left, spread, f"{keys[0]} is missing or zero")
    yield _with_spread(f"{name}_right", right, spread, f"{keys[1]} is missing or zero")


def _with_spread(name: str, value: float, spread: float, reason: str) -> Feature:
    if not (np.isfinite(value) and value > 0):
        return Feature(name, np.nan, np.nan, usable=False, reason=reason)
    return Feature(name, value, spread * value, usable=True)


def log_weights(connectome: Connectome, scale: WeightScale) -> Square:
    """Return log(1 + w / scale), [parcel, parcel], both triangles averaged.

    NaN on the diagonal and where a weight is missing or negative.
    The scale is a constant of the measure, so that a visit's value never depends on that visit's largest weight.
    """
    w = (connectome.weights + connectome.weights.T) / 2
    w = np.where(np.isfinite(w) & (w >= 0), w, np.nan)
    np.fill_diagonal(w, np.nan)
    return np.log1p(w / (scale.with_mu if connectome.mu_applied else scale.plain))


def connectome_features(connectome: Connectome, scale: WeightScale) -> Iterator[Feature]:
    """Mean log weight of all pairs, of each network with all parcels, and of fronto-limbic pairs; density."""
    w = log_weights(connectome, scale)
    spread = definitions().scan_rescan["connectome"].value
    everyone = np.ones(len(w), dtype=bool)
    there = np.isfinite(w)
    density = float((w[there] > 0).mean()) if there.any() else np.nan
    yield _with_spread("sc_density", density, spread, "no connection has a weight")
    yield _strength("sc_strength_global", w, everyone, everyone, spread)
    limbic, frontal = (matching(connectome.labels, definitions().frontolimbic[side]) for side in ("limbic", "frontal"))
    yield _strength("sc_strength_frontolimbic", w, limbic, frontal, spread)
    for network, members in network_members(connectome.labels).items():
        yield _strength(f"sc_strength_{network}", w, members, everyone, spread)


def _strength(
    name: str, w: Square, first: Bool[ndarray, " parcel"], second: Bool[ndarray, " parcel"], spread: float
) -> Feature:
    block = w[np.ix_(first, second)]
    there = np.isfinite(block)
    possible = block.size - np.count_nonzero(first & second)
    if possible <= 0:
        return Feature(name, np.nan, np.nan, usable=False, reason="this atlas has no parcel of that name")
    if there.sum() < definitions().rule("minimum_pairs") * possible:
        return Feature(name, np.nan, np.nan, usable=False, reason="fewer than half of the connections have a weight")
    return _with_spread(name, float(block[there].mean()), spread, "all connections are empty")
