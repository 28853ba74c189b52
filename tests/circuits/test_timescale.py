"""Autocorrelation, timescale and ALFF: known processes, and censoring that must not shorten them."""

import numpy as np
import pytest

from remanent.circuits.atlas import parcellation
from remanent.circuits.bold import prepare
from remanent.circuits.sampling import autocorrelation, memory
from remanent.circuits.timescale import lomb_scargle, timescale, timescale_features


def autoregression(rng, n, phi, parcels=3):
    x = np.zeros((n, parcels))
    for t, e in enumerate(rng.standard_normal((n, parcels))):
        x[t] = phi * x[t - 1] + e
    return (x - x.mean(axis=0)) / x.std(axis=0)


def test_only_pairs_of_kept_and_truly_adjacent_frames_count():
    rng = np.random.default_rng(0)
    z, kept = autoregression(rng, 400, 0.7), rng.random(400) > 0.4
    got, pairs = autocorrelation(np.where(kept[:, None], z, 0.0), kept)
    for lag in (0, 1, 2, 5):
        both = kept[: 400 - lag] & kept[lag:]
        products = (z[: 400 - lag] * z[lag:])[both]
        assert pairs[lag] == both.sum()
        np.testing.assert_allclose(got[lag], products.mean(axis=0), atol=1e-12)


def lag_one(run):
    bold = prepare([run])
    places = parcellation(run.atlas, run.labels)
    return next(iter(timescale_features(bold, places, memory(bold), ""))).value


def test_censoring_leaves_the_autocorrelation_where_it_was(scanner):
    rng = np.random.default_rng(1)
    whole, half, compressed = [], [], []
    for _ in range(15):
        x = scanner.series(rng, n=400, phi=0.7)
        kept = rng.random(400) > 0.4
        whole.append(lag_one(scanner.run(x)))
        half.append(lag_one(scanner.run(x[kept], kept=kept)))
        compressed.append(lag_one(scanner.run(x[kept])))
    assert np.mean(half) == pytest.approx(np.mean(whole), abs=0.03)
    assert np.mean(compressed) < np.mean(whole) - 0.1


def test_timescale_of_an_autoregression():
    z = autoregression(np.random.default_rng(2), 60000, 0.5)
    assert timescale(z, np.ones(len(z), dtype=bool)) == pytest.approx(0.5 / (1 - 0.5), rel=0.1)


def test_timescale_stops_at_the_first_zero():
    z = np.tile([1.0, 1.0, -1.0, -1.0], 100)[:, None]
    kept = np.ones(400, dtype=bool)
    acf, _ = autocorrelation(z, kept)
    assert acf[1, 0] == pytest.approx(0, abs=0.01)
    assert acf[4, 0] == pytest.approx(1, abs=0.01)
    assert timescale(z, kept) < 0.01


def test_lomb_scargle_is_the_periodogram_where_nothing_is_missing():
    rng = np.random.default_rng(3)
    y = rng.standard_normal((200, 2))
    k = np.arange(1, 40)
    got = lomb_scargle(2 * np.pi * np.outer(k, np.arange(200)) / 200, y - y.mean(axis=0))
    np.testing.assert_allclose(got, np.abs(np.fft.rfft(y, axis=0)[1:40]) ** 2 / 200, rtol=1e-9)


def test_alff_is_relative_and_refuses_standardised_series(scanner):
    rng = np.random.default_rng(4)
    x = scanner.series(rng)
    got = scanner.features(scanner.session(scanner.run(x), connectomes=()))
    louder = scanner.features(scanner.session(scanner.run(7 * x), connectomes=()))
    assert got["alff_acc"].value == pytest.approx(louder["alff_acc"].value, rel=1e-9)
    standard = scanner.features(scanner.session(scanner.run((x - x.mean(0)) / x.std(0)), connectomes=()))
    assert not standard["alff_acc"].usable
    assert "standardised" in standard["alff_acc"].reason


def test_without_a_repetition_time_there_is_no_timescale_in_seconds(scanner):
    got = scanner.features(scanner.session(scanner.run(scanner.series(np.random.default_rng(5)), tr_s=None)))
    assert not got["int_acc"].usable
    assert got["ac1_acc"].usable
    assert not got["qc_minutes_usable"].usable
