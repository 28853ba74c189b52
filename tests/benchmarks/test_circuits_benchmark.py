"""A session of 456 parcels and 600 volumes, beside the peers that measure parts of it. Compare rows of one group."""

import numpy as np
import pytest
from nilearn.connectome import ConnectivityMeasure
from scipy.sparse import csr_array
from scipy.sparse.csgraph import shortest_path
from sklearn.covariance import EmpiricalCovariance

from remanent.circuits import graph
from remanent.circuits.bold import prepare
from remanent.circuits.function import fisher_z
from remanent.circuits.measure import measure
from remanent.circuits.wiring import distances, reciprocal
from remanent.study.session import Connectome, Pipeline, Run, SessionData

pytestmark = pytest.mark.benchmark
COUNTS = {"Vis": 61, "SomMot": 77, "DorsAttn": 46, "SalVentAttn": 47, "Limbic": 26, "Cont": 52, "Default": 91}
MAKER = Pipeline("maker", "1")


@pytest.fixture(scope="module")
def session():
    rng = np.random.default_rng(0)
    labels = [f"LH_{network}_{i}" for network, count in COUNTS.items() for i in range(1, count + 1)]
    labels += [f"Cerebellar_Region{i}" for i in range(1, 57)]
    n, names = len(labels), tuple(labels)
    x = rng.standard_normal((600, 20)) @ rng.standard_normal((20, n)) + 2 * rng.standard_normal((600, n))
    weight = np.triu(np.exp(2 * rng.standard_normal((n, n))) * (rng.random((n, n)) < 0.6), 1)
    length = np.triu(rng.uniform(10, 150, (n, n)), 1)
    connectomes = tuple(
        Connectome("c", "4S456Parcels", names, kind, MAKER, m + m.T)
        for kind, m in (("sift_radius2_count", weight), ("radius2_meanlength", length))
    )
    run = Run("r", "rest", "4S456Parcels", names, MAKER, series=x, tr_s=2.0)
    return SessionData("sub-01", "ses-01", runs=(run,), connectomes=connectomes)


@pytest.mark.benchmark(group="whole session: 103 features with errors")
def test_measure(benchmark, session):
    features = benchmark(measure, session)
    assert sum(feature.usable for feature in features) > 60


@pytest.mark.benchmark(group="correlation matrix")
def test_correlation(benchmark, session):
    assert benchmark(prepare, session.runs).r.shape == (456, 456)


@pytest.mark.benchmark(group="correlation matrix")
def test_correlation_nilearn(benchmark, session):
    peer = ConnectivityMeasure(
        cov_estimator=EmpiricalCovariance(store_precision=False), kind="correlation", standardize="zscore_sample"
    )
    assert benchmark(peer.fit_transform, [session.runs[0].series]).shape == (1, 456, 456)


@pytest.mark.benchmark(group="shortest paths")
def test_paths(benchmark, session):
    benchmark(distances, reciprocal(session.connectomes[0].weights))


@pytest.mark.benchmark(group="shortest paths")
def test_paths_scipy_dijkstra(benchmark, session):
    benchmark(shortest_path, csr_array(reciprocal(session.connectomes[0].weights)), directed=False)


@pytest.mark.benchmark(group="participation with derivatives")
def test_participation(benchmark, session):
    bold = prepare(session.runs)
    members = {name: np.array([f"_{name}_" in label for label in bold.labels]) for name in COUNTS}
    benchmark(graph.participation, fisher_z(bold.r), members)
