"""A power spectrum taken apart: what falls off as 1/f, and what stands above it. Needs the extra `eeg` (specparam).

Band power by itself mixes both: a flatter spectrum raises every high band without any rhythm (Donoghue 2020,
doi:10.1038/s41593-020-00744-x).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from remanent._errors import UsageError
from remanent._types import Vector
from remanent.circuits.definitions import definitions
from remanent.circuits.feature import Feature, unavailable


def spectrum_features(frequency_hz: Vector, power: Vector, where: str) -> Iterator[Feature]:
    """``eeg_exponent_<where>``, ``eeg_offset_<where>`` and ``eeg_<band>corrected_<where>``, without errors.

    log10 P(f) = offset - exponent log10 f + peaks, by specparam over the range of circuits.yaml. Corrected band power:
    mean over the band of log10 P(f) less the first two terms.

    Parameters
    ----------
    frequency_hz, power
        A spectrum, equally spaced, power in linear units (µV²/Hz), [frequency].
    where
        Channel or region, for the names.

    Raises
    ------
    UsageError
        specparam is not installed.
    """
    spec, model = definitions().spectrum, _model()
    names = [f"eeg_{kind}_{where}" for kind in ("exponent", "offset", *(f"{band}corrected" for band in spec.bands))]
    order = np.argsort(frequency_hz)
    frequency, p = frequency_hz[order], power[order]
    problem = _problem(frequency, p)
    if problem:
        yield from (unavailable(name, problem) for name in names)
        return
    inside = (frequency >= spec.range_hz[0]) & (frequency <= spec.range_hz[1])
    frequency, p = frequency[inside], p[inside]
    model.fit(frequency, p)
    offset, exponent = (float(x) for x in model.get_params("aperiodic"))
    above = np.log10(p) - offset + exponent * np.log10(frequency)
    fit = float(model.get_metrics("gof", "rsquared"))
    doubt = (
        ""
        if fit >= spec.minimum_r2
        else f"the fitted spectrum explains {fit:.2f} of the variance, {spec.minimum_r2:g} is needed"
    )
    values = [exponent, offset]
    for low, high in spec.bands.values():
        band = (frequency >= low) & (frequency < high)
        values.append(float(above[band].mean()) if band.any() else np.nan)
    for name, value in zip(names, values, strict=True):
        known = bool(np.isfinite(value))
        reason = doubt if known else "no frequency of the spectrum lies in the band"
        yield Feature(name, value, np.nan, usable=known and not doubt, reason=reason)


def _problem(frequency_hz: Vector, power: Vector) -> str:
    """Why a spectrum cannot be fitted; empty where it can."""
    low, high = definitions().spectrum.range_hz
    steps = np.diff(frequency_hz)
    if not (len(steps) and frequency_hz[0] <= low and frequency_hz[-1] >= high):
        return f"the spectrum does not reach from {low:g} to {high:g} Hz"
    if not (steps.min() > 0 and np.ptp(steps) <= 1e-3 * steps.mean()):
        return "the frequencies of the spectrum are not equally spaced"
    if steps.mean() > 1:
        return f"the frequencies of the spectrum are {steps.mean():g} Hz apart, at most 1 Hz is needed"
    if not np.all(np.isfinite(power) & (power > 0)):
        return "the spectrum has missing or non-positive power; it must be linear, not in decibels"
    return ""


def _model() -> Any:
    try:
        from specparam import SpectralModel
    except ImportError as error:
        why = "Spectra are taken apart by specparam"
        raise UsageError("specparam is not installed", why=why, do="pip install 'remanent[eeg]'") from error
    spec = definitions().spectrum
    return SpectralModel(
        peak_width_limits=list(spec.peak_width_hz),
        max_n_peaks=spec.most_peaks,
        min_peak_height=spec.least_peak,
        aperiodic_mode="fixed",
        verbose=False,
    )
