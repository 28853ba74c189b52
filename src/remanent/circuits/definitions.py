"""circuits.yaml as frozen values: read once per process, the only door to the package's circuit data."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

import yaml

Status = Literal["published", "derived", "assumed"]


@dataclass(frozen=True, slots=True)
class Sourced:
    """A number with its unit, status and source."""

    value: float
    unit: str
    status: Status
    source: str


@dataclass(frozen=True, slots=True)
class Circuit:
    """A named set of parcels: patterns by atlas family, and why some families cannot resolve it."""

    meaning: str
    mni: tuple[tuple[float, ...], ...]
    source: str
    parcels: Mapping[str, tuple[str, ...]]
    unresolved: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Edge:
    """One term of a signed score."""

    sign: float
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class WeightScale:
    """Fixed scale of a connectome measure: weights enter as log(1 + w / scale)."""

    plain: float
    with_mu: float


@dataclass(frozen=True, slots=True)
class SpectrumRules:
    """How a spectrum is taken apart: fitted range and bands (Hz), settings of specparam, least share of variance explained."""

    range_hz: tuple[float, float]
    peak_width_hz: tuple[float, float]
    most_peaks: int
    least_peak: float
    minimum_r2: float
    bands: Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Definitions:
    """Everything in circuits.yaml."""

    network_tokens: Mapping[str, Mapping[str, tuple[str, ...]]]
    networks_unresolved: Mapping[str, str]
    atlas_preference: tuple[str, ...]
    circuits: Mapping[str, Circuit]
    connections: tuple[tuple[str, str], ...]
    scores: Mapping[str, tuple[Edge, ...]]
    timescales: tuple[str, ...]
    rules: Mapping[str, Sourced]
    volumes: Mapping[str, tuple[str, str]]
    subregions: Mapping[str, tuple[tuple[str, ...], ...]]
    thickness: Mapping[str, str]
    scan_rescan: Mapping[str, Sourced]
    norm_prior: Mapping[str, Sourced]
    reliability: Mapping[str, Sourced]
    weight_scales: Mapping[str, WeightScale]
    length_measures: tuple[str, ...]
    frontolimbic: Mapping[str, tuple[str, ...]]
    tract_scalars: Mapping[str, tuple[str, ...]]
    tract_bundles: Mapping[str, tuple[str, ...]]
    spectrum: SpectrumRules

    @property
    def networks(self) -> tuple[str, ...]:
        """Names of the Yeo-7 networks, alphabetical."""
        return tuple(sorted(self.network_tokens["schaefer"]))

    def rule(self, name: str) -> float:
        """Return the value of one rule."""
        return self.rules[name].value


@cache
def definitions() -> Definitions:
    """Read circuits.yaml."""
    raw = yaml.safe_load(resources.files("remanent.circuits").joinpath("circuits.yaml").read_text(encoding="utf-8"))
    structure, connectome = raw["structure"], raw["connectome"]
    return Definitions(
        network_tokens={
            family: {name: tuple(tokens) for name, tokens in raw["networks"][family].items()}
            for family in ("schaefer", "gordon")
        },
        networks_unresolved=raw["networks"]["unresolved"],
        atlas_preference=tuple(raw["atlas_preference"]),
        circuits={name: _circuit(entry) for name, entry in raw["circuits"].items()},
        connections=tuple((min(pair), max(pair)) for pair in raw["connections"]),
        scores={
            name: tuple(Edge(float(sign), first, second) for sign, first, second in entry["edges"])
            for name, entry in raw["scores"].items()
        },
        timescales=tuple(raw["timescales"]),
        rules=_sourced(raw["rules"]),
        volumes={name: (left, right) for name, (left, right) in structure["volumes"].items()},
        subregions={name: tuple(map(tuple, parts)) for name, parts in structure["subregions"].items()},
        thickness=structure["thickness"],
        scan_rescan=_sourced(structure["scan_rescan"]),
        norm_prior=_sourced(raw["norm_prior"]),
        reliability=_sourced(raw["reliability"]),
        weight_scales={
            name: WeightScale(float(scale["scale"]), float(scale.get("mu_scale", scale["scale"])))
            for name, scale in connectome["measures"].items()
        },
        length_measures=tuple(connectome["lengths"]),
        frontolimbic=_names(connectome["frontolimbic"]),
        tract_scalars=_names(raw["tracts"]["scalars"]),
        tract_bundles=_names(raw["tracts"]["bundles"]),
        spectrum=_spectrum(raw["spectrum"]),
    )


def _spectrum(raw: Mapping[str, Any]) -> SpectrumRules:
    return SpectrumRules(
        range_hz=_two(raw["range_hz"]),
        peak_width_hz=_two(raw["peak_width_hz"]),
        most_peaks=raw["most_peaks"],
        least_peak=raw["least_peak"],
        minimum_r2=raw["minimum_r2"],
        bands={name: _two(limits) for name, limits in raw["bands"].items()},
    )


def _two(limits: list[Any]) -> tuple[float, float]:
    low, high = limits
    return float(low), float(high)


def _names(raw: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(entries) for name, entries in raw.items()}


def _circuit(raw: Mapping[str, Any]) -> Circuit:
    return Circuit(
        meaning=raw["meaning"],
        mni=tuple(tuple(float(x) for x in target) for target in raw["mni"]),
        source=raw["source"],
        parcels={family: tuple(str(pattern) for pattern in patterns) for family, patterns in raw["parcels"].items()},
        unresolved=raw.get("unresolved", {}),
    )


def _sourced(raw: Mapping[str, Any]) -> dict[str, Sourced]:
    return {
        name: Sourced(float(entry["value"]), entry["unit"], entry["status"], entry["source"])
        for name, entry in raw.items()
    }
