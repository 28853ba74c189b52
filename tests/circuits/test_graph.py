"""Graph measures against bctpy's numbers, and their derivatives against finite differences."""

import numpy as np
import pytest

from remanent.circuits import graph
from remanent.circuits.function import pair_mean, signed_mean


@pytest.fixture(scope="module")
def example(peers):
    z = np.array(peers["graph"]["z"], dtype=float)
    np.fill_diagonal(z, np.nan)
    ci = np.array(peers["graph"]["ci"])
    return z, {str(network): ci == network for network in np.unique(ci)}


def test_participation_equals_bctpy(example, peers):
    z, networks = example
    peer = np.array(peers["graph"]["participation"])
    ours = graph.participation(z, networks)
    for name, members in networks.items():
        assert ours[name].value == pytest.approx(peer[members].mean(), abs=1e-12)


def test_modularity_equals_bctpy(example, peers):
    z, networks = example
    assert graph.modularity(z, networks).value == pytest.approx(peers["graph"]["modularity"], abs=1e-12)


def test_segregation_by_hand():
    z = np.array([[np.nan, 0.8, -0.3, 0.1], [0.8, np.nan, 0.2, 0.0], [-0.3, 0.2, np.nan, 0.4], [0.1, 0.0, 0.4, np.nan]])
    networks = {"a": np.array([True, True, False, False]), "b": np.array([False, False, True, True])}
    within, between = (0.8 + 0.4) / 2, (0.0 + 0.1 + 0.2 + 0.0) / 4
    assert graph.segregation(z, networks).value == pytest.approx((within - between) / within, abs=1e-14)


def test_nothing_is_made_up_where_nothing_is_connected():
    z = np.full((4, 4), -0.2)
    networks = {"a": np.array([True, True, False, False]), "b": np.array([False, False, True, True])}
    assert graph.segregation(z, networks) is None
    assert graph.modularity(z, networks) is None
    assert graph.participation(z, networks) == {}


def measures(z, networks):
    first, second = list(networks.values())[:2]
    yield pair_mean(z, first, second)
    yield pair_mean(z, first, first)
    yield signed_mean([(1.0, pair_mean(z, first, second)), (-1.0, pair_mean(z, second, second))])
    yield graph.segregation(z, networks)
    yield graph.modularity(z, networks)
    yield from graph.participation(z, networks).values()


def test_derivatives_are_the_finite_differences(example):
    z, networks = example
    rng = np.random.default_rng(0)
    step = rng.standard_normal(z.shape)
    step = (step + step.T) * 1e-6
    for before, below, above in zip(
        measures(z, networks), measures(z - step, networks), measures(z + step, networks), strict=True
    ):
        predicted = np.sum(before.gradient * step[np.ix_(before.rows, before.columns)])
        assert (above.value - below.value) / 2 == pytest.approx(predicted, rel=1e-4)
