"""circuits.yaml as frozen values: read once, the only door to the package's circuit data."""

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
class WeightScale:
    """Fixed scale of a connectome measure: weights enter as log(1 + w / scale)."""

    plain: float
    with_mu: float


@dataclass(frozen=True, slots=True)
class Definitions:
    """Everything in circuits.yaml."""

    networks: Mapping[str, str]
    atlas_preference: tuple[str, ...]
    rules: Mapping[str, Sourced]
    volumes: Mapping[str, tuple[str, str]]
    thickness: Mapping[str, str]
    scan_rescan: Mapping[str, Sourced]
    weight_scales: Mapping[str, WeightScale]
    frontolimbic: Mapping[str, tuple[str, ...]]

    def rule(self, name: str) -> float:
        """Return the value of one rule."""
        return self.rules[name].value


@cache
def definitions() -> Definitions:
    """Read circuits.yaml once per process."""
    raw = yaml.safe_load(resources.files("remanent.circuits").joinpath("circuits.yaml").read_text(encoding="utf-8"))
    structure, connectome = raw["structure"], raw["connectome"]
    return Definitions(
        networks=raw["networks"]["tokens"],
        atlas_preference=tuple(raw["atlas_preference"]),
        rules=_sourced(raw["rules"]),
        volumes={name: (left, right) for name, (left, right) in structure["volumes"].items()},
        thickness=structure["thickness"],
        scan_rescan=_sourced(structure["scan_rescan"]),
        weight_scales={
            name: WeightScale(float(scale["scale"]), float(scale.get("mu_scale", scale["scale"])))
            for name, scale in connectome["measures"].items()
        },
        frontolimbic={side: tuple(patterns) for side, patterns in connectome["frontolimbic"].items()},
    )


def _sourced(raw: Mapping[str, Any]) -> dict[str, Sourced]:
    return {
        name: Sourced(float(entry["value"]), entry["unit"], entry["status"], entry["source"])
        for name, entry in raw.items()
    }
