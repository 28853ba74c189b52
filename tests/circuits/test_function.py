"""Network connectivity and its error: against nilearn, against hand derivations, and against repeated simulated scans."""

import numpy as np
import pytest
from nilearn.connectome import ConnectivityMeasure
from scipy import signal, stats
from sklearn.covariance import EmpiricalCovariance

from remanent.circuits.bold import prepare
from remanent.circuits.function import fisher_z
from remanent.circuits.measure import measure
from remanent.study.session import Pipeline, Run, SessionData

PIPELINE = Pipeline("XCP-D", "26.1.1")
LABELS = tuple(f"{side}H_{net}_{i}" for net in ("Default_PFC", "Vis") for side in "LR" for i in range(1, 6))


def run(series, labels=LABELS, tr_s=2.0, **more):
    return Run("run.tsv", "rest", "Schaefer100", tuple(labels), PIPELINE, series=series, tr_s=tr_s, **more)


def features(*runs, **more):
    return {f.name: f for f in measure(SessionData("sub-01", "ses-01", runs=runs, **more))}


def series(rng, n=300, parcels=20, correlation=0.35, phi=0.0):
    white = (
        rng.standard_normal((n + 200, parcels))
        @ np.linalg.cholesky(correlation + (1 - correlation) * np.eye(parcels)).T
    )
    return signal.lfilter([1.0], [1.0, -phi], white, axis=0)[200:]


def test_correlation_equals_nilearn_with_the_empirical_estimator():
    x = series(np.random.default_rng(0), n=600, parcels=20)
    peer = ConnectivityMeasure(
        cov_estimator=EmpiricalCovariance(store_precision=False), kind="correlation", standardize="zscore_sample"
    ).fit_transform([x])[0]
    np.testing.assert_allclose(prepare([run(x)]).r, peer, rtol=0, atol=1e-12)


def test_network_means_by_hand():
    x = series(np.random.default_rng(1))
    got = features(run(x))
    z = np.arctanh(np.corrcoef(x.T) - np.eye(20))
    within = [z[i, j] for i in range(10) for j in range(i)]
    assert got["fc_default_default"].value == pytest.approx(np.mean(within), abs=1e-12)
    assert got["fc_default_vis"].value == pytest.approx(z[:10, 10:].mean(), abs=1e-12)
    assert not got["fc_cont_default"].usable
    assert "cont" in got["fc_cont_default"].reason


def test_seven_networks_prefix_is_the_same_parcel():
    x = series(np.random.default_rng(1))
    long = features(run(x, labels=[f"7Networks_{label}" for label in LABELS]))
    assert str(long) == str(features(run(x)))


@pytest.mark.parametrize(("phi", "n"), [(0.0, 200), (0.6, 300), (0.8, 500)])
def test_claimed_error_is_the_spread_of_repeated_scans(phi, n):
    rng = np.random.default_rng(2)
    got = [features(run(series(rng, n, phi=phi))) for _ in range(50)]
    for name in ("fc_default_default", "fc_default_vis"):
        error = np.array([(f[name].value - np.arctanh(0.35)) / f[name].se for f in got])
        assert 0.8 < error.std() < 1.2
        assert abs(error.mean()) < 0.45


def test_error_of_a_mean_is_not_that_of_independent_edges():
    x = series(np.random.default_rng(3), n=400)
    independent = 1 / np.sqrt(400 - 3) / np.sqrt(45)
    assert features(run(x))["fc_default_default"].se > 2 * independent


def test_censored_frames_count_as_absent_and_never_as_neighbours():
    rng = np.random.default_rng(4)
    x = series(rng, n=600, phi=0.8)
    kept = rng.random(600) > 0.4
    z = prepare([run(x[kept], kept=kept)])
    np.testing.assert_allclose(z.r, np.corrcoef(x[kept].T), atol=1e-12)
    assert z.z.shape == (600, 20)
    assert np.all(z.z[~z.kept] == 0)
    interpolated = prepare([run(x, kept=kept)])
    np.testing.assert_allclose(interpolated.r, z.r, atol=1e-12)


def test_bad_parcels_are_dropped_and_counted_and_the_rest_is_kept():
    x = series(np.random.default_rng(5))
    whole = features(run(x[:, 1:], labels=LABELS[1:]))
    bad = x.copy()
    bad[:, 0] = 7.1
    got = features(run(bad))
    lacking = 100 - len(LABELS)  # of Schaefer's 100 parcels
    assert got["qc_parcels_dropped"].value == lacking + 1
    assert whole["qc_parcels_dropped"].value == lacking + 1
    assert "LH_Default_PFC_1 (no variance)" in got["qc_parcels_dropped"].reason
    assert got["fc_default_default"].value == pytest.approx(whole["fc_default_default"].value, abs=1e-12)
    for poison in (np.nan, np.inf):
        bad[3, 0] = poison
        assert features(run(bad))["fc_default_default"].value == pytest.approx(
            whole["fc_default_default"].value, abs=1e-12
        )
    bad[:, :4] = np.nan
    few = features(run(bad))
    assert not few["fc_default_default"].usable
    assert np.isnan(few["fc_default_default"].value)
    assert "4 parcels dropped" in few["fc_default_default"].reason
    assert few["fc_vis_vis"].usable


@pytest.mark.parametrize("n", [0, 1, 2, 3, 10])
def test_ten_volume_run_is_refused_with_a_reason(n):
    got = features(run(series(np.random.default_rng(6))[:n]))
    assert not any(f.usable for name, f in got.items() if name.startswith("fc_"))
    assert all(f.reason for name, f in got.items() if name.startswith("fc_"))


def test_matrix_only_gives_the_value_and_says_what_the_error_is():
    x = series(np.random.default_rng(7), n=400)
    r = np.corrcoef(x.T)
    alone = features(run(None, relmat=r))
    full = features(run(x))
    assert alone["fc_default_vis"].value == pytest.approx(full["fc_default_vis"].value, abs=1e-12)
    assert np.isnan(alone["fc_default_vis"].se)
    assert "no error" in alone["fc_default_vis"].reason
    nominal = features(run(None, relmat=r, kept=np.ones(400, dtype=bool)))
    assert nominal["fc_default_vis"].se == pytest.approx(full["fc_default_vis"].se, rel=0.3)


def test_fisher_z_of_a_perfect_correlation_is_finite():
    assert np.isfinite(fisher_z(np.ones((2, 2)))[0, 1])


def test_single_edge_error_is_the_textbook_one():
    rng = np.random.default_rng(8)
    x = rng.standard_normal((500, 2)) @ np.linalg.cholesky([[1, 0.5], [0.5, 1]]).T
    got = features(run(x, labels=("LH_Default_PFC_1", "RH_Default_PFC_1")))["fc_default_default"]
    assert got.value == pytest.approx(np.arctanh(stats.pearsonr(*x.T)[0]), abs=1e-12)
    assert got.se == pytest.approx(1 / np.sqrt(497), rel=0.25)
