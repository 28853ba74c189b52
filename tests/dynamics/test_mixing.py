"""R-hat, effective draws and Pareto smoothing against a peer's numbers (arviz-stats 0.8.0 on these very arrays)."""

import numpy as np
import pytest

from remanent.dynamics.mixing import bulk_ess, effective_draws, rhat
from remanent.dynamics.pareto import fit_pareto, highest_k, smoothed


def chains() -> np.ndarray:
    """Four autoregressive chains of 500 draws: independent, mildly and strongly autocorrelated; one chain of the second lies elsewhere."""
    noise = np.random.default_rng(0).standard_normal((4, 500, 3))
    x = np.zeros_like(noise)
    for t in range(1, 500):
        x[:, t] = np.array([0.0, 0.6, 0.95]) * x[:, t - 1] + noise[:, t]
    x[0, :, 1] += 0.3
    return x


def test_rhat_of_a_peer():
    np.testing.assert_allclose(rhat(chains()), [1.001235999192216, 1.0194653661359439, 1.091652780790679], rtol=1e-9)


def test_bulk_effective_draws_of_a_peer():
    """Within a hundredth: the peer ends Geyer's sequence with half a pair more."""
    np.testing.assert_allclose(bulk_ess(chains()), [2000.72, 432.35, 54.156], rtol=0.01)


def test_effective_draws_of_an_autoregression():
    """n (1 - phi) / (1 + phi) of them."""
    noise = np.random.default_rng(1).standard_normal((4, 20_000, 1))
    x = np.zeros_like(noise)
    for t in range(1, noise.shape[1]):
        x[:, t] = 0.8 * x[:, t - 1] + noise[:, t]
    assert effective_draws(x)[0] == pytest.approx(80_000 * 0.2 / 1.8, rel=0.1)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda x: x + np.array([0, 0, 0, 1.0])[:, None, None],
        lambda x: x * np.array([1, 1, 1, 3.0])[:, None, None],
        lambda x: x + np.linspace(0, 2, x.shape[1])[None, :, None],
    ],
    ids=["one elsewhere", "one wider", "all drifting"],
)
def test_rhat_sees_what_is_wrong(spoil):
    good = np.random.default_rng(2).standard_normal((4, 400, 1))
    assert rhat(good)[0] < 1.01
    assert rhat(spoil(good))[0] > 1.03


@pytest.mark.parametrize(
    ("row", "k", "largest", "squares"),
    [
        (0, 0.8769379580808672, -2.9518795928676353, 0.004150396329348666),
        (1, 1.367805239156996, -0.838456477652672, 0.20234401223306972),
        (2, 2.4148480022134624, -0.11230458871309068, 0.8032293238298484),
    ],
)
def test_smoothed_weights_of_a_peer(row, k, largest, squares):
    log_ratio = np.random.default_rng(1).standard_t(4, size=(3, 2500)) * np.array([[0.5], [1.0], [2.0]])
    weight, found = smoothed(log_ratio[row])
    assert found == pytest.approx(k, rel=1e-9)
    assert weight.max() == pytest.approx(largest, rel=1e-9)
    assert np.exp(2 * weight).sum() == pytest.approx(squares, rel=1e-9)
    assert np.exp(weight).sum() == pytest.approx(1.0)


def test_the_pareto_shape_is_found():
    rng = np.random.default_rng(0)
    for k in (0.3, 0.9):
        excess = np.sort(2.0 * ((1 - rng.random(4000)) ** -k - 1) / k)
        shape, scale = fit_pareto(excess)
        assert shape == pytest.approx(k, abs=0.08)
        assert scale == pytest.approx(2.0, rel=0.1)


def test_weights_that_are_all_alike_need_no_smoothing():
    weight, k = smoothed(np.full(1000, -3.0))
    np.testing.assert_allclose(np.exp(weight), 1e-3)
    assert k == -np.inf


def test_weights_that_cannot_be_fitted_are_not_trusted():
    assert smoothed(np.array([0.0, -1.0, -2.0, -1.0]))[1] == np.inf


def test_fewer_draws_are_trusted_less():
    assert highest_k(100) == pytest.approx(0.5)
    assert highest_k(100_000) == 0.7
