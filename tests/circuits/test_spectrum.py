"""Spectra with a known exponent, offset and peak; and every spectrum that cannot be taken apart."""

import builtins

import numpy as np
import pytest

from remanent._errors import UsageError
from remanent.circuits.spectrum import spectrum_features

FREQUENCY = np.arange(1, 45.01, 0.5)


def power(exponent=1.3, offset=1.0, alpha=0.8, noise=0.02, seed=0):
    rng = np.random.default_rng(seed)
    peak = alpha * np.exp(-((FREQUENCY - 10) ** 2) / 2 / 1.5**2)
    return 10 ** (offset - exponent * np.log10(FREQUENCY) + peak + noise * rng.standard_normal(FREQUENCY.size))


def features(frequency=FREQUENCY, p=None):
    return {f.name: f for f in spectrum_features(frequency, power() if p is None else p, "fz")}


def test_the_truth_is_recovered():
    got = features()
    assert got["eeg_exponent_fz"].value == pytest.approx(1.3, abs=0.03)
    assert got["eeg_offset_fz"].value == pytest.approx(1.0, abs=0.03)
    band = (FREQUENCY >= 8) & (FREQUENCY < 13)
    truth = (0.8 * np.exp(-((FREQUENCY[band] - 10) ** 2) / 2 / 1.5**2)).mean()
    assert got["eeg_alphacorrected_fz"].value == pytest.approx(truth, abs=0.03)
    assert got["eeg_betacorrected_fz"].value == pytest.approx(0, abs=0.03)
    assert all(feature.usable for feature in got.values())
    assert all(np.isnan(feature.se) for feature in got.values())


def test_a_flatter_spectrum_is_no_rhythm():
    steep, flat = (features(p=power(exponent=x, alpha=0.0)) for x in (1.6, 0.8))
    assert steep["eeg_exponent_fz"].value - flat["eeg_exponent_fz"].value == pytest.approx(0.8, abs=0.03)
    for band in ("theta", "alpha", "beta"):
        name = f"eeg_{band}corrected_fz"
        assert flat[name].value == pytest.approx(steep[name].value, abs=0.02)


def test_the_order_of_the_frequencies_does_not_matter():
    turn = np.random.default_rng(1).permutation(FREQUENCY.size)
    assert repr(features(FREQUENCY[turn], power()[turn])) == repr(features())


@pytest.mark.parametrize(
    ("frequency", "p", "reason"),
    [
        (FREQUENCY[:40], power()[:40], "reach from 2 to 40"),
        (FREQUENCY[:0], power()[:0], "reach from 2 to 40"),
        (np.geomspace(1, 45, 89), power(), "equally spaced"),
        (np.repeat(FREQUENCY, 2)[:89], power(), "reach"),
        (FREQUENCY[::4], power()[::4], "2 Hz apart"),
        (FREQUENCY, np.where(FREQUENCY == 10, np.nan, power()), "missing or non-positive"),
        (FREQUENCY, np.log10(power()), "not in decibels"),
    ],
)
def test_a_spectrum_that_cannot_be_fitted_says_why(frequency, p, reason):
    got = features(frequency, p)
    assert len(got) == 5
    for feature in got.values():
        assert not feature.usable
        assert reason in feature.reason


def test_noise_is_not_a_spectrum():
    p = 10 ** np.random.default_rng(2).standard_normal(FREQUENCY.size)
    got = features(p=p)
    assert not got["eeg_exponent_fz"].usable
    assert "of the variance" in got["eeg_exponent_fz"].reason


def test_without_specparam_one_message_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def without(name, *more):
        if name == "specparam":
            raise ImportError(name)
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match=r"remanent\[eeg\]"):
        features()
