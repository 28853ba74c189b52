r"""How long a circuit remembers: lag-1 autocorrelation, intrinsic timescale, and the size of its slow fluctuations.

Censoring breaks lags. Only pairs of frames that were both kept and truly lie k repetition times apart count for lag k.
The band-pass filter of the pipeline shapes the autocorrelation, and heavy censoring biases it (doi:10.1162/imag_a_00326):
compare only scans with the same filter, repetition time and about the same share of censored frames.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from remanent._types import Series, Square, Vector
from remanent.circuits.atlas import Members, Parcellation, Unavailable
from remanent.circuits.bold import Bold
from remanent.circuits.definitions import definitions
from remanent.circuits.feature import Feature, unavailable
from remanent.circuits.sampling import BLOCKS, Memory, autocorrelation, jackknife_se, long_run_variance

_STANDARDISED = 1e-3  # spread of the parcels' standard deviations below which a pipeline has standardised the series


def timescale_features(bold: Bold, places: Parcellation, past: Memory | None, problem: str) -> Iterator[Feature]:
    """``ac1_*`` (1), ``int_*`` (s) and ``alff_*`` (1) of the circuits listed in circuits.yaml."""
    relative = None if bold.z is None else relative_alff(bold)
    for name in definitions().timescales:
        members = places.members(name)
        if isinstance(members, Unavailable):
            lost = members.reason
        elif past is None or bold.z is None:
            lost = "no series, only a matrix"
        elif not (members & bold.good).any():
            lost = "all parcels of the circuit were dropped"
        elif len(past.pairs) < 3 or bold.n_frames < 2 * BLOCKS:
            lost = "too few neighbouring frames"
        else:
            mine = members & bold.good
            yield from _autocorrelations(name, bold, bold.z[:, mine], past, mine, problem)
            yield _alff(name, relative, mine, bold.r, problem)
            continue
        yield from (unavailable(f"{kind}_{name}", lost) for kind in ("ac1", "int", "alff"))


def _autocorrelations(
    name: str, bold: Bold, z: Float[ndarray, "frame member"], past: Memory, members: Members, problem: str
) -> Iterator[Feature]:
    usable = not problem
    ac1 = past.acf[1, members]
    # influence of a frame on the mean of rho_1: (n/n_1) z_t z_(t+1) - rho_1 z_t^2
    x = -(z**2) @ ac1 / len(ac1)
    x[:-1] += (z[:-1] * z[1:]).mean(axis=1) * bold.n_frames / past.pairs[1]
    yield Feature(
        f"ac1_{name}", float(ac1.mean()), float(np.sqrt(long_run_variance(x, bold.n_frames))), usable, problem
    )
    if np.isnan(bold.tr_s):
        yield unavailable(f"int_{name}", "the repetition time is unknown")
        return
    value = timescale(z, bold.kept) * bold.tr_s
    replicates = [timescale(part, kept) * bold.tr_s for part, kept in _without_blocks(z, bold.kept)]
    least = bold.tr_s / np.sqrt(
        bold.n_frames
    )  # of one autocorrelation: a timescale below one frame is not known exactly
    yield Feature(f"int_{name}", value, max(jackknife_se(np.array(replicates)), least), usable, problem)


def timescale(z: Series, kept: Bool[ndarray, " frame"]) -> float:
    """Mean over parcels of the sum of positive autocorrelations before the first that is not, from lag 1, in frames.

    Watanabe 2019, doi:10.7554/eLife.42256. Times the repetition time it is the intrinsic timescale; others add lag 0,
    which adds one repetition time to every value.
    """
    acf, _ = autocorrelation(z, kept)
    falls = acf / acf[0] <= 0
    crossing = np.where(falls.any(axis=0), falls.argmax(axis=0), len(acf))
    before = np.arange(len(acf))[:, None] < crossing
    return float(np.where(before, acf / acf[0], 0.0)[1:].sum(axis=0).mean())


def _without_blocks(z: Series, kept: Bool[ndarray, " frame"]) -> Iterator[tuple[Series, Bool[ndarray, " frame"]]]:
    for block in np.array_split(np.flatnonzero(kept), BLOCKS):
        rest = kept.copy()
        rest[block] = False
        mean = z[rest].mean(axis=0)
        yield np.where(rest[:, None], z - mean, 0.0), rest


def relative_alff(bold: Bold) -> tuple[Vector, Vector] | None:
    r"""Amplitude of low-frequency fluctuations of every parcel over its mean over parcels, and its relative error, [parcel].

    ALFF_i = sqrt(mean of the periodogram of parcel i over 0.01-0.08 Hz) (Zang 2007, doi:10.1016/j.braindev.2006.07.002),
    least-squares (Lomb-Scargle) at the frequencies k/T of the whole scan, so that censored frames are absent, not zero.
    Error: periodogram ordinates are independent and exponential, E P^2 = 2 S^2, so var(log ALFF) = (1/8) sum P^2 /
    (sum P)^2; divided by the share of frames kept, because holes make neighbouring ordinates depend on each other.
    None if the repetition time is unknown, the scan holds no frequency of the band, or the series were standardised
    before they were written: then the amplitude is lost.
    """
    if bold.z is None or np.isnan(bold.tr_s) or not bold.good.any():
        return None
    spread = bold.sd[bold.good]
    frequency = np.arange(1, len(bold.kept) // 2 + 1) / (len(bold.kept) * bold.tr_s)
    low, high = definitions().rule("alff_low"), definitions().rule("alff_high")
    frequency = frequency[(frequency >= low) & (frequency <= high)]
    if np.ptp(spread) <= _STANDARDISED * spread.mean() or not frequency.size or frequency.size > bold.n_frames // 2:
        return None
    phase = 2 * np.pi * np.outer(frequency, np.flatnonzero(bold.kept) * bold.tr_s)
    power = lomb_scargle(phase, bold.z[bold.kept]) * bold.sd**2
    total = power.sum(axis=0)
    amplitude = np.sqrt(total / len(frequency))
    relative_se = np.sqrt((power**2).sum(axis=0) / 8 * len(bold.kept) / bold.n_frames) / np.maximum(
        total, np.finfo(float).tiny
    )
    return amplitude / amplitude[bold.good].mean(), relative_se


def lomb_scargle(phase: Float[ndarray, "frequency frame"], y: Series) -> Float[ndarray, "frequency parcel"]:
    """Least-squares periodogram of every column: (n/4) amplitude^2 of the best sinusoid, sum of squares explained / 2."""
    cos, sin = np.cos(phase), np.sin(phase)
    cc, ss, cs = (cos**2).sum(axis=1), (sin**2).sum(axis=1), (cos * sin).sum(axis=1)
    yc, ys = cos @ y, sin @ y
    determinant = (cc * ss - cs**2)[:, None]
    return (ss[:, None] * yc**2 - 2 * cs[:, None] * yc * ys + cc[:, None] * ys**2) / determinant / 2


def _alff(name: str, relative: tuple[Vector, Vector] | None, mine: Members, r: Square, problem: str) -> Feature:
    """Circuit mean; the errors of two parcels' power correlate by the square of the parcels' correlation."""
    if relative is None:
        return unavailable(
            f"alff_{name}", "no amplitude: repetition time unknown, scan too short or series standardised"
        )
    value, relative_se = relative
    errors = (value * relative_se)[mine]
    se = float(np.sqrt(errors @ r[np.ix_(mine, mine)] ** 2 @ errors) / len(errors))
    return Feature(f"alff_{name}", float(value[mine].mean()), se, not problem, problem)
