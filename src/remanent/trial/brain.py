"""A synthetic brain: from the indicators of a scan visit to BOLD series, connectomes and volumes. Arrays only; `remanent.trial.derivatives` writes them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy.signal import lfilter

TEMPLATE_SEED = 156  # the edges every synthetic brain has in common
NETWORK = re.compile(r"^[LR]H_(Vis|SomMot|DorsAttn|SalVentAttn|Limbic|Cont|Default)_")


@cache
def brain() -> Mapping[str, Any]:
    """The whole of brain.yaml."""
    document: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("brain.yaml").read_text(encoding="utf-8"))
    return document


@cache
def labels() -> tuple[str, ...]:
    """The 156 parcel names of 4S156Parcels, in the order of the atlas."""
    spec = brain()
    cortex = [
        f"{name}_{i + 1}" if _is_numbered(name) else name
        for part in spec["cortex"]
        for name, n in part.items()
        for i in range(n)
    ]
    sides = [f"{side}-{name}" for part in spec["both_sides"] for side in ("LH", "RH") for name in part]
    cerebellum = [f"Cerebellar_Region{i + 1}" for i in range(spec["cerebellar_regions"])]
    return (*cortex, *sides, *spec["single"], *cerebellum)


def _is_numbered(name: str) -> bool:
    return NETWORK.match(name + "_") is not None


@cache
def group_index() -> np.ndarray:
    """Position of each parcel's group in brain.yaml's `connectivity.groups`, [parcel]."""
    groups = brain()["connectivity"]["groups"]
    found = [NETWORK.match(label) for label in labels()]
    return np.array([groups.index(match[1].lower()) if match else groups.index("rest") for match in found])


@dataclass(frozen=True)
class Traits:
    """What stays with a person: deviation of each pair of groups from the template [group, group], motion, and log deviations of volumes and thickness."""

    connectivity: np.ndarray
    log_fd: float
    log_etiv: float
    aseg: np.ndarray
    aparc: np.ndarray


def draw_traits(rng: np.random.Generator) -> Traits:
    """One person."""
    spec = brain()
    n = len(spec["connectivity"]["groups"])
    z = np.triu(rng.standard_normal((n, n)))
    return Traits(
        connectivity=spec["connectivity"]["sd_person"] * (z + np.triu(z, 1).T),
        log_fd=spec["connectivity"]["sd_log_fd_person"] * rng.standard_normal(),
        log_etiv=spec["anatomy"]["etiv_mm3"]["sd_log"] * rng.standard_normal(),
        aseg=spec["anatomy"]["sd_person"] * rng.standard_normal(len(spec["anatomy"]["aseg"])),
        aparc=spec["anatomy"]["sd_person"] * rng.standard_normal((2, len(spec["anatomy"]["aparc"]), 3)),
    )


def network_correlations(rng: np.random.Generator, traits: Traits, values: Mapping[str, float]) -> np.ndarray:
    """Correlation of parcels within and between groups, [group, group]: tanh of mean Fisher z, which an indicator ``fc_<a>_<b>`` sets where there is one.

    The nearest positive semi-definite matrix by clipping eigenvalues, so that series with it exist.
    """
    spec = brain()["connectivity"]
    groups: list[str] = spec["groups"]
    z = np.full((len(groups),) * 2, float(spec["between"]))
    np.fill_diagonal(z, spec["within"])
    noise = np.triu(rng.standard_normal(z.shape))
    z = z + traits.connectivity + spec["sd_session"] * (noise + np.triu(noise, 1).T)
    for name, value in values.items():
        if name.startswith("fc_"):
            a, b = (groups.index(group) for group in name.removeprefix("fc_").split("_"))
            z[a, b] = z[b, a] = value
    np.fill_diagonal(z, np.maximum(np.diag(z), 0.02))
    size, vectors = np.linalg.eigh(np.tanh(z))
    return np.asarray((vectors * np.maximum(size, 1e-6)) @ vectors.T)


def bold_series(rng: np.random.Generator, correlations: np.ndarray, frames: int) -> np.ndarray:
    """Gaussian series with lag-1 autocorrelation, [frame, parcel]: a signal per group plus a signal per parcel.

    x = F + sqrt(1 - C_gg) noise with cov(F) = C: parcels correlate by C_gg within and C_gh between groups, exactly in expectation.
    """
    group = group_index()
    root = np.linalg.cholesky(correlations)
    own = np.sqrt(np.maximum(1 - np.diag(correlations), 0.0))
    z = rng.standard_normal((frames, len(correlations) + len(group)))
    keep = brain()["connectivity"]["autocorrelation"]
    z[1:] *= np.sqrt(1 - keep**2)
    z = lfilter([1.0], [1.0, -keep], z, axis=0)
    shared = z[:, : len(correlations)] @ root.T
    series: np.ndarray = shared[:, group] + own[group] * z[:, len(correlations) :]
    return series


def framewise_displacement(rng: np.random.Generator, traits: Traits, frames: int) -> np.ndarray:
    """Power's framewise displacement (mm), [frame]; the first frame has none."""
    spec = brain()["connectivity"]
    fd: np.ndarray = spec["median_fd_mm"] * np.exp(
        traits.log_fd + spec["sd_log_fd_frame"] * rng.standard_normal(frames)
    )
    fd[0] = 0.0
    return fd


@cache
def template_log_weights() -> np.ndarray:
    """Natural logarithm of the template's connection weights times mu, [parcel, parcel], -inf where there is no connection."""
    spec = brain()["connectome"]
    group, n = group_index(), len(labels())
    side = np.array([label[:2] for label in labels()])
    z = np.triu(np.random.default_rng(TEMPLATE_SEED).standard_normal((n, n)), 1)
    w = spec["mean"] + spec["sd_edge"] * (z + z.T)
    w = w + spec["same_hemisphere"] * (side[:, None] == side) + spec["same_network"] * (group[:, None] == group)
    weak = w < np.quantile(w[np.triu_indices(n, 1)], spec["absent"])
    w[weak & ~frontolimbic()] = -np.inf
    np.fill_diagonal(w, -np.inf)
    return w


@cache
def frontolimbic() -> np.ndarray:
    """Edges between a frontal and a limbic parcel, [parcel, parcel]."""
    frontal, limbic = (_containing(brain()["connectome"][side]) for side in ("frontal", "limbic"))
    edges: np.ndarray = (frontal[:, None] & limbic) | (limbic[:, None] & frontal)
    return edges


def _containing(parts: Sequence[str]) -> np.ndarray:
    return np.array([any(part in label for part in parts) for label in labels()])


def connectome(rng: np.random.Generator, values: Mapping[str, float]) -> tuple[np.ndarray, float]:
    """SIFT2-weighted streamline counts [parcel, parcel] and mu: only their product compares between scans.

    Fronto-limbic weights are the template's times exp(``sc_strength_frontolimbic``).
    """
    spec = brain()["connectome"]
    log_w = template_log_weights()
    noise = np.triu(rng.standard_normal(log_w.shape), 1)
    log_w = log_w + spec["sd_session"] * (noise + noise.T) + values["sc_strength_frontolimbic"] * frontolimbic()
    mu = float(np.exp(spec["log_mu"] + spec["sd_log_mu"] * rng.standard_normal()))
    return np.round(np.exp(log_w) / mu, 2), mu


@dataclass(frozen=True)
class Anatomy:
    """Volumes by aseg row (mm3), area, volume and thickness by hemisphere and aparc row, [hemisphere, region, 3], and intracranial volume (mm3)."""

    aseg: np.ndarray
    aparc: np.ndarray
    etiv_mm3: float


def anatomy(rng: np.random.Generator, traits: Traits, sex: str, values: Mapping[str, float]) -> Anatomy:
    """One scan's morphometry; ``vol_hippocampus_left`` and ``_right`` set the hippocampi (log volume relative to the template)."""
    spec = brain()["anatomy"]
    rows = list(spec["aseg"].values())
    log = traits.aseg + spec["sd_session"] * rng.standard_normal(len(rows))
    for side in ("left", "right"):
        log[[name for name, _ in rows].index(f"{side.title()}-Hippocampus")] = values[f"vol_hippocampus_{side}"]
    cortex = traits.aparc + spec["sd_session"] * rng.standard_normal(traits.aparc.shape)
    base = np.array(list(spec["aparc"].values()), float)
    return Anatomy(
        aseg=np.array([size for _, size in rows]) * np.exp(log),
        aparc=base * np.exp(cortex),
        etiv_mm3=spec["etiv_mm3"][sex] * float(np.exp(traits.log_etiv + 0.005 * rng.standard_normal())),
    )
