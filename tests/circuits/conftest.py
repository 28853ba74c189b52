"""Simulated scans with known correlations, autocorrelation and censoring, on parcels that carry real names."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy import signal

from remanent.circuits.measure import measure
from remanent.study.session import Connectome, Morphometry, Pipeline, Run, SessionData

PIPELINE = Pipeline("XCP-D", "26.1.1")
NETWORKS = ("Vis", "SomMot", "DorsAttn", "SalVentAttn", "Limbic", "Cont", "Default")
RENAMED = {
    "LH_SalVentAttn_1": "LH_SalVentAttn_Med_1",
    "RH_Cont_1": "RH_Cont_PFCmp_1",
    "LH_Default_1": "LH_Default_pCunPCC_2",
    "RH_Default_1": "RH_Default_pCunPCC_2",
    "LH_Default_2": "LH_Default_PFC_3",
    "RH_Default_2": "RH_Default_PFCdPFCm_1",
    "LH_Limbic_1": "LH_Limbic_OFC_1",
    "RH_Limbic_1": "RH_Limbic_OFC_1",
}


@dataclass(frozen=True)
class Scanner:
    """A person whose scans are drawn from one known correlation matrix, with one connectome."""

    labels: tuple[str, ...]
    correlation: np.ndarray
    connectomes: tuple[Connectome, ...]
    atlas: str = "Schaefer100"

    def series(self, rng, n=300, phi=0.5, band=False):
        white = rng.standard_normal((n + 200, len(self.labels))) @ np.linalg.cholesky(self.correlation).T
        x = signal.lfilter([1.0], [1.0, -phi], white, axis=0)
        if band:
            sos = signal.butter(2, [0.01, 0.08], "band", fs=0.5, output="sos")
            x = signal.sosfiltfilt(sos, x, axis=0)
        return x[200:] * np.linspace(1, 2, len(self.labels))

    def run(self, series, **more):
        settings = {"tr_s": 2.0, "source": "sub-01_task-rest_timeseries.tsv", "task": "rest"} | more
        return Run(
            labels=settings.pop("labels", self.labels),
            atlas=settings.pop("atlas", self.atlas),
            pipeline=settings.pop("pipeline", PIPELINE),
            series=series,
            **settings,
        )

    def scan(self, rng, n=300, phi=0.5, censored=0.0, band=False):
        kept = np.ones(n, dtype=bool)
        for shift in (-1, 0, 1):
            kept[np.clip(np.flatnonzero(rng.random(n) < censored / 3) + shift, 0, n - 1)] = False
        return self.session(self.run(self.series(rng, n, phi, band)[kept], kept=kept))

    def session(self, *runs, **more):
        more.setdefault("connectomes", self.connectomes)
        return SessionData("sub-01", "ses-01", runs=runs, **more)

    def features(self, session, **more):
        return {feature.name: feature for feature in measure(session, **more)}


@pytest.fixture(scope="session")
def scanner():
    rng = np.random.default_rng(1)
    labels = [f"{side}H_{network}_{i}" for side in "LR" for network in NETWORKS for i in range(1, 6)]
    network = np.array([NETWORKS.index(label.split("_")[1]) for label in labels])
    same = network[:, None] == network[None]
    loading = rng.standard_normal((len(labels), 3)) * 0.3
    covariance = loading @ loading.T + np.eye(len(labels)) + 0.4 * same
    spread = np.sqrt(np.diag(covariance))
    weight = np.triu(np.exp(rng.standard_normal(same.shape) + 2 * same) * (rng.random(same.shape) < 0.5), 1)
    length = np.triu(rng.uniform(10, 150, same.shape), 1)
    names = tuple(RENAMED.get(label, label) for label in labels)
    dwi = Pipeline("QSIRecon", "26.0.1")
    connectomes = (
        Connectome("c.mat", "Schaefer100", names, "radius2_count", dwi, weight + weight.T),
        Connectome("c.mat", "Schaefer100", names, "radius2_meanlength", dwi, length + length.T),
    )
    return Scanner(names, covariance / np.outer(spread, spread), connectomes)


@pytest.fixture(scope="session")
def peers():
    """Numbers made by the peers' own programs; versions are in the file."""
    return json.loads(Path(__file__).with_name("peers.json").read_text(encoding="utf-8"))


@pytest.fixture
def morphometry():
    return Morphometry(
        "stats",
        Pipeline("FreeSurfer", "7.4.1"),
        {"Left-Hippocampus": 4000.0, "Right-Hippocampus": 4200.0, "Left-Amygdala": 1600.0},
        {"lh.rostralanteriorcingulate": 2.8, "rh.rostralanteriorcingulate": 2.6},
        1.5e6,
        longitudinal=False,
    )
