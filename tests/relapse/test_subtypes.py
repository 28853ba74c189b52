"""Subtypes: noise of any shape gives none, planted ones are found; the parts against scikit-learn."""

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from remanent.relapse.subtypes import adjusted_rand, components, find_subtypes, k_means

Noise = Callable[[np.random.Generator], np.ndarray]
NOISE: dict[str, Noise] = {
    "normal": lambda g: g.normal(size=(50, 6)),
    "one strong axis": lambda g: g.normal(size=(50, 6)) + 2 * g.normal(size=(50, 1)),
    "uniform": lambda g: g.uniform(size=(50, 5)),
    "heavy tails": lambda g: g.standard_t(4, size=(50, 6)),
    "skewed": lambda g: np.exp(0.5 * g.normal(size=(50, 4))),
}


def planted(g: np.random.Generator, n: int = 60, apart: float = 4.0, kinds: int = 2) -> tuple[np.ndarray, np.ndarray]:
    label = np.arange(n) % kinds
    centre = apart / 2 * np.array([[1.0, -1, 1, -1], [-1, 1, -1, 1], [1, 1, -1, -1]])[:kinds][:, g.permutation(4)]
    return centre[label] + g.normal(size=(n, 4)), label


def test_k_means_finds_what_scikit_learn_finds() -> None:
    g = np.random.default_rng(0)
    sets = np.stack([planted(g, kinds=3)[0] for _ in range(4)])
    label, inertia = k_means(sets, 3, g, 30)
    for x, mine, squares in zip(sets, label, inertia, strict=True):
        peer = KMeans(3, n_init=20, random_state=0).fit(x)
        assert squares == pytest.approx(peer.inertia_, rel=1e-6)
        assert adjusted_rand_score(mine, peer.labels_) == pytest.approx(1.0)


def test_adjusted_rand_is_that_of_scikit_learn() -> None:
    g = np.random.default_rng(1)
    for _ in range(20):
        one, two = g.integers(0, 4, 40), g.integers(0, 3, 40)
        assert adjusted_rand(one, two) == pytest.approx(adjusted_rand_score(one, two), abs=1e-12)
    assert adjusted_rand(one, one) == 1.0


@pytest.mark.parametrize("kind", NOISE)
def test_noise_has_no_subtypes(kind: str) -> None:
    found = [find_subtypes(NOISE[kind](np.random.default_rng(s)), np.random.default_rng(s)) for s in range(6)]
    assert sum(f.finding == "found" for f in found) <= 1
    assert all((f.label == -1).all() and "No stable subtypes" in f.words for f in found if f.finding != "found")


@pytest.mark.slow
@pytest.mark.parametrize("kind", NOISE)
def test_noise_has_no_subtypes_in_95_of_100_studies(kind: str) -> None:
    found = [find_subtypes(NOISE[kind](np.random.default_rng(s)), np.random.default_rng(s)) for s in range(200)]
    assert sum(f.finding == "found" for f in found) <= 10


@pytest.mark.parametrize("kinds", [2, 3])
def test_planted_subtypes_are_found(kinds: int) -> None:
    hits = 0
    for seed in range(4):
        g = np.random.default_rng(seed)
        x, label = planted(g, 66, 5.0, kinds)
        found = find_subtypes(x, g)
        hits += found.finding == "found" and found.count == kinds and adjusted_rand_score(found.label, label) > 0.85
    assert hits >= 3


def test_gaps_units_and_constant_columns_do_not_matter() -> None:
    g = np.random.default_rng(3)
    x, label = planted(g, 60, 5.0)
    odd = np.column_stack([1e6 * x[:, 0], x[:, 1:], np.full(60, 7.0), np.full(60, np.nan)])
    odd[g.uniform(size=odd.shape) < 0.05] = np.nan
    found = find_subtypes(odd, np.random.default_rng(0))
    assert found.finding == "found"
    assert adjusted_rand_score(found.label, label) > 0.85
    assert np.isfinite(components(odd)).all()


def test_few_patients_or_nothing_to_tell_them_apart() -> None:
    g = np.random.default_rng(4)
    assert find_subtypes(g.normal(size=(12, 3)), g).finding == "too_few"
    assert find_subtypes(np.ones((40, 3)), g).finding == "none"


def test_a_few_outliers_are_no_subtype() -> None:
    g = np.random.default_rng(5)
    x = g.normal(size=(60, 4))
    x[:3] += 12
    assert find_subtypes(x, g).finding != "found"
