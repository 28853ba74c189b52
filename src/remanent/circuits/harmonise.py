r"""Site effects, learnt once and frozen: longitudinal ComBat that survives real studies.

Model of one feature (Johnson 2007, doi:10.1093/biostatistics/kxj037; Fortin 2018, doi:10.1016/j.neuroimage.2017.11.024;
with a random intercept per person, Beer 2020, doi:10.1016/j.neuroimage.2020.117129):

.. math:: y_{pis} = \alpha + x_{pi}'\beta + b_p + \sigma(\gamma_s + \sqrt{\delta_s}\,\varepsilon_{pi}), \quad
          b_p \sim N(0, \rho\sigma^2)

Site effects are shrunk across features by empirical Bayes. What is learnt is a value; applying it to a scan uses that
scan's row alone, so a new visit leaves every earlier value as it was, bit for bit, one missing cell stays one missing
cell, and a site nobody has seen costs precision, not an exception. Without repeats this is neuroCombat's ComBat.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.optimize import minimize_scalar

Table = Float[ndarray, "scan feature"]
Covariates = Float[ndarray, "scan covariate"]
BySite = Float[ndarray, "site feature"]
PerFeature = Float[ndarray, " feature"]

_TOLERANCE = 1e-13  # change at which the empirical-Bayes iteration stops; the original program stops at 1e-4
_LARGEST_RATIO = 1e4


@dataclass(frozen=True, slots=True)
class Harmonisation:
    """Everything learnt, in the order of `sites` and of the features it was learnt on.

    Attributes
    ----------
    intercept, sigma
        Grand mean and residual standard deviation, [feature].
    slopes
        Effect of each covariate, [covariate, feature].
    person_ratio
        Variance between persons over residual variance, [feature]; 0 where nobody was scanned twice.
    gamma, delta, gamma_variance
        Shrunken location and variance factor of each site, and the posterior variance of the location, in residual
        standard deviations, [site, feature].
    between_variance
        Variance of locations between sites, [feature]: what is not known about a site nobody has seen.
    """

    sites: tuple[str, ...]
    intercept: PerFeature
    sigma: PerFeature
    slopes: Float[ndarray, "covariate feature"]
    person_ratio: PerFeature
    gamma: BySite
    delta: BySite
    gamma_variance: BySite
    between_variance: PerFeature


@dataclass(frozen=True, slots=True)
class _Design:
    """Scans that have a value: site, person, and the columns of the regression (an indicator for each site in `present`, then covariates)."""

    site: Int[ndarray, " scan"]
    people: Int[ndarray, " scan"]
    scans: Int[ndarray, " person"]
    count: Int[ndarray, " site"]
    present: Int[ndarray, " here"]
    x: Float[ndarray, "scan column"]


@dataclass(frozen=True, slots=True)
class _Fit:
    """Fit of features: site means relative to the grand mean and variances, standardised, [site, feature]; NaN where unknown."""

    intercept: PerFeature
    sigma: PerFeature
    slopes: Float[ndarray, "covariate feature"]
    person_ratio: PerFeature
    gamma: BySite
    delta: BySite
    squares: BySite
    count: Int[ndarray, "site feature"]


def learn(values: Table, covariates: Covariates, site: Sequence[str], person: Sequence[str]) -> Harmonisation:
    """Learn site effects from controls or training people.

    Parameters
    ----------
    values
        Features, [scan, feature], NaN where missing: a missing cell costs that cell only.
    covariates
        What must survive, e.g. age (years) and sex (0/1), [scan, covariate], no NaN.
    site, person
        Of each scan, [scan]. People with several scans give the variance between people its own place.
    """
    sites = tuple(sorted(set(site)))
    index = np.array([sites.index(one) for one in site])
    people = np.unique(np.asarray(person), return_inverse=True)[1]
    fit = _fits(values, covariates, index, people, len(sites))
    between = _between_variance(fit.gamma, fit.count)
    shrunk = [
        _shrink(fit.gamma[s], fit.delta[s], fit.squares[s], fit.count[s].astype(float), between)
        for s in range(len(sites))
    ]
    gamma, delta, variance = (np.stack(part) for part in zip(*shrunk, strict=True))
    return Harmonisation(sites, fit.intercept, fit.sigma, fit.slopes, fit.person_ratio, gamma, delta, variance, between)


def harmonise(
    learnt: Harmonisation, values: Table, covariates: Covariates, site: Sequence[str], se: Table | None = None
) -> tuple[Table, Table]:
    r"""Remove learnt site effects, row by row.

    With e = (y - a - x'b)/sigma - gamma and c = ratio/(ratio + delta) the share of e that is the person's own:
    y* = a + x'b + sigma (c e + (1 - c) e / sqrt(delta)). Only the part that is noise is rescaled.

    Returns
    -------
    tuple
        Harmonised values, and their standard error: what not knowing the site exactly adds, and the values' own (`se`)
        if given, [scan, feature]. A site that was not learnt keeps its values and gets the spread between sites as error;
        NaN where that is unknown.
    """
    position = {name: s for s, name in enumerate(learnt.sites)}
    index = np.array([position.get(one, len(position)) for one in site], dtype=int)
    blank = np.zeros_like(learnt.sigma)
    gamma = np.vstack([learnt.gamma, blank])[index]
    delta = np.vstack([learnt.delta, blank + 1])[index]
    variance = np.vstack([learnt.gamma_variance, learnt.between_variance])[index]
    expected = np.zeros(values.shape) + learnt.intercept
    for column, slope in zip(covariates.T, learnt.slopes, strict=True):  # no BLAS: a row alone gives the same bits
        expected += column[:, None] * slope
    e = (values - expected) / learnt.sigma - gamma
    own = learnt.person_ratio / (learnt.person_ratio + delta)
    factor = own + (1 - own) / np.sqrt(delta)
    added = learnt.sigma * factor * np.sqrt(variance) + 0 * values
    return expected + learnt.sigma * factor * e, added if se is None else np.hypot(added, factor * se)


def _fits(values: Table, covariates: Covariates, site: ndarray, people: ndarray, n_sites: int) -> _Fit:
    """Fit every feature; those with values for the same scans share the design, and without repeats the regression too."""
    finite = np.isfinite(values)
    alike: dict[bytes, list[int]] = {}
    for v in range(values.shape[1]):
        alike.setdefault(finite[:, v].tobytes(), []).append(v)
    fits: list[_Fit] = []
    for mine in alike.values():
        there = finite[:, mine[0]]
        design = _design(covariates[there], site[there], people[there], n_sites)
        y = values[np.ix_(there, mine)]
        ratio = np.zeros(len(mine))
        if design.scans.max(initial=0) > 1:
            ratio = np.array([_person_ratio(design.x, y[:, j], design.people) for j in range(len(mine))])
        groups = [slice(None)] if not ratio.any() else [slice(j, j + 1) for j in range(len(mine))]
        fits += [_fit(y[:, group], design, float(ratio[group][0])) for group in groups]
    back = np.argsort([v for mine in alike.values() for v in mine])
    return _Fit(*(np.concatenate([getattr(fit, f.name) for fit in fits], axis=-1)[..., back] for f in fields(_Fit)))


def _design(covariates: Covariates, site: ndarray, people: ndarray, n_sites: int) -> _Design:
    count = np.bincount(site, minlength=n_sites)
    present = np.flatnonzero(count)
    x = np.concatenate([(site[:, None] == present).astype(float), covariates], axis=1)
    people = np.unique(people, return_inverse=True)[1]
    return _Design(site, people, np.bincount(people), count, present, x)


def _fit(y: Float[ndarray, "scan column"], design: _Design, ratio: float) -> _Fit:
    """Fit features that share design and person ratio."""
    people, scans, count, present = design.people, design.scans, design.count, design.present
    keep = 1 - 1 / np.sqrt(1 + ratio * scans)
    x, z = (_less_mean(part, people, scans, keep) for part in (design.x, y)) if ratio else (design.x, y)
    effects = np.linalg.lstsq(x, z)[0]
    residual = y - design.x @ effects
    noise, unexplained = residual, residual
    if ratio:
        own = (ratio / (1 + ratio * scans))[:, None] * _sums(residual, people, len(scans))
        noise, unexplained = residual - own[people], _less_mean(residual, people, scans, keep)
    sigma = np.sqrt(np.mean(unexplained**2, axis=0))
    intercept = count[present] @ effects[: len(present)] / len(y)
    gamma = np.full((len(count), y.shape[1]), np.nan)
    gamma[present] = (effects[: len(present)] - intercept) / sigma
    mean = _sums(noise / sigma, design.site, len(count)) / np.maximum(count, 1)[:, None]
    squares = _sums((noise / sigma - mean[design.site]) ** 2, design.site, len(count))
    several = count > 1
    delta = np.where(several[:, None], squares / np.maximum(count - 1, 1)[:, None], np.nan)
    pooled = np.ones(y.shape[1])
    if ratio and several.any():  # predicted person effects have taken part of the noise: back to a mean of 1
        pooled = np.average(delta[several], axis=0, weights=count[several] - 1)
    counts = np.repeat(count[:, None], y.shape[1], axis=1)
    slopes, ratios = effects[len(present) :], np.full(y.shape[1], ratio)
    return _Fit(intercept, sigma, slopes, ratios, gamma, delta / pooled, squares / pooled, counts)


def _sums(x: Float[ndarray, "scan column"], group: ndarray, n: int) -> Float[ndarray, "group column"]:
    """Sum of the rows of each group."""
    sums = np.zeros((n, x.shape[1]))
    np.add.at(sums, group, x)
    return sums


def _less_mean(x: ndarray, people: ndarray, scans: ndarray, share: ndarray) -> ndarray:
    """Quasi-demeaning, x - share of the person's mean: makes a random intercept an ordinary regression."""
    return x - (share / scans)[people, None] * _sums(x, people, len(scans))[people]


def _person_ratio(x: Float[ndarray, "scan column"], y: Float[ndarray, " scan"], people: ndarray) -> float:
    """REML estimate of the variance between persons over the residual variance; 0 where nobody was scanned twice."""
    scans = np.bincount(people)
    if scans.max(initial=0) < 2 or len(y) <= x.shape[1] + 1:
        return 0.0
    rows = np.concatenate([x, y[:, None]], axis=1)
    sums = _sums(rows, people, len(scans))
    total = rows.T @ rows
    sizes = np.unique(scans)
    of_size = [sums[scans == size].T @ sums[scans == size] for size in sizes]
    persons = np.array([(scans == size).sum() for size in sizes])
    rank = int(np.linalg.matrix_rank(x))

    def cost(log_ratio: float) -> float:
        ratio = np.exp(log_ratio)
        moment = total - sum(ratio / (1 + ratio * n) * part for n, part in zip(sizes, of_size, strict=True))
        normal, cross = moment[:-1, :-1], moment[:-1, -1]
        unexplained = moment[-1, -1] - cross @ np.linalg.lstsq(normal, cross)[0]
        eigenvalues = np.linalg.eigvalsh(normal)[-rank:]
        return float(
            (len(y) - rank) * np.log(max(unexplained, np.finfo(float).tiny))
            + persons @ np.log1p(ratio * sizes)
            + np.log(eigenvalues).sum()
        )

    best = minimize_scalar(cost, bounds=(np.log(1e-4), np.log(_LARGEST_RATIO)), method="bounded")
    return float(np.exp(best.x)) if best.fun < cost(np.log(1e-6)) else 0.0


def _between_variance(gamma: BySite, count: Int[ndarray, "site feature"]) -> PerFeature:
    """Variance of site locations less what their own errors add, at least 0, [feature]; NaN with fewer than two sites."""
    several = count > 1
    n = several.sum(axis=0)
    kept = np.where(several, gamma, 0.0)
    mean = kept.sum(axis=0) / np.maximum(n, 1)
    spread = np.where(several, (gamma - mean) ** 2, 0.0).sum(axis=0) / np.maximum(n - 1, 1)
    noise = np.where(several, 1 / np.maximum(count, 1), 0.0).sum(axis=0) / np.maximum(n, 1)
    return np.where(n > 1, np.maximum(spread - noise, 0.0), np.nan)


def _shrink(
    gamma: PerFeature, delta: PerFeature, squares: PerFeature, n: PerFeature, between: PerFeature
) -> tuple[PerFeature, PerFeature, PerFeature]:
    """Empirical-Bayes location, variance factor and posterior variance of the location of one site.

    The site's own features give the prior. Where they cannot (fewer than two scans or three features), the location is
    shrunk to the grand mean by the variance between sites and the variance factor is 1.
    """
    known = np.isfinite(gamma) & np.isfinite(delta)
    spread = np.var(delta[known], ddof=1) if known.sum() > 2 else 0.0
    if spread <= 0:
        return _to_grand_mean(gamma, n, np.nan_to_num(between))
    center, t2 = gamma[known].mean(), np.var(gamma[known], ddof=1)
    m = delta[known].mean()
    a, b = (2 * spread + m**2) / spread, (m * spread + m**3) / spread
    observed, g_hat = np.where(known, n, 0.0), np.where(known, gamma, 0.0)
    g, d = np.where(known, gamma, center), np.where(known, delta, b / (a - 1))
    total = np.where(known, squares, 0.0)
    change = 1.0
    while change > _TOLERANCE:
        g_new = (t2 * observed * g_hat + d * center) / (t2 * observed + d)
        d_new = (0.5 * (total + observed * (g_hat - g_new) ** 2) + b) / (observed / 2 + a - 1)
        change = max(np.max(np.abs(g_new - g)), np.max(np.abs(d_new - d)))
        g, d = g_new, d_new
    return g, d, t2 * d / (t2 * observed + d)


def _to_grand_mean(gamma: PerFeature, n: PerFeature, between: PerFeature) -> tuple[PerFeature, PerFeature, PerFeature]:
    weight = np.where(np.isfinite(gamma), n * between / (n * between + 1), 0.0)
    return weight * np.nan_to_num(gamma), np.ones_like(gamma), between * (1 - weight)
