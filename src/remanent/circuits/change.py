"""Whether a person has changed: reliability from repeats, and change with its interval."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy.stats import f, norm

PerFeature = Float[ndarray, " feature"]


@dataclass(frozen=True, slots=True)
class Reliability:
    """Test-retest reliability of each feature, [feature].

    Attributes
    ----------
    icc, lower, upper
        Intraclass correlation ICC(1,1) and its 90 % interval.
    within_sd
        Standard deviation of one scan within a person: what a scan's own error and a person's days add up to.
    biological_sd
        What of `within_sd` the scans' own errors do not explain.
    people
        How many people had two or more scans.
    """

    icc: PerFeature
    lower: PerFeature
    upper: PerFeature
    within_sd: PerFeature
    biological_sd: PerFeature
    people: PerFeature


@dataclass(frozen=True, slots=True)
class Change:
    """Change of each feature with its 90 % interval; `reliable` where the interval leaves out zero."""

    value: PerFeature
    se: PerFeature
    lower: PerFeature
    upper: PerFeature
    reliable: Bool[ndarray, " feature"]


def reliability(
    values: Float[ndarray, "person scan feature"], se: Float[ndarray, "person scan feature"] | None = None
) -> Reliability:
    """One-way random-effects reliability from healthy repeats (Shrout & Fleiss 1979, doi:10.1037/0033-2909.86.2.420).

    `values` hold NaN where a scan or a value is missing; people may have different numbers of scans (their effective
    number enters). Interval: exact F where everybody has the same number, approximate otherwise.
    """
    there = np.isfinite(values)
    n = there.sum(axis=1)
    several = n > 1
    n = np.where(several, n, 0)
    there &= several[:, None, :]
    kept = np.where(there, values, 0.0)
    people, total = several.sum(axis=0).astype(float), n.sum(axis=0)
    own = kept.sum(axis=1) / np.maximum(n, 1)
    grand = kept.sum(axis=(0, 1)) / np.maximum(total, 1)
    freedom_between, freedom_within = np.maximum(people - 1, 1), np.maximum(total - people, 1)
    between = (n * np.where(several, own - grand, 0.0) ** 2).sum(axis=0) / freedom_between
    within = np.where(there, values - own[:, None, :], 0.0)
    within = (within**2).sum(axis=(0, 1)) / freedom_within
    scans = (total - (n**2).sum(axis=0) / np.maximum(total, 1)) / freedom_between
    known = people > 1
    ratio = np.where(known, between / np.where(within > 0, within, np.nan), np.nan)
    low = ratio / f.ppf(0.95, freedom_between, freedom_within)
    high = ratio * f.ppf(0.95, freedom_within, freedom_between)
    icc, lower, upper = ((value - 1) / (value + scans - 1) for value in (ratio, low, high))
    own_error = 0.0 if se is None else np.where(there, se, 0.0) ** 2
    explained = np.sum(own_error, axis=(0, 1)) / np.maximum(total, 1) if se is not None else np.zeros(len(people))
    within_sd = np.where(people > 0, np.sqrt(within), np.nan)
    biological = np.where(people > 0, np.sqrt(np.maximum(within - explained, 0.0)), np.nan)
    return Reliability(icc, lower, upper, within_sd, biological, people)


def lengthened(icc: float, minutes: float, reference_minutes: float) -> float:
    """Reliability at another scan length, k r / (1 + (k - 1) r), k = minutes / reference (Spearman 1910, Brown 1910)."""
    k = minutes / reference_minutes
    return k * icc / (1 + (k - 1) * icc)


def within_sd_from_icc(icc: PerFeature, between_sd: PerFeature) -> PerFeature:
    """Standard error of measurement, SD sqrt(1 - ICC), where only a published reliability exists."""
    return between_sd * np.sqrt(1 - icc)


def change(
    before: PerFeature, after: PerFeature, se_before: PerFeature, se_after: PerFeature, biological_sd: PerFeature
) -> Change:
    """Change between two visits, its error sqrt(se1² + se2² + 2 sd²) and 90 % interval.

    With the within-person standard deviation as `biological_sd` and no scan errors this is the reliable-change index
    of Jacobson & Truax 1991, doi:10.1037/0022-006X.59.1.12.
    """
    value = after - before
    se = np.sqrt(se_before**2 + se_after**2 + 2 * biological_sd**2)
    half = norm.ppf(0.95) * se
    return Change(value, se, value - half, value + half, np.abs(value) > half)


def z_difference(before: PerFeature, after: PerFeature, correlation: PerFeature) -> PerFeature:
    """How unusual a change of a z value is in healthy people, (z2 - z1) / sqrt(2 (1 - r)).

    `correlation` r: of healthy z values over repeats; (z2 - r z1)/sqrt(1 - r²) would also expect a return to the mean.
    """
    return (after - before) / np.sqrt(2 * (1 - correlation))
