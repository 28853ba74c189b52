r"""How long a circuit remembers: lag-1 autocorrelation, intrinsic timescale, and the size of its slow fluctuations.

Censoring breaks lags. Only pairs of frames that were both kept and truly lie k repetition times apart count for lag k.
The band-pass filter of the pipeline shapes the autocorrelation, and heavy censoring biases it (doi:10.1162/imag_a_00326):
compare only scans with the same filter, repetition time and about the same share of censored frames.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from remanent._types import Series, Vector
from remanent.circuits.atlas import Members, Parcellation, Unavailable
from remanent.circuits.bold import Bold
from remanent.circuits.definitions import definitions
from remanent.circuits.feature import Feature, unavailable
from remanent.circuits.sampling import Memory, long_run_variance

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
        elif len(past.pairs) < 3:
            lost = "too few neighbouring frames"
        else:
            mine = members & bold.good
            yield from _autocorrelations(name, bold, bold.z[:, mine], past, past.acf[:, mine], problem)
            yield _alff(name, relative, mine, problem)
            continue
        yield from (unavailable(f"{kind}_{name}", lost) for kind in ("ac1", "int", "alff"))


def _autocorrelations(
    name: str, bold: Bold, z: Series, past: Memory, acf: Float[ndarray, "lag member"], problem: str
) -> Iterator[Feature]:
    usable = not problem
    first = np.ones(z.shape[1], dtype=int)
    yield Feature(f"ac1_{name}", float(acf[1].mean()), _acf_sum_se(z, past, acf, first, bold), usable, problem)
    last = first_crossing(acf) - 1
    value = np.mean([acf[1 : stop + 1, i].sum() for i, stop in enumerate(last)]) * bold.tr_s
    if np.isnan(bold.tr_s):
        yield unavailable(f"int_{name}", "the repetition time is unknown")
    else:
        se = _acf_sum_se(z, past, acf, last, bold) * bold.tr_s
        yield Feature(f"int_{name}", float(value), se, usable, problem)


def first_crossing(acf: Float[ndarray, "lag column"]) -> ndarray:
    """First lag at which each autocorrelation is not positive; the number of lags if it stays positive."""
    falls = acf <= 0
    return np.where(falls.any(axis=0), falls.argmax(axis=0), len(acf))


def _acf_sum_se(z: Series, past: Memory, acf: Float[ndarray, "lag member"], last: ndarray, bold: Bold) -> float:
    r"""Error of the mean over columns of \sum_{k=1}^{last} rho_k.

    Influence of a frame: \sum_k (n/n_k) z_t z_{t+k} - rho_k z_t^2. Where the autocorrelation crosses zero the choice of
    the last lag does not matter in first order.
    """
    x = np.zeros(len(z))
    for lag in range(1, int(last.max(initial=0)) + 1):
        part = last >= lag
        x[:-lag] += (z[:-lag, part] * z[lag:, part]).sum(axis=1) * (bold.n_frames / past.pairs[lag])
        x -= z[:, part] ** 2 @ acf[lag, part]
    return float(np.sqrt(long_run_variance(x / z.shape[1], bold.n_frames)))


def relative_alff(bold: Bold) -> tuple[Vector, Vector] | None:
    r"""Amplitude of low-frequency fluctuations of every parcel over its mean over parcels, and its relative error, [parcel].

    ALFF_i = sqrt(mean of the periodogram of parcel i over 0.01-0.08 Hz) (Zang 2007, doi:10.1016/j.braindev.2006.07.002),
    least-squares (Lomb-Scargle) at the frequencies k/T of the whole scan, so that censored frames are absent, not zero.
    Error: periodogram ordinates are independent and exponential, so var(log ALFF) = (1/4) sum P^2 / (sum P)^2.
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
    relative_se = np.sqrt((power**2).sum(axis=0)) / np.maximum(total, np.finfo(float).tiny) / 2
    return amplitude / amplitude[bold.good].mean(), relative_se


def lomb_scargle(phase: Float[ndarray, "frequency frame"], y: Series) -> Float[ndarray, "frequency parcel"]:
    """Least-squares periodogram of every column: (n/4) amplitude^2 of the best sinusoid, sum of squares explained / 2."""
    cos, sin = np.cos(phase), np.sin(phase)
    cc, ss, cs = (cos**2).sum(axis=1), (sin**2).sum(axis=1), (cos * sin).sum(axis=1)
    yc, ys = cos @ y, sin @ y
    determinant = (cc * ss - cs**2)[:, None]
    return (ss[:, None] * yc**2 - 2 * cs[:, None] * yc * ys + cc[:, None] * ys**2) / determinant / 2


def _alff(name: str, relative: tuple[Vector, Vector] | None, mine: Members, problem: str) -> Feature:
    """Circuit mean; its parcels are taken to fluctuate together, so the error does not shrink with their number."""
    if relative is None:
        return unavailable(
            f"alff_{name}", "no amplitude: repetition time unknown, scan too short or series standardised"
        )
    value, relative_se = relative
    se = float((value * relative_se)[mine].mean())
    return Feature(f"alff_{name}", float(value[mine].mean()), se, not problem, problem)
