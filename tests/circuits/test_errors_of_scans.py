"""Claimed standard errors against the spread of many simulated scans of one person whose circuits never change."""

import numpy as np
import pytest

from remanent.circuits.bold import prepare
from remanent.circuits.function import fisher_z, pair_mean
from remanent.circuits.sampling import BLOCKS, jackknife_se, long_run_variance, memory, standard_error

# (frames, AR(1), share censored, band-passed 0.01-0.08 Hz): ratio of claimed to true error per kind of feature, measured
# with 120 scans: fc 0.96-1.07, segregation and q 1.05-1.47 (clipping at 0 is not linear), participation 1.07-1.13,
# spearman 1.10-1.20, r2 0.94-1.03, ac1 0.99-1.30, int 1.02-1.8, alff 0.90-1.10
DESIGNS = [(300, 0.6, 0.3, False), (400, 0.0, 0.2, True)]
BOUNDS = {
    "fc": (0.85, 1.2),
    "segregation": (0.85, 1.6),
    "q": (0.85, 1.6),
    "participation": (0.85, 1.35),
    "sfc_spearman": (0.85, 1.4),
    "sfc_r2": (0.75, 1.25),
    "ac1": (0.8, 1.5),
    "int": (0.7, 2.5),
    "alff": (0.75, 1.35),
}


@pytest.fixture(scope="module", params=DESIGNS, ids=str)
def repeats(request, scanner):
    rng = np.random.default_rng(11)
    n, phi, censored, band = request.param
    return [scanner.features(scanner.scan(rng, n, phi, censored, band)) for _ in range(30)]


@pytest.mark.parametrize("kind", BOUNDS)
def test_claimed_error_is_the_spread_of_repeats(repeats, kind):
    names = [name for name in repeats[0] if name.startswith(f"{kind}_") and repeats[0][name].usable]
    assert names
    ratios = []
    for name in names:
        value = np.array([features[name].value for features in repeats])
        claimed = np.array([features[name].se for features in repeats])
        assert np.isfinite(claimed).all()
        ratios.append(np.sqrt((claimed**2).mean()) / value.std(ddof=1))
    low, high = BOUNDS[kind]
    assert low < np.mean(ratios) < high


def test_network_errors_standardise(repeats):
    names = [f"fc_{network}_{network}" for network in ("cont", "default", "limbic", "vis")]
    for name in names:
        value = np.array([features[name].value for features in repeats])
        z = (value - value.mean()) / np.array([features[name].se for features in repeats])
        assert 0.75 < z.std() < 1.3


def test_analytic_error_agrees_with_a_block_bootstrap(scanner):
    rng = np.random.default_rng(3)
    x = scanner.series(rng, n=600, phi=0.5)
    bold = prepare([scanner.run(x)])
    default = np.array(["Default" in label for label in scanner.labels])
    analytic = standard_error(pair_mean(fisher_z(bold.r), default, default), bold, memory(bold))
    block, draws = 25, []
    for _ in range(400):
        start = rng.integers(0, 600 - block + 1, 600 // block)
        frames = (start[:, None] + np.arange(block)).ravel()
        z = np.arctanh(np.corrcoef(x[frames][:, default].T) - np.eye(default.sum()))
        draws.append(z[np.triu_indices(default.sum(), 1)].mean())
    assert analytic == pytest.approx(np.std(draws), rel=0.25)


def test_jackknife_of_a_mean_is_the_standard_error_of_block_means():
    x = np.random.default_rng(0).standard_normal(BLOCKS * 7)
    blocks = x.reshape(BLOCKS, 7).mean(axis=1)
    replicates = np.array([np.delete(blocks, i).mean() for i in range(BLOCKS)])
    assert jackknife_se(replicates) == pytest.approx(blocks.std(ddof=1) / np.sqrt(BLOCKS), rel=1e-12)


def test_long_run_variance_of_an_autoregression_is_the_known_one():
    rng = np.random.default_rng(5)
    phi, n = 0.6, 4000
    estimates = []
    for _ in range(40):
        x = np.zeros(n)
        for t, e in enumerate(rng.standard_normal(n)):
            x[t] = phi * x[t - 1] + e
        estimates.append(long_run_variance(x - x.mean(), n))
    assert np.mean(estimates) == pytest.approx(1 / (1 - phi) ** 2 / n, rel=0.1)


def test_censored_frames_do_not_make_the_error_smaller(scanner):
    rng = np.random.default_rng(6)
    x = scanner.series(rng, n=600, phi=0.5)
    kept = rng.random(600) > 0.5
    whole = scanner.features(scanner.session(scanner.run(x)))["fc_default_default"].se
    half = scanner.features(scanner.session(scanner.run(x[kept], kept=kept)))["fc_default_default"].se
    assert half > 1.05 * whole
