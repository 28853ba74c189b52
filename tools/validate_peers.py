"""The same numbers as the field's programs, and no slower? Circuit measures beside their peers, in one run.

usage: python tools/validate_peers.py     prints the tables of docs/validation/circuits.md

The peers are never installed with Remanent (bctpy and netneurotools are GPL): a Python that holds them runs this file with
PYTHONPATH=src: bctpy 0.6.1, netneurotools 0.3.0, nilearn, neuroCombat 0.2.12 and bids2table 2.3.1. One core, 456 parcels and
600 volumes. Times are of processor, not of wall, so that other work on the machine matters less; their ratios are what counts.
"""

import os
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy import ndarray

from remanent.circuits import graph
from remanent.circuits.bold import prepare
from remanent.circuits.function import fisher_z
from remanent.circuits.harmonise import harmonise, learn
from remanent.circuits.measure import measure
from remanent.circuits.wiring import communicability, distances, reciprocal
from remanent.study.session import Connectome, Pipeline, Run, SessionData

COUNTS = {"Vis": 61, "SomMot": 77, "DorsAttn": 46, "SalVentAttn": 47, "Limbic": 26, "Cont": 52, "Default": 91}
MAKER = Pipeline("maker", "1")
Work = Callable[[], Any]


def session() -> SessionData:
    """One visit of 456 parcels and 600 volumes with a connectome."""
    rng = np.random.default_rng(0)
    labels = [f"LH_{network}_{i}" for network, count in COUNTS.items() for i in range(1, count + 1)]
    names = (*labels, *(f"Cerebellar_Region{i}" for i in range(1, 57)))
    n = len(names)
    x = rng.standard_normal((600, 20)) @ rng.standard_normal((20, n)) + 2 * rng.standard_normal((600, n))
    weight = np.triu(np.exp(2 * rng.standard_normal((n, n))) * (rng.random((n, n)) < 0.6), 1)
    length = np.triu(rng.uniform(10, 150, (n, n)), 1)
    connectomes = tuple(
        Connectome("c", "4S456Parcels", names, kind, MAKER, m + m.T)
        for kind, m in (("sift_radius2_count", weight), ("radius2_meanlength", length))
    )
    run = Run("r", "rest", "4S456Parcels", names, MAKER, series=x, tr_s=2.0)
    return SessionData("sub-01", "ses-01", runs=(run,), connectomes=connectomes)


def pairs(one: SessionData) -> Iterator[tuple[str, str, Work, Work]]:
    """Measure, peer, our work and the peer's; both give the same array."""
    import bct
    import netneurotools.metrics as nnt
    from nilearn.connectome import ConnectivityMeasure
    from sklearn.covariance import EmpiricalCovariance

    series = one.runs[0].series
    nilearn = ConnectivityMeasure(
        cov_estimator=EmpiricalCovariance(store_precision=False), kind="correlation", standardize="zscore_sample"
    )
    yield "correlation", "nilearn", lambda: prepare(one.runs).r, lambda: nilearn.fit_transform([series])[0]
    bold = prepare(one.runs)
    z = fisher_z(bold.r)
    members = {name: np.array([f"_{name}_" in label for label in bold.labels]) for name in COUNTS}
    inside = np.any(list(members.values()), axis=0)
    positive = np.maximum(np.nan_to_num(z[np.ix_(inside, inside)]), 0)
    np.fill_diagonal(positive, 0)
    network = np.array([next(k for k, m in enumerate(members.values()) if m[i]) for i in np.flatnonzero(inside)])

    def mean_participation() -> ndarray:
        each = bct.participation_coef(positive, network)
        return np.array([each[network == k].mean() for k in range(len(members))])

    def our_participation() -> ndarray:
        return np.array([m.value for m in graph.participation(z, members).values()])

    yield "participation, ours with derivatives", "bctpy", our_participation, mean_participation
    weight = one.connectomes[0].weights
    length = reciprocal(weight)
    yield "shortest paths", "netneurotools", lambda: distances(length), lambda: nnt.distance_wei_floyd(length)[0]
    yield "communicability", "netneurotools", lambda: communicability(weight), lambda: nnt.communicability_wei(weight)


def combat() -> tuple[str, str, Work, Work]:
    """Harmonising 300 people of three sites, 100 features, beside neuroCombat."""
    import pandas as pd
    from neuroCombat import neuroCombat

    rng = np.random.default_rng(1)
    site, age, sex = np.repeat(["a", "b", "c"], 100), rng.uniform(20, 70, 300), rng.integers(0, 2, 300)
    y = rng.standard_normal((300, 100)) * rng.uniform(0.7, 1.4, 3).repeat(100)[:, None] + 0.02 * age[:, None]
    covariates = np.column_stack([age, sex]).astype(float)
    frame = pd.DataFrame({"site": site, "age": age, "sex": sex})
    who = [f"p{i}" for i in range(300)]

    def ours() -> ndarray:
        return harmonise(learn(y, covariates, list(site), who), y, covariates, list(site))[0]

    def peer() -> ndarray:
        return np.asarray(neuroCombat(y.T, frame, "site", ["sex"], ["age"])["data"]).T

    return "ComBat, 300 x 100", "neuroCombat", ours, peer


def difference(ours: ndarray, peer: ndarray) -> float:
    """Largest difference, the diagonal left out."""
    apart = np.abs(np.asarray(ours) - np.asarray(peer))
    if apart.ndim == 2 and apart.shape[0] == apart.shape[1]:
        apart = apart[~np.eye(len(apart), dtype=bool)]
    return float(np.max(apart))


def seconds(work: Work, repeats: int = 7) -> float:
    """Least processor time of a call (s), the first call not counted."""
    work()
    spent = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        spent.append(time.process_time() - start)
    return min(spent)


def main() -> None:
    """Print equality and time beside each peer, then the whole session."""
    one = session()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors; numpy {np.__version__}\n")
    print("| measure | peer | largest difference | ours (ms) | peer (ms) | peer over ours |\n|---|---|---|---|---|---|")
    for what, who, ours, peer in (*pairs(one), combat()):
        mine, theirs = seconds(ours), seconds(peer)
        cells = f"{difference(ours(), peer()):.0e} | {1000 * mine:.1f} | {1000 * theirs:.1f} | {theirs / mine:.1f}"
        print(f"| {what} | {who} | {cells} |")
    tracemalloc.start()
    count = len(measure(one))
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    print(
        f"\nwhole session: {count} features with errors in {seconds(lambda: measure(one), 5):.2f} s, {peak:.0f} MB at most"
    )


if __name__ == "__main__":
    main()
