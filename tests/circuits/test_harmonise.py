"""ComBat against neuroCombat, and every way other harmonisers fall over."""

import numpy as np
import pytest

from remanent.circuits.harmonise import harmonise, learn


@pytest.fixture(scope="module")
def example(peers):
    one = peers["combat"]
    covariates = np.column_stack([one["age"], one["sex"]]).astype(float)
    return np.array(one["y"]), covariates, [f"site{s}" for s in one["site"]], [f"p{i}" for i in range(len(one["y"]))]


def study(seed=0, people=60, visits=3, features=8, sites=3):
    """Repeated scans of people who move between sites: truth, covariates, site, person and what the scanners made of it."""
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(people), visits)
    site = rng.integers(0, sites, len(person))
    age = np.repeat(rng.uniform(20, 70, people), visits)
    own = np.repeat(rng.standard_normal((people, features)) * 1.5, visits, axis=0)
    noise = rng.standard_normal((len(person), features))
    fixed = 5 + 0.03 * age[:, None]
    shift, scale = (
        rng.standard_normal((sites, features)) * 0.8,
        np.array([0.7, 1.0, 1.5])[:sites, None] * np.ones(features),
    )
    shift -= shift.mean(axis=0)
    seen = fixed + own + shift[site] + scale[site] * noise
    return {
        "truth": fixed + own,
        "seen": seen,
        "covariates": age[:, None],
        "site": [f"s{s}" for s in site],
        "person": [f"p{p}" for p in person],
        "shift": shift,
    }


def test_equals_neurocombat_on_complete_data(example, peers):
    y, covariates, site, person = example
    got, _ = harmonise(learn(y, covariates, site, person), y, covariates, site)
    np.testing.assert_allclose(got, np.array(peers["combat"]["data"]), rtol=0, atol=1e-10)


def test_one_missing_cell_stays_one_missing_cell(example):
    y, covariates, site, person = example
    holed = y.copy()
    holed[3, 2] = np.nan
    got, se = harmonise(learn(holed, covariates, site, person), holed, covariates, site)
    assert np.argwhere(np.isnan(got)).tolist() == [[3, 2]]
    assert np.argwhere(np.isnan(se)).tolist() == [[3, 2]]


def test_a_site_with_one_scan_shrinks_to_the_grand_mean_and_harms_nobody(example):
    y, covariates, site, person = example
    rows = np.vstack([y, y.mean(axis=0) + 10])
    more = np.vstack([covariates, covariates.mean(axis=0)])
    learnt = learn(rows, more, [*site, "lonely"], [*person, "new"])
    got, se = harmonise(learnt, rows, more, [*site, "lonely"])
    assert np.isfinite(got).all()
    assert np.isfinite(se).all()
    lonely = learnt.sites.index("lonely")
    raw = (rows[-1] - learnt.intercept - more[-1] @ learnt.slopes) / learnt.sigma
    assert np.all(np.abs(learnt.gamma[lonely]) < np.abs(raw))
    np.testing.assert_array_equal(learnt.delta[lonely], 1)


def test_an_unseen_site_keeps_its_values_with_a_wider_error(example):
    y, covariates, site, person = example
    learnt = learn(y, covariates, site, person)
    got, se = harmonise(learnt, y, covariates, ["elsewhere"] * len(y))
    np.testing.assert_allclose(got, y, atol=1e-12)
    _, known = harmonise(learnt, y, covariates, site)
    assert np.all(se.mean(axis=0) > known.mean(axis=0))


def test_a_new_visit_leaves_every_earlier_value_bit_identical():
    one = study()
    learnt = learn(one["seen"], one["covariates"], one["site"], one["person"])
    whole, _ = harmonise(learnt, one["seen"], one["covariates"], one["site"])
    for rows in (slice(0, 1), slice(5, 40), slice(None, None, -7)):
        part, _ = harmonise(learnt, one["seen"][rows], one["covariates"][rows], one["site"][rows])
        assert part.tobytes() == whole[rows].tobytes()


def test_repeats_give_the_person_its_own_variance():
    one = study(people=150)
    learnt = learn(one["seen"], one["covariates"], one["site"], one["person"])
    assert np.median(learnt.person_ratio) == pytest.approx(1.5**2 / np.mean([0.49, 1, 2.25]), rel=0.3)
    np.testing.assert_allclose(np.sqrt(learnt.delta.mean(axis=1) / learnt.delta[1].mean()), [0.7, 1.0, 1.5], rtol=0.2)
    recovered = (learnt.gamma - learnt.gamma.mean(axis=0)) * learnt.sigma
    assert np.corrcoef(recovered.ravel(), one["shift"].ravel())[0, 1] > 0.98


def test_longitudinal_harmonising_brings_visits_closer_than_ignoring_the_person_does():
    one = study(people=150)
    longitudinal = learn(one["seen"], one["covariates"], one["site"], one["person"])
    cross = learn(one["seen"], one["covariates"], one["site"], [f"scan{i}" for i in range(len(one["seen"]))])
    errors = {
        name: np.sqrt(np.mean((harmonise(learnt, one["seen"], one["covariates"], one["site"])[0] - one["truth"]) ** 2))
        for name, learnt in (("longitudinal", longitudinal), ("cross", cross))
    }
    raw = np.sqrt(np.mean((one["seen"] - one["truth"]) ** 2))
    assert errors["longitudinal"] < errors["cross"] < raw


@pytest.mark.parametrize("features", [1, 2])
def test_one_or_two_features_are_enough(features):
    one = study(features=features)
    got, se = harmonise(
        learn(one["seen"], one["covariates"], one["site"], one["person"]), one["seen"], one["covariates"], one["site"]
    )
    assert np.isfinite(got).all()
    assert np.isfinite(se).all()
    site = np.array(one["site"])
    spread = [np.ptp([y[site == s].mean() for s in np.unique(site)]) for y in (got[:, 0], one["seen"][:, 0])]
    assert spread[0] < spread[1]


def test_a_single_site_changes_nothing_but_says_it_knows_nothing_of_others():
    one = study(sites=1)
    learnt = learn(one["seen"], one["covariates"], one["site"], one["person"])
    _, se = harmonise(learnt, one["seen"], one["covariates"], ["elsewhere"] * len(one["seen"]))
    assert np.isnan(se).all()
