"""Normative z: calibrated at small and unseen sites, equal to Bayesian regression where that is valid, frozen."""

import numpy as np
import pytest
from sklearn.linear_model import BayesianRidge

from remanent.circuits.norm import add_site, learn_norm, z_values


def people(rng, n, shift, scale):
    age, sex = rng.uniform(18, 80, n), rng.integers(0, 2, n).astype(float)
    expected = 2 - 0.02 * age - 0.0002 * (age - 50) ** 2 + 0.3 * sex
    noise = rng.standard_normal((n, len(shift))) * np.exp(0.005 * (age - 50))[:, None]
    return expected[:, None] + shift + scale * noise, age, sex


def reference(rng, sites=10, each=80, features=2, between=0.5, spread=0.15):
    values, age, sex, names = [], [], [], []
    for site in range(sites):
        one = people(rng, each, between * rng.standard_normal(features), np.exp(spread * rng.standard_normal(features)))
        for collected, part in zip((values, age, sex), one, strict=True):
            collected.append(part)
        names += [f"s{site}"] * each
    return np.vstack(values), np.concatenate(age), np.concatenate(sex), names


@pytest.fixture(scope="module")
def learnt():
    return learn_norm(*reference(np.random.default_rng(0), features=6))


@pytest.mark.parametrize("controls", [0, 1, 2, 3, 5, 10, 30])
def test_five_per_cent_of_healthy_people_stand_out_whatever_the_number_of_controls(controls):
    rng = np.random.default_rng(1)
    share = []
    for _ in range(8):
        norm = learn_norm(*reference(rng))
        for _ in range(25):
            place = 0.5 * rng.standard_normal(2), np.exp(0.15 * rng.standard_normal(2))
            known = add_site(norm, "new", *people(rng, controls, *place)) if controls else norm
            share.append(np.abs(z_values(known, *people(rng, 40, *place), ["new"] * 40)) > 1.96)
    each = np.mean(share, axis=(1, 2))
    error = each.std(ddof=1) / np.sqrt(len(each))
    assert np.mean(each) == pytest.approx(0.05, abs=max(3 * error, 0.01))


def test_z_is_standard_normal_at_a_known_site():
    rng = np.random.default_rng(2)
    values, age, sex, names = reference(rng, each=160)
    train = np.arange(len(values)) % 2 == 0
    norm = learn_norm(values[train], age[train], sex[train], np.array(names)[train].tolist())
    z = z_values(norm, values[~train], age[~train], sex[~train], np.array(names)[~train].tolist())
    assert abs(z.mean()) < 0.1
    assert z.std() == pytest.approx(1, abs=0.07)
    assert abs(np.corrcoef(np.abs(z[:, 0]), age[~train])[0, 1]) < 0.1


def test_equals_bayesian_regression_where_that_is_valid():
    """One site, linear age, constant spread: the setting of an unwarped Bayesian linear normative model."""
    rng = np.random.default_rng(3)
    age, sex = rng.uniform(20, 80, 2500), rng.integers(0, 2, 2500).astype(float)
    y = 10 - 0.05 * age + 0.4 * sex + rng.standard_normal(2500)
    train = np.arange(2500) < 2000
    peer = BayesianRidge().fit(np.column_stack([age, sex])[train], y[train])
    mean, sd = peer.predict(np.column_stack([age, sex])[~train], return_std=True)
    norm = learn_norm(y[train, None], age[train], sex[train], ["a"] * 2000)
    ours = z_values(norm, y[~train, None], age[~train], sex[~train], ["a"] * 500)[:, 0]
    assert np.corrcoef(ours, (y[~train] - mean) / sd)[0, 1] > 0.999


def test_equals_pcntoolkit_where_that_is_valid(peers):
    """Two large sites, linear age, constant spread: its Bayesian linear regression with fixed batch effects."""
    one = peers["norm"]
    y, age, sex = np.array(one["y"])[:, None], np.array(one["age"]), np.array(one["sex"], dtype=float)
    site = list(one["site"])
    norm = learn_norm(y[:2000], age[:2000], sex[:2000], site[:2000])
    z = z_values(norm, y[2000:], age[2000:], sex[2000:], site[2000:])[:, 0]
    assert np.corrcoef(z, one["z"])[0, 1] > 0.999
    assert z.std() == pytest.approx(np.std(one["z"]), rel=0.01)


def test_a_new_site_or_visit_leaves_every_earlier_value_bit_identical(learnt):
    rng = np.random.default_rng(4)
    values, age, sex = people(rng, 30, np.zeros(6), np.ones(6))
    before = z_values(learnt, values, age, sex, ["s1"] * 30)
    more = add_site(learnt, "new", *people(rng, 5, np.ones(6), np.ones(6)))
    assert z_values(more, values, age, sex, ["s1"] * 30).tobytes() == before.tobytes()
    assert set(more.sites) == set(learnt.sites) | {"new"}


def test_one_missing_cell_stays_one_missing_cell(learnt):
    rng = np.random.default_rng(5)
    values, age, sex = people(rng, 30, np.zeros(6), np.ones(6))
    values[4, 2] = np.nan
    known = add_site(learnt, "new", values, age, sex)
    z = z_values(known, values, age, sex, ["new"] * 30)
    assert np.argwhere(np.isnan(z)).tolist() == [[4, 2]]


def test_the_far_tail_keeps_its_order(learnt):
    values = np.full((4, 6), 2.0) + np.array([[-900.0], [-30.0], [30.0], [900.0]])
    z = z_values(learnt, values, np.full(4, 40.0), np.zeros(4), ["s1"] * 4)
    assert np.isfinite(z).all()
    assert np.all(np.diff(z, axis=0) > 0)
