"""Structure-function coupling against scipy and least squares, and its refusals."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from remanent.circuits.coupling import adjusted_r2, orthonormal, rank_rows, spearman
from remanent.circuits.definitions import WeightScale
from remanent.circuits.wiring import Votes, consistent_connections, log_weight, votes
from remanent.study.session import Connectome, Pipeline


def test_ranks_share_ties_like_scipy():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 4, (9, 9)).astype(float)
    valid = rng.random((9, 9)) < 0.7
    got = rank_rows(values, valid)
    for row in range(9):
        np.testing.assert_allclose(got[row, valid[row]], stats.rankdata(values[row, valid[row]]))


def test_regional_spearman_equals_scipy(scanner):
    rng = np.random.default_rng(1)
    fc = np.corrcoef(scanner.series(rng).T)
    sc = scanner.connectomes[0].weights
    targets = sc > 0
    got = spearman(rank_rows(fc, targets), rank_rows(sc, targets), targets)
    expected = [stats.spearmanr(fc[i, targets[i]], sc[i, targets[i]])[0] for i in range(len(fc))]
    np.testing.assert_allclose(got, expected, atol=1e-12)


def test_features_are_the_means_of_regions(scanner):
    rng = np.random.default_rng(1)
    x = scanner.series(rng)
    got = scanner.features(scanner.session(scanner.run(x)))
    fc, sc = np.corrcoef(x.T), scanner.connectomes[0].weights
    regional = np.array([stats.spearmanr(fc[i, sc[i] > 0], sc[i, sc[i] > 0])[0] for i in range(len(fc))])
    default = np.array(["Default" in label for label in scanner.labels])
    assert got["sfc_spearman_global"].value == pytest.approx(regional.mean(), abs=1e-12)
    assert got["sfc_spearman_default"].value == pytest.approx(regional[default].mean(), abs=1e-12)
    assert got["sfc_targets"].value == pytest.approx((sc > 0).sum(1).mean())


def test_adjusted_r2_equals_least_squares_and_keeps_its_sign():
    rng = np.random.default_rng(2)
    predictors, z = rng.standard_normal((8, 30, 30, 3))[0], rng.standard_normal((30, 30))
    predictors[4, 7:11, 1] = np.nan
    got = adjusted_r2(z, orthonormal(predictors.copy()))
    for region in range(30):
        targets = np.isfinite(predictors[region]).all(axis=1) & (np.arange(30) != region)
        x = np.column_stack([np.ones(targets.sum()), predictors[region, targets]])
        y = z[region, targets]
        residual = y - x @ np.linalg.lstsq(x, y)[0]
        n = targets.sum()
        r2 = 1 - residual @ residual / ((y - y.mean()) ** 2).sum()
        assert got[region] == pytest.approx(1 - (1 - r2) * (n - 1) / (n - 4), abs=1e-10)
    assert (got < 0).any()


def test_a_region_without_connections_is_missing_and_never_zero(scanner):
    rng = np.random.default_rng(3)
    weights = scanner.connectomes[0].weights.copy()
    weights[0, :] = weights[:, 0] = 0
    targets = weights > 0
    fc = np.corrcoef(scanner.series(rng).T)
    got = spearman(rank_rows(fc, targets), rank_rows(weights, targets), targets)
    assert np.isnan(got[0])
    assert np.isfinite(got[1:]).all()


def test_too_few_targets_make_a_network_unavailable(scanner):
    rng = np.random.default_rng(4)
    weights = scanner.connectomes[0].weights.copy()
    limbic = np.array(["Limbic" in label for label in scanner.labels])
    weights[limbic, :] = weights[:, limbic] = 0
    count = Connectome("c.mat", scanner.atlas, scanner.labels, "radius2_count", Pipeline("q", "1"), weights)
    got = scanner.features(scanner.session(scanner.run(scanner.series(rng)), connectomes=(count,)))
    assert not got["sfc_spearman_limbic"].usable
    assert "enough connections" in got["sfc_spearman_limbic"].reason
    assert got["sfc_spearman_default"].usable
    assert "lengths" in got["sfc_r2_global"].reason


def test_labels_align_the_two_modalities_never_positions(scanner):
    rng = np.random.default_rng(5)
    x = scanner.series(rng)
    order = rng.permutation(len(scanner.labels))[:60]
    shuffled = tuple(
        Connectome(
            c.source, c.atlas, tuple(c.labels[i] for i in order), c.measure, c.pipeline, c.weights[np.ix_(order, order)]
        )
        for c in scanner.connectomes
    )
    inside = np.isin(np.arange(len(x.T)), order)
    sc = np.where(inside[:, None] & inside[None], scanner.connectomes[0].weights, 0)
    fc = np.corrcoef(x.T)
    expected = [
        stats.spearmanr(fc[i, sc[i] > 0], sc[i, sc[i] > 0])[0] for i in range(len(fc)) if (sc[i] > 0).sum() >= 5
    ]
    got = scanner.features(scanner.session(scanner.run(x), connectomes=shuffled))
    assert got["sfc_spearman_global"].value == pytest.approx(np.mean(expected), abs=1e-12)


def test_the_weight_scale_never_depends_on_the_scan():
    labels = ("LH_Vis_1", "LH_Vis_2", "LH_Vis_3")
    weights = np.array([[0.0, 3.0, 0.0], [3.0, 0.0, 8.0], [0.0, 8.0, 0.0]])
    stronger = weights.copy()
    stronger[1, 2] = stronger[2, 1] = 8000.0
    scale = WeightScale(1.0, 0.001)
    before, after = (
        log_weight(Connectome("c", "a", labels, "m", Pipeline("q", "1"), w), scale) for w in (weights, stronger)
    )
    assert before[0, 1] == after[0, 1] == np.log(4)


def test_fixed_connections_do_not_follow_a_visits_own_holes(scanner):
    rng = np.random.default_rng(6)
    first = scanner.connectomes
    fewer = first[0].weights.copy()
    hole = np.triu(rng.random(fewer.shape) < 0.1, 1)
    fewer[hole | hole.T] = 0
    second = (replace(first[0], weights=fewer), first[1])
    fixed = consistent_connections(votes(one, scanner.atlas) for one in (first, first, second))
    assert fixed.sessions == 3
    np.testing.assert_array_equal(fixed.connected, first[0].weights > 0)
    session = scanner.session(scanner.run(scanner.series(rng)), connectomes=second)
    own, held = scanner.features(session), scanner.features(session, connections=fixed)
    assert held["sfc_targets"].value > own["sfc_targets"].value
    assert held["sfc_targets"].value == pytest.approx((first[0].weights > 0).sum(1).mean())


def test_one_scan_alone_fixes_nothing_and_a_missing_parcel_does_not_vote(scanner):
    whole = votes(scanner.connectomes, scanner.atlas)
    assert consistent_connections([]) is None
    assert consistent_connections([whole]) is None
    without = Votes(whole.labels[1:], whole.vote[1:, 1:])
    fixed = consistent_connections([whole, without, without])
    np.testing.assert_array_equal(fixed.connected, whole.vote == 1)
    assert votes((), scanner.atlas) is None
