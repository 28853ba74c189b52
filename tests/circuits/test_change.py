"""Reliability and reliable change: against the ANOVA by hand, and against repeats of people who did not change."""

import numpy as np
import pytest

from remanent.circuits.change import change, lengthened, reliability, within_sd_from_icc, z_difference


def repeats(rng, people, between, within, scans=2, features=1):
    truth = between * rng.standard_normal((people, 1, features))
    return truth + within * rng.standard_normal((people, scans, features))


def test_icc_by_hand():
    values = np.array([[1.0, 2.0], [4.0, 6.0], [8.0, 7.0]])[:, :, None]
    mean = values.mean(axis=1)
    between = 2 * ((mean - values.mean()) ** 2).sum() / 2
    within = ((values[:, 0] - values[:, 1]) ** 2).sum() / 2 / 3
    got = reliability(values)
    assert got.icc[0] == pytest.approx((between - within) / (between + within))
    assert got.within_sd[0] == pytest.approx(np.sqrt(within))
    assert got.lower[0] < got.icc[0] < got.upper[0]


def test_truth_is_recovered_and_the_interval_covers_it():
    rng = np.random.default_rng(0)
    got = reliability(repeats(rng, 60, 1.0, 0.5, features=400))
    truth = 1 / 1.25
    assert got.icc.mean() == pytest.approx(truth, abs=0.02)
    assert np.mean((got.lower < truth) & (truth < got.upper)) == pytest.approx(0.9, abs=0.045)


def test_missing_scans_cost_their_person_only():
    rng = np.random.default_rng(1)
    values = repeats(rng, 200, 1.0, 0.5, scans=3)
    values[:50, 2] = np.nan
    values[50:60, 1:] = np.nan
    got = reliability(values)
    assert got.people[0] == 190
    assert got.icc[0] == pytest.approx(0.8, abs=0.07)


def test_what_scans_do_not_explain_is_the_persons_own():
    rng = np.random.default_rng(2)
    se = np.full((500, 2, 1), 0.3)
    values = repeats(rng, 500, 1.0, 0.5)
    assert reliability(values, se).biological_sd[0] == pytest.approx(0.4, abs=0.06)
    assert reliability(values, se * 9).biological_sd[0] == 0


def test_nobody_scanned_twice_gives_no_reliability():
    values = np.array([[[1.0], [np.nan]], [[2.0], [np.nan]]])
    got = reliability(values)
    assert np.isnan(got.icc[0])
    assert np.isnan(got.within_sd[0])


def test_people_who_did_not_change_are_called_changed_one_time_in_ten():
    rng = np.random.default_rng(3)
    n, se1, se2, day = 4000, 0.3, 0.5, 0.4
    before = rng.standard_normal(n) * np.hypot(se1, day)
    after = rng.standard_normal(n) * np.hypot(se2, day)
    got = change(before, after, np.full(n, se1), np.full(n, se2), np.full(n, day))
    assert got.reliable.mean() == pytest.approx(0.1, abs=0.015)
    assert np.mean((got.lower < 0) & (got.upper > 0)) == pytest.approx(0.9, abs=0.015)


def test_reliable_change_index_by_hand():
    sem = within_sd_from_icc(np.array([0.75]), np.array([2.0]))
    assert sem[0] == 1.0
    got = change(np.zeros(1), np.full(1, 3.0), np.zeros(1), np.zeros(1), sem)
    assert got.value[0] / got.se[0] == pytest.approx(3 / np.sqrt(2))


def test_longer_scans_are_more_reliable():
    assert lengthened(0.4, 60.0, 30.0) == pytest.approx(0.8 / 1.4)
    assert lengthened(0.4, 30.0, 30.0) == pytest.approx(0.4)
    assert lengthened(0.4, 6.0, 30.0) < 0.15


def test_z_difference_is_standard_normal_in_healthy_repeats():
    rng = np.random.default_rng(4)
    r = 0.7
    first = rng.standard_normal(20000)
    second = r * first + np.sqrt(1 - r**2) * rng.standard_normal(20000)
    assert z_difference(first, second, np.full(20000, r)).std() == pytest.approx(1, abs=0.02)
